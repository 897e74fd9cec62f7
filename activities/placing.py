"""Places an order within its workflow's own step, while few are at it: the first attempt costs no transition more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from temporalio import activity

from workflows.domain.orders import OrderRef, PlacementResult

AT_ONCE: Final = 8
"""Orders that one worker places within their workflows' steps at the same time. A supplier who is slow holds so many
steps and no more; whatever comes beyond waits in the suppliers' own queue, as every further attempt does."""


class PlacingAtOnce:
    """`place` is the activity that places; `at_most` of them run at the same time."""

    def __init__(self, place: Callable[[OrderRef], Awaitable[PlacementResult]], at_most: int = AT_ONCE) -> None:
        self._place = place
        self._free = at_most

    @activity.defn
    async def place_at_once(self, ref: OrderRef) -> PlacementResult | None:
        """What the attempt came to; None: there are too many, and it goes to the suppliers' queue.

        A cancelled caller does not abandon a request that may have left: the attempt goes on and notes its answer.

        Raises:
            OutcomeUnknown, Unavailable: as the activity does.
        """
        if self._free <= 0:
            return None
        self._free -= 1
        attempt = asyncio.ensure_future(self._place(ref))
        attempt.add_done_callback(self._ended)
        return await asyncio.shield(attempt)

    def _ended(self, attempt: "asyncio.Future[PlacementResult]") -> None:
        self._free += 1
        if not attempt.cancelled():
            attempt.exception()  # looked at: whoever waited has it, and for whoever left it is noted in Postgres
