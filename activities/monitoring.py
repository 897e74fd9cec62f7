"""Does the daily look at drift: reads outcomes, computes statistics by segment, stores them, says what follows."""

import asyncio

from temporalio import activity

from workflows.domain.monitoring import Monitoring, MonitoringClosed, Watching


class MonitoringActivities:
    """Watches what became of the forecasts."""

    def __init__(self, monitoring: Monitoring, watching: Watching) -> None:
        self._monitoring = monitoring
        self._watching = watching

    @activity.defn
    async def watch(self) -> MonitoringClosed:
        """Read the newest closed business day, unless it was read; and the alarm that a retraining is owed for.

        What is owed is asked of storage each time: an attempt that is repeated after its work was stored still says it.
        """
        closed = MonitoringClosed()
        found = await self._monitoring.due()
        if found is not None:
            day, model_digest = found
            outcomes = await self._monitoring.outcomes(day)
            activity.heartbeat(len(outcomes))
            readings = await asyncio.to_thread(self._watching.read, outcomes, day, model_digest)
            activity.heartbeat(len(readings))
            recorded = await self._monitoring.record(day, model_digest, readings)
            closed = MonitoringClosed(day=day, readings=len(readings), raised=recorded.raised, ended=recorded.ended)
        return closed.model_copy(update={"retrain": await self._monitoring.retraining_owed()})

    @activity.defn
    async def retraining_started(self, alarm_id: str, retraining_id: str) -> None:
        """Note which retraining an alarm has started."""
        await self._monitoring.retraining_started(alarm_id, retraining_id)
