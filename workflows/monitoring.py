"""Scheduled: watches for drift, and starts one retraining for an alarm that asks for one."""

from contextlib import suppress

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows import naming
from workflows.domain.models import TrainingRequest
from workflows.domain.monitoring import DriftAlarm, MonitoringClosed
from workflows.options import DATABASE, SCORING

with workflow.unsafe.imports_passed_through():
    from activities.monitoring import MonitoringActivities


@workflow.defn(name="monitoring")
class MonitoringWorkflow:
    """One round."""

    @workflow.run
    async def run(self) -> MonitoringClosed:
        """Watch; retrain for the alarm that is owed it."""
        closed = await workflow.execute_activity_method(MonitoringActivities.watch, **SCORING)
        if closed.retrain is not None:
            await self._retrain(closed.retrain)
        return closed

    async def _retrain(self, alarm: DriftAlarm) -> None:
        """Start it and go: training takes hours, and the next day is watched meanwhile. Its id is the alarm's, and is
        never used twice."""
        identity = naming.alarm_retraining_id(alarm.alarm_id)
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                naming.RETRAINING_WORKFLOW,
                TrainingRequest(reason=f"drift alarm {alarm.alarm_id}: {alarm.detail}"[:500]),
                id=identity,
                task_queue=naming.ENGINE_QUEUE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        await workflow.execute_activity_method(
            MonitoringActivities.retraining_started, args=[alarm.alarm_id, identity], **DATABASE
        )
