"""One proposal comes to exactly one end, whatever is repeated, forged, late or lost meanwhile."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.fakes.engine import Engine, until
from tests.fakes.records import ref_of
from tests.fakes.shop import decided
from workflows import naming
from workflows.domain.approvals import Meaning, TaskState, VerdictNotice
from workflows.domain.decisions import Decided
from workflows.domain.errors import ModelUnusable, Unavailable
from workflows.domain.needs import ClockMode
from workflows.domain.policies import RiskTier
from workflows.domain.ports import ReplenishmentRef
from workflows.replenishment import ReplenishmentState, ReplenishmentWorkflow

FORGED = "nobody-stored-this"
LARGER = decided(revision=2, daily=24)
GONE = decided(revision=2, on_hand=500, risk="0.001")
"""Stock came in meanwhile: nothing needs to be ordered."""


async def tell(handle: WorkflowHandle[Any, Any], notice: VerdictNotice, *, id: str | None = None) -> bool:
    return await handle.execute_update(ReplenishmentWorkflow.submit_verdict, notice, id=id)


async def tick(engine: Engine, ref: ReplenishmentRef, days: float) -> None:
    """The relay says that the business clock is so many days past the opening of the task."""
    assert ref.remind_at is not None
    watermark = ref.remind_at + timedelta(days=days - 1)
    await engine.messenger.tick("replenishment", ref.decision_id, watermark)


def forged(ref: ReplenishmentRef) -> VerdictNotice:
    return VerdictNotice(approval_id=FORGED, proposal_hash=ref.proposal_hash, meaning=Meaning.APPROVE)


def move_world(engine: Engine, becomes: Decided) -> None:
    """Let the waiting proposal be scored again to this one."""
    engine.models.crown(engine.store, engine.learner, becomes.decision.decided_at.date())
    engine.scoring.scores[becomes.inputs.item.item] = becomes.inputs.scores
    engine.records.rescored = becomes


# One test for each way to end.


async def test_low_risk_is_released_at_once_and_asks_nobody(engine: Engine) -> None:
    ref = ref_of(decided(), tier=RiskTier.AUTO, clock=ClockMode.REPLAYED)
    engine.records.propose(ref)

    closed = await engine.result(await engine.replenish(ref))

    assert (closed.state, closed.order_id) == ("released", "northern-foods:LEEDS:2025-11-25:1")
    assert engine.orders.calls == {"release": 1}
    assert engine.approvals.calls == {}


async def test_an_approved_proposal_is_released_and_whoever_told_it_notes_that_it_was_heard(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)

    assert await engine.verdicts.tell(ref.decision_id, notice)

    assert (await engine.result(handle)).state == "released"
    assert engine.records.heard == [], "a step that notes it may be lost, and the workflow with what it heard"
    assert (await handle.describe()).typed_search_attributes[naming.DECISION_STATE] == "released"


async def test_an_edited_quantity_is_what_gets_ordered(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE_EDITED, units=36))

    closed = await engine.result(handle)

    assert engine.records.orders[closed.order_id].lines == {ref.decision_id: 36}


async def test_a_rejected_proposal_orders_nothing(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    await tell(handle, engine.records.answer(ref.decision_id, Meaning.REJECT))

    assert (await engine.result(handle)).state == "rejected"
    assert engine.records.proposals[ref.decision_id].state == "rejected"
    assert engine.orders.calls == {"close_rejected": 1}


async def test_silence_expires_and_never_approves(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    for days in (1, 2, 4):
        await tick(engine, ref, days)

    assert (await engine.result(handle)).state == "expired"
    row = engine.records.proposals[ref.decision_id]
    assert (row.task, row.reminded, row.escalated) == (TaskState.EXPIRED, 1, 1)
    assert engine.orders.calls == {}


async def test_reminded_and_escalated_the_task_can_still_be_approved(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    await tick(engine, ref, 2.5)
    await until(lambda: engine.records.proposals[ref.decision_id].escalated == 1, "the escalation")

    assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))

    assert (await engine.result(handle)).state == "released"
    assert engine.records.proposals[ref.decision_id].reminded == 1


async def test_a_need_that_went_away_voids_the_task(engine: Engine) -> None:
    ref = engine.task()
    move_world(engine, GONE)
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)

    assert (await engine.result(handle)).state == "voided"
    assert engine.records.proposals[ref.decision_id].task is TaskState.VOIDED
    assert engine.orders.calls == {}


async def test_after_a_rescore_only_the_new_revision_can_be_approved(engine: Engine) -> None:
    ref = engine.task()
    move_world(engine, LARGER)
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)

    async def scored_again() -> bool:
        return (await handle.query(ReplenishmentWorkflow.current)).revision == 2

    await until(scored_again, "the next revision")

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await tell(handle, forged(ref))
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "StaleProposal"

    assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    closed = await engine.result(handle)
    assert closed.state == "released"
    assert engine.records.orders[closed.order_id].lines[ref.decision_id] > 48


async def test_a_forged_verdict_is_ignored_and_the_task_expires(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)

    assert await tell(handle, forged(ref)) is False
    await tick(engine, ref, 4)

    assert (await engine.result(handle)).state == "expired"
    assert engine.orders.calls == {}


@pytest.mark.parametrize(("meaning", "state"), [(Meaning.APPROVE, "released"), (Meaning.REJECT, "rejected")])
async def test_an_answer_in_the_moment_of_expiry_counts(engine: Engine, meaning: Meaning, state: str) -> None:
    ref = engine.task()

    async def answered() -> None:
        engine.records.answer(ref.decision_id, meaning)

    engine.approvals.first("expire", answered)
    handle = await engine.replenish(ref)
    await tick(engine, ref, 4)

    assert (await engine.result(handle)).state == state
    assert engine.approvals.fired == 1


async def test_what_the_gate_refuses_says_why(engine: Engine) -> None:
    ref = ref_of(decided(), tier=RiskTier.AUTO, clock=ClockMode.REPLAYED)
    engine.records.propose(ref.model_copy(update={"tier": RiskTier.REVIEW}))

    closed = await engine.result(await engine.replenish(ref))

    assert (closed.state, closed.reason) == ("refused_by_gate", "no standing approval for this proposal")


# Updates and signals.


async def test_a_stale_verdict_is_refused_and_leaves_no_trace_in_the_history(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    stale = forged(ref).model_copy(update={"proposal_hash": "0" * 64})

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await tell(handle, stale)

    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "StaleProposal"
    assert accepted_updates(await handle.fetch_history()) == 0
    assert await engine.verdicts.tell(ref.decision_id, stale) is False
    assert engine.approvals.calls == {}


async def test_nobody_expires_a_task_by_message(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await tell(handle, forged(ref).model_copy(update={"meaning": Meaning.EXPIRE}))

    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "InvalidInput"


async def test_the_same_update_twice_is_one_verdict(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)

    told = await asyncio.gather(*(engine.verdicts.tell(ref.decision_id, notice) for _ in range(3)))

    assert told == [True, True, True]
    assert (await engine.result(handle)).state == "released"
    assert engine.approvals.calls["find"] == 1


async def test_of_two_verdicts_at_once_the_stored_one_counts_and_each_sender_learns_it(engine: Engine) -> None:
    ref = engine.task()
    await engine.stop_workers()
    handle = await engine.replenish(ref)
    approve = engine.records.answer(ref.decision_id, Meaning.APPROVE)
    reject = approve.model_copy(update={"approval_id": "second-to-come", "meaning": Meaning.REJECT})
    engine.approvals.first("find", lambda: accepted(handle, 2))
    both = asyncio.gather(tell(handle, reject), tell(handle, approve))
    await engine.start_workers()

    assert list(await both) == [False, True]
    assert (await engine.result(handle)).state == "released"
    assert engine.orders.calls == {"release": 1}


async def test_a_forged_verdict_just_before_the_real_one_does_not_push_it_aside(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    real: list[asyncio.Task[bool]] = []

    async def answered() -> None:
        notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
        real.append(asyncio.create_task(tell(handle, notice)))
        await accepted(handle, 2)

    engine.approvals.first("find", answered)

    assert await tell(handle, forged(ref)) is False
    assert await real[0] is True
    assert (await engine.result(handle)).state == "released"


async def test_a_verdict_of_another_decision_stands_for_nothing_here(engine: Engine) -> None:
    other = engine.task()
    ref = ref_of(decided(number=2), tier=RiskTier.REVIEW, clock=ClockMode.REPLAYED)
    engine.records.propose(ref)
    handle = await engine.replenish(ref)
    elsewhere = engine.records.answer(other.decision_id, Meaning.APPROVE)

    assert await tell(handle, elsewhere.model_copy(update={"proposal_hash": ref.proposal_hash})) is False
    assert engine.orders.calls == {}


async def test_whoever_asks_while_the_workflow_ends_still_gets_an_answer(engine: Engine) -> None:
    ref = ref_of(decided(), tier=RiskTier.AUTO, clock=ClockMode.REPLAYED)
    engine.records.propose(ref)
    asking: list[asyncio.Task[bool]] = []

    async def somebody_asks() -> None:
        asking.append(asyncio.create_task(tell(handle, forged(ref))))
        await accepted(handle, 1)

    engine.orders.first("release", somebody_asks)
    await engine.stop_workers()
    handle = await engine.replenish(ref)
    await engine.start_workers()

    assert (await engine.result(handle)).state == "released"
    assert await asking[0] is False


async def test_a_machine_client_answers_by_signal(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    stale = forged(ref).model_copy(update={"proposal_hash": "0" * 64})
    await handle.signal(ReplenishmentWorkflow.verdict_recorded, stale)
    await handle.signal(ReplenishmentWorkflow.verdict_recorded, forged(ref))
    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
    await engine.stop_workers()  # the first one ends the workflow, and nobody could send it the second one
    for _ in range(2):
        await handle.signal(ReplenishmentWorkflow.verdict_recorded, notice)
    await engine.start_workers()

    assert (await engine.result(handle)).state == "released"
    # A step that ends as another signal comes is taken again, with its short transactions: the release is repeatable.
    assert set(engine.orders.calls) == {"release"}


async def test_the_verdict_may_come_before_the_workflow_has_run(engine: Engine) -> None:
    ref = engine.task()
    await engine.stop_workers()
    handle = await engine.replenish(ref)
    await handle.signal(ReplenishmentWorkflow.verdict_recorded, engine.records.answer(ref.decision_id, Meaning.REJECT))
    await engine.start_workers()

    assert (await engine.result(handle)).state == "rejected"


async def test_the_current_revision_can_be_asked_for(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)

    assert await handle.query(ReplenishmentWorkflow.current) == ref


# The world moves.


async def test_a_rescore_that_changes_nothing_leaves_the_task_as_it_is(engine: Engine) -> None:
    ref = engine.task()
    move_world(engine, decided())
    engine.records.rescored = None
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)
    await until(lambda: engine.assessments.calls["record_rescore"] == 1, "the re-score")

    assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    assert (await engine.result(handle)).state == "released"


async def test_an_answer_that_comes_before_the_rescore_is_not_lost(engine: Engine) -> None:
    ref = engine.task()
    move_world(engine, GONE)

    async def answered() -> None:
        engine.records.answer(ref.decision_id, Meaning.APPROVE)

    engine.assessments.first("load_waiting", answered)
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)
    await until(lambda: engine.approvals.calls["expire"] == 1, "the look at how the task ended")

    notice = next(iter(engine.records.approvals.values()))
    assert await tell(handle, VerdictNotice.model_validate(notice.model_dump()))
    assert (await engine.result(handle)).state == "released"


async def test_a_revision_whose_news_was_lost_can_be_approved(engine: Engine) -> None:
    ref = engine.task()
    move_world(engine, LARGER)
    engine.assessments.fail("record_rescore", Unavailable("connection lost"), done=True)
    handle = await engine.replenish(ref)
    told: list[asyncio.Task[bool]] = []

    async def nothing_yet() -> None:
        """The first attempt loads as usual."""

    async def answered() -> None:
        notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
        told.append(asyncio.create_task(engine.verdicts.tell(ref.decision_id, notice)))

    engine.assessments.first("load_waiting", nothing_yet)
    engine.assessments.first("load_waiting", answered)
    await engine.messenger.world_moved(ref.decision_id)

    closed = await engine.result(handle, skip=True)

    assert engine.assessments.fired == 3
    assert closed.state == "released"
    assert await told[0] is True


async def test_a_model_that_cannot_be_read_leaves_the_task_answerable(engine: Engine) -> None:
    ref = engine.task()
    engine.assessments.fail("load_waiting", ModelUnusable("damaged"))
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)
    await until(lambda: engine.assessments.fired == 1, "the failed re-score")

    assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    assert (await engine.result(handle)).state == "released"


# Failures around it.


async def test_an_outage_of_the_database_is_waited_out(engine: Engine) -> None:
    ref = engine.task()
    engine.orders.fail("release", Unavailable("the database restarts"), times=3)
    engine.approvals.fail("find", Unavailable("the database restarts"))
    handle = await engine.replenish(ref)
    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
    await handle.signal(ReplenishmentWorkflow.verdict_recorded, notice)

    assert (await engine.result(handle, skip=True)).state == "released"
    assert (engine.orders.fired, engine.approvals.fired) == (3, 1)


async def test_a_release_whose_answer_was_lost_makes_one_line(engine: Engine) -> None:
    ref = engine.task()
    engine.orders.fail("release", Unavailable("connection lost"), done=True)
    handle = await engine.replenish(ref)
    await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))

    closed = await engine.result(handle, skip=True)

    assert engine.orders.calls["release"] == 2
    assert engine.records.orders[closed.order_id].lines == {ref.decision_id: 48}


async def test_a_new_worker_goes_on_where_the_old_one_stopped(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    await tick(engine, ref, 1)
    await until(lambda: engine.records.proposals[ref.decision_id].reminded == 1, "the reminder")
    await engine.stop_workers()
    await tick(engine, ref, 2)
    await engine.replace_workers()
    await until(lambda: engine.records.proposals[ref.decision_id].escalated == 1, "the escalation")

    assert await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    assert (await engine.result(handle)).state == "released"
    assert engine.records.proposals[ref.decision_id].reminded == 1


async def test_starting_a_decision_twice_is_starting_it_once(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    await engine.replenish(ref)
    await tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    closed = await engine.result(handle)

    again = await engine.replenish(ref)

    assert await engine.result(again) == closed
    assert engine.orders.calls["release"] == 1


async def accepted(handle: WorkflowHandle[Any, Any], number: int) -> None:
    """Wait until the workflow has taken in so many Updates."""

    async def it_has() -> bool:
        return accepted_updates(await handle.fetch_history()) == number

    await until(it_has, f"{number} Updates")


def accepted_updates(history: WorkflowHistory) -> int:
    return sum(event.HasField("workflow_execution_update_accepted_event_attributes") for event in history.events)


@pytest.mark.parametrize("ending", ["terminated", "forged"])
async def test_a_proposal_that_temporal_lost_is_carried_by_another_run(engine: Engine, ending: str) -> None:
    """Terminated, or started by somebody else as low risk and ended at once: Postgres says that it is open."""
    ref = engine.task()
    if ending == "forged":
        handle = await engine.replenish(ref.model_copy(update={"tier": RiskTier.AUTO}))
        assert (await engine.result(handle)).state is ReplenishmentState.REFUSED_BY_GATE
    else:
        handle = await engine.replenish(ref)
        assert await engine.messenger.runs("replenishment", ref.decision_id)
        await handle.terminate()
    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
    assert not await engine.verdicts.tell(ref.decision_id, notice)
    assert not await engine.messenger.runs("replenishment", ref.decision_id)

    await engine.starter(ref.clock).replenishment(ref, None, again=True)
    assert await engine.verdicts.tell(ref.decision_id, notice)

    again = await engine.replenish(ref)
    assert (await engine.result(again)).state is ReplenishmentState.RELEASED
