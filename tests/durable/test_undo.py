"""An answer may be taken back until something comes of it: Postgres decides, and the workflow goes on waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.durable.test_replenishment import accepted_updates, forged, move_world, tell, tick
from tests.fakes.engine import Engine, until
from tests.fakes.shop import decided
from workflows.domain.approvals import Meaning, TaskState
from workflows.domain.errors import Unavailable
from workflows.domain.ports import ReplenishmentRef
from workflows.replenishment import ReplenishmentWorkflow

UNDO_SECONDS = 10
Handle = WorkflowHandle[Any, Any]


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """The engine, with time to take answers back."""
    engine.undo_seconds = UNDO_SECONDS
    return engine


async def answered(engine: Engine, meaning: Meaning = Meaning.APPROVE) -> tuple[ReplenishmentRef, Handle, str]:
    """A task that was answered, of which the workflow has heard; the approval's id."""
    ref = engine.task()
    handle = await engine.replenish(ref)
    notice = engine.records.answer(ref.decision_id, meaning)
    assert await tell(handle, notice), "its sender need not wait for the time to pass"
    return ref, handle, notice.approval_id


async def take_back(engine: Engine, ref: ReplenishmentRef, *, told: bool = True) -> None:
    """As the desk does: Postgres first, then the workflow."""
    approval = engine.records.take_back(ref.decision_id)
    if told:
        assert await engine.verdicts.taken_back(ref.decision_id, approval.approval_id)


async def undo_time_passes(engine: Engine) -> None:
    """And no more: where time runs free, a task that goes on waiting is timed out by the server, ten years ahead."""
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS + 1))


async def waits_again(engine: Engine, handle: Handle, ref: ReplenishmentRef) -> None:
    """Nothing came of the answer: another one closes the task."""
    assert (engine.orders.calls["release"], engine.orders.calls["close_rejected"]) == (0, 0)
    assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE_EDITED, units=36))
    closed = await engine.result(handle, skip=True)
    assert closed.state == "released"
    assert engine.records.orders[closed.order_id].lines == {ref.decision_id: 36}


@pytest.mark.parametrize(("meaning", "state"), [(Meaning.APPROVE, "released"), (Meaning.REJECT, "rejected")])
async def test_nothing_comes_of_an_answer_before_its_time_to_be_taken_back_is_over(
    engine: Engine, meaning: Meaning, state: str
) -> None:
    _, handle, _ = await answered(engine, meaning)
    before = await engine.env.get_current_time()
    assert (engine.orders.calls["release"], engine.orders.calls["close_rejected"]) == (0, 0)

    assert (await engine.result(handle, skip=True)).state == state

    assert await engine.env.get_current_time() - before >= timedelta(seconds=UNDO_SECONDS - 1)


@pytest.mark.parametrize("meaning", [Meaning.APPROVE, Meaning.REJECT])
async def test_an_answer_that_is_taken_back_leaves_the_task_waiting(engine: Engine, meaning: Meaning) -> None:
    ref, handle, _ = await answered(engine, meaning)

    await take_back(engine, ref)

    await until(lambda: engine.approvals.calls["find"] == 2, "the look at what stands")
    await waits_again(engine, handle, ref)


async def test_after_an_undo_the_task_still_expires(engine: Engine) -> None:
    ref, handle, _ = await answered(engine)
    await take_back(engine, ref)
    await tick(engine, ref, 4)

    assert (await engine.result(handle, skip=True)).state == "expired"


async def test_an_undo_after_the_deadline_expires_the_task_at_once(engine: Engine) -> None:
    ref, handle, _ = await answered(engine)
    await tick(engine, ref, 4)
    assert engine.approvals.calls["expire"] == 0, "it was answered in time"
    await take_back(engine, ref)

    assert (await engine.result(handle)).state == "expired"
    assert engine.records.proposals[ref.decision_id].task is TaskState.EXPIRED


@pytest.mark.parametrize("meaning", [Meaning.APPROVE, Meaning.REJECT])
async def test_an_undo_that_nobody_could_tell_is_found_out_before_anything_happens(
    engine: Engine, meaning: Meaning
) -> None:
    ref, handle, _ = await answered(engine, meaning)
    await take_back(engine, ref, told=False)
    await undo_time_passes(engine)
    call = "release" if meaning is Meaning.APPROVE else "close_rejected"
    await until(lambda: engine.orders.calls[call] == 1, "the attempt to carry it out")
    assert engine.records.proposals[ref.decision_id].state == "proposed"

    assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    assert (await engine.result(handle, skip=True)).state == "released"


async def test_another_answer_after_an_undo_that_nobody_could_tell_has_its_own_time(engine: Engine) -> None:
    ref, handle, _ = await answered(engine)
    await take_back(engine, ref, told=False)
    second = engine.records.answer(ref.decision_id, Meaning.REJECT)

    assert await tell(handle, second)
    assert engine.orders.calls == {}

    assert (await engine.result(handle, skip=True)).state == "rejected"
    assert engine.orders.calls == {"close_rejected": 1}


async def test_an_undo_that_nobody_stored_changes_nothing(engine: Engine) -> None:
    ref, handle, approval_id = await answered(engine)

    for forged_id in (approval_id, "somebody-elses"):
        assert await engine.verdicts.taken_back(ref.decision_id, forged_id)
    assert await tell(handle, forged(ref)) is False

    assert (await engine.result(handle, skip=True)).state == "released"


async def test_an_answer_told_twice_does_not_wait_twice(engine: Engine) -> None:
    ref, handle, approval_id = await answered(engine)
    notice = engine.records.approvals[approval_id]
    await handle.signal(ReplenishmentWorkflow.verdict_recorded, forged(ref).model_validate(notice.model_dump()))
    await handle.signal(ReplenishmentWorkflow.verdict_recorded, forged(ref).model_validate(notice.model_dump()))

    assert (await engine.result(handle, skip=True)).state == "released"
    assert engine.orders.calls == {"release": 1}


async def test_once_ordering_began_an_undo_is_refused(engine: Engine) -> None:
    """It loses the race: what asked Postgres in vain is told no here too, and leaves no trace."""
    ref, handle, approval_id = await answered(engine)
    refused: list[BaseException] = []

    async def too_late() -> None:
        with pytest.raises(WorkflowUpdateFailedError) as told:
            await handle.execute_update(ReplenishmentWorkflow.undo_verdict, approval_id)
        refused.append(told.value)

    engine.orders.first("release", too_late)

    assert (await engine.result(handle, skip=True)).state == "released"
    (error,) = refused
    assert isinstance(error.__cause__, ApplicationError)
    assert error.__cause__.type == "Conflict"
    assert accepted_updates(await handle.fetch_history()) == 1
    assert await engine.verdicts.taken_back(ref.decision_id, approval_id) is False


@pytest.mark.parametrize(("meaning", "call"), [(Meaning.APPROVE, "release"), (Meaning.REJECT, "close_rejected")])
async def test_an_undo_that_wins_the_race_at_the_last_moment_leaves_the_task_waiting(
    engine: Engine, meaning: Meaning, call: str
) -> None:
    ref, handle, approval_id = await answered(engine, meaning)

    async def just_before() -> None:
        engine.records.take_back(ref.decision_id)
        assert await engine.verdicts.taken_back(ref.decision_id, approval_id) is False, "it orders already"

    engine.orders.first(call, just_before)
    await undo_time_passes(engine)
    await until(lambda: engine.orders.fired == 1, "the attempt to carry it out")

    # The other answer may come before or after the attempt looks at what stands.
    other = Meaning.REJECT if meaning is Meaning.APPROVE else Meaning.APPROVE
    assert await tell(handle, engine.records.answer(ref.decision_id, other))
    state = "rejected" if other is Meaning.REJECT else "released"
    assert (await engine.result(handle, skip=True)).state == state


@pytest.mark.parametrize("undone", [False, True])
async def test_a_worker_that_dies_in_the_meantime_changes_nothing(engine: Engine, undone: bool) -> None:
    ref, handle, _ = await answered(engine)
    await engine.stop_workers()
    if undone:
        engine.records.take_back(ref.decision_id)
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS * 3))
    assert engine.orders.calls == {}

    await engine.start_workers()

    if undone:
        await until(lambda: engine.orders.calls["release"] == 1, "the attempt to order")
        assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.REJECT))
        assert (await engine.result(handle, skip=True)).state == "rejected"
    else:
        assert (await engine.result(handle)).state == "released"


@pytest.mark.parametrize(("meaning", "state"), [(Meaning.APPROVE, "released"), (Meaning.REJECT, "rejected")])
@pytest.mark.parametrize("told", [False, True])
async def test_an_answer_in_the_moment_of_expiry_counts_and_may_be_taken_back(
    engine: Engine, meaning: Meaning, state: str, told: bool
) -> None:
    ref, handle = await at_expiry(engine, lambda: stored(engine, meaning))
    if told:
        approval = engine.records.standing(ref.decision_id)
        assert approval is not None
        assert await tell(handle, forged(ref).model_validate(approval.model_dump()))

    assert (await engine.result(handle, skip=True)).state == state


async def test_an_answer_in_the_moment_of_expiry_that_is_taken_back_expires(engine: Engine) -> None:
    ref, handle = await at_expiry(engine, lambda: stored(engine, Meaning.APPROVE))
    engine.records.take_back(ref.decision_id)

    assert (await engine.result(handle, skip=True)).state == "expired"
    assert engine.orders.calls == {}


async def stored(engine: Engine, meaning: Meaning) -> None:
    """A person answers; the workflow is not told yet."""
    engine.records.answer(next(iter(engine.records.proposals)), meaning)


async def at_expiry(engine: Engine, happens: Callable[[], Awaitable[None]]) -> tuple[ReplenishmentRef, Handle]:
    """A task whose deadline comes in the moment in which something else happens."""
    ref = engine.task()
    engine.approvals.first("expire", happens)
    handle = await engine.replenish(ref)
    await tick(engine, ref, 4)
    await until(lambda: engine.approvals.fired == 1, "the deadline")
    return ref, handle


async def test_a_world_that_moves_after_an_undo_is_scored_again(engine: Engine) -> None:
    """While an answer stands nothing is scored; afterwards what moved in the meantime is not forgotten."""
    larger = decided(revision=2, daily=24)
    ref, handle, _ = await answered(engine)
    move_world(engine, larger)
    await engine.messenger.world_moved(ref.decision_id)
    await asyncio.sleep(0)
    assert engine.assessments.calls["load_waiting"] == 0
    await take_back(engine, ref)

    await until(lambda: engine.records.proposals[ref.decision_id].ref.revision == 2, "the next revision")
    assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    assert (await engine.result(handle, skip=True)).state == "released"
    current = await handle.query(ReplenishmentWorkflow.current)
    assert (current.revision, current.undo_seconds) == (2, UNDO_SECONDS)


async def test_an_answer_that_meets_a_rescore_may_still_be_taken_back(engine: Engine) -> None:
    ref = engine.task()
    move_world(engine, decided(revision=2, on_hand=500, risk="0.001"))
    engine.assessments.first("load_waiting", lambda: stored(engine, Meaning.APPROVE))
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)
    await until(lambda: engine.assessments.calls["load_waiting"] == 1, "the look at what waits")

    engine.records.take_back(ref.decision_id)
    assert engine.approvals.calls["expire"] == 0, "it is not the deadline"
    await tick(engine, ref, 4)
    assert (await engine.result(handle, skip=True)).state == "expired"


async def test_an_outage_at_the_end_of_the_time_is_waited_out(engine: Engine) -> None:
    engine.orders.fail("release", Unavailable("the database restarts"), times=2)
    _, handle, _ = await answered(engine)

    assert (await engine.result(handle, skip=True)).state == "released"
