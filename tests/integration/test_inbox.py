"""Intake accepts each event once, in one transaction with all it causes, and loses nothing that it cannot read."""

import threading
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.postgres.inbox import Accepted, Inbox, PartitionLost, Received
from connectors.postgres.pool import connect
from tests.storeroom import LOCATION, MORNING, SOURCE, Storeroom, catalog, clock, counted, event, received, sold
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
    parse,
)
from workflows.domain.positions import Movement, movement_of, on_hand_after

STORY_START = MORNING - timedelta(days=3)


def test_an_accepted_event_moves_stock_demand_position_and_ledger_together(storeroom: Storeroom) -> None:
    taken = storeroom.take(counted(50), sold(3), sold(2))
    assert (taken.events, taken.duplicates, taken.dead) == (3, 0, [])
    assert storeroom.position()["on_hand_units"] == 45
    assert storeroom.one("SELECT units FROM daily_demand") == {"units": 5}
    next_offsets = storeroom.rows("SELECT topic, next_offset FROM kafka_position WHERE next_offset > 0 ORDER BY topic")
    assert [(row["topic"], row["next_offset"]) for row in next_offsets] == [("qm.sales", 2), ("qm.stock", 1)]
    assert storeroom.one("SELECT type FROM ledger_entry WHERE stream = 'intake:log'") == {"type": "events.accepted"}
    assert storeroom.verified().ok


def test_redelivery_changes_nothing(storeroom: Storeroom) -> None:
    storeroom.own()
    messages = [storeroom.message(one.to_bytes(), one.data.topic) for one in (counted(50), sold(3))]
    first = storeroom.inbox.accept(messages)
    again = storeroom.inbox.accept(messages)
    assert (first.events, again.events, again.duplicates) == (2, 0, 2)
    assert storeroom.position()["on_hand_units"] == 47
    assert storeroom.one("SELECT units FROM daily_demand") == {"units": 3}


def test_a_duplicate_within_one_batch_counts_once(storeroom: Storeroom) -> None:
    sale = sold(3)
    taken = storeroom.take(sale, sale, sale)
    assert (taken.events, taken.duplicates) == (1, 2)
    assert storeroom.position()["on_hand_units"] == -3


def test_the_same_id_with_other_content_is_a_dead_letter_and_the_first_stands(storeroom: Storeroom) -> None:
    first = sold(3)
    other = sold(4).model_copy(update={"id": first.id})
    storeroom.take(first)
    # In one batch with its own redelivery: each is compared with what is stored, not with each other.
    taken = storeroom.take(other, first)
    assert (taken.events, taken.duplicates) == (0, 1)
    assert [letter.error_code for letter in taken.dead] == ["id_reuse_different_payload"]
    assert storeroom.take(sold(1), sold(2)).events == 2
    together = storeroom.take(sold(5).model_copy(update={"id": "x"}), sold(6).model_copy(update={"id": "x"}))
    assert (together.events, [letter.error_code for letter in together.dead]) == (1, ["id_reuse_different_payload"])
    assert storeroom.position()["on_hand_units"] == -3 - 3 - 5


def test_a_thousand_malformed_messages_among_good_ones(storeroom: Storeroom) -> None:
    chance = Random(7)  # noqa: S311 - a reproducible mixture
    good = [sold(1).to_bytes() for _ in range(500)]
    broken = [
        chance.choice((b"", b"\xff\xfe", b"[1]", b'{"type":"x"}', b'{"a":1,"a":2}', b"x" * 70_000, good[0][:-9]))
        for _ in range(1_000)
    ]
    mixed = good + broken
    chance.shuffle(mixed)
    storeroom.own()
    messages = [storeroom.message(raw, key="k\x00ey\udc80") for raw in mixed]
    accepted = dead = 0
    for start in range(0, len(messages), 500):
        taken = storeroom.inbox.accept(messages[start : start + 500])
        accepted, dead = accepted + taken.events, dead + len(taken.dead)
    assert (accepted, dead) == (500, 1_000)
    assert storeroom.position()["on_hand_units"] == -500
    rows = storeroom.rows("SELECT error_code, error_detail, payload FROM dead_letter")
    assert sorted(bytes(row["payload"]) for row in rows) == sorted(broken)
    assert all(row["error_code"] and row["error_detail"] for row in rows)
    storeroom.inbox.accept(messages[:500])
    assert storeroom.one("SELECT count(*) AS n FROM dead_letter") == {"n": 1_000}


def test_a_zombie_moves_nothing(storeroom: Storeroom, dsn: str) -> None:
    storeroom.take(counted(50))
    with connect(dsn, name="other") as connection:
        other = Inbox(connection, log_id="log")
        assert other.take_over([("qm.sales", 0)]) == {("qm.sales", 0): 0}
        before = storeroom.one("SELECT count(*) AS n FROM ledger_entry")
        with pytest.raises(PartitionLost):
            storeroom.take(sold(3), counted(7, at=MORNING))
        assert storeroom.position()["on_hand_units"] == 50
        assert storeroom.one("SELECT count(*) AS n FROM ledger_entry") == before
        assert storeroom.rows("SELECT 1 FROM inbox WHERE topic = 'qm.sales'") == []


def test_partitions_that_were_never_taken_over_are_refused(storeroom: Storeroom) -> None:
    with pytest.raises(PartitionLost):
        storeroom.inbox.accept([storeroom.message(sold(1).to_bytes(), partition=9)])


def test_who_takes_over_goes_on_where_the_other_stopped(storeroom: Storeroom, dsn: str) -> None:
    storeroom.take(sold(1), sold(1))
    with connect(dsn, name="other") as connection:
        assert Inbox(connection, log_id="log").take_over([("qm.sales", 0)]) == {("qm.sales", 0): 2}
        assert Inbox(connection, log_id="another").take_over([("qm.sales", 0)]) == {("qm.sales", 0): 0}


def test_a_batch_that_fails_in_its_last_statement_leaves_nothing(
    storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    storeroom.own()
    messages = [storeroom.message(one.to_bytes(), one.data.topic) for one in (counted(50), sold(3), clock())]

    def crash(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("connectors.postgres.ledger.append_now", crash)
        with pytest.raises(RuntimeError):
            storeroom.inbox.accept(messages)
    for table in ("inbox", "movement", "position", "daily_demand", "need", "business_clock", "ledger_entry"):
        assert storeroom.rows(f"SELECT 1 FROM {table}") == [], table  # noqa: S608
    assert storeroom.rows("SELECT 1 FROM kafka_position WHERE next_offset > 0") == []
    assert storeroom.inbox.accept(messages).events == 3


def test_two_intakes_on_their_own_partitions_lose_nothing(storeroom: Storeroom, dsn: str) -> None:
    events = [[sold(1, item=f"ITEM-{n % 7:03}") for n in range(300)] for _ in range(2)]
    errors: list[BaseException] = []

    def intake(partition: int) -> None:
        try:
            with connect(dsn, name=f"intake-{partition}") as connection:
                inbox = Inbox(connection, log_id="log")
                inbox.take_over([("qm.sales", partition)])
                for start in range(0, 300, 50):
                    inbox.accept(
                        [
                            Received("qm.sales", partition, start + n, one.to_bytes(), event=one)
                            for n, one in enumerate(events[partition][start : start + 50])
                        ]
                    )
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=intake, args=[partition]) for partition in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert storeroom.one("SELECT sum(on_hand_units) AS n FROM position") == {"n": -600}
    assert storeroom.one("SELECT sum(units) AS n FROM daily_demand") == {"n": 600}
    assert storeroom.verified().ok


def test_a_cancelled_sale_takes_its_demand_back_on_its_own_day(storeroom: Storeroom) -> None:
    day = MORNING - timedelta(days=2)
    back = SaleCancelled(item="ITEM-001", location=LOCATION, sale_id="s", units=2, sold_at=day)
    storeroom.take(sold(5, at=day), sold(4), event(back))
    found = storeroom.rows("SELECT day, units FROM daily_demand ORDER BY day")
    assert [(row["day"], row["units"]) for row in found] == [(day.date(), 3), (MORNING.date(), 4)]
    assert storeroom.position()["on_hand_units"] == -7
    gone = back.model_copy(update={"returned_to_stock": False})
    storeroom.take(event(gone))
    assert storeroom.position()["on_hand_units"] == -7
    assert storeroom.rows("SELECT units FROM daily_demand ORDER BY day")[0] == {"units": 1}


def test_the_largest_units_that_events_may_carry_are_folded(storeroom: Storeroom) -> None:
    taken = storeroom.take(*[sold(100_000_000) for _ in range(60)])
    assert taken.events == 60
    assert storeroom.position()["on_hand_units"] == -6_000_000_000
    assert storeroom.one("SELECT units FROM daily_demand") == {"units": 6_000_000_000}


@pytest.mark.parametrize("reverse", [False, True])
async def test_suppliers_conditions_do_not_depend_on_the_order_of_news(storeroom: Storeroom, reverse: bool) -> None:
    await storeroom.stock(catalog(2))
    news = [
        event(SupplierUpdated(supplier="acme", lead_time_days=9), at=MORNING),
        event(
            SupplierUpdated(supplier="acme", item="ITEM-001", unit_cost=Decimal("5.5")), at=MORNING + timedelta(hours=1)
        ),
        event(SupplierUpdated(supplier="acme", lead_time_days=4, blocked=True), at=MORNING + timedelta(hours=2)),
        event(SupplierUpdated(supplier="acme", minimum_order_units=24), at=MORNING + timedelta(hours=3)),
        event(SupplierUpdated(supplier="acme", blocked=False), at=MORNING + timedelta(hours=1)),
    ]
    for one in reversed(news) if reverse else news:
        storeroom.take(one)
    found = storeroom.rows("SELECT item, lead_time_days, unit_cost, minimum_order_units FROM sourcing ORDER BY item")
    assert [(row["lead_time_days"], f"{row['unit_cost']:.2f}", row["minimum_order_units"]) for row in found] == [
        (4, "5.50", 24),
        (4, "4.20", 24),
    ]
    assert storeroom.one("SELECT blocked FROM supplier") == {"blocked": True}


def _hours(low: int = 0, high: int = 72) -> st.SearchStrategy[int]:
    return st.integers(low, high)


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    """Events about two items; ids in the order that things happened."""
    facts: list[Event] = []
    for number in range(draw(st.integers(1, 14))):
        item, hour = draw(st.sampled_from(["A", "B"])), draw(_hours())
        at = STORY_START + timedelta(hours=hour)
        units = draw(st.integers(1, 50))
        bodies: list[AnyData] = [
            SaleRecorded(item=item, location=LOCATION, sale_id="s", units=units),
            SaleCancelled(
                item=item, location=LOCATION, sale_id="s", units=units, sold_at=STORY_START,
                returned_to_stock=bool(units % 2),
            ),
            StockCounted(item=item, location=LOCATION, on_hand_units=units),
            StockAdjusted(item=item, location=LOCATION, delta_units=-units, reason="damage"),
            StockReserved(item=item, location=LOCATION, delta_units=units),
            StockReceived(item=item, location=LOCATION, units=units),
        ]  # fmt: skip
        body = draw(st.sampled_from(bodies))
        facts.append(Event.of(body, id=f"n{number}", source=SOURCE, time=at))
    return facts


def _state(storeroom: Storeroom) -> tuple[list[object], list[object]]:
    positions = storeroom.rows(
        "SELECT item, on_hand_units, reserved_units, counted_at::text, data_through FROM position ORDER BY item"
    )
    return positions, storeroom.rows("SELECT item, day, units FROM daily_demand ORDER BY item, day")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(), shuffled=st.randoms(use_true_random=False))
def test_late_duplicate_and_out_of_order_events_give_what_tidy_ones_give(
    storeroom: Storeroom, story: list[Event], shuffled: Random
) -> None:
    storeroom.clear()
    storeroom.take(*sorted(story, key=lambda one: one.time))
    tidy = _state(storeroom)

    untidy = story + shuffled.choices(story, k=len(story) // 2)
    shuffled.shuffle(untidy)
    storeroom.clear()
    while untidy:
        size = shuffled.randint(1, 5)
        storeroom.take(*untidy[:size])
        untidy = untidy[size:]
    assert _state(storeroom) == tidy

    movements: list[Movement] = [m for one in story if (m := movement_of(parse(one.to_bytes())))]
    for row in storeroom.rows("SELECT item, on_hand_units, reserved_units FROM position"):
        own = [m for m in movements if m.item == row["item"]]
        assert row["on_hand_units"] == on_hand_after(own)
        assert row["reserved_units"] == sum(m.reserved_delta for m in own)


def test_goods_for_an_unknown_order_are_stock_all_the_same(storeroom: Storeroom) -> None:
    storeroom.take(received(5, "nobody:knows:this:1"))
    assert storeroom.position()["on_hand_units"] == 5


def test_an_empty_batch_leaves_no_trace(storeroom: Storeroom) -> None:
    assert storeroom.inbox.accept([]) == Accepted()
    assert storeroom.rows("SELECT 1 FROM ledger_entry") == []
