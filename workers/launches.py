"""Starts what an assessment leaves: the relay finds the rest, so nothing here needs to be done twice."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from connectors.postgres.launching import Launched
from workers.temporal import Starter

STARTS = 16
"""Workflows that one launch starts at the same time."""


class TemporalLaunches:
    """The `Launches` port: an assessment starts its own proposals; the relay finds what a crash left."""

    def __init__(self, starter: Starter, launched: Launched) -> None:
        self._starter = starter
        self._launched = launched

    async def replenishments(self, batch_id: str) -> int:
        """Release what nobody is asked about; start the due orders of that and each other proposal of the batch, note
        it, then close the batch."""
        await self._launched.release(batch_id)
        orders, waiting = await self._launched.orders(batch_id), await self._launched.unstarted(batch_id)
        turns = asyncio.Semaphore(STARTS)

        async def in_turn(start: Coroutine[Any, Any, None]) -> None:
            async with turns:
                await start

        starts = [self._starter.purchasing(ref, trace) for ref, trace in orders]
        starts += [self._starter.replenishment(ref, trace) for ref, trace in waiting]
        await asyncio.gather(*map(in_turn, starts))
        await self._launched.finished(batch_id, [ref.decision_id for ref, _ in waiting])
        return len(waiting)
