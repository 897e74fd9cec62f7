"""docs/events.md says what the parser does: every example is read by it, every kind, field and code is on the page."""

import json
import re
from pathlib import Path

import pytest

from workflows.domain import events
from workflows.domain.errors import MalformedEvent
from workflows.domain.events import KINDS, MAX_EVENT_BYTES, Topic, parse

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
SECTIONS = dict(re.findall(r"### `(quartermaster\.[a-z0-9.]+)`\n(.*?)(?=\n##|\Z)", PAGE, flags=re.DOTALL))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: str(json.loads(text)["type"]))
def test_every_example_is_read_whole_by_the_parser(example: str) -> None:
    event = parse(example.encode())
    given = json.loads(example)["data"]
    assert set(given) <= set(type(event.data).model_fields), "an example shows a field that nobody reads"
    assert parse(event.to_bytes()) == event


def test_every_kind_has_a_section_with_an_example_and_all_its_fields() -> None:
    assert set(SECTIONS) == set(KINDS)
    for kind, section in SECTIONS.items():
        assert f'"type": "{kind}"' in section
        for field in KINDS[kind].model_fields:
            assert f"`{field}`" in section, f"{kind} does not say what {field} is"


def test_every_topic_lists_its_kinds() -> None:
    for topic in Topic:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{topic.value}`"))
        assert set(re.findall(r"`([a-z]+\.[a-z]+\.v\d+)`", row)) == {k.kind for k in KINDS.values() if k.topic == topic}


def test_every_dead_letter_code_of_the_parser_is_explained() -> None:
    source = Path(events.__file__).read_text(encoding="utf-8")
    for code in set(re.findall(r'MalformedEvent\("([a-z0-9_]+)"', source)):
        assert f"| `{code}` |" in PAGE
    assert f"{MAX_EVENT_BYTES:,} bytes" in PAGE


@pytest.mark.parametrize("units", ['"12"', "12.0", "0", "-1", "100000001", "true", "null"])
def test_units_are_whole_positive_and_bounded_as_the_page_says(units: str) -> None:
    sale = next(text for text in EXAMPLES if "sale.recorded" in text)
    with pytest.raises(MalformedEvent) as refused:
        parse(sale.replace('"units": 3', f'"units": {units}').encode())
    assert refused.value.code == "invalid_field"
    assert "units" in str(refused.value)


@pytest.mark.parametrize("time", ["2025-03-03T10:14:07", "1970-01-01T00:00:00Z", "yesterday"])
def test_times_have_an_offset_and_a_plausible_year_as_the_page_says(time: str) -> None:
    sale = next(text for text in EXAMPLES if "sale.recorded" in text)
    with pytest.raises(MalformedEvent, match="time"):
        parse(sale.replace("2025-03-03T10:14:07Z", time).encode())
