"""Keeps the schedules: outcomes are measured, models retrained and histories kept without anybody asking."""

from contextlib import suppress
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from workers.temporal import RPC_TIMEOUT, translated
from workflows import naming
from workflows.domain.failpoints import Effect
from workflows.domain.models import TrainingRequest
from workflows.exporting import HistoriesWorkflow
from workflows.monitoring import MonitoringWorkflow
from workflows.outcomes import OutcomesWorkflow
from workflows.reconciliation import ReconciliationWorkflow
from workflows.retraining import RetrainingWorkflow

OUTCOMES_EVERY = timedelta(hours=1)
MONITORING_EVERY = timedelta(hours=1)
"""It looks whether a business day has closed, and reads each once."""
MONITORING_PER_OUTCOMES = 6
"""Where outcomes are closed at an interval of one's own (a demo), drift is looked for every so many of them."""
RETRAINING_EVERY = timedelta(days=7)
HISTORIES_EVERY = timedelta(hours=1)
"""Often enough for the shortest retention that a shared Temporal allows, a day."""
HISTORIES_PER_OUTCOMES = 60
RECONCILIATION_EVERY = timedelta(days=1)


async def ensure_schedules(client: Client, outcome_interval: timedelta | None) -> None:
    """The schedules, made once; an existing one keeps what operators changed, except our own interval setting."""
    outcomes = ScheduleActionStartWorkflow(
        OutcomesWorkflow.run, id=naming.OUTCOMES_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )
    retraining = ScheduleActionStartWorkflow(
        RetrainingWorkflow.run, TrainingRequest(), id=naming.RETRAINING_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )
    monitoring = ScheduleActionStartWorkflow(
        MonitoringWorkflow.run, id=naming.MONITORING_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )
    histories = ScheduleActionStartWorkflow(
        HistoriesWorkflow.run, id=naming.HISTORIES_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )
    reconciliation = ScheduleActionStartWorkflow(
        ReconciliationWorkflow.run, id=naming.RECONCILIATION_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )
    await _ensure(client, naming.RECONCILIATION_SCHEDULE, reconciliation, RECONCILIATION_EVERY)
    await _ensure(client, naming.HISTORIES_SCHEDULE, histories, HISTORIES_EVERY)
    await _ensure(client, naming.OUTCOMES_SCHEDULE, outcomes, outcome_interval or OUTCOMES_EVERY)
    await _ensure(client, naming.MONITORING_SCHEDULE, monitoring, MONITORING_EVERY)
    if outcome_interval is not None:
        await _respaced(client, naming.OUTCOMES_SCHEDULE, outcome_interval)
        await _respaced(client, naming.MONITORING_SCHEDULE, MONITORING_PER_OUTCOMES * outcome_interval)
        histories_interval = min(HISTORIES_EVERY, HISTORIES_PER_OUTCOMES * outcome_interval)
        await _respaced(client, naming.HISTORIES_SCHEDULE, histories_interval)
    await _ensure(client, naming.RETRAINING_SCHEDULE, retraining, RETRAINING_EVERY)


async def _ensure(client: Client, identity: str, action: ScheduleActionStartWorkflow, every: timedelta) -> None:
    spec = _every(every)
    policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(hours=1))
    with translated(), suppress(ScheduleAlreadyRunningError):
        async with Effect("schedule.create"):
            await client.create_schedule(identity, Schedule(action=action, spec=spec, policy=policy))


async def _respaced(client: Client, identity: str, every: timedelta) -> None:
    """Give an existing schedule this interval. Anything else about it, a pause above all, stays as it is."""

    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
        schedule = found.description.schedule
        if [interval.every for interval in schedule.spec.intervals] == [every]:
            return None
        schedule.spec = _every(every)
        return ScheduleUpdate(schedule)

    with translated():
        async with Effect("schedule.respace"):
            await client.get_schedule_handle(identity).update(changed, rpc_timeout=RPC_TIMEOUT)


def _every(interval: timedelta) -> ScheduleSpec:
    jitter = min(interval / 10, timedelta(minutes=5))
    return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval)], jitter=jitter)
