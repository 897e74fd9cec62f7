"""An entry's body has one spelling, known limits, and a clear word about what keeps it out."""

import json
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.evidence import EvidenceKind
from workflows.domain.identity import canonical, digest
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.policies import Policy
from workflows.domain.recordable import (
    LONG_PART,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_INTEGER,
    NotRecordable,
    by_reference,
    dereferenced,
    entry_bytes,
    read_body,
)

AT = datetime(2025, 3, 3, tzinfo=UTC)
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))])
LEAVES = (
    st.none() | st.booleans() | st.integers() | TEXT | st.dates() | st.datetimes(timezones=ZONES)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9)
)  # fmt: skip
BODIES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
    ),
    max_size=5,
)


def entry(body: dict[str, Any], stream: str = "LEEDS:ITEM:1") -> NewEntry:
    return NewEntry(stream=stream, type=EntryType.TASK_OPENED, actor="a", occurred_at=AT, body=body)


def leaves(value: Any) -> list[Any]:
    """What hangs in it."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@settings(max_examples=200, deadline=None)
@given(BODIES)
def test_every_body_keeps_the_rules_and_is_its_own_spelling(body: dict[str, Any]) -> None:
    written = entry(body).body_bytes()
    read = read_body(written)
    assert rfc8785.dumps(read) == written
    assert entry_bytes(read) == written
    for leaf in leaves(read):
        assert not isinstance(leaf, float)
        assert not isinstance(leaf, int) or abs(leaf) <= MAX_INTEGER
        assert not isinstance(leaf, str) or unicodedata.is_normalized("NFC", leaf)


@settings(max_examples=100, deadline=None)
@given(BODIES.filter(lambda body: all(not isinstance(leaf, str) or leaf.isascii() for leaf in leaves(body))))
def test_what_was_canonical_before_the_rules_has_the_same_bytes(body: dict[str, Any]) -> None:
    assert entry_bytes(body) == canonical(body)


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_text_that_looks_the_same_is_the_same(text: str) -> None:
    forms = {entry_bytes({"name": unicodedata.normalize(form, text)}) for form in ("NFC", "NFD")}
    assert len(forms) == 1


def test_values_are_spelled_so() -> None:
    body = {
        "b": 2**53 - 1, "a": 2**53, "c": -(2**53), "d": Decimal("4.20"), "e": date(2025, 3, 3),
        "k": EntryType.TASK_OPENED, "i": "Zoe\u0308", "g": {"y", "x"}, "h": (True, None),
        "f": datetime(2025, 3, 3, 1, tzinfo=timezone(timedelta(hours=1))),
    }  # fmt: skip
    assert json.loads(entry(body).body_bytes()) == {
        "a": "9007199254740992", "b": 9007199254740991, "c": "-9007199254740992", "d": "4.20", "e": "2025-03-03",
        "f": "2025-03-03T00:00:00.000000Z", "g": ["x", "y"], "h": [True, None], "i": "Zo\u00eb", "k": "task.opened",
    }  # fmt: skip
    assert entry(body).body_bytes().startswith(b'{"a":"9007199254740992","b":9007199254740991,')


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"a": {"price": 1.5}}, r"body\.a\.price is a float"),
        ({"a": [1, b"x"]}, r"body\.a\[1\] is a bytes"),
        ({"a": Decimal("NaN")}, r"body\.a is NaN"),
        ({"a": datetime(2025, 3, 3)}, r"body\.a is an instant without a time zone"),  # noqa: DTZ001 - that is the point
        ({"a": {"Größe": 1}}, r"body\.a has the key 'Größe'"),
        ({"a": {1: 1, "1": 2}}, r"body\.a has the key 1"),
        ({"a": "\ud800"}, r"no UTF-8 form"),
        ({"a": nested(MAX_DEPTH)}, rf"lies deeper than {MAX_DEPTH} levels"),
        ({"a": "x" * MAX_BYTES}, r"65,544 bytes, and an entry has at most 65,536"),
        ({"a": object()}, r"body\.a is a object"),
    ],
)
def test_what_keeps_an_entry_out_is_said_with_its_name_and_place(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(NotRecordable, match=rf"cannot take task\.opened of LEEDS:ITEM:1: .*{problem}"):
        entry(body)


def test_the_limits_themselves_are_within() -> None:
    assert len(entry({"a": "x" * (MAX_BYTES - 8)}).body_bytes()) == MAX_BYTES
    assert entry({"a": nested(MAX_DEPTH - 1)}).body_bytes()


def test_a_changed_copy_has_its_own_bytes() -> None:
    one = entry({"a": 1})
    assert one.model_copy(update={"body": {"a": 2}}).body_bytes() == b'{"a":2}'
    assert one.model_copy(update={"stream": "other"}).body_bytes() == b'{"a":1}'
    with pytest.raises(NotRecordable):
        one.model_copy(update={"body": {"a": 1.5}}).body_bytes()


@pytest.mark.parametrize(
    "raw", [b'{"a":1,"a":1}', b'{"x":[{"b":1,"c":2,"b":3}]}', b"[1]", b"\xff", b"{", b"[" * 100_000]
)
def test_bytes_with_two_readings_are_refused(raw: bytes) -> None:
    with pytest.raises(NotRecordable):
        read_body(raw)


class Kept(dict[str, bytes]):
    """The `EvidenceSource` port over what was to be kept."""

    def get(self, sha256: str) -> bytes:  # type: ignore[override]
        return self[sha256]


def test_a_long_part_is_kept_as_evidence_and_a_short_one_stays() -> None:
    long = [{"scope": {"item": f"ITEM-{n}"}, "limit": Decimal(n)} for n in range(5_000)]
    body = {"digest": "d", "policy": long, "evidence": [1, 2], "none": None}
    short, kept = by_reference(body, "policy", "evidence", "none", "absent")
    assert len(entry(short).body_bytes()) < 300
    assert (short["digest"], short["evidence"], short["none"]) == ("d", [1, 2], None)
    assert short["policy"]["bytes"] > MAX_BYTES > LONG_PART
    assert [(digest(one.body), one.kind) for one in kept.values()] == [(name, EvidenceKind.RECORD) for name in kept]
    whole = dereferenced(short, Kept({name: one.body for name, one in kept.items()}))
    assert canonical(whole) == canonical(body)
    assert by_reference({"policy": Policy()}, "policy") == ({"policy": Policy()}, {})
