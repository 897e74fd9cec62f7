"""Few orders are placed within their workflows' steps; one too many goes to the queue, and no request is abandoned."""

import asyncio

import pytest

from activities.placing import PlacingAtOnce
from tests.unit.test_relay import ORDER
from workflows.domain.errors import OutcomeUnknown
from workflows.domain.orders import OrderRef, OrderState, PlacementResult


class Supplier:
    """Places when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.has_recorded = asyncio.Event()
        self.begun = 0
        self.fails: Exception | None = None

    async def place(self, ref: OrderRef) -> PlacementResult:
        """Begin, wait, and record."""
        self.begun += 1
        await self.let.wait()
        if self.fails is not None:
            raise self.fails
        self.has_recorded.set()
        return PlacementResult(order_id=ref.order_id, state=OrderState.PLACED)


async def test_as_many_as_may_are_placed_at_once_and_the_next_one_is_not_kept_waiting() -> None:
    supplier = Supplier()
    placing = PlacingAtOnce(supplier.place, at_most=2)
    two = [asyncio.ensure_future(placing.place_at_once(ORDER)) for _ in range(2)]
    await asyncio.sleep(0)

    assert await placing.place_at_once(ORDER) is None
    supplier.let.set()
    assert {placed.state for placed in await asyncio.gather(*two) if placed} == {OrderState.PLACED}
    assert await placing.place_at_once(ORDER) is not None, "there is room again"


async def test_a_caller_that_is_cancelled_leaves_the_attempt_to_record_its_answer() -> None:
    supplier = Supplier()
    placing = PlacingAtOnce(supplier.place, at_most=1)
    calling = asyncio.ensure_future(placing.place_at_once(ORDER))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert supplier.begun == 1
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await placing.place_at_once(ORDER) is None, "it still holds its place"

    supplier.let.set()
    await asyncio.wait_for(supplier.has_recorded.wait(), 60)


async def test_what_fails_says_so_and_leaves_room() -> None:
    supplier = Supplier()
    supplier.let.set()
    supplier.fails = OutcomeUnknown("no answer")
    placing = PlacingAtOnce(supplier.place, at_most=1)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await placing.place_at_once(ORDER)
