"""The schedules are there once, and an interval that is set counts for one that was there before."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from workers.plugin import engine_plugin
from workers.schedules import MONITORING_EVERY, OUTCOMES_EVERY, RETRAINING_EVERY, ensure_schedules
from workers.servers.temporal import _program
from workflows import naming


async def test_a_set_interval_takes_over_and_nothing_else_does() -> None:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(_program()),
        dev_server_log_level="error",
        ui=False,
        plugins=[engine_plugin(tracing=False)],
    ) as server:
        await _intervals(server.client)


async def _intervals(client: Client) -> None:
    outcomes = client.get_schedule_handle(naming.OUTCOMES_SCHEDULE)

    async def every(identity: str) -> list[timedelta]:
        found = await client.get_schedule_handle(identity).describe()
        return [interval.every for interval in found.schedule.spec.intervals]

    await ensure_schedules(client, None)
    assert await every(naming.OUTCOMES_SCHEDULE) == [OUTCOMES_EVERY]
    assert await every(naming.MONITORING_SCHEDULE) == [MONITORING_EVERY]
    await outcomes.pause(note="an operator's")

    await ensure_schedules(client, timedelta(seconds=30))

    assert await every(naming.OUTCOMES_SCHEDULE) == [timedelta(seconds=30)]
    assert await every(naming.MONITORING_SCHEDULE) == [timedelta(minutes=3)]
    assert (await outcomes.describe()).schedule.state.paused
    assert await every(naming.RETRAINING_SCHEDULE) == [RETRAINING_EVERY]
    await ensure_schedules(client, None)
    assert await every(naming.OUTCOMES_SCHEDULE) == [timedelta(seconds=30)], "unset: it is the operators'"
