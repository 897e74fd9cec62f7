"""The connector's manifest: what is declared, what whoever operates the engine knows better, and what is a mistake."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.erp.http_supplier import MANIFEST
from workers.connector import manifest_of
from workers.settings import Settings
from workflows.domain.capabilities import DedupeLevel
from workflows.domain.errors import InvalidInput
from workflows.options import EXTERNAL_WRITE, SUPPLIER_LEASE_SECONDS


def told(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "connector.json"
    file.write_text(text)
    return Settings(home=tmp_path, connector_file=file)


def test_without_a_file_the_connectors_own_promises_count(tmp_path: Path) -> None:
    assert manifest_of(Settings(home=tmp_path)) == MANIFEST


def test_a_file_replaces_what_it_names(tmp_path: Path) -> None:
    found = manifest_of(told(tmp_path, '{"level": "L1", "drafts": true, "longest_transaction_s": 30}'))
    assert (found.level, found.drafts, found.settle_s) == (DedupeLevel.L1, True, 40)
    assert found.http_timeout_s == MANIFEST.http_timeout_s


MISTAKES: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "is no JSON"),
    "a list": ([], "one short JSON object"),
    "a misspelling": ({"levle": "L1"}, "'levle', which is none of"),
    "an unknown level": ({"level": "L4"}, "level"),
    "drafts that nobody finds": ({"level": "L0", "drafts": True}, "finds nothing"),
    "no memory": ({"level": "L3", "memory_s": 0}, "memory_s"),
    "a timeout longer than an attempt": ({"http_timeout_s": 45}, "longer than an attempt"),
    "a timeout that leaves no second request": ({"http_timeout_s": 20}, "no time to look for an order"),
    "nesting": ("[" * 100_000, "is no JSON|one short"),
}


@pytest.mark.parametrize(("document", "says"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named(tmp_path: Path, document: Any, says: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(InvalidInput, match=says):
        manifest_of(told(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"missing\.json cannot be read"):
        manifest_of(Settings(home=tmp_path, connector_file=tmp_path / "missing.json"))


def test_a_request_ends_before_its_attempt_and_an_attempt_before_its_lease() -> None:
    attempt = EXTERNAL_WRITE["start_to_close_timeout"]
    assert attempt is not None
    assert MANIFEST.http_timeout_s < attempt.total_seconds() < SUPPLIER_LEASE_SECONDS
