"""Drift is looked for once a business day; an alarm on errors or intervals starts one retraining, and only one."""

from datetime import timedelta

from tests.fakes.engine import Engine, until
from tests.fakes.learning import LAST_DAY
from workflows import naming
from workflows.domain.errors import Unavailable
from workflows.domain.monitoring import MonitoringClosed, alarm_id
from workflows.monitoring import MonitoringWorkflow

ALARM = alarm_id("smooth", "cusum", LAST_DAY)


async def watched(engine: Engine, loud: dict[str, str] | None = None, *, day: int = 0) -> MonitoringClosed:
    """One round on this business day."""
    engine.monitoring.target.today = LAST_DAY + timedelta(days=day)
    engine.watching.loud = {"cusum": "smooth"} if loud is None else loud
    return await engine.client.execute_workflow(
        MonitoringWorkflow.run, id=naming.MONITORING_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )


async def trained(engine: Engine) -> int:
    """How many models there are once the retraining that runs has ended."""

    async def there() -> bool:
        return len(await engine.models.versions()) > 0

    await until(there, "a trained model")
    return len(await engine.models.versions())


async def test_a_quiet_day_is_read_once_and_starts_nothing(engine: Engine) -> None:
    assert await watched(engine, {}) == MonitoringClosed(day=LAST_DAY, readings=1)
    assert await watched(engine, {}) == MonitoringClosed()
    assert await engine.models.versions() == []


async def test_an_alarm_on_errors_retrains_with_the_alarm_as_its_reason(engine: Engine) -> None:
    closed = await watched(engine)

    assert (closed.raised, closed.retrain and closed.retrain.alarm_id) == (1, ALARM)
    assert await trained(engine) == 1
    (alarm,) = engine.monitoring.target.alarms
    assert alarm.retraining_id == naming.alarm_retraining_id(ALARM)
    history = await engine.client.get_workflow_handle(alarm.retraining_id).fetch_history()
    asked = history.events[0].workflow_execution_started_event_attributes.input.payloads[0].data.decode()
    assert f"drift alarm {ALARM}" in asked


async def test_the_same_alarm_never_retrains_twice(engine: Engine) -> None:
    await watched(engine)
    await trained(engine)
    for day in range(1, 20):
        assert (await watched(engine, day=day)).retrain is None
    assert await trained(engine) == 1


async def test_a_second_alarm_waits_for_the_rest_after_a_retraining(engine: Engine) -> None:
    await watched(engine)
    both = {"cusum": "smooth", "coverage_90": "lumpy"}
    assert (await watched(engine, both, day=3)).retrain is None
    later = (await watched(engine, both, day=8)).retrain
    assert later is not None
    assert later.alarm_id == alarm_id("lumpy", "coverage_90", LAST_DAY + timedelta(days=3))


async def test_changed_inputs_and_decisions_are_findings_and_retrain_nothing(engine: Engine) -> None:
    closed = await watched(engine, {"psi_forecast_level": "smooth", "risk_promised": "lumpy", "tracking_signal": "x"})

    assert (closed.raised, closed.retrain) == (3, None)
    assert len(engine.monitoring.target.alarms) == 3
    assert await engine.models.versions() == []


async def test_an_alarm_that_is_over_is_ended(engine: Engine) -> None:
    await watched(engine, {"psi_forecast_level": "smooth"})
    closed = await watched(engine, {}, day=1)

    assert closed.ended == 1
    assert engine.monitoring.target.alarms[0].ended_on == LAST_DAY + timedelta(days=1)


async def test_an_answer_lost_after_the_day_was_stored_still_retrains(engine: Engine) -> None:
    engine.monitoring.fail("record", Unavailable("connection lost"), done=True)

    closed = await watched(engine)

    assert closed.retrain is not None
    assert engine.monitoring.fired == 1
    assert await trained(engine) == 1


async def test_a_start_whose_note_was_lost_is_not_a_second_training(engine: Engine) -> None:
    """The note fails for good measure; when it is written at last, the workflow's own id has kept it one."""
    engine.monitoring.fail("retraining_started", Unavailable("connection lost"))

    await watched(engine)

    assert await trained(engine) == 1
    assert engine.monitoring.target.alarms[0].retraining_id == naming.alarm_retraining_id(ALARM)


async def test_a_retraining_that_ran_already_is_only_noted(engine: Engine) -> None:
    await watched(engine)
    await trained(engine)
    (alarm,) = engine.monitoring.target.alarms
    run = await engine.client.get_workflow_handle(naming.alarm_retraining_id(ALARM)).describe()
    engine.monitoring.target.alarms[0] = alarm.model_copy(update={"retraining_id": None})
    engine.monitoring.target.retrained.clear()

    closed = await watched(engine, day=1)

    assert closed.retrain is not None, "storage had forgotten"
    again = await engine.client.get_workflow_handle(naming.alarm_retraining_id(ALARM)).describe()
    assert again.run_id == run.run_id, "an alarm's workflow id is never used twice"
    assert engine.monitoring.target.alarms[0].retraining_id is not None


async def test_each_closed_day_of_a_location_is_looked_at_once_whatever_became_of_an_attempt(engine: Engine) -> None:
    days = [("LEEDS", LAST_DAY), ("YORK", LAST_DAY - timedelta(days=2))]
    engine.shelves.closed = dict(days)
    engine.shelves.breaks_at = days[1]
    assert await watched(engine, {}) == MonitoringClosed(shelves_suspected=1)
    assert await watched(engine, {}) == MonitoringClosed()
    assert engine.shelves.watched == days


async def test_without_a_model_shelves_are_looked_at_all_the_same(engine: Engine) -> None:
    engine.shelves.closed = {"LEEDS": LAST_DAY}
    closed = await engine.client.execute_workflow(
        MonitoringWorkflow.run, id=naming.MONITORING_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )
    assert (closed.day, closed.shelves_suspected) == (None, 1)
