"""Scheduled: compares our orders with each supplier's own list, and leaves a report of what differs."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.domain.reconciling import Reconciled
from workflows.options import DATABASE, RECONCILING

with workflow.unsafe.imports_passed_through():
    from activities.reconciliation import ReconciliationActivities


@workflow.defn(name="reconciliation")
class ReconciliationWorkflow:
    """One round over all suppliers."""

    @workflow.run
    async def run(self, so_far: Reconciled = Reconciled()) -> Reconciled:  # noqa: B008 - frozen
        """What the round came to. A supplier that cannot be asked keeps no other one from being compared; its report is
        gone on with by the next round."""
        suppliers = await workflow.execute_activity_method(
            ReconciliationActivities.suppliers_after, so_far.through, **DATABASE
        )
        for supplier in suppliers:
            try:
                report = await workflow.execute_activity_method(
                    ReconciliationActivities.reconcile, supplier, **RECONCILING
                )
                so_far = so_far.with_report(report)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.warning("the orders at %s could not be compared", supplier)
                so_far = so_far.without(supplier)
        if suppliers:
            workflow.continue_as_new(so_far)
        return so_far
