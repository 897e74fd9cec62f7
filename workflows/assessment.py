"""A batch of needs is loaded, scored and decided; holds are recorded, proposals become replenishments."""

from temporalio import workflow

from workflows.domain.needs import AssessmentSummary, NeedBatch
from workflows.options import DATABASE, SCORING

with workflow.unsafe.imports_passed_through():
    from activities.launching import Launching
    from activities.scores import AssessmentActivities


@workflow.defn(name="assessment")
class AssessmentWorkflow:
    """One batch. It sees references and counts: the table of facts stays inside the activity."""

    @workflow.run
    async def run(self, batch: NeedBatch) -> AssessmentSummary:
        """Decide every need of the batch and start what must go on."""
        if batch.brief:
            return await workflow.execute_activity_method(Launching.assess_and_launch, batch, **SCORING)
        summary = await workflow.execute_activity_method(AssessmentActivities.assess, batch, **SCORING)
        await workflow.execute_activity_method(AssessmentActivities.launch, batch, **DATABASE)
        return summary
