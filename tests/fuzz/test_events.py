"""Whatever lies in the log is an event or a dead letter with a code; of a batch of it nothing is lost."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.kafka.messages import RawMessage
from connectors.postgres.catalog import load_catalog
from connectors.postgres.inbox import Inbox, Received
from connectors.postgres.pool import connect
from tests.databases import dsn, server
from tests.fuzz.mutations import bent
from tests.storeroom import LOCATION, SUPPLIER, catalog
from workers.intake import received
from workflows.domain.events import (
    KINDS,
    AnyData,
    ClockAdvanced,
    Event,
    SaleCancelled,
    SaleRecorded,
    ShipmentLine,
    ShipmentStatus,
    ShipmentUpdated,
    StockAdjusted,
    StockCounted,
    StockReceived,
    StockReserved,
    SupplierUpdated,
    Topic,
    parse,
)
from workflows.domain.positions import movement_of, on_hand_after

__all__ = ["dsn", "server"]

MANY = 12_000
"""Asserted below: what is said of it is counted."""
SEED = 20260301
NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
CODES = {
    "too_large", "not_utf8", "not_json", "duplicate_key", "not_an_object", "unknown_type", "invalid_field",
    "wrong_topic", "clock_ahead",
}  # fmt: skip
ITEM: dict[str, Any] = {"item": "ITEM-001", "location": LOCATION}
GOOD: tuple[AnyData, ...] = (
    SaleRecorded(**ITEM, sale_id="s", units=3, unit_price=Decimal("9.90"), promotion=True),
    SaleCancelled(**ITEM, sale_id="s", units=1, sold_at=NOON),
    StockCounted(**ITEM, on_hand_units=40),
    StockAdjusted(**ITEM, delta_units=-2, reason="broken"),
    StockReserved(**ITEM, delta_units=5),
    StockReceived(**ITEM, units=48, order_id="acme:LEEDS:2025-03-03:1"),
    SupplierUpdated(supplier=SUPPLIER, item="ITEM-001", lead_time_days=4, unit_cost=Decimal("4.30"), blocked=False),
    ShipmentUpdated(
        order_id="acme:LEEDS:2025-03-03:1", location=LOCATION, status=ShipmentStatus.SHORTENED, expected_at=NOON,
        lines=(ShipmentLine(item="ITEM-001", units=3),),
    ),
    ClockAdvanced(location=LOCATION, through=NOON),
)  # fmt: skip


def messages(count: int, seed: int = SEED) -> list[RawMessage]:
    """Events of every kind, bent; now and then one as it should be, and one that came before."""
    chance, made = random.Random(seed), list[RawMessage]()  # noqa: S311 - rubbish, the same each time
    for number in range(count):
        data = GOOD[number % len(GOOD)]
        whole = Event.of(data, id=f"e{number}", source="till/1", time=NOON + timedelta(seconds=number))
        value = whole.to_bytes() if chance.random() < 0.1 else bent(chance, json.loads(whole.to_bytes()))
        if made and chance.random() < 0.05:
            value = chance.choice(made).value
        topic = str(data.topic if chance.random() < 0.95 else chance.choice(list(Topic)))
        key = chance.choice((None, b"", b"LEEDS/ITEM-001", b"\xff\x00", b"k" * 3_000, chance.randbytes(20)))
        headers = {"traceparent": chance.choice((b"", b"\xff", b"\x00", b"00-" + b"a" * 32, b"x" * 9_000))}
        made.append(RawMessage(topic, number % 3, number // 3, key, value, headers, 1_700_000_000_000))
    return made


def test_every_kind_of_event_is_bent() -> None:
    assert {type(data) for data in GOOD} == set(KINDS.values())


def test_any_message_is_an_event_or_a_dead_letter_with_a_code() -> None:
    codes: Counter[str] = Counter()
    given = messages(MANY)
    for number, message in enumerate(given):
        found = received(message, latest=NOON - timedelta(minutes=1) if number % 2 else None)

        assert (found.event is None) == bool(found.error_code), message.value[:300]
        assert found.raw == message.value
        codes[found.error_code] += 1
        if found.event is None:
            assert found.error_code in CODES
            assert 0 < len(found.error_detail) < 1_000
        else:
            again = found.event.to_bytes()
            assert parse(again) == found.event, "what is understood can be said again"
    assert codes.total() == len(given) >= 10_000
    assert codes.keys() == CODES | {""}, "the rubbish reaches every reason, and some of it is none"
    assert codes[""] > 1_000


@pytest.mark.parametrize("batch", [1_000])
def test_of_batches_of_it_nothing_is_lost_and_the_shelf_is_what_was_accepted(dsn: str, batch: int) -> None:
    given = [received(message) for message in messages(MANY, SEED + 1)]
    with connect(dsn, name="fuzz") as connection:
        load_catalog(connection, catalog(3), actor="test")
        inbox = Inbox(connection, log_id="fuzz")
        inbox.take_over(sorted({(one.topic, one.partition) for one in given}))
        events = duplicates = dead = 0
        for start in range(0, len(given), batch):
            came = inbox.accept(given[start : start + batch])
            events, duplicates, dead = events + came.events, duplicates + came.duplicates, dead + len(came.dead)

        assert events + duplicates + dead == len(given) >= 10_000
        assert min(events, duplicates, dead) > 0
        stored = connection.execute("SELECT count(*) AS n FROM inbox").fetchone()
        assert stored is not None
        assert stored["n"] == events
        letters = connection.execute("SELECT topic, partition, kafka_offset, payload FROM dead_letter").fetchall()
        kept = {(row["topic"], row["partition"], row["kafka_offset"]): bytes(row["payload"]) for row in letters}
        unreadable = {(one.topic, one.partition, one.offset): one.raw for one in given if one.event is None}
        assert len(kept) == dead
        assert unreadable.items() <= kept.items(), "each with the very bytes that came"
        _expect_the_fold(connection.execute("SELECT location, item, on_hand_units FROM position").fetchall(), given)


def _expect_the_fold(rows: list[dict[str, object]], given: list[Received]) -> None:
    first: dict[tuple[str, str], Received] = {}
    for one in given:
        if one.event is not None:
            first.setdefault((one.event.source, one.event.id), one)
    moved = [move for one in first.values() if one.event and (move := movement_of(one.event))]
    shelves = {(row["location"], row["item"]): row["on_hand_units"] for row in rows}
    places = {(move.location, move.item) for move in moved}
    assert places <= shelves.keys()
    for place in places:
        here = [move for move in moved if (move.location, move.item) == place]
        assert shelves[place] == on_hand_after(here), place
