"""What operators read from Postgres and what their word does there: orders, dead letters, arrivals and health."""

from datetime import timedelta

import pytest

from connectors.postgres import operations
from connectors.postgres.arrivals import PostgresArrivals
from connectors.postgres.health import PostgresHealth
from connectors.postgres.letters import page_of_letters
from connectors.postgres.operations import PostgresOrderDesk
from connectors.postgres.stops import PostgresStops
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Actor, Meaning
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.operations import Attention, OrderFilters, OrdersRetried, StepState, WaitingOrders
from workflows.domain.orders import OrderState
from workflows.domain.stops import StopCommand, StopScope

OTTO = Actor(name="otto")
FIRST, SECOND = "LEEDS:ITEM-001:1", "LEEDS:ITEM-002:1"
ALL = OrderFilters()


@pytest.fixture
def desk(storeroom: Storeroom) -> PostgresOrderDesk:
    return PostgresOrderDesk(storeroom.database)


async def an_order(storeroom: Storeroom) -> str:
    await storeroom.stock(catalog(2))
    storeroom.take(counted(9), counted(9, item="ITEM-002"), clock())
    await storeroom.assess()
    for decision in (FIRST, SECOND):
        await storeroom.answer(decision, Meaning.APPROVE)
        result = await storeroom.orders.release(decision, storeroom.hash_of(decision))
    assert result.order_id
    return result.order_id


async def attempt(storeroom: Storeroom, order: str, lease: str = "lease") -> None:
    """Prepare and let a request leave."""
    assert await storeroom.orders.prepare(order, passive=False) is not None
    assert await storeroom.orders.begin_attempt(order, lease, 60) is not None
    assert await storeroom.orders.about_to_send(order, lease, passive=False) is not None


async def states(desk: PostgresOrderDesk, state: Attention) -> list[str]:
    return [row.order_id for row in (await desk.orders(OrderFilters(state=state))).orders]


# Reading orders.


async def test_an_order_is_followed_from_approval_to_receipt(storeroom: Storeroom, desk: PostgresOrderDesk) -> None:
    order = await an_order(storeroom)
    view = await desk.order(order)
    assert [step.state for step in view.steps] == [StepState.DONE, *[StepState.AHEAD] * 3]
    assert (view.order.lines, [line.need_id for line in view.lines]) == (2, [FIRST, SECOND])

    await storeroom.place(order, "A-17")

    view = await desk.order(order)
    assert [step.state for step in view.steps] == [*[StepState.DONE] * 3, StepState.NOW]
    assert view.steps[2].says == "their number A-17"
    assert all(step.at for step in view.steps[:3])
    assert [entry["type"] for entry in view.timeline] == ["order.prepared", "order.sent", "order.answered"]
    with pytest.raises(NotFound):
        await desk.order("nothing")


async def test_pages_of_orders_miss_none_and_repeat_none(storeroom: Storeroom, desk: PostgresOrderDesk) -> None:
    storeroom.connection.execute(
        """INSERT INTO purchase_order (order_id, key, supplier, location, cycle, part, currency, cutoff_at, state)
           SELECT 's' || n % 3 || ':L' || n % 2 || ':' || n, n::text, 's' || n % 3, 'L' || n % 2, n::text, 1, 'EUR',
                  timestamptz '2025-03-01T06:00Z' + n / 4 * interval '1 day',
                  CASE WHEN n % 5 = 0 THEN 'refused' ELSE 'placed' END
           FROM generate_series(1, 30) AS n"""
    )
    seen: list[str] = []
    after = None
    while True:
        page = await desk.orders(ALL, limit=7, after=after)
        seen += [row.order_id for row in page.orders]
        after = page.next
        if after is None:
            break
    wanted = storeroom.rows("SELECT order_id FROM purchase_order ORDER BY cutoff_at DESC, order_id")
    assert seen == [row["order_id"] for row in wanted]

    narrow = await desk.orders(OrderFilters(state=OrderState.REFUSED, supplier="s0", location="L0"))
    assert [row.order_id for row in narrow.orders] == ["s0:L0:30"]
    assert len(await states(desk, Attention.FAILED)) == 6
    with pytest.raises(InvalidInput):
        await desk.orders(ALL, after="nothing")


# A word about an order.


async def test_an_order_that_waits_for_an_operator_is_noted_retried_and_cleared(
    storeroom: Storeroom, desk: PostgresOrderDesk
) -> None:
    order = await an_order(storeroom)
    with pytest.raises(Conflict):
        await desk.retry(order, OTTO)
    await storeroom.orders.prepare(order, passive=False)
    for _ in range(2):
        await storeroom.orders.await_operator(order)
    assert await states(desk, Attention.AWAITS_OPERATOR) == await states(desk, Attention.FAILED) == [order]

    answers = [await desk.retry(order, OTTO, command_id="retry-0001") for _ in range(2)]

    assert answers[0] == answers[1]
    (told,) = storeroom.relay.orders_to_wake()
    assert told[:2] == (order, None)
    await desk.retry(order, OTTO)
    storeroom.relay.order_woken(told)
    (told,) = storeroom.relay.orders_to_wake()  # what was asked meanwhile is told, too
    storeroom.relay.order_woken(told)
    assert storeroom.relay.orders_to_wake() == []
    assert await storeroom.orders.begin_attempt(order, "lease", 60) is not None
    assert await states(desk, Attention.AWAITS_OPERATOR) == []
    types = [entry["type"] for entry in (await desk.order(order)).timeline]
    assert types == ["order.prepared", "order.awaits_operator", "order.retried"]


async def test_all_that_wait_are_tried_again_by_one_word_within_its_measure(
    storeroom: Storeroom, desk: PostgresOrderDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MOST_RETRIED", 2)
    orders = [f"s{number}:L0:1" for number in range(5)]
    every = WaitingOrders()
    assert await desk.retry_waiting(every, OTTO) == OrdersRetried(orders=0)
    storeroom.connection.execute(
        """INSERT INTO purchase_order (order_id, key, supplier, location, cycle, part, currency, cutoff_at, state,
                                       request, awaits_operator_at)
           SELECT id, id, split_part(id, ':', 1), 'L0', '1', 1, 'EUR', %s, 'sending', 'prepared', clock_timestamp()
           FROM unnest(%s::text[]) AS k (id)""",
        [MORNING, orders],
    )

    one = await desk.retry_waiting(WaitingOrders(supplier="s3"), OTTO)
    first, again = [await desk.retry_waiting(every, OTTO, command_id="all-00001") for _ in range(2)]
    last = await desk.retry_waiting(every, OTTO)

    assert (one.orders, one.left) == (1, 0)
    assert first == again == OrdersRetried(orders=2, left=2)
    assert (last.orders, last.left) == (2, 0)
    assert await desk.retry_waiting(every, OTTO) == OrdersRetried(orders=0)
    assert sorted(told.order_id for told in storeroom.relay.orders_to_wake()) == orders
    for order in orders:
        assert [entry["type"] for entry in (await desk.order(order)).timeline] == ["order.retried"]
    with pytest.raises(InvalidInput):
        await desk.retry_waiting(WaitingOrders(supplier="s3"), OTTO, command_id="all-00001")


async def test_what_certainly_never_left_may_be_closed_and_its_items_are_needed_again(
    storeroom: Storeroom, desk: PostgresOrderDesk
) -> None:
    order = await an_order(storeroom)
    assert storeroom.position()["on_order_units"] > 0

    done = await desk.close_unordered(order, "a double order", OTTO)

    assert done.state is OrderState.EMPTY
    assert storeroom.position()["on_order_units"] == 0
    view = await desk.order(order)
    assert {line.refused_reason for line in view.lines} == {"closed as not ordered by otto: a double order"}
    assert [one[:2] for one in storeroom.relay.orders_to_wake()] == [(order, None)], "its workflow hears of it"
    assert await storeroom.orders.prepare(order, passive=False) is None
    assert (await storeroom.orders.state(order)) is OrderState.EMPTY
    with pytest.raises(Conflict):
        await desk.close_unordered(order, "once more", OTTO)
    assert storeroom.verified().ok


async def test_an_order_of_which_a_request_left_is_not_closed(storeroom: Storeroom, desk: PostgresOrderDesk) -> None:
    order = await an_order(storeroom)
    await attempt(storeroom, order)
    for _ in range(2):
        with pytest.raises(Conflict):
            await desk.close_unordered(order, "a guess", OTTO)
        await storeroom.orders.record_in_doubt(order, "lease", "no answer")
    assert not (await desk.order(order)).can_close


async def test_a_request_that_certainly_did_not_get_through_leaves_the_order_closable(
    storeroom: Storeroom, desk: PostgresOrderDesk
) -> None:
    order = await an_order(storeroom)
    await attempt(storeroom, order)
    await storeroom.orders.end_attempt(order, "lease")

    assert (await desk.close_unordered(order, "they are gone", OTTO)).state is OrderState.EMPTY


async def test_an_order_that_somebody_is_at_is_not_closed(storeroom: Storeroom, desk: PostgresOrderDesk) -> None:
    order = await an_order(storeroom)
    await storeroom.orders.prepare(order, passive=False)
    await storeroom.orders.begin_attempt(order, "lease", 60)

    with pytest.raises(Conflict, match="under way"):
        await desk.close_unordered(order, "a race", OTTO)


async def test_a_close_before_the_request_leaves_stops_it(storeroom: Storeroom, desk: PostgresOrderDesk) -> None:
    """The attempt's lease ran out between beginning and sending."""
    order = await an_order(storeroom)
    await storeroom.orders.prepare(order, passive=False)
    await storeroom.orders.begin_attempt(order, "lease", 0)
    await desk.close_unordered(order, "a race", OTTO)

    assert await storeroom.orders.about_to_send(order, "lease", passive=False) is None
    assert await storeroom.orders.begin_attempt(order, "other", 60) is None


async def test_a_refused_order_is_listed_until_somebody_saw_it(storeroom: Storeroom, desk: PostgresOrderDesk) -> None:
    order = await an_order(storeroom)
    with pytest.raises(Conflict):
        await desk.attend(order, OTTO)
    await attempt(storeroom, order)
    await storeroom.orders.record_refused(order, "lease", "unknown article")
    assert await states(desk, Attention.FAILED) == [order]

    await desk.attend(order, OTTO)
    again = await desk.attend(order, Actor(name="olga"))

    assert again.done == "seen by otto"
    assert await states(desk, Attention.FAILED) == []
    told = storeroom.rows("SELECT actor FROM ledger_entry WHERE type = 'order.attended'")
    assert [row["actor"] for row in told] == ["otto"], "once, whoever looks again"


# Health, arrivals, dead letters.


async def test_health_finds_what_is_stuck_and_what_is_held(storeroom: Storeroom) -> None:
    health = PostgresHealth(storeroom.database, live_clocks=False)
    assert (await health.facts()).needs_open.n == 0
    order = await an_order(storeroom)
    storeroom.take(sold(1), clock(MORNING + timedelta(hours=3)), sold(1, item="ITEM-002"))
    storeroom.relay.note_lag({("qm.sales", 0): 12, ("qm.clock", 0): 1})
    await storeroom.orders.await_operator(order)
    storeroom.connection.execute("UPDATE purchase_order SET awaits_operator_at = NULL")

    facts = await health.facts()

    assert facts.orders_overdue.n == 1
    assert facts.orders_overdue.oldest_seconds == pytest.approx(2 * 3600)
    assert {(part.topic, part.behind) for part in facts.partitions if part.behind} == {
        ("qm.sales", 12),
        ("qm.clock", 1),
    }
    assert [one.location for one in facts.clocks] == ["LEEDS"]
    assert facts.model_days is not None
    assert facts.database_bytes > 0
    assert len(facts.tables) == 8

    await PostgresStops(storeroom.database).stop(StopCommand(scope=StopScope.EVERYTHING, reason="a test"), OTTO)
    await storeroom.orders.prepare(order, passive=False)
    facts = await health.facts()
    assert (facts.orders_overdue.n, facts.orders_held.n, len(facts.stops)) == (0, 1, 1)


async def test_health_counts_what_was_refused_is_in_doubt_or_waits(storeroom: Storeroom) -> None:
    health = PostgresHealth(storeroom.database, live_clocks=True)
    order = await an_order(storeroom)
    await attempt(storeroom, order)
    await storeroom.orders.record_in_doubt(order, "lease", "no answer")
    assert (await health.facts()).orders_in_doubt.n == 1
    await storeroom.orders.await_operator(order)
    assert (await health.facts()).orders_awaiting.n == 1
    storeroom.connection.execute("UPDATE purchase_order SET state = 'refused', awaits_operator_at = NULL")
    assert (await health.facts()).orders_refused.n == 1


async def test_the_newest_events_come_first_and_are_counted(storeroom: Storeroom) -> None:
    arrivals = PostgresArrivals(storeroom.database)
    assert (await arrivals.rates()).rates == ()
    await storeroom.stock()
    storeroom.take(counted(90), clock())
    storeroom.take(sold(2), sold(3))

    rows = await arrivals.events(2)
    rates = await arrivals.rates()

    assert [row.type.split(".")[1] for row in rows] == ["sale", "sale"]
    assert (rows[0].item, rows[0].location, rows[0].body["sale_id"]) == ("ITEM-001", "LEEDS", "•••")
    assert {one.topic: one.last_minute for one in rates.rates} == {"qm.sales": 2, "qm.stock": 1, "qm.clock": 1}
    assert (rates.today, rates.today_capped, rates.partial_since) == (4, False, None)


async def test_dead_letters_are_read_by_reason_and_page(storeroom: Storeroom) -> None:
    storeroom.own()
    storeroom.inbox.accept([storeroom.message(f"not json {n}".encode()) for n in range(5)])
    database = storeroom.database

    first = await page_of_letters(database, reason="", waiting=True, limit=3, after=None)
    rest = await page_of_letters(database, reason="", waiting=True, limit=3, after=first.next)

    numbers = [one.dead_letter_id for one in (*first.dead_letters, *rest.dead_letters)]
    assert numbers == sorted(numbers, reverse=True)
    assert (len(numbers), rest.next) == (5, None)
    code = first.dead_letters[0].error_code
    assert len((await page_of_letters(database, reason=code, waiting=False, limit=9, after=None)).dead_letters) == 5
    facts = await PostgresHealth(database, live_clocks=False).facts()
    assert [(one.code, one.n) for one in facts.reasons] == [(code, 5)]
