"""Orders collect lines, pass each through the send gate, leave at most once at a time, and settle by what arrived."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.postgres.inbox import Inbox, Received
from connectors.postgres.pool import connect
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog, clock, counted, event, received, sold
from workflows.domain.approvals import Meaning
from workflows.domain.errors import NotFound
from workflows.domain.events import ShipmentLine, ShipmentStatus, ShipmentUpdated, SupplierUpdated
from workflows.domain.identity import canonical, order_key
from workflows.domain.orders import OrderState, lines_digest
from workflows.domain.requests import Attempt, RequestState

ORDER = "acme:LEEDS:2025-03-03:1"
NEXT_ORDER = "acme:LEEDS:2025-03-04:1"


def attempt_of(taken: Attempt | None) -> int | None:
    """Which attempt took the lease."""
    return None if taken is None else taken.attempt


def need(number: int) -> str:
    """The first need of the `number`-th item."""
    return f"LEEDS:ITEM-{number:03}:1"


async def proposals(storeroom: Storeroom, items: int = 2) -> None:
    """Tasks that wait, one per item."""
    await storeroom.stock(catalog(items))
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in range(1, items + 1)], clock())
    await storeroom.assess()


async def released(storeroom: Storeroom, number: int = 1, meaning: Meaning = Meaning.APPROVE, **more: Any) -> str:
    """An approved proposal on its order."""
    await storeroom.answer(need(number), meaning, **more)
    result = await storeroom.orders.release(need(number), storeroom.hash_of(need(number)))
    assert result.released, result.reason
    return str(result.order_id)


def news(status: ShipmentStatus, *, hour: int = 1, units: int = 0, item: str = "ITEM-001", **more: Any) -> Any:
    """What the supplier says of the order."""
    lines = (ShipmentLine(item=item, units=units),) if units else ()
    body = ShipmentUpdated(order_id=ORDER, location=LOCATION, status=status, lines=lines, **more)
    return event(body, at=MORNING + timedelta(hours=hour))


async def test_lines_of_one_cycle_share_an_order_and_keep_their_numbers(storeroom: Storeroom) -> None:
    await proposals(storeroom, 3)
    assert {await released(storeroom, n) for n in (3, 1, 2)} == {ORDER}
    order = await storeroom.orders.prepare(ORDER, passive=False)
    assert order is not None
    assert [(line.line_no, line.need_id) for line in order.lines] == [(n, need(n)) for n in (1, 2, 3)]
    assert order.key == order_key("acme", LOCATION, "2025-03-03", 1)
    assert await storeroom.orders.prepare(ORDER, passive=False) == order, "not sent yet: the same again"
    assert attempt_of(await storeroom.orders.begin_attempt(ORDER, "a", 60)) == 1
    again = await storeroom.orders.prepare(ORDER, passive=False)
    assert again is not None
    assert canonical(again) == canonical(order), "sent or not, the payload is fixed"
    stored = storeroom.one("SELECT lines_digest FROM purchase_order")["lines_digest"]
    assert stored == order.lines_digest == lines_digest((line.item, line.units) for line in order.lines)


async def test_releasing_twice_or_at_once_makes_one_line(storeroom: Storeroom) -> None:
    await proposals(storeroom)
    await storeroom.answer(need(1))
    found = await asyncio.gather(*[storeroom.orders.release(need(1), storeroom.hash_of(need(1))) for _ in range(8)])
    assert {(one.released, one.order_id) for one in found} == {(True, ORDER)}
    assert storeroom.one("SELECT count(*) AS n FROM order_line") == {"n": 1}
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry WHERE type = 'decision.released'") == {"n": 1}


async def test_many_lines_released_at_once_are_all_on_order(storeroom: Storeroom) -> None:
    await proposals(storeroom, 12)
    for number in range(1, 13):
        await storeroom.answer(need(number))
    await asyncio.gather(
        *[storeroom.orders.release(need(n), storeroom.hash_of(need(n))) for n in range(1, 13)],
    )
    rows = storeroom.rows(
        "SELECT p.on_order_units, l.units FROM position p JOIN order_line l USING (location, item) ORDER BY item"
    )
    assert len(rows) == 12
    assert all(row["on_order_units"] == row["units"] for row in rows)


async def test_a_late_line_goes_to_the_next_cycle(storeroom: Storeroom) -> None:
    await proposals(storeroom)
    await released(storeroom, 1)
    await storeroom.orders.prepare(ORDER, passive=False)
    assert await released(storeroom, 2) == NEXT_ORDER
    assert [ref.order_id for ref, _ in storeroom.relay.orders()] == [ORDER, NEXT_ORDER]


async def test_a_line_after_cutoff_goes_to_the_next_cycle(storeroom: Storeroom) -> None:
    await proposals(storeroom, 1)
    storeroom.take(clock(MORNING + timedelta(hours=1)))
    assert await released(storeroom, 1) == NEXT_ORDER


async def test_without_an_approval_nothing_is_released(storeroom: Storeroom) -> None:
    await proposals(storeroom)
    proposal = storeroom.hash_of(need(1))
    assert not (await storeroom.orders.release(need(1), proposal)).released
    await storeroom.answer(need(1))
    assert not (await storeroom.orders.release(need(1), "0" * 64)).released
    await storeroom.answer(need(2), Meaning.REJECT)
    assert not (await storeroom.orders.release(need(2), storeroom.hash_of(need(2)))).released
    with pytest.raises(NotFound):
        await storeroom.orders.release("nothing:1", proposal)
    assert storeroom.rows("SELECT 1 FROM order_line") == []


async def test_edited_units_are_what_is_ordered(storeroom: Storeroom) -> None:
    await proposals(storeroom)
    await released(storeroom, 1, Meaning.APPROVE_EDITED, units=48)
    order = await storeroom.orders.prepare(ORDER, passive=False)
    assert order is not None
    assert [line.units for line in order.lines] == [48]
    assert storeroom.position()["on_order_units"] == 48


FORGERIES = {
    "no approval": "DELETE FROM approval WHERE decision_id = %(need)s",
    "an approval that was voided": "UPDATE approval SET voided_at = now() WHERE decision_id = %(need)s",
    "an approval for another hash": "UPDATE approval SET proposal_hash = repeat('a', 64) WHERE decision_id = %(need)s",
    "a verdict that does not approve": "UPDATE approval SET meaning = 'reject' WHERE decision_id = %(need)s",
    "more units than approved": "UPDATE order_line SET units = units + 6 WHERE need_id = %(need)s",
    "edited units that differ": (
        "UPDATE approval SET meaning = 'approve_edited', units = 1 WHERE decision_id = %(need)s"
    ),
    "a proposal that changed": "UPDATE replenishment SET proposal_hash = repeat('b', 64) WHERE decision_id = %(need)s",
    "a proposal that was not released": "UPDATE replenishment SET state = 'expired' WHERE decision_id = %(need)s",
    "another price": "UPDATE order_line SET unit_cost = unit_cost * 2 WHERE need_id = %(need)s",
    "another supplier": "UPDATE replenishment SET supplier = 'friend' WHERE decision_id = %(need)s",
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_the_send_gate_keeps_out(storeroom: Storeroom, forgery: str) -> None:
    await proposals(storeroom)
    await released(storeroom, 1)
    await released(storeroom, 2)
    storeroom.connection.execute(forgery.encode(), {"need": need(1)})
    order = await storeroom.orders.prepare(ORDER, passive=False)
    assert order is not None
    assert [line.need_id for line in order.lines] == [need(2)]
    refused = storeroom.rows("SELECT stream FROM ledger_entry WHERE type = 'order.line_refused'")
    assert [row["stream"] for row in refused] == [need(1)]
    assert storeroom.position()["on_order_units"] == 0
    assert storeroom.position("ITEM-002")["on_order_units"] > 0


async def test_a_supplier_that_was_blocked_meanwhile_gets_nothing(storeroom: Storeroom) -> None:
    await proposals(storeroom)
    await released(storeroom, 1)
    storeroom.take(event(SupplierUpdated(supplier="acme", blocked=True)))
    assert await storeroom.orders.prepare(ORDER, passive=False) is None
    assert await storeroom.orders.state(ORDER) is OrderState.EMPTY
    assert storeroom.position()["on_order_units"] == 0
    assert storeroom.relay.settled_orders() == [ORDER]


async def test_the_gate_is_asked_again_before_each_send(storeroom: Storeroom) -> None:
    orders = storeroom.orders
    await proposals(storeroom)
    await released(storeroom, 1)
    await released(storeroom, 2)
    prepared = await orders.prepare(ORDER, passive=False)
    assert prepared is not None
    await orders.begin_attempt(ORDER, "a", 60)
    assert await orders.about_to_send(ORDER, "a", passive=False) == prepared
    await orders.end_attempt(ORDER, "a")
    storeroom.connection.execute("UPDATE approval SET voided_at = now() WHERE decision_id = %s", [need(1)])
    await orders.begin_attempt(ORDER, "b", 60)
    again = await orders.about_to_send(ORDER, "b", passive=False)
    assert again is not None
    assert (again.key, [line.need_id for line in again.lines]) == (prepared.key, [need(2)])
    assert await orders.prepare(ORDER, passive=False) == again, "the payload is fixed anew"
    assert storeroom.position()["on_order_units"] == 0
    await orders.end_attempt(ORDER, "b")
    storeroom.take(event(SupplierUpdated(supplier="acme", blocked=True)))
    await orders.begin_attempt(ORDER, "c", 60)
    assert await orders.about_to_send(ORDER, "c", passive=False) is None
    assert await orders.state(ORDER) is OrderState.EMPTY
    kinds = [row["type"] for row in storeroom.rows("SELECT type FROM ledger_entry WHERE stream = %s", f"order:{ORDER}")]
    assert kinds == ["order.prepared", "order.sent", "order.prepared", "order.sent", "order.closed"]


async def test_passive_mode_prepares_and_withholds(storeroom: Storeroom) -> None:
    await proposals(storeroom)
    await released(storeroom, 1)
    assert await storeroom.orders.prepare(ORDER, passive=True) is None
    assert await storeroom.orders.state(ORDER) is OrderState.WITHHELD
    assert await storeroom.orders.prepare(ORDER, passive=False) is None, "it stays withheld"
    assert await storeroom.orders.begin_attempt(ORDER, "a", 60) is None
    assert storeroom.position()["on_order_units"] == 0
    assert (await storeroom.desk.counts())["orders_placed"] == 0


async def test_one_attempt_at_a_time_and_a_zombie_sends_nothing(storeroom: Storeroom) -> None:
    orders = storeroom.orders
    await proposals(storeroom)
    await released(storeroom, 1)
    assert await orders.begin_attempt(ORDER, "a", 60) is None, "not prepared"
    await orders.prepare(ORDER, passive=False)
    assert (await orders.request(ORDER)).last_sent_at is None
    assert attempt_of(await orders.begin_attempt(ORDER, "a", 60)) == 1
    assert await orders.begin_attempt(ORDER, "b", 60) is None
    assert not await orders.about_to_send(ORDER, "b", passive=False)
    storeroom.connection.execute("UPDATE purchase_order SET lease_until = now() - interval '1 s'")
    assert not await orders.about_to_send(ORDER, "a", passive=False), "its lease ran out"
    assert attempt_of(await orders.begin_attempt(ORDER, "b", 60)) == 2
    assert not await orders.about_to_send(ORDER, "a", passive=False)
    assert await orders.about_to_send(ORDER, "b", passive=False)
    sent = await orders.request(ORDER)
    assert (sent.state, sent.n, sent.open) == (RequestState.SENDING, 1, 1)
    result = await orders.record_placed(ORDER, "a", "A-1", None)
    assert result.state is OrderState.SENDING, "the zombie's answer does not count; b will find the order"
    assert (await orders.record_refused(ORDER, "a", "no")).state is OrderState.SENDING
    await orders.record_in_doubt(ORDER, "a", "?")
    assert await orders.state(ORDER) is OrderState.SENDING
    assert (await orders.record_placed(ORDER, "b", "A-1", None)).state is OrderState.PLACED
    again = await orders.record_placed(ORDER, "b", "A-2", None)
    assert (again.state, again.supplier_number) == (OrderState.PLACED, "A-1")


async def test_in_doubt_is_visible_and_left_only_by_another_attempt(storeroom: Storeroom) -> None:
    orders = storeroom.orders
    await proposals(storeroom)
    await released(storeroom, 1)
    await orders.prepare(ORDER, passive=False)
    await orders.begin_attempt(ORDER, "a", 60)
    await orders.about_to_send(ORDER, "a", passive=False)
    await orders.record_in_doubt(ORDER, "a", "timed out")
    assert await orders.state(ORDER) is OrderState.IN_DOUBT
    assert (await storeroom.desk.counts())["orders_in_doubt"] == 1
    assert storeroom.position()["on_order_units"] > 0
    assert not await orders.about_to_send(ORDER, "a", passive=False)
    assert await orders.prepare(ORDER, passive=False) is not None
    assert attempt_of(await orders.begin_attempt(ORDER, "b", 60)) == 2
    await orders.end_attempt(ORDER, "b")
    assert attempt_of(await orders.begin_attempt(ORDER, "c", 60)) == 3
    kinds = [row["type"] for row in storeroom.rows("SELECT type FROM ledger_entry WHERE stream = %s", f"order:{ORDER}")]
    assert kinds == ["order.prepared", "order.sent", "order.answered"]


async def test_a_refused_order_leaves_the_position_and_may_be_needed_again(storeroom: Storeroom) -> None:
    await proposals(storeroom, 1)
    await released(storeroom, 1)
    await storeroom.orders.prepare(ORDER, passive=False)
    await storeroom.orders.begin_attempt(ORDER, "a", 60)
    await storeroom.orders.about_to_send(ORDER, "a", passive=False)
    result = await storeroom.orders.record_refused(ORDER, "a", "discontinued")
    assert (result.state, result.reason) == (OrderState.REFUSED, "discontinued")
    assert storeroom.position()["on_order_units"] == 0
    assert storeroom.take(clock(MORNING + timedelta(days=1))).needs == 1
    await storeroom.assess()
    view = await storeroom.desk.decision("LEEDS:ITEM-001:2")
    assert view.inputs["options"][0]["refused_at"] is not None


async def test_parts_arrive_early_late_twice_and_short(storeroom: Storeroom) -> None:
    await proposals(storeroom)
    await released(storeroom, 1, Meaning.APPROVE_EDITED, units=30)
    await released(storeroom, 2, Meaning.APPROVE_EDITED, units=12)
    orders = storeroom.orders
    await orders.prepare(ORDER, passive=False)
    await orders.begin_attempt(ORDER, "a", 60)
    await orders.about_to_send(ORDER, "a", passive=False)
    early = received(10, ORDER, at=MORNING + timedelta(days=1))
    storeroom.take(early, received(12, ORDER, item="ITEM-002", at=MORNING + timedelta(days=1)))
    assert await orders.state(ORDER) is OrderState.SENDING, "goods came before the answer was noted"
    assert storeroom.position()["on_order_units"] == 20
    assert (await orders.record_placed(ORDER, "a", "A-1", None)).state is OrderState.PLACED
    storeroom.take(early, early)
    assert storeroom.position()["on_order_units"] == 20
    short = news(ShipmentStatus.SHORTENED, units=5)
    storeroom.take(short)
    storeroom.take(short)
    assert storeroom.position()["on_order_units"] == 15
    storeroom.take(received(15, ORDER, at=MORNING + timedelta(days=2)))
    assert await orders.state(ORDER) is OrderState.CLOSED
    rows = storeroom.rows("SELECT received_units, short_units FROM order_line ORDER BY need_id")
    assert [tuple(row.values()) for row in rows] == [(25, 5), (12, 0)]
    storeroom.take(received(5, ORDER, at=MORNING + timedelta(days=3)))
    assert storeroom.position() | {"watch_level_units": None} == {
        "on_hand_units": 9 + 30, "reserved_units": 0, "on_order_units": 0, "watch_level_units": None,
    }  # fmt: skip
    closed = storeroom.rows("SELECT 1 FROM ledger_entry WHERE stream = %s AND type = 'order.closed'", f"order:{ORDER}")
    assert len(closed) == 1
    assert storeroom.one("SELECT count(*) AS n FROM observed_lead_time") == {"n": 4}
    assert storeroom.verified().ok


async def test_everything_arrived_before_the_answer_was_noted(storeroom: Storeroom) -> None:
    await proposals(storeroom, 1)
    await released(storeroom, 1, Meaning.APPROVE_EDITED, units=12)
    await storeroom.orders.prepare(ORDER, passive=False)
    await storeroom.orders.begin_attempt(ORDER, "a", 60)
    await storeroom.orders.about_to_send(ORDER, "a", passive=False)
    storeroom.take(received(12, ORDER))
    assert (await storeroom.orders.record_placed(ORDER, "a", "A-1", None)).state is OrderState.RECEIVED
    assert storeroom.relay.settled_orders() == [ORDER]
    storeroom.relay.order_told(ORDER)
    assert storeroom.relay.settled_orders() == []


async def test_receipts_of_two_intakes_at_once_are_all_counted(storeroom: Storeroom, dsn: str) -> None:
    await proposals(storeroom, 3)
    for number in (1, 2, 3):
        await released(storeroom, number, Meaning.APPROVE_EDITED, units=60)
    await storeroom.place(ORDER)
    errors: list[BaseException] = []

    def intake(partition: int) -> None:
        try:
            with connect(dsn, name=f"intake-{partition}") as connection:
                inbox = Inbox(connection, log_id="log")
                inbox.take_over([("qm.stock", partition)])
                for offset in range(10):
                    goods = [received(2, ORDER, item=f"ITEM-{n:03}") for n in (1, 2, 3)]
                    if partition % 2:
                        goods.reverse()
                    inbox.accept(
                        [
                            Received("qm.stock", partition, 3 * offset + n, one.to_bytes(), event=one)
                            for n, one in enumerate(goods)
                        ]
                    )
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=intake, args=[partition]) for partition in (5, 6, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert await storeroom.orders.state(ORDER) is OrderState.RECEIVED
    assert storeroom.rows("SELECT 1 FROM position WHERE on_order_units <> 0") == []


@pytest.mark.parametrize("reverse", [False, True])
async def test_what_the_supplier_says_counts_by_when_it_said_it(storeroom: Storeroom, reverse: bool) -> None:
    await proposals(storeroom)
    await released(storeroom, 1)
    await storeroom.place(ORDER)
    day = MORNING + timedelta(days=5)
    told = [
        news(ShipmentStatus.ACKNOWLEDGED, hour=1, expected_at=day),
        news(ShipmentStatus.DELAYED, hour=2, expected_at=day + timedelta(days=2)),
        news(ShipmentStatus.SHIPPED, hour=3),
    ]
    for one in reversed(told) if reverse else told:
        storeroom.take(one)
    row = storeroom.one("SELECT promised_at, delayed, acknowledged_at, shipped_at FROM purchase_order")
    assert list(row.values()) == [
        day + timedelta(days=2), True, MORNING + timedelta(hours=1), MORNING + timedelta(hours=3),
    ]  # fmt: skip
    (batch_receipt,) = (await _open_receipts(storeroom)) or [None]
    assert batch_receipt is not None
    assert batch_receipt.expected_in_days == 7 - 1


async def test_an_overdue_order_is_not_expected_today_for_ever(storeroom: Storeroom) -> None:
    await proposals(storeroom)
    await released(storeroom, 1)
    await storeroom.place(ORDER)
    storeroom.take(news(ShipmentStatus.ACKNOWLEDGED, hour=1, expected_at=MORNING + timedelta(days=2)))
    (receipt,) = await _open_receipts(storeroom, days=5)
    assert (receipt.ordered_days_ago, receipt.expected_in_days) == (5, 2 - 5)


async def _open_receipts(storeroom: Storeroom, days: int = 1) -> Any:
    """What scoring hears of the open order this many days later."""
    storeroom.scoring.daily = 50
    storeroom.take(sold(200), clock(MORNING + timedelta(days=days)))
    (batch,) = [b for b in storeroom.relay.batches(0) if b.clock > MORNING]
    found = await storeroom.assessments.load(batch.batch_id)
    return [receipt for fact in found.facts for receipt in fact.row.open_receipts]


STEPS = ("release 1", "release 2", "prepare", "begin", "send", "place", "refuse", "doubt", "receive", "short", "block")


async def _step(storeroom: Storeroom, step: str, number: int) -> None:
    orders, lease = storeroom.orders, "lease"
    match step.split():
        case ["release", which]:
            await orders.release(need(int(which)), storeroom.hash_of(need(int(which))))
        case ["prepare"]:
            await orders.prepare(ORDER, passive=False)
        case ["begin"]:
            await orders.begin_attempt(ORDER, lease, 60)
        case ["send"]:
            await orders.about_to_send(ORDER, lease, passive=False)
        case ["place"]:
            await orders.record_placed(ORDER, lease, "A-1", None)
        case ["refuse"]:
            await orders.record_refused(ORDER, lease, "no")
        case ["doubt"]:
            await orders.record_in_doubt(ORDER, lease, "?")
        case ["receive"]:
            storeroom.take(received(5 + number, ORDER))
        case ["short"]:
            storeroom.take(news(ShipmentStatus.SHORTENED, units=3 + number, item="ITEM-002"))
        case _:
            storeroom.take(event(SupplierUpdated(supplier="acme", blocked=number % 2 == 0)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=12))
async def test_on_order_is_what_is_outstanding_in_every_state(storeroom: Storeroom, steps: list[str]) -> None:
    storeroom.clear()
    await proposals(storeroom)
    await storeroom.answer(need(1))
    await storeroom.answer(need(2))
    await _step(storeroom, "release 1", 0)
    for number, step in enumerate(steps):
        await _step(storeroom, step, number)
        rows = storeroom.rows(
            """SELECT p.item, p.on_order_units, coalesce(sum(greatest(0, l.units - l.received_units - l.short_units))
                   FILTER (WHERE l.refused_reason IS NULL AND o.state = ANY(%s)), 0)::bigint AS outstanding
               FROM position p LEFT JOIN order_line l USING (location, item) LEFT JOIN purchase_order o USING (order_id)
               GROUP BY p.item, p.on_order_units""",
            [str(state) for state in OrderState if state.counts_as_on_order],
        )
        assert all(row["on_order_units"] == row["outstanding"] for row in rows), (steps[: number + 1], rows)
    assert storeroom.verified().ok


async def until_somebody_waits_for_a_lock(storeroom: Storeroom) -> None:
    """Within a minute."""
    for _ in range(6_000):
        if storeroom.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


async def test_a_release_that_waited_for_a_receipt_counts_with_it(storeroom: Storeroom, dsn: str) -> None:
    """The race is made by hand: a receipt for an earlier order holds the position while a line is released."""
    await proposals(storeroom)
    await released(storeroom, 1, Meaning.APPROVE_EDITED, units=60)
    await storeroom.place(ORDER)
    storeroom.scoring.daily = 90
    storeroom.take(clock(MORNING + timedelta(days=1)), sold(60))
    await storeroom.assess()
    later = "LEEDS:ITEM-001:2"
    await storeroom.answer(later, Meaning.APPROVE_EDITED, units=30)
    proposal = storeroom.hash_of(later)
    with connect(dsn, name="receipt") as other, other.transaction():
        other.execute("SELECT 1 FROM position WHERE item = 'ITEM-001' FOR UPDATE")
        other.execute("UPDATE order_line SET received_units = 60 WHERE need_id = %s", [need(1)])
        releasing = asyncio.create_task(storeroom.orders.release(later, proposal))
        await until_somebody_waits_for_a_lock(storeroom)
        other.execute("SELECT refresh_on_order(%s)", [ORDER])
    assert (await releasing).released
    assert storeroom.position()["on_order_units"] == 30
