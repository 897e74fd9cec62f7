"""Does the keeping of closed workflows' histories, in bounded rounds that a repeated attempt goes on with."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from temporalio import activity

from activities.heartbeats import heartbeats
from workflows.domain.histories import (
    OVERLAP,
    SLICE,
    ClosedRun,
    ClosedRuns,
    Fetched,
    Histories,
    Override,
    Swept,
    first_instant,
    overrides_of,
)

BATCH = 50
"""Histories in one transaction and one entry of the ledger."""
ROUND = 500
"""Histories in one attempt, about."""
AT_ONCE = 4
"""Histories read side by side."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class HistoryActivities:
    """Sweeps up what is closed."""

    def __init__(self, runs: ClosedRuns, kept: Histories, now: Callable[[], datetime] = _wall_clock) -> None:
        self._runs = runs
        self._kept = kept
        self._now = now

    @activity.defn
    async def sweep(self) -> Swept:
        """One round, oldest first: list what is closed, keep what is not kept yet, note how far everything is.

        How far it is moves only over what was listed to its end, so nothing is passed over by an attempt that died.
        """
        async with heartbeats():
            now, retention = self._now(), await self._runs.retention()
            point = first_instant(await self._kept.point(), now, retention)
            began, total = point.passed_through, Swept()
            while total.exported + total.lost < ROUND:
                through = min(now, point.passed_through + SLICE)
                total = total.and_then(await self._slice(point.passed_through - OVERLAP, through, total))
                if not total.done:
                    return total
                point = point.past(through)
                await self._kept.move(point)
                if through == now:
                    return total.and_then(await self._kept.keep((), await self._resets(began)))
            return total.model_copy(update={"done": False})

    async def _resets(self, since: datetime) -> Sequence[Override]:
        return await self._runs.started_again(since - OVERLAP, self._kept)

    async def _slice(self, after: datetime, through: datetime, so_far: Swept) -> Swept:
        """One span of closing times. Not done when the round's measure is full before its end."""
        found = Swept()
        missing: list[ClosedRun] = []
        page = ""
        while True:
            runs, page = await self._runs.closed(after, through, page)
            missing += await self._kept.unknown(runs)
            if not page:
                break
        # Oldest first over all pages: what retention takes first.
        missing.sort(key=lambda run: (run.closed_at, run.workflow_id, run.run_id))
        for start in range(0, len(missing), BATCH):
            if so_far.exported + so_far.lost + found.exported + found.lost >= ROUND:
                return found.model_copy(update={"done": False})
            batch = await self._fetched(missing[start : start + BATCH])
            overrides = [one for fetched in batch for one in overrides_of(fetched)]
            found = found.and_then(await self._kept.keep(batch, overrides))
        return found

    async def _fetched(self, runs: Sequence[ClosedRun]) -> list[Fetched]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(run: ClosedRun) -> Fetched:
            async with gate:
                return Fetched(run=run, body=await self._runs.history(run))

        return list(await asyncio.gather(*(one(run) for run in runs)))
