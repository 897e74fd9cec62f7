"""Intake at speed keeps its promises: read quickly, stored set-wise, by several processes, some of which are killed."""

import os
import signal
import threading
import time
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.kafka.messages import RawMessage
from connectors.postgres.inbox import Accepted, Inbox, Received
from connectors.postgres.pool import connect
from tests.bench.intake_stream import Stream, streaming
from tests.command_line import eventually
from tests.storeroom import LOCATION, MORNING, SOURCE, Storeroom, event, sold
from workers.intake import taken
from workflows.domain.events import (
    AnyData,
    Event,
    SaleCancelled,
    SaleRecorded,
    StockAdjusted,
    StockCounted,
    StockReserved,
)
from workflows.domain.positions import Movement, movement_of, on_hand_after

BEGIN = MORNING - timedelta(days=3) + timedelta(microseconds=123_457)


def read(one: Event, partition: int = 0, offset: int = 0) -> Received:
    """As intake reads it from the log: quickly."""
    message = RawMessage(one.data.topic, partition, offset, one.data.key.encode(), one.to_bytes(), {}, 0)
    found = taken(message)
    assert found.movement is not None
    return found


def body(kind: int, item: str, units: int) -> AnyData:
    place: dict[str, Any] = {"item": item, "location": LOCATION}
    bodies: list[AnyData] = [
        SaleRecorded(**place, sale_id="s", units=units, unit_price=Decimal("1.25")),
        SaleCancelled(**place, sale_id="s", units=units, sold_at=BEGIN, returned_to_stock=bool(units % 2)),
        StockCounted(**place, on_hand_units=units),
        StockAdjusted(**place, delta_units=-units, reason="damage"),
        StockReserved(**place, delta_units=units),
    ]
    return bodies[kind]


STORIES = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["A", "B", "C"]), st.integers(1, 40), st.integers(0, 12)),
    min_size=1, max_size=24,
).map(
    lambda drawn: [
        Event.of(body(kind, item, units), id=f"n{number:02}", source=SOURCE, time=BEGIN + timedelta(hours=5 * hour))
        for number, (kind, item, units, hour) in enumerate(drawn)
    ]
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=STORIES, chance=st.randoms(use_true_random=False))
def test_any_order_batching_and_repetition_gives_what_the_fold_gives(
    storeroom: Storeroom, story: list[Event], chance: Random
) -> None:
    untidy = story + chance.choices(story, k=len(story) // 2)
    chance.shuffle(untidy)
    storeroom.clear()
    storeroom.own()
    offset, repeated = 0, 0
    while untidy:
        size = chance.randint(1, 9)
        batch, untidy = untidy[:size], untidy[size:]
        repeated += storeroom.inbox.accept([read(one, offset=offset + n) for n, one in enumerate(batch)]).duplicates
        offset += size

    assert repeated == len(story) // 2
    own: dict[str, list[Movement]] = defaultdict(list)
    demand: dict[tuple[str, date], int] = defaultdict(int)
    for one in story:
        if movement := movement_of(one):
            own[movement.item].append(movement)
            if movement.demand_day:
                demand[movement.item, movement.demand_day] += movement.demand_units
    rows = storeroom.rows("SELECT item, on_hand_units, reserved_units, data_through FROM position")
    assert {row["item"]: (row["on_hand_units"], row["reserved_units"], row["data_through"]) for row in rows} == {
        item: (on_hand_after(all_of), sum(m.reserved_delta for m in all_of), max(m.occurred_at for m in all_of))
        for item, all_of in own.items()
    }
    sums = storeroom.rows("SELECT item, day, units, priced_units * 1.25 = revenue AS priced FROM daily_demand")
    assert {(row["item"], row["day"]): row["units"] for row in sums} == demand
    assert all(row["priced"] for row in sums)


def test_the_same_events_from_two_intakes_at_one_moment_count_once(storeroom: Storeroom, dsn: str) -> None:
    rounds, size = 6, 40
    events = [[sold(1, item=f"ITEM-{n % 7:03}") for n in range(size)] for _ in range(rounds)]
    together = threading.Barrier(2, timeout=30)
    came_to: list[Accepted] = []
    errors: list[BaseException] = []

    def intake(partition: int) -> None:
        try:
            with connect(dsn, name=f"intake-{partition}") as connection:
                inbox = Inbox(connection, log_id="log")
                inbox.take_over([("qm.sales", partition)])
                for number, batch in enumerate(events):
                    turned = batch if partition else batch[::-1]
                    messages = [read(one, partition, number * size + n) for n, one in enumerate(turned)]
                    together.wait()
                    came_to.append(inbox.accept(messages))
        except BaseException as error:
            errors.append(error)
            together.abort()

    threads = [threading.Thread(target=intake, args=[partition]) for partition in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert sum(one.events for one in came_to) == sum(one.duplicates for one in came_to) == rounds * size
    assert storeroom.one("SELECT count(*) AS n FROM movement") == {"n": rounds * size}
    assert storeroom.one("SELECT sum(on_hand_units) AS n FROM position") == {"n": -rounds * size}
    assert storeroom.verified().ok


def test_positions_are_locked_in_the_order_of_their_names_whatever_order_they_lie_or_come_in(
    storeroom: Storeroom, dsn: str
) -> None:
    for item in "DCBA":
        storeroom.take(sold(1, item=item))
    with connect(dsn, name="somebody") as other, connect(dsn, name="looks") as looking:
        with other.transaction():
            other.execute("SELECT FROM position WHERE item = 'C' FOR UPDATE")
            folding = threading.Thread(target=storeroom.take, args=[sold(1, item=item) for item in "CDBA"])
            folding.start()
            waits = (
                "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%looked_at%'"
            )
            eventually(lambda: looking.execute(waits).fetchone() == {"n": 1}, 20, what="intake waiting for C")
            free = looking.execute("SELECT item FROM position ORDER BY item FOR UPDATE SKIP LOCKED").fetchall()
        folding.join(60)
    assert free == [{"item": "D"}]
    assert storeroom.one("SELECT sum(on_hand_units) AS n FROM position") == {"n": -8}


def test_other_content_under_a_known_id_is_a_dead_letter_with_its_key(storeroom: Storeroom) -> None:
    storeroom.own()
    first = Event.of(body(0, "A", 3), id="same", source=SOURCE, time=MORNING)
    other = Event.of(body(0, "A", 4), id="same", source=SOURCE, time=MORNING)

    storeroom.inbox.accept([read(first)])
    later = storeroom.inbox.accept([read(other, offset=1), read(first, offset=2)])

    assert (later.events, later.duplicates, len(later.dead)) == (0, 1, 1)
    found = storeroom.one("SELECT message_key, error_code FROM dead_letter")
    assert found == {"message_key": f"{LOCATION}/A", "error_code": "id_reuse_different_payload"}


def test_names_that_hold_the_separator_of_values_are_told_apart(storeroom: Storeroom) -> None:
    one = event(body(0, "A", 1)).model_copy(update={"source": "till\x1f1", "id": "a\x1fb"})

    assert storeroom.take(one, sold(2, item="A")).events == 2
    assert storeroom.take(one).duplicates == 1
    assert storeroom.one("SELECT on_hand_units FROM position WHERE item = 'A'") == {"on_hand_units": -3}


def test_two_processes_catch_up_after_an_outage_though_one_is_killed_and_no_key_is_reordered() -> None:
    with streaming(2_000, 2, year=False) as stream:
        stream.produce(30_000)
        stream.stack.start_intake(events_only=True)
        _killed_while_taking(stream, "intake-2", more=10_000)
        _until(stream, stream.produced)
        shares = stream.database.execute(
            "SELECT mod(partition, 2) AS share, sum(next_offset) AS n FROM kafka_position GROUP BY 1"
        ).fetchall()
        stream.stack.stop_intake()

        assert all(row["n"] > 10_000 for row in shares)
        assert stream.mismatches() == {
            "positions": 0, "daily_demand": 0, "events": 0, "dead_letters": 0, "reordered": 0,
        }  # fmt: skip


def _killed_while_taking(stream: Stream, name: str, more: int) -> None:
    """However fast they are: nothing that comes from now on gets in before both have some of it in hand."""
    _until(stream, 1)
    with stream.database.transaction():
        stream.database.execute("LOCK TABLE inbox IN SHARE ROW EXCLUSIVE MODE")
        stream.produce(more)
        waiting = "SELECT count(DISTINCT pid) AS n FROM pg_locks WHERE NOT granted"
        eventually(
            lambda: stream.database.execute(waiting.encode()).fetchall()[0]["n"] == 2, what="two batches in hand"
        )
        os.kill(stream.stack.pid(name), signal.SIGKILL)


def _until(stream: Stream, messages: int) -> None:
    deadline = time.monotonic() + 180
    while stream.taken() < messages:
        assert time.monotonic() < deadline, f"{stream.taken()} of {messages} messages are through"
        time.sleep(0.02)
