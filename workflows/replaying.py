"""Recorded decisions are made again, stretch by stretch; a worker that dies loses one stretch, which is done again."""

from temporalio import workflow

from workflows.domain.identity import Payload
from workflows.domain.replaying import ReplayProgress, ReplayRequest
from workflows.options import REPLAYING

with workflow.unsafe.imports_passed_through():
    from activities.replaying import ReplayActivities

STRETCHES = 100
"""In one run; then it continues as new, so that no history grows with the ledger."""


class ReplayRun(Payload):
    """What a run begins with."""

    request: ReplayRequest
    progress: ReplayProgress = ReplayProgress()
    """Where the run before it stopped."""


@workflow.defn(name="replaying")
class ReplayingWorkflow:
    """One replay, from its plan to its entry in the ledger. Cancelled, it stops after a stretch and records nothing."""

    @workflow.init
    def __init__(self, run: ReplayRun) -> None:
        self._progress = run.progress

    @workflow.query
    def progress(self) -> ReplayProgress:
        """How far it is."""
        return self._progress

    @workflow.run
    async def run(self, run: ReplayRun) -> ReplayProgress:
        """Replay everything that the plan names."""
        request = run.request
        plan = self._progress.plan
        if plan is None:
            plan = await workflow.execute_activity_method(ReplayActivities.plan_replay, request, **REPLAYING)
            self._progress = self._progress.model_copy(update={"plan": plan})
        stretches = 0
        while not self._progress.done:
            if stretches == STRETCHES or workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(ReplayRun(request=request, progress=self._progress))
            batch = await workflow.execute_activity_method(
                ReplayActivities.replay_some, args=[request, plan, self._progress.point], **REPLAYING
            )
            self._progress = self._progress.and_then(batch)
            stretches += 1
        first = workflow.info().first_execution_run_id
        await workflow.execute_activity_method(
            ReplayActivities.note_replay, args=[request, self._progress, first], **REPLAYING
        )
        return self._progress
