"""Does the daily look at what became of things: drift by segment, and shelves that sell nothing of what they hold."""

import asyncio

from temporalio import activity

from activities.heartbeats import heartbeats
from workflows.domain.monitoring import Monitoring, MonitoringClosed, Watching
from workflows.domain.shelves import ShelfWatch


class MonitoringActivities:
    """Watches what became of the forecasts, and of the shelves."""

    def __init__(self, monitoring: Monitoring, watching: Watching, shelves: ShelfWatch) -> None:
        self._monitoring = monitoring
        self._watching = watching
        self._shelves = shelves

    @activity.defn
    async def watch(self) -> MonitoringClosed:
        """Read the newest closed business day, unless it was read; look at the shelves of each location's closed days;
        and say which alarm a retraining is owed for.

        What is owed is asked of storage each time: an attempt that is repeated after its work was stored still says it.
        """
        async with heartbeats():
            closed = await self._drift()
            settled, suspected = await self._look_at_shelves()
            return closed.model_copy(
                update={
                    "shelves_settled": settled,
                    "shelves_suspected": suspected,
                    "retrain": await self._monitoring.retraining_owed(),
                }
            )

    @activity.defn
    async def retraining_started(self, alarm_id: str, retraining_id: str) -> None:
        """Note which retraining an alarm has started."""
        await self._monitoring.retraining_started(alarm_id, retraining_id)

    async def _drift(self) -> MonitoringClosed:
        found = await self._monitoring.due()
        if found is None:
            return MonitoringClosed()
        day, model_digest = found
        outcomes = await self._monitoring.outcomes(day)
        readings = await asyncio.to_thread(self._watching.read, outcomes, day, model_digest)
        recorded = await self._monitoring.record(day, model_digest, readings)
        return MonitoringClosed(day=day, readings=len(readings), raised=recorded.raised, ended=recorded.ended)

    async def _look_at_shelves(self) -> tuple[int, int]:
        """Each day is a transaction that notes itself: a repeated attempt goes on with the next one."""
        settled = suspected = 0
        for location, day in await self._shelves.due():
            over, new = await self._shelves.watch(location, day)
            settled, suspected = settled + over, suspected + new
        return settled, suspected
