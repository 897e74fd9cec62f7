"""A replay of many decisions goes on after its worker died, is joined and not doubled, tells how far it is, can be
cancelled, and is noted once."""

import asyncio

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from tests.fakes.engine import Engine, until
from workflows import naming
from workflows.domain.errors import Unavailable
from workflows.domain.replaying import ReplayProgress, ReplayRequest
from workflows.replaying import ReplayingWorkflow, ReplayRun

ID = naming.replaying_id("f" * 16)


async def started(engine: Engine, progress: ReplayProgress | None = None):  # type: ignore[no-untyped-def]
    run = ReplayRun(request=ReplayRequest(), progress=progress or ReplayProgress())
    return await engine.client.start_workflow(ReplayingWorkflow.run, run, id=ID, task_queue=naming.ENGINE_QUEUE)


async def test_stretch_by_stretch_to_the_end_and_into_the_ledger_once(engine: Engine) -> None:
    handle = await started(engine)

    found = await handle.result()

    assert engine.replays.asked == [1, 2, 3]
    assert (found.counts.decisions, found.counts.equal, found.counts.different) == (30, 29, 1)
    assert [one.decision_id for one in found.told] == ["L1:X:2"]
    assert found.not_recorded == {"features": 3}
    assert not found.faultless
    assert list(engine.replays.noted.values()) == [found]
    assert list(engine.replays.noted) == [handle.first_execution_run_id]


async def test_it_tells_how_far_it_is(engine: Engine) -> None:
    engine.replays.holds_up.clear()
    handle = await started(engine)
    await until(lambda: engine.replays.asked == [1], "the first stretch")

    far = await handle.query(ReplayingWorkflow.progress)
    engine.replays.holds_up.set()

    assert (far.plan.decisions, far.counts.decisions, far.done) == (30, 0, False)
    assert (await handle.result()).done


async def test_a_stretch_that_failed_is_done_again(engine: Engine) -> None:
    engine.replays.failures = [Unavailable("the database is away")]
    handle = await started(engine)

    assert (await engine.result(handle)).counts.decisions == 30
    assert engine.replays.asked == [1, 1, 2, 3]


async def test_other_workers_go_on_where_the_last_ones_stopped(engine: Engine) -> None:
    engine.replays.holds_up.clear()
    handle = await started(engine)
    await until(lambda: engine.replays.asked == [1], "the first stretch")
    engine.replays.holds_up.set()
    await engine.replace_workers()

    assert (await engine.result(handle)).counts.decisions == 30
    assert sorted(set(engine.replays.asked)) == [1, 2, 3]
    assert len(engine.replays.noted) == 1


async def test_a_long_one_continues_as_new_and_counts_on(engine: Engine) -> None:
    engine.replays.stretches = 120
    handle = await started(engine)

    async with asyncio.timeout(60):
        found = await handle.result()

    assert found.counts.decisions == 1_200
    assert engine.replays.asked == list(range(1, 121))
    assert list(engine.replays.noted) == [handle.first_execution_run_id], "noted under the first run, whoever ended it"
    description = await handle.describe()
    assert description.run_id != handle.first_execution_run_id


async def test_cancelled_it_stops_and_notes_nothing(engine: Engine) -> None:
    engine.replays.holds_up.clear()
    handle = await started(engine)
    await until(lambda: engine.replays.asked == [1], "the first stretch")
    await handle.cancel()
    engine.replays.holds_up.set()

    with pytest.raises(WorkflowFailureError) as ended:
        await engine.result(handle)
    assert isinstance(ended.value.cause, CancelledError)
    assert engine.replays.noted == {}
