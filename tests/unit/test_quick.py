"""What is read quickly is what `parse` reads, and nothing that `parse` refuses is read at all."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kafka.messages import RawMessage
from connectors.kafka.quick import quick
from workers.intake import received, taken
from workflows.domain.errors import MalformedEvent
from workflows.domain.events import (
    AnyData,
    Event,
    SaleCancelled,
    SaleRecorded,
    StockAdjusted,
    StockCounted,
    StockReceived,
    StockReserved,
    SupplierUpdated,
    Topic,
    parse,
)
from workflows.domain.positions import movement_of

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
PLACE: dict[str, Any] = {"item": "A", "location": "LEEDS"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVERYDAY: tuple[AnyData, ...] = (
    SaleRecorded(**PLACE, sale_id="s1", units=3, unit_price=Decimal("9.90"), promotion=True),
    SaleRecorded(**PLACE, sale_id="s1", units=3),
    SaleCancelled(**PLACE, sale_id="s1", units=2, sold_at=NOON - timedelta(days=2)),
    SaleCancelled(**PLACE, sale_id="s1", units=2, sold_at=NOON, returned_to_stock=False),
    StockCounted(**PLACE, on_hand_units=0),
    StockAdjusted(**PLACE, delta_units=-4, reason="damage"),
    StockReserved(**PLACE, delta_units=4),
)
RARE: tuple[AnyData, ...] = (
    StockReceived(**PLACE, units=5, order_id="acme:LEEDS:2025-03-03:1"),
    SupplierUpdated(supplier="acme", blocked=True),
)


def document(data: AnyData) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Event.of(data, id="e1", source="till/1", time=NOON).to_bytes())
    return found


def agrees(topic: str, raw: bytes) -> bool:
    """Whether it was read quickly; then, that the long way comes to the same."""
    read = quick(topic, raw)
    if read is None:
        return False
    event = parse(raw)
    assert event.data.topic == topic
    assert read == (movement_of(event), event.traceparent)
    movement = read[0]
    price, told = movement.unit_price, getattr(event.data, "unit_price", None)
    assert (movement.kind, str(price)) == ((movement_of(event) or movement).kind, str(told))
    return True


@pytest.mark.parametrize("data", EVERYDAY, ids=lambda data: data.kind)
@pytest.mark.parametrize("spaced", [False, True])
def test_everyday_events_are_read_quickly_in_any_order_of_their_fields(data: AnyData, spaced: bool) -> None:
    told = document(data)
    turned = dict(reversed([(name, value) for name, value in told.items() if name != "data"]))
    turned = {"data": dict(reversed(told["data"].items())), **turned, "traceparent": TRACE, "subject": None}
    separators = (", ", " : ") if spaced else (",", ":")

    assert agrees(data.topic, json.dumps(told, separators=separators).encode())
    assert agrees(data.topic, json.dumps(turned, separators=separators, indent=2 if spaced else None).encode())


@pytest.mark.parametrize("data", RARE, ids=lambda data: data.kind)
def test_news_that_is_more_than_a_movement_is_read_the_long_way(data: AnyData) -> None:
    assert quick(data.topic, json.dumps(document(data)).encode()) is None


def test_an_event_on_another_topic_is_left_to_be_refused() -> None:
    raw = json.dumps(document(EVERYDAY[0])).encode()

    assert quick(Topic.STOCK, raw) is None
    message = RawMessage(Topic.STOCK, 1, 7, b"k", raw, {}, 0)
    assert taken(message) == received(message)
    assert taken(message).error_code == "wrong_topic"


SALE = json.dumps(document(EVERYDAY[0]), separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"units":3', b'"units":3,"units":3'),
        (b'"units":3', b'"units":4,"units":3'),
        (b'"units":3', b'"units":3,"till":9'),
        (b'"units":3', b'"units":3,"till":{"units":9}'),
        (b'"units":3', b'"units":3.0'),
        (b'"units":3', b'"units":"3"'),
        (b'"units":3', b'"units":true'),
        (b'"units":3', b'"units":1e1'),
        (b'"units":3', b'"units":0'),
        (b'"9.90"', b'"9.90001"'),
        (b'"9.90"', b'"-1"'),
        (b'"9.90"', b"1e1"),
        (b'"9.90"', b'"12345678901.5"'),
        (b'"item":"A"', b'"item":"A\\u0042"'),
        (b'"item":"A"', b'"item":"A B"'),
        (b'"item":"A"', b'"item":"A\\n"'),
        (b'"source":"till/1"', b'"source":"till\xc3\xa9"'),
        (b'"source":"till/1"', b'"source":""'),
        (b'"source":"till/1"', b'"source":"\x01"'),
        (b"2025-03-03T12", b"2025-02-30T12"),
        (b"2025-03-03T12", b"2025-03-03 12"),
        (b"2025-03-03T12", b"2025-W10-1T12"),
        (b"2025-03-03T12", b"2025-03-03T24"),
        (b"2025-03-03T12", b"1989-03-03T12"),
        (b'"specversion":"1.0"', b'"specversion":"0.3"'),
        (b'"id":"e1"', b'"id":"e1","id":"e2"'),
        (b'"data":{', b'"data":{},"data":{'),
        (b'"promotion":true', b'"promotion":1'),
        (b'"promotion":true', b'"promotion":null'),
        (b"}}", b"}} x"),
        (b"}}", b"},}"),
    ],
)
def test_whatever_is_unusual_is_left_to_parse(old: bytes, new: bytes) -> None:
    assert old in SALE
    assert not agrees(Topic.SALES, SALE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"9.90"', b"9.90"), (b'"9.90"', b"7"), (b'"9.90"', b" null "), (b'"9.90"', b'"0009.90"'),
        (b"12:00:00.000000Z", b"12:00:00Z"), (b"12:00:00.000000Z", b"12:00:00.123+02:00"),
        (b"2025-03-03T12:00:00.000000Z", b"2025-03-04T00:30:00-05:30"),
        (b'"promotion":true', b'"promotion":false'), (b'"specversion":"1.0",', b""),
        (b'"datacontenttype":"application/json",', b""),
    ],
)  # fmt: skip
def test_usual_spellings_of_a_sale_are_read_quickly(old: bytes, new: bytes) -> None:
    assert old in SALE
    assert agrees(Topic.SALES, SALE.replace(old, new))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 200_000_000), st.text(max_size=5), st.floats(allow_nan=False),
    st.sampled_from(["A", "LEEDS", "1.0", "9.90", "2025-03-03T12:00:00Z", "2025-03-03T12:00:00+24:00", "1990-01-01"]),
    st.dictionaries(st.sampled_from(["units", "x"]), st.integers(0, 3), max_size=2),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(EVERYDAY), st.data())
def test_fields_of_any_value_are_read_as_parse_reads_them(data: AnyData, drawn: st.DataObject) -> None:
    told = document(data)
    for part in (told, told["data"]):
        for name in drawn.draw(st.lists(st.sampled_from([*part, "subject", "traceparent", "other"]), max_size=2)):
            if name != "data":
                part[name] = drawn.draw(VALUES)
    raw = json.dumps(told, ensure_ascii=drawn.draw(st.booleans())).encode(errors="surrogatepass")
    for topic in (Topic.SALES, Topic.STOCK):
        agrees(topic, raw)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(EVERYDAY), st.data())
def test_bytes_changed_anywhere_are_read_as_parse_reads_them(data: AnyData, drawn: st.DataObject) -> None:
    raw = bytearray(json.dumps(document(data), separators=(",", ":")).encode())
    for _ in range(drawn.draw(st.integers(1, 3))):
        at, size = drawn.draw(st.integers(0, len(raw))), drawn.draw(st.integers(0, 12))
        other = drawn.draw(st.integers(0, len(raw)))
        raw[at : at + size] = drawn.draw(
            st.one_of(st.just(bytes(raw[other : other + 14])), st.binary(max_size=3), st.sampled_from(PIECES))
        )
    agrees(data.topic, bytes(raw))


PIECES = [
    b'"',
    b",",
    b":",
    b"}",
    b"{",
    b" ",
    b"\t",
    b"\n",
    b"0",
    b"-",
    b".",
    b'"units":1,',
    b'"id":"x",',
    b"\\",
    b"\x00",
]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_reading_quickly_never_fails(raw: bytes) -> None:
    try:
        agrees(Topic.SALES, b'"quartermaster.sale.recorded.v1"' + raw)
    except MalformedEvent:
        pytest.fail("read quickly, and refused by parse")
