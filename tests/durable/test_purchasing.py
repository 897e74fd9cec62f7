"""One order is placed once: whatever is lost, late, repeated or taken over, the supplier's books show one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError

from tests.fakes.engine import SETTLE_SECONDS, Engine, running_engine, until
from workflows import naming
from workflows.domain.errors import NotFound, Unavailable
from workflows.domain.orders import OrderRef, OrderState, PlacementResult
from workflows.domain.requests import RequestKind, RequestState, left, moved
from workflows.options import EXTERNAL_WRITE, SUPPLIER_LEASE_SECONDS
from workflows.purchasing import NEEDS_OPERATOR, PurchasingWorkflow


@pytest_asyncio.fixture
async def passive_engine() -> AsyncIterator[Engine]:
    async with running_engine(passive=True) as running:
        yield running


async def place(engine: Engine, *behaviour: str) -> tuple[OrderRef, PlacementResult]:
    """An order that met this behaviour of the supplier, from cutoff to its end."""
    ref = engine.order()
    engine.supplier.behaviour.extend(behaviour)
    handle = await at_cutoff(engine, ref)
    await engine.messenger.order_settled(ref.order_id)
    return ref, await engine.result(handle, skip=True)


async def at_cutoff(engine: Engine, ref: OrderRef) -> WorkflowHandle[Any, Any]:
    handle = await engine.purchase(ref)
    await engine.messenger.tick("order", ref.order_id, ref.cutoff_at)
    return handle


async def shown(handle: WorkflowHandle[Any, Any]) -> str | None:
    return (await handle.describe()).typed_search_attributes.get(naming.DECISION_STATE)


async def shows(engine: Engine, handle: WorkflowHandle[Any, Any], state: str, *, minutes: int = 0) -> None:
    """Wait until people see this state; so many minutes pass between two looks."""

    async def it_does() -> bool:
        await engine.env.sleep(timedelta(minutes=minutes))
        return await shown(handle) == state

    await until(it_does, f"the state {state}")


def states(engine: Engine, ref: OrderRef) -> list[OrderState]:
    return engine.records.orders[ref.order_id].history


# One test for each way to end.


async def test_an_order_is_placed_at_cutoff_and_stays_until_it_is_received(engine: Engine) -> None:
    ref = engine.order()
    handle = await engine.purchase(ref)
    await engine.messenger.tick("order", ref.order_id, ref.cutoff_at - timedelta(seconds=1))
    assert engine.orders.calls == {}

    await engine.messenger.tick("order", ref.order_id, ref.cutoff_at)
    await shows(engine, handle, "placed")
    engine.records.orders[ref.order_id].become(OrderState.RECEIVED)
    await engine.messenger.order_settled(ref.order_id)

    result = await engine.result(handle)
    assert (result.state, result.supplier_number) == (OrderState.RECEIVED, "S-1")
    assert await shown(handle) == "received"
    assert [order.lines[0].units for order in engine.supplier.requests] == [24]


async def test_what_never_comes_closes_the_order(engine: Engine) -> None:
    ref = engine.order()
    handle = await at_cutoff(engine, ref)
    await shows(engine, handle, "placed")
    engine.records.orders[ref.order_id].become(OrderState.CLOSED)
    await engine.messenger.order_settled(ref.order_id)

    assert (await engine.result(handle)).state is OrderState.CLOSED


async def test_a_refused_order_is_not_sent_again(engine: Engine) -> None:
    _, result = await place(engine, "refuse")

    assert (result.state, result.reason) == (OrderState.REFUSED, "item discontinued")
    assert len(engine.supplier.requests) == 1
    assert engine.supplier.journal == []


async def test_in_passive_mode_nothing_leaves_the_house(passive_engine: Engine) -> None:
    _, result = await place(passive_engine)

    assert result.state is OrderState.WITHHELD
    assert passive_engine.supplier.requests == []


@pytest.mark.parametrize("landed", [True, False])
async def test_passive_mode_looks_for_an_order_in_doubt_and_never_sends_it(
    passive_engine: Engine, landed: bool
) -> None:
    """It was sent before the mode became passive."""
    ref = passive_engine.order()
    row = passive_engine.records.orders[ref.order_id]
    order = await passive_engine.orders.prepare(ref.order_id, passive=False)
    going = left(row.request, RequestKind.SEND, passive_engine.records.now())
    row.request = moved(going, RequestState.UNKNOWN)
    row.become(OrderState.IN_DOUBT)
    if landed:
        await passive_engine.supplier.place(order)
    sent = len(passive_engine.supplier.requests)
    handle = await at_cutoff(passive_engine, ref)
    await passive_engine.messenger.order_settled(ref.order_id)

    result = await passive_engine.result(handle, skip=True)

    assert result.state is (OrderState.PLACED if landed else OrderState.WITHHELD)
    assert len(passive_engine.supplier.requests) == sent


async def test_a_line_that_may_not_be_ordered_any_more_is_not_sent_again(engine: Engine) -> None:
    ref = engine.order()
    row = engine.records.orders[ref.order_id]
    engine.supplier.behaviour.append("vanish")
    handle = await at_cutoff(engine, ref)
    await until(lambda: row.state is OrderState.IN_DOUBT, "the doubt")
    row.lines.popitem()
    await engine.messenger.order_settled(ref.order_id)

    assert (await engine.result(handle, skip=True)).state is OrderState.PLACED
    assert [len(order.lines) for order in engine.supplier.requests] == [2, 1]


async def test_an_order_without_authorised_lines_is_empty(engine: Engine) -> None:
    ref = engine.order(lines=0)

    result = await engine.result(await at_cutoff(engine, ref))

    assert result.state is OrderState.EMPTY
    assert engine.supplier.requests == []


# The supplier's answer is lost, late or wrong.


async def test_a_lost_answer_leads_to_a_question_and_not_to_a_second_order(engine: Engine) -> None:
    ref, result = await place(engine, "lost")

    assert (result.state, result.supplier_number) == (OrderState.PLACED, "S-1")
    assert len(engine.supplier.journal) == len(engine.supplier.requests) == 1
    assert engine.supplier.questions == 1
    assert states(engine, ref) == [
        OrderState.SENDING, OrderState.SENDING, OrderState.IN_DOUBT, OrderState.SENDING, OrderState.PLACED,
    ]  # fmt: skip


async def test_people_see_that_an_order_is_in_doubt(engine: Engine) -> None:
    ref = engine.order()
    engine.supplier.behaviour.append("vanish")
    await at_cutoff(engine, ref)

    await until(lambda: engine.records.orders[ref.order_id].state is OrderState.IN_DOUBT, "the doubt")

    assert engine.records.orders[ref.order_id].reason == "no answer within 10 s"


async def test_an_order_that_lands_late_but_within_the_settle_window_is_found(engine: Engine) -> None:
    _, result = await place(engine, f"late:{SETTLE_SECONDS - 1}")

    assert result.state is OrderState.PLACED
    assert len(engine.supplier.journal) == 1
    assert engine.supplier.questions > 1, "absent at first: absence does not count before the window has passed"


async def test_an_order_that_certainly_never_landed_is_sent_again(engine: Engine) -> None:
    _, result = await place(engine, "vanish")

    assert result.state is OrderState.PLACED
    assert (len(engine.supplier.requests), len(engine.supplier.journal)) == (2, 1)


async def test_an_order_that_lands_after_the_window_is_one_where_the_supplier_knows_keys(engine: Engine) -> None:
    engine.supplier.knows_keys = True
    _, result = await place(engine, f"late:{10 * SETTLE_SECONDS}")

    assert result.supplier_number == "S-1"
    assert (len(engine.supplier.requests), len(engine.supplier.journal)) == (2, 1)


async def test_without_a_settle_window_the_same_late_order_would_be_two() -> None:
    """The planted fault: it shows that the careless supplier would tell."""
    async with running_engine(settle_seconds=0) as engine:
        await place(engine, f"late:{SETTLE_SECONDS - 1}")
        assert len(engine.supplier.journal) == 2


async def test_a_supplier_that_is_down_is_tried_until_it_is_up(engine: Engine) -> None:
    _, result = await place(engine, *["down"] * 5)

    assert result.state is OrderState.PLACED
    assert (len(engine.supplier.requests), len(engine.supplier.journal)) == (6, 1)


async def test_a_supplier_that_cannot_be_asked_is_not_sent_to(engine: Engine) -> None:
    engine.supplier.deaf = 4
    ref, result = await place(engine, "lost")

    assert result.state is OrderState.PLACED
    assert len(engine.supplier.requests) == len(engine.supplier.journal) == 1
    assert states(engine, ref).count(OrderState.IN_DOUBT) == 5


# We fail.


async def test_a_crash_after_the_supplier_said_yes_places_no_second_order(engine: Engine) -> None:
    engine.orders.fail("record_placed", Unavailable("the database restarts"))

    ref, result = await place(engine)

    assert (result.state, result.supplier_number) == (OrderState.PLACED, "S-1")
    assert len(engine.supplier.requests) == len(engine.supplier.journal) == 1
    assert engine.orders.calls["begin_attempt"] > 2, "while the dead attempt's lease runs nobody else may act"
    assert engine.records.orders[ref.order_id].attempts == 2


async def test_an_answer_lost_after_recording_ends_as_recorded(engine: Engine) -> None:
    engine.orders.fail("record_placed", Unavailable("connection lost"), done=True)

    _, result = await place(engine)

    assert result.state is OrderState.PLACED
    assert len(engine.supplier.journal) == 1


async def test_whoever_lost_the_lease_sends_nothing(engine: Engine) -> None:
    ref = engine.order()
    row = engine.records.orders[ref.order_id]

    async def taken_over() -> None:
        row.lease = "another attempt"

    engine.orders.first("about_to_send", taken_over)
    handle = await at_cutoff(engine, ref)
    await until(lambda: engine.orders.fired == 1, "the loss of the lease")
    assert engine.supplier.requests == []

    await engine.messenger.order_settled(ref.order_id)
    assert (await engine.result(handle, skip=True)).state is OrderState.PLACED
    assert len(engine.supplier.journal) == 1


async def test_an_attempt_that_was_overtaken_while_it_sent_does_not_end_the_order(engine: Engine) -> None:
    ref = engine.order()
    row = engine.records.orders[ref.order_id]

    async def taken_over() -> None:
        row.lease = "another attempt"

    engine.orders.first("record_placed", taken_over)
    handle = await at_cutoff(engine, ref)
    await engine.messenger.order_settled(ref.order_id)

    assert (await engine.result(handle, skip=True)).state is OrderState.PLACED
    assert len(engine.supplier.requests) == len(engine.supplier.journal) == 1


async def test_a_new_worker_finishes_what_the_old_one_began(engine: Engine) -> None:
    ref = engine.order()
    engine.supplier.behaviour.append("lost")
    handle = await at_cutoff(engine, ref)
    await until(lambda: engine.records.orders[ref.order_id].state is OrderState.IN_DOUBT, "the doubt")

    await engine.replace_workers()
    await engine.messenger.order_settled(ref.order_id)

    assert (await engine.result(handle, skip=True)).state is OrderState.PLACED
    assert len(engine.supplier.journal) == 1


# People.


async def test_when_patience_ends_the_order_is_seen_and_an_operator_resumes_it(engine: Engine) -> None:
    patience = EXTERNAL_WRITE["schedule_to_close_timeout"]
    assert patience is not None
    ref = engine.order()
    engine.supplier.behaviour.extend(["down"] * 1_000)
    handle = await at_cutoff(engine, ref)
    began = await engine.env.get_current_time()
    await shows(engine, handle, NEEDS_OPERATOR, minutes=10)
    assert engine.supplier.journal == []
    row = engine.records.orders[ref.order_id]
    await until(lambda: row.awaits_operator, "the note")

    engine.supplier.behaviour.clear()
    assert await engine.messenger.try_order_again(ref.order_id)
    await engine.messenger.order_settled(ref.order_id)

    assert (await engine.result(handle)).state is OrderState.PLACED
    assert len(engine.supplier.journal) == 1
    assert await engine.env.get_current_time() - began >= patience
    assert not row.awaits_operator


async def test_an_order_that_cannot_be_found_waits_for_an_operator(engine: Engine) -> None:
    ref = engine.order()
    engine.orders.fail("prepare", NotFound("there is no order"))
    handle = await at_cutoff(engine, ref)
    await shows(engine, handle, NEEDS_OPERATOR)

    await engine.messenger.try_order_again(ref.order_id)
    await engine.messenger.order_settled(ref.order_id)

    assert (await engine.result(handle)).state is OrderState.PLACED


async def test_cancelling_before_cutoff_sends_nothing(engine: Engine) -> None:
    ref = engine.order()
    handle = await engine.purchase(ref)
    await handle.cancel()

    with pytest.raises(WorkflowFailureError) as ended:
        await engine.result(handle)

    assert isinstance(ended.value.cause, CancelledError)
    assert engine.supplier.requests == []


async def test_cancelling_does_not_abandon_an_order_that_may_have_left(engine: Engine) -> None:
    ref = engine.order()
    engine.supplier.behaviour.append("lost")
    handle = await at_cutoff(engine, ref)
    await until(lambda: engine.records.orders[ref.order_id].state is OrderState.IN_DOUBT, "the doubt")
    await handle.cancel()
    await shows(engine, handle, NEEDS_OPERATOR)

    await engine.messenger.try_order_again(ref.order_id)
    await engine.messenger.order_settled(ref.order_id)

    assert (await engine.result(handle)).state is OrderState.PLACED
    assert len(engine.supplier.journal) == 1


# Twice.


async def test_starting_an_order_twice_is_starting_it_once(engine: Engine) -> None:
    ref = engine.order()
    handles = await asyncio.gather(*(at_cutoff(engine, ref) for _ in range(3)))
    await engine.messenger.order_settled(ref.order_id)
    first = await engine.result(handles[0])

    await engine.purchase(ref)

    assert await engine.result(handles[0]) == first
    assert len(engine.supplier.requests) == 1


async def test_a_second_workflow_for_a_placed_order_sends_nothing(engine: Engine) -> None:
    """As after an operator's reset: the run is new, the order is not."""
    ref, _ = await place(engine)
    again = await engine.client.start_workflow(
        PurchasingWorkflow.run, ref, id="started/by-hand", task_queue=naming.ENGINE_QUEUE
    )
    await again.signal(PurchasingWorkflow.tick, ref.cutoff_at)
    await again.signal(PurchasingWorkflow.settled)

    assert (await engine.result(again)).state is OrderState.PLACED
    assert len(engine.supplier.requests) == 1


async def test_two_workflows_for_one_order_at_once_send_once(engine: Engine) -> None:
    ref = engine.order()
    engine.supplier.behaviour.append("lost")
    handle = await at_cutoff(engine, ref)
    again = await engine.client.start_workflow(
        PurchasingWorkflow.run, ref, id="started/by-hand", task_queue=naming.ENGINE_QUEUE
    )
    await again.signal(PurchasingWorkflow.tick, ref.cutoff_at)
    for one in (handle, again):
        await shows(engine, one, "placed", minutes=1)

    assert len(engine.supplier.journal) == 1


def test_a_lease_outlives_an_attempt() -> None:
    attempt = EXTERNAL_WRITE["start_to_close_timeout"]
    assert attempt is not None
    assert attempt.total_seconds() < SUPPLIER_LEASE_SECONDS
