"""Does an assessment and starts what comes of it, in one step."""

from collections.abc import Awaitable, Callable

from temporalio import activity

from activities.heartbeats import heartbeats
from workflows.domain.needs import AssessmentSummary, NeedBatch


class Launching:
    """Assesses and launches, by the two activities that do each: one step less for every batch."""

    def __init__(
        self,
        assess: Callable[[NeedBatch], Awaitable[AssessmentSummary]],
        launch: Callable[[NeedBatch], Awaitable[int]],
    ) -> None:
        self._assess = assess
        self._launch = launch

    @activity.defn
    async def assess_and_launch(self, batch: NeedBatch) -> AssessmentSummary:
        """Decide every need of the batch that is not decided yet, and start what must go on. Repeated, it decides
        nothing again and starts what is not started yet."""
        summary = await self._assess(batch)
        async with heartbeats():
            await self._launch(batch)
        return summary
