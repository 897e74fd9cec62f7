"""Reading is total: any message is an event, or a dead letter with a code, a reason and its bytes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.messages import RawMessage
from connectors.kafka.producer import dead_letter_headers
from connectors.postgres.dead_letters import StoredLetter
from connectors.postgres.inbox import Received
from workers.intake import _as_message, _links, received, taken
from workflows.domain.events import MAX_EVENT_BYTES, ClockAdvanced, Event, SaleRecorded, StockCounted, Topic
from workflows.domain.identity import rfc3339
from workflows.domain.positions import Movement

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


def message(value: bytes, topic: str = Topic.SALES, key: bytes | None = b"LEEDS/A", **headers: str) -> RawMessage:
    return RawMessage(topic, 1, 7, key, value, {name: text.encode() for name, text in headers.items()}, 1_700_000)


def sale(**changes: Any) -> dict[str, Any]:
    """A good sale as JSON, with these changes to its body."""
    body = SaleRecorded(item="A", location="LEEDS", sale_id="s1", units=1)
    event: dict[str, Any] = json.loads(Event.of(body, id="e1", source="till/1", time=NOON).to_bytes())
    event["data"] |= changes
    return event


def raw(document: Any) -> bytes:
    return json.dumps(document).encode()


TWICE = b'{"specversion":"1.0","id":"a","id":"b"}'
PADDED = raw(sale(note="x" * MAX_EVENT_BYTES))

MALFORMED = {
    "too_large": [PADDED],
    "not_utf8": [b"\xff\xfe", b'{"id":"\\ud800"}'],
    "not_json": [b"", b"{", b"NaN", b"[" * 60_000, b"sale!", b"1E+9999999999999999999", b"-1E-9999999999999999999"],
    "duplicate_key": [TWICE],
    "not_an_object": [b"[]", b"1", b'"sale"', b"null"],
    "unknown_type": [b"{}", raw(sale() | {"type": "quartermaster.sale.imagined.v1"}), raw(sale() | {"type": None})],
    "invalid_field": [
        raw(sale(units=0)), raw(sale(units="3")), raw(sale(units=1.5)), raw(sale(item="no spaces")),
        raw(sale(sale_id="nul \x00")), raw(sale() | {"id": ""}), raw(sale() | {"time": "yesterday"}),
        raw(sale() | {"specversion": "0.3"}), raw(sale() | {"data": None}),
        raw(sale() | {"time": "0001-01-01T00:00:00Z"}),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "value"), [(code, value) for code, values in MALFORMED.items() for value in values]
)  # fmt: skip
def test_a_malformed_message_is_a_dead_letter_with_its_code_and_bytes(code: str, value: bytes) -> None:
    found = received(message(value, traceparent=TRACE))

    assert (found.event, found.error_code, found.raw) == (None, code, value)
    assert 0 < len(found.error_detail) < 1_000
    assert (found.topic, found.partition, found.offset, found.key, found.traceparent) == (
        "qm.sales", 1, 7, "LEEDS/A", TRACE,
    )  # fmt: skip


def test_the_largest_event_is_still_one() -> None:
    empty = raw(sale(note=""))
    largest = raw(sale(note="x" * (MAX_EVENT_BYTES - len(empty))))

    assert len(largest) == MAX_EVENT_BYTES
    assert received(message(largest)).event is not None
    assert received(message(largest + b" ")).error_code == "too_large"


@pytest.mark.parametrize("topic", [one for one in Topic if one is not Topic.SALES])
def test_an_event_on_another_topic_is_a_dead_letter_that_says_where_it_belongs(topic: Topic) -> None:
    found = received(message(raw(sale()), topic))

    assert (found.event, found.error_code) == (None, "wrong_topic")
    assert found.error_detail == "quartermaster.sale.recorded.v1 belongs on qm.sales"


def test_a_good_event_carries_the_trace_of_its_message_or_else_its_own() -> None:
    inside = raw(sale() | {"traceparent": TRACE})

    assert received(message(raw(sale()))).traceparent is None
    assert received(message(inside)).traceparent == TRACE
    assert received(message(inside, traceparent=OTHER)).traceparent == OTHER


@pytest.mark.parametrize(
    ("key", "kept"),
    [(None, None), (b"", None), (b"\xff\x00k", "��k"), (b"k" * 900, "k" * 500), ("é".encode(), "é")],
)
def test_a_key_is_kept_as_far_as_a_text_column_holds_it(key: bytes | None, kept: str | None) -> None:
    assert received(message(b"{", key=key)).key == kept


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_reading_them_never_fails(value: bytes) -> None:
    found = received(message(value))

    assert (found.event is None) == bool(found.error_code)


@given(st.dictionaries(st.sampled_from(["type", "id", "source", "time", "data", "specversion"]), st.text() | st.none()))
def test_whatever_the_envelope_says_reading_it_never_fails(envelope: dict[str, Any]) -> None:
    found = received(message(raw(sale() | envelope)))

    assert (found.event is None) == bool(found.error_code)


@pytest.mark.parametrize("value", [raw(sale()), b"{", raw(sale() | {"type": "quartermaster.clock.advanced.v1"})])
def test_whatever_it_is_it_says_when_its_log_took_it(value: bytes) -> None:
    assert [read(message(value)).timestamp_ms for read in (taken, received)] == [1_700_000] * 2


def test_what_is_read_quickly_has_every_field() -> None:
    read = taken(message(raw(sale())))

    assert read.movement is not None
    assert len(read) == len(Received._fields)
    assert len(read.movement) == len(Movement._fields)


def test_a_stored_dead_letter_is_published_as_it_lay_in_the_log() -> None:
    stored = StoredLetter(
        3, "qm.stock", 2, 41, "LEEDS/A", b"\xff", "not_utf8", "byte 0", TRACE, NOON, 2, "a.b", "1+c", 7
    )

    letter = _as_message(stored)

    assert (letter.error_code, letter.message.value, letter.message.place) == ("not_utf8", b"\xff", ("qm.stock", 2))
    assert (letter.message.offset, letter.message.key, letter.message.traceparent) == (41, b"LEEDS/A", TRACE)
    told = dead_letter_headers(letter)
    assert (told["x-attempt"], told["x-schema-id"], told["x-consumer-version"]) == ("2", "a.b", "1+c")
    assert told["x-orig-timestamp"] == "7"
    assert told["x-first-seen"] == rfc3339(NOON).encode()
    nothing = replace(stored, schema_id=None, consumer_version=None, kafka_timestamp_ms=None)
    unknown = {"x-schema-id", "x-consumer-version", "x-orig-timestamp"}
    assert not unknown & dead_letter_headers(_as_message(nothing)).keys(), "what nobody knows is not told"


def test_a_batch_links_to_a_bounded_number_of_valid_traces() -> None:
    good = [message(b"", traceparent=TRACE)] * 100
    useless = [message(b""), message(b"", traceparent="00-not-a-trace"), message(b"", traceparent="x" * 5_000)]

    assert 0 < len(_links(useless + good)) <= 32
    assert _links(useless) == []


def test_a_count_reads_as_a_count() -> None:
    body = StockCounted(item="A", location="LEEDS", on_hand_units=0)
    event = Event.of(body, id="e2", source="s", time=NOON)

    assert received(message(event.to_bytes(), Topic.STOCK)).event == event


@pytest.mark.parametrize(
    ("ahead", "latest", "code"),
    [(1, NOON, "clock_ahead"), (0, NOON, ""), (1, None, "")],
    ids=["live and ahead", "live and in time", "replayed"],
)
def test_a_live_clock_is_not_moved_into_the_future(ahead: int, latest: datetime | None, code: str) -> None:
    through = NOON + timedelta(seconds=ahead)
    told = Event.of(ClockAdvanced(location="LEEDS", through=through), id="c1", source="till/1", time=NOON)

    found = received(message(told.to_bytes(), Topic.CLOCK), latest)

    assert (found.error_code, found.event is None) == (code, bool(code))
