"""Scheduled: closes the decisions whose horizon has passed on their location's business clock."""

from temporalio import workflow

from workflows.options import MEASURING

with workflow.unsafe.imports_passed_through():
    from activities.outcomes import OutcomeActivities


@workflow.defn(name="outcomes")
class OutcomesWorkflow:
    """One round of closing."""

    @workflow.run
    async def run(self) -> int:
        """How many decisions were closed."""
        return await workflow.execute_activity_method(OutcomeActivities.close_due, **MEASURING)
