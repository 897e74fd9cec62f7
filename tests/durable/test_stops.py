"""A stop switch holds orders back: nothing leaves, nothing is lost, and everything goes on when it is lifted."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from tests.fakes.engine import Engine, until
from workflows import naming
from workflows.domain.errors import Unavailable
from workflows.domain.orders import OrderRef, OrderState

SUPPLIER = "northern-foods"


def throw(engine: Engine) -> None:
    engine.records.stops[SUPPLIER] = "their site floods"


def throwing(engine: Engine) -> Callable[[], Awaitable[None]]:
    async def thrown() -> None:
        throw(engine)

    return thrown


async def lift(engine: Engine, ref: OrderRef) -> None:
    """As the switch and then the relay do."""
    engine.records.stops.clear()
    await engine.messenger.try_order_again(ref.order_id)


async def at_cutoff(engine: Engine, ref: OrderRef) -> WorkflowHandle[Any, Any]:
    handle = await engine.purchase(ref)
    await engine.messenger.tick("order", ref.order_id, ref.cutoff_at)
    return handle


async def shows(engine: Engine, handle: WorkflowHandle[Any, Any], state: str, *, minutes: int = 0) -> None:
    """Wait for what the workflow shows, so many minutes of the server's clock between looks."""

    async def it_does() -> bool:
        if minutes:
            await engine.env.sleep(timedelta(minutes=minutes))
        found = (await handle.describe()).typed_search_attributes.get(naming.DECISION_STATE)
        return found == state

    await until(it_does, f"{state} on show")


async def received(engine: Engine, handle: WorkflowHandle[Any, Any], ref: OrderRef) -> Any:
    await shows(engine, handle, "placed")
    engine.records.orders[ref.order_id].become(OrderState.RECEIVED)
    await engine.messenger.order_settled(ref.order_id)
    return await engine.result(handle)


async def test_a_held_order_sends_nothing_and_goes_on_when_the_switch_is_lifted(engine: Engine) -> None:
    ref = engine.order()
    throw(engine)
    handle = await at_cutoff(engine, ref)
    await shows(engine, handle, "held")
    await engine.env.sleep(timedelta(days=3))
    assert engine.supplier.requests == []
    assert engine.records.orders[ref.order_id].state is OrderState.COLLECTING

    await lift(engine, ref)

    assert (await received(engine, handle, ref)).state is OrderState.RECEIVED
    assert len(engine.supplier.requests) == len(engine.supplier.journal) == 1


async def test_a_stop_between_preparing_and_sending_takes_effect(engine: Engine) -> None:
    ref = engine.order()
    engine.orders.first("about_to_send", throwing(engine))
    handle = await at_cutoff(engine, ref)
    await shows(engine, handle, "held")
    assert engine.supplier.requests == []

    await lift(engine, ref)

    await received(engine, handle, ref)
    assert len(engine.supplier.journal) == 1


async def test_a_crash_after_being_held_is_held_again(engine: Engine) -> None:
    """The answer of `about_to_send` is lost: the next attempt asks the switch anew."""
    ref = engine.order()
    engine.orders.first("about_to_send", throwing(engine))
    engine.orders.fail("held", Unavailable("the worker dies here"))
    handle = await at_cutoff(engine, ref)
    await shows(engine, handle, "held")
    assert engine.supplier.requests == []

    await lift(engine, ref)

    await received(engine, handle, ref)
    assert len(engine.supplier.journal) == 1


async def test_a_stop_while_a_request_is_under_way_still_records_its_answer(engine: Engine) -> None:
    ref = engine.order()
    engine.orders.first("record_placed", throwing(engine))
    handle = await at_cutoff(engine, ref)

    assert (await received(engine, handle, ref)).supplier_number == "S-1"


async def test_an_order_in_doubt_is_looked_for_while_stopped_and_found(engine: Engine) -> None:
    ref = engine.order()
    engine.supplier.behaviour.append("lost")
    engine.orders.first("record_in_doubt", throwing(engine))
    handle = await at_cutoff(engine, ref)

    assert (await received(engine, handle, ref)).state is OrderState.RECEIVED
    assert len(engine.supplier.requests) == 1


async def test_an_order_in_doubt_that_never_arrived_is_not_sent_again_while_stopped(engine: Engine) -> None:
    ref = engine.order()
    engine.supplier.behaviour.append("vanish")
    engine.orders.first("record_in_doubt", throwing(engine))
    handle = await at_cutoff(engine, ref)
    await shows(engine, handle, "held", minutes=1)
    assert len(engine.supplier.requests) == 1

    await lift(engine, ref)

    await received(engine, handle, ref)
    assert (len(engine.supplier.requests), len(engine.supplier.journal)) == (2, 1)


async def test_a_lifting_that_comes_before_the_order_waits_is_not_missed(engine: Engine) -> None:
    ref = engine.order()
    throw(engine)

    async def lifted() -> None:
        await lift(engine, ref)

    engine.orders.first("state", lifted)
    handle = await at_cutoff(engine, ref)

    await received(engine, handle, ref)
    assert len(engine.supplier.journal) == 1


async def test_telling_twice_is_telling_once(engine: Engine) -> None:
    ref = engine.order()
    throw(engine)
    handle = await at_cutoff(engine, ref)
    await shows(engine, handle, "held")
    engine.records.stops.clear()

    for _ in range(3):
        await engine.messenger.try_order_again(ref.order_id)

    await received(engine, handle, ref)
    assert len(engine.supplier.requests) == len(engine.supplier.journal) == 1


async def test_the_end_of_patience_is_noted_where_people_look(engine: Engine) -> None:
    ref = engine.order()
    engine.supplier.behaviour.extend(["down"] * 1_000)
    handle = await at_cutoff(engine, ref)
    row = engine.records.orders[ref.order_id]
    await shows(engine, handle, "needs_operator", minutes=10)
    await until(lambda: row.awaits_operator, "the note")

    engine.supplier.behaviour.clear()
    await engine.messenger.try_order_again(ref.order_id)

    await received(engine, handle, ref)
    assert not row.awaits_operator
