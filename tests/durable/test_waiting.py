"""Deadlines are instants of the business clock: durable timers when live, ticks when replayed, and never both."""

from datetime import datetime, timedelta

from temporalio.client import WorkflowHandle

from tests.fakes.engine import Engine, until
from workers.temporal import Starter
from workflows.domain.approvals import Meaning, TaskState
from workflows.domain.needs import ClockMode
from workflows.domain.orders import OrderState
from workflows.domain.ports import ReplenishmentRef
from workflows.naming import replenishment_id
from workflows.replenishment import ReplenishmentClosed, ReplenishmentWorkflow

Handle = WorkflowHandle[ReplenishmentWorkflow, ReplenishmentClosed]


async def live_task(engine: Engine, days: tuple[int, int, int] = (30, 60, 90)) -> tuple[ReplenishmentRef, Handle]:
    ref = engine.task(clock=ClockMode.LIVE, opened_at=await engine.env.get_current_time(), days=days)
    return ref, await engine.replenish(ref)


async def after_its_deadline(handle: Handle, ref: ReplenishmentRef) -> timedelta:
    """How long after the task's expiry its workflow closed, to the millisecond that timers keep."""
    described = await handle.describe()
    assert described.close_time is not None
    assert ref.expire_at is not None
    return described.close_time - ref.expire_at + timedelta(milliseconds=1)


async def timers_started(handle: Handle) -> int:
    return sum(event.HasField("timer_started_event_attributes") for event in (await handle.fetch_history()).events)


async def test_ninety_days_of_silence_remind_escalate_and_expire(engine: Engine) -> None:
    ref, handle = await live_task(engine)

    closed = await engine.result(handle, skip=True)

    assert closed.state == "expired"
    row = engine.records.proposals[ref.decision_id]
    assert (row.task, row.reminded, row.escalated) == (TaskState.EXPIRED, 1, 1)
    assert engine.orders.calls == {}, "expiry never approves"
    assert timedelta() <= await after_its_deadline(handle, ref) < timedelta(hours=1)


async def test_each_live_deadline_comes_at_its_instant_and_not_before(engine: Engine) -> None:
    ref, handle = await live_task(engine)
    row = engine.records.proposals[ref.decision_id]

    await engine.env.sleep(timedelta(days=29))
    assert row.reminded == 0
    await engine.env.sleep(timedelta(days=2))
    await until(lambda: row.reminded == 1, "the reminder")
    await engine.env.sleep(timedelta(days=30))
    await until(lambda: row.escalated == 1, "the escalation")
    assert row.task is TaskState.OPEN

    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
    assert await handle.execute_update(ReplenishmentWorkflow.submit_verdict, notice)
    assert (await engine.result(handle)).state == "released"


async def test_a_tick_cannot_hasten_a_live_clock(engine: Engine) -> None:
    ref, handle = await live_task(engine)
    assert ref.expire_at is not None
    await engine.messenger.tick("replenishment", ref.decision_id, ref.expire_at + timedelta(days=1))
    await engine.messenger.world_moved(ref.decision_id)
    engine.models.crown(engine.store, engine.learner, ref.expire_at.date())

    assert await handle.query(ReplenishmentWorkflow.current) == ref
    assert engine.records.proposals[ref.decision_id].reminded == 0


async def test_a_live_wait_survives_the_replacement_of_its_worker(engine: Engine) -> None:
    ref, handle = await live_task(engine)
    await engine.env.sleep(timedelta(days=31))
    await until(lambda: engine.records.proposals[ref.decision_id].reminded == 1, "the reminder")

    await engine.replace_workers()

    assert (await engine.result(handle, skip=True)).state == "expired"
    row = engine.records.proposals[ref.decision_id]
    assert (row.reminded, row.escalated) == (1, 1)


async def test_a_message_that_changes_nothing_does_not_start_the_wait_anew(engine: Engine) -> None:
    ref, handle = await live_task(engine, days=(1, 2, 4))
    await engine.env.sleep(timedelta(hours=20))
    stale = engine.records.answer(ref.decision_id, Meaning.APPROVE).model_copy(update={"proposal_hash": "0" * 64})
    engine.records.proposals[ref.decision_id].task = TaskState.OPEN
    await handle.signal(ReplenishmentWorkflow.verdict_recorded, stale)

    closed = await engine.result(handle, skip=True)

    assert closed.state == "expired"
    assert timedelta() <= await after_its_deadline(handle, ref) < timedelta(hours=1)


async def test_deadlines_that_passed_before_the_start_are_caught_up_with(engine: Engine) -> None:
    opened = await engine.env.get_current_time() - timedelta(days=3)
    ref = engine.task(clock=ClockMode.LIVE, opened_at=opened, days=(1, 2, 4))
    handle = await engine.replenish(ref)
    row = engine.records.proposals[ref.decision_id]

    await until(lambda: row.escalated == 1, "the escalation")

    assert row.task is TaskState.OPEN
    assert (await engine.result(handle, skip=True)).state == "expired"


async def test_a_replayed_clock_stands_still_until_it_is_told(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)

    await engine.env.sleep(timedelta(days=400))

    assert await handle.query(ReplenishmentWorkflow.current) == ref
    assert engine.records.proposals[ref.decision_id].reminded == 0
    assert await timers_started(handle) == 0


async def test_late_early_and_repeated_ticks_change_nothing(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    assert ref.remind_at is not None

    async def tick(at: datetime) -> None:
        await engine.messenger.tick("replenishment", ref.decision_id, at)

    await tick(ref.remind_at - timedelta(microseconds=1))
    assert await handle.query(ReplenishmentWorkflow.current) == ref
    assert engine.records.proposals[ref.decision_id].reminded == 0
    for at in (ref.remind_at, ref.remind_at - timedelta(hours=5), ref.remind_at):
        await tick(at)
    await until(lambda: engine.records.proposals[ref.decision_id].reminded == 1, "the reminder")

    assert await handle.query(ReplenishmentWorkflow.current) == ref
    assert engine.approvals.calls == {"remind": 1}


async def test_one_far_tick_does_all_that_is_due_in_order(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    assert ref.expire_at is not None
    await engine.messenger.tick("replenishment", ref.decision_id, ref.expire_at + timedelta(days=7))

    assert (await engine.result(handle)).state == "expired"
    assert list(engine.approvals.calls) == ["remind", "escalate", "expire"]


async def test_ticks_for_a_workflow_that_is_over_find_nobody(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    notice = engine.records.answer(ref.decision_id, Meaning.REJECT)
    await handle.execute_update(ReplenishmentWorkflow.submit_verdict, notice)
    await engine.result(handle)
    assert ref.expire_at is not None

    assert await engine.messenger.tick("replenishment", ref.decision_id, ref.expire_at) is False


async def test_a_task_without_a_deadline_waits_for_a_person(engine: Engine) -> None:
    ref = engine.task().model_copy(update={"remind_at": None, "escalate_at": None, "expire_at": None})
    handle = await engine.replenish(ref)
    assert await handle.query(ReplenishmentWorkflow.current) == ref
    assert engine.approvals.calls == {}

    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
    assert await handle.execute_update(ReplenishmentWorkflow.submit_verdict, notice)
    assert (await engine.result(handle)).state == "released"


async def test_a_live_cutoff_is_a_timer(engine: Engine) -> None:
    cutoff = await engine.env.get_current_time() + timedelta(hours=9)
    ref = engine.order(clock=ClockMode.LIVE).model_copy(update={"cutoff_at": cutoff})
    handle = await engine.purchase(ref)
    await engine.messenger.tick("order", ref.order_id, cutoff + timedelta(days=1))
    await engine.env.sleep(timedelta(hours=8))
    assert engine.orders.calls == {}

    await engine.messenger.order_settled(ref.order_id)
    result = await engine.result(handle, skip=True)

    assert result.state is OrderState.PLACED
    assert await engine.env.get_current_time() >= cutoff


async def test_a_live_deadline_waits_for_the_lateness_that_events_are_allowed(engine: Engine) -> None:
    ref = engine.task(clock=ClockMode.LIVE, opened_at=await engine.env.get_current_time(), days=(30, 60, 90))
    await Starter(engine.client, ClockMode.LIVE, timedelta(days=3)).replenishment(ref, None)
    handle: Handle = engine.client.get_workflow_handle(replenishment_id(ref.decision_id))

    await engine.result(handle, skip=True)

    behind = await after_its_deadline(handle, ref)
    assert timedelta(days=3) <= behind < timedelta(days=3, hours=1), "the business clock is that far behind"
