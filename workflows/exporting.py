"""Scheduled: keeps the histories of closed workflows before Temporal's retention removes them."""

from temporalio import workflow

from workflows.domain.histories import Swept
from workflows.options import MEASURING

with workflow.unsafe.imports_passed_through():
    from activities.histories import HistoryActivities

ROUNDS = 20
"""In one run, so that its own history stays short."""


@workflow.defn(name="histories")
class HistoriesWorkflow:
    """Rounds until everything is kept."""

    @workflow.run
    async def run(self, so_far: Swept = Swept()) -> Swept:  # noqa: B008 - frozen
        """What was kept, lost and found overridden since this sweep began."""
        for _ in range(ROUNDS):
            swept = await workflow.execute_activity_method(HistoryActivities.sweep, **MEASURING)
            so_far = so_far.and_then(swept)
            if so_far.done:
                return so_far
        workflow.continue_as_new(so_far)
