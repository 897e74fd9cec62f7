"""Reading an event is total: any bytes are an event or a malformed one with a documented reason."""

import inspect
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain import events
from workflows.domain.errors import MalformedEvent
from workflows.domain.events import KINDS, MAX_EVENT_BYTES, Event, SaleRecorded, Topic, content_digest, parse

AT = datetime(2025, 3, 3, 5, tzinfo=UTC)
CODES = {
    "too_large", "not_utf8", "not_json", "duplicate_key", "not_an_object", "unknown_type", "invalid_field",
}  # fmt: skip
SALE = Event.of(SaleRecorded(item="A", location="B", sale_id="s", units=3), id="e", source="urn:t", time=AT)


def document(**changes: Any) -> dict[str, Any]:
    """A good sale with these fields of its body changed."""
    envelope: dict[str, Any] = json.loads(SALE.to_bytes())
    envelope["data"] |= changes
    return envelope


def raw(value: Any) -> bytes:
    """As JSON."""
    return json.dumps(value).encode()


def code_of(message: bytes) -> str:
    """Why it is refused."""
    with pytest.raises(MalformedEvent) as caught:
        parse(message)
    assert len(str(caught.value)) <= 400, "reasons are bounded"
    assert str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", "not_json"),
        (b"\xff\xfe{}", "not_utf8"),
        (b"{", "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b'{"type":"x"}', "unknown_type"),
        (b"{}", "unknown_type"),
        (b'{"type":{"a":[]}}', "unknown_type"),
        (b'{"type":"quartermaster.sale.recorded.v1"}', "invalid_field"),
        (b'{"type":"quartermaster.sale.recorded.v1","data":null}', "invalid_field"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (raw(document()).replace(b'"units": 3', b'"units": 3, "units": 3'), "duplicate_key"),
        (raw(document()).replace(b'"units": 3', b'"units": NaN'), "not_json"),
        (raw(document()).replace(b'"units": 3', b'"units": -Infinity'), "not_json"),
        (raw(document()).replace(b'"units": 3', b'"units": 3.0'), "invalid_field"),
        (raw(document()).replace(b'"units": 3', b'"units": 1e2'), "invalid_field"),
        (raw(document()).replace(b'"units": 3', b'"units": 1e999999999'), "invalid_field"),
        (raw(document()).replace(b'"units": 3', b'"units": ' + b"9" * 300), "invalid_field"),
        (raw(document()).replace(b'"units": 3', b'"units": ' + b"9" * 9_000), "not_json"),
        (raw(document(units="3")), "invalid_field"),
        (raw(document(units=True)), "invalid_field"),
        (raw(document(units=0)), "invalid_field"),
        (raw(document(units=-3)), "invalid_field"),
        (raw(document(units=100_000_001)), "invalid_field"),
        (raw(document(item="a/b")), "invalid_field"),
        (raw(document(item="a\n")), "invalid_field"),
        (raw(document(item="")), "invalid_field"),
        (raw(document(item="é")), "invalid_field"),
        (raw(document(item="x" * 65)), "invalid_field"),
        (raw(document(sale_id="a\x00b")), "invalid_field"),
        (raw(document(unknown="\x00")), "invalid_field"),
        (raw(document(sale_id="\ud800")), "not_utf8"),
        (raw(document() | {"id": "\udfff"}), "not_utf8"),
        (raw(document() | {"\ud800": 1}), "not_utf8"),
        (raw(document(unit_price="1e400")), "invalid_field"),
        (raw(document(unit_price=-1)), "invalid_field"),
        (raw(document(unit_price="NaN")), "invalid_field"),
        (raw(document(unit_price=0.00001)), "invalid_field"),
        (raw(document() | {"specversion": "2.0"}), "invalid_field"),
        (raw(document() | {"id": ""}), "invalid_field"),
        (raw(document() | {"id": "x" * 201}), "invalid_field"),
        (raw(document() | {"time": "0001-01-01T00:00:00+14:00"}), "invalid_field"),
        (raw(document() | {"time": "9999-12-31T23:59:59-14:00"}), "invalid_field"),
        (raw(document() | {"time": "1990-01-01T00:00:00+01:00"}), "invalid_field"),
        (raw(document() | {"time": "2025-03-03T05:00:00"}), "invalid_field"),
        (raw(document() | {"time": "2025-03-03"}), "invalid_field"),
        (raw(document() | {"time": 1_741_000_000}), "invalid_field"),
        (raw(document() | {"time": "1741000000"}), "invalid_field"),
        (raw(document() | {"time": "10:00:00Z"}), "invalid_field"),
        (b"[" * 30_000 + b"]" * 30_000, "not_json"),
        (b" " * (MAX_EVENT_BYTES + 1), "too_large"),
    ],
)
def test_what_cannot_be_an_event_is_refused_with_its_reason(message: bytes, code: str) -> None:
    assert code_of(message) == code


def test_the_largest_event_is_read_and_one_byte_more_is_not() -> None:
    padding = MAX_EVENT_BYTES - len(raw(document(note="")))
    largest = raw(document(note="x" * padding))
    assert len(largest) == MAX_EVENT_BYTES
    assert parse(largest) == SALE
    assert code_of(raw(document(note="x" * (padding + 1)))) == "too_large"


def test_every_reason_is_documented() -> None:
    used = set(re.findall(r'MalformedEvent\(\s*"([a-z_0-9]+)"', inspect.getsource(events)))
    assert used == CODES
    promised = inspect.getdoc(parse) or ""
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    for code in CODES | {"id_reuse_different_payload"}:
        assert f"`{code}`" in page, f"docs/events.md does not explain {code}"
        assert code in promised or code.startswith("id_")


def test_nesting_of_any_depth_is_refused_and_never_breaks_the_reader() -> None:
    for depth in range(850, 1_100):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        assert code_of(nested) in {"not_json", "unknown_type"}


def outcome(message: bytes) -> str:
    """The code of what is refused; anything but a `MalformedEvent` comes through and fails the test."""
    try:
        parse(message)
    except MalformedEvent as error:
        return error.code
    return "event"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("\ud800\x00"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_event_or_malformed(message: bytes) -> None:
    assert outcome(message) in CODES | {"event"}


@settings(max_examples=250, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    envelope=st.dictionaries(st.sampled_from(sorted(Event.model_fields)), JSON, max_size=4),
    body=st.dictionaries(
        st.sampled_from(sorted({name for kind in KINDS.values() for name in kind.model_fields} | {"x"})), JSON
    ),
)
def test_any_body_under_a_known_type_is_an_event_or_malformed(
    kind: str, envelope: dict[str, Any], body: dict[str, Any]
) -> None:
    whole = {"specversion": "1.0", "id": "e", "source": "s", "time": "2025-03-03T05:00:00Z", "data": body} | envelope
    assert outcome(json.dumps({**whole, "type": kind}).encode()) in CODES | {"event"}


CODE = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.builds(
    lambda moment, zone: moment.replace(tzinfo=UTC).astimezone(zone),
    st.datetimes(datetime(1990, 1, 2), datetime(2200, 12, 30)),  # noqa: DTZ001 - the zone is drawn beside it
    ZONES,
)
PRICES = st.decimals(0, 10**9, places=4)


def bodies() -> st.SearchStrategy[Any]:
    """Any body that the model itself takes."""
    st.register_type_strategy(datetime, TIMES)
    known = {
        "item": CODE, "location": CODE, "supplier": CODE, "order_id": TEXT, "sale_id": TEXT, "reason": TEXT,
        "units": st.integers(1, 10**8), "on_hand_units": st.integers(0, 10**8),
        "delta_units": st.integers(-(10**8), 10**8), "unit_price": st.none() | PRICES, "unit_cost": st.none() | PRICES,
        "sold_at": TIMES, "through": TIMES, "expected_at": st.none() | TIMES, "promotion": st.booleans(),
        "returned_to_stock": st.booleans(), "blocked": st.none() | st.booleans(),
        "lead_time_days": st.none() | st.integers(0, 730), "minimum_order_units": st.none() | st.integers(0, 10**8),
        "status": st.sampled_from(events.ShipmentStatus),
        "lines": st.lists(
            st.builds(events.ShipmentLine, item=CODE, units=st.integers(0, 10**8)), max_size=3
        ).map(tuple),
    }  # fmt: skip
    return st.one_of([st.builds(kind, **{name: known[name] for name in kind.model_fields}) for kind in KINDS.values()])


@settings(max_examples=150, deadline=None)
@given(data=bodies(), id=TEXT.filter(bool), source=TEXT.filter(bool), time=TIMES)
def test_what_is_written_is_read_back(data: Any, id: str, source: str, time: datetime) -> None:
    written = Event.of(data, id=id, source=source, time=time)
    read = parse(written.to_bytes())
    assert read == written
    assert read.to_bytes() == written.to_bytes()
    assert type(read.data) is type(data)
    assert read.subject == read.data.key
    assert read.data.topic in Topic


@pytest.mark.parametrize(
    ("written", "refused"),
    [("\\u0000", False), ("\\\\u0000", False), ("\x00", True), ("\\\x00", True), ("\\\\\x00", True), ("\\", False)],
)
def test_a_backslash_before_u0000_is_no_nul(written: str, refused: bool) -> None:
    message = raw(document() | {"id": f"a{written}b"})
    if refused:
        assert code_of(message) == "invalid_field"
    else:
        assert parse(message).id == f"a{written}b"


def test_unknown_fields_are_ignored_so_that_producers_may_go_ahead() -> None:
    assert parse(raw(document(colour="red") | {"comexampleext": 1})) == SALE


def test_the_same_instant_is_written_in_one_way() -> None:
    elsewhere = SALE.model_copy(update={"time": AT.astimezone(timezone(timedelta(hours=9)))})
    assert elsewhere.to_bytes() == SALE.to_bytes()
    assert content_digest(elsewhere.to_bytes()) == content_digest(SALE.to_bytes())


def test_a_price_keeps_its_digits() -> None:
    priced = parse(raw(document()).replace(b'"promotion"', b'"unit_price": 0.1, "promotion"'))
    assert isinstance(priced.data, SaleRecorded)
    assert priced.data.unit_price == Decimal("0.1")
