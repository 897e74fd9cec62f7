"""Every way a workflow can end, played once on a fresh engine: what the recorder records."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle

from activities.histories import ROUND
from tests.fakes.engine import Engine, until
from tests.fakes.histories import closed
from tests.fakes.learning import LAST_DAY
from tests.fakes.records import facts_of, ref_of
from tests.fakes.shop import CLOCK, decided
from workflows import naming
from workflows.assessment import AssessmentWorkflow
from workflows.domain.approvals import Meaning, VerdictNotice
from workflows.domain.decisions import Decided
from workflows.domain.histories import RunStatus
from workflows.domain.models import TrainingRequest
from workflows.domain.needs import ClockMode, NeedBatch
from workflows.domain.orders import OrderRef, OrderState
from workflows.domain.outcomes import OutcomeFacts
from workflows.domain.policies import RiskTier
from workflows.domain.ports import ReplenishmentRef
from workflows.domain.replaying import ReplayRequest
from workflows.exporting import ROUNDS, HistoriesWorkflow
from workflows.monitoring import MonitoringWorkflow
from workflows.outcomes import OutcomesWorkflow
from workflows.purchasing import HELD, NEEDS_OPERATOR
from workflows.replaying import ReplayingWorkflow, ReplayRun
from workflows.replenishment import ReplenishmentWorkflow
from workflows.retraining import RetrainingWorkflow

Handle = WorkflowHandle[Any, Any]
Ending = Callable[[Engine], Awaitable[Handle]]
ENDINGS: dict[str, Ending] = {}
UNDO_SECONDS = 10


def ending(play: Ending) -> Ending:
    """Register it under its function's name."""
    ENDINGS[play.__name__.replace("_", "-")] = play
    return play


# Assessment.


@ending
async def assessment_done(engine: Engine) -> Handle:
    needs = [decided(daily=38, on_hand=96), decided(item="OIL-R", daily=1, on_hand=500, risk="0.0004")]
    engine.models.crown(engine.store, engine.learner, LAST_DAY)
    engine.scoring.scores = {one.inputs.item.item: one.inputs.scores for one in needs}
    batch = NeedBatch(batch_id="batch-1", location="LEEDS", clock=CLOCK, needs=len(needs))
    engine.records.batches[batch.batch_id] = batch, [facts_of(one) for one in needs]
    await engine.starter(ClockMode.REPLAYED).assessment(batch)
    return engine.client.get_workflow_handle_for(AssessmentWorkflow.run, naming.assessment_id(batch.batch_id))


@ending
async def assessment_done_in_one_step(engine: Engine) -> Handle:
    return await assessment_done(engine)


# Replenishment.


@ending
async def replenishment_auto_released(engine: Engine) -> Handle:
    ref = ref_of(decided(), tier=RiskTier.AUTO, clock=ClockMode.REPLAYED)
    engine.records.propose(ref)
    return await engine.replenish(ref)


@ending
async def replenishment_approved(engine: Engine) -> Handle:
    return await _answered(engine, Meaning.APPROVE)


@ending
async def replenishment_approved_in_few_steps(engine: Engine) -> Handle:
    return await _answered(engine, Meaning.APPROVE)


@ending
async def replenishment_approved_edited(engine: Engine) -> Handle:
    return await _answered(engine, Meaning.APPROVE_EDITED, units=36)


@ending
async def replenishment_rejected(engine: Engine) -> Handle:
    return await _answered(engine, Meaning.REJECT)


@ending
async def replenishment_approved_by_signal(engine: Engine) -> Handle:
    ref = engine.task()
    handle = await engine.replenish(ref)
    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
    await handle.signal(ReplenishmentWorkflow.verdict_recorded, notice)
    return handle


@ending
async def replenishment_expired(engine: Engine) -> Handle:
    ref = engine.task()
    handle = await engine.replenish(ref)
    await _tick(engine, ref, 4)
    return handle


@ending
async def replenishment_expired_live(engine: Engine) -> Handle:
    ref = engine.task(clock=ClockMode.LIVE, opened_at=await engine.env.get_current_time())
    handle = await engine.replenish(ref)
    await engine.result(handle, skip=True)
    return handle


@ending
async def replenishment_escalated_then_approved(engine: Engine) -> Handle:
    ref = engine.task()
    handle = await engine.replenish(ref)
    await _tick(engine, ref, 2)
    await until(lambda: engine.records.proposals[ref.decision_id].escalated == 1, "the escalation")
    await _tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    return handle


@ending
async def replenishment_voided_by_rescore(engine: Engine) -> Handle:
    ref = engine.task()
    _move_world(engine, decided(revision=2, on_hand=500, risk="0.001"))
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)
    return handle


@ending
async def replenishment_rescored_then_approved(engine: Engine) -> Handle:
    ref = engine.task()
    _move_world(engine, decided(revision=2, daily=24))
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)

    async def scored_again() -> bool:
        return (await handle.query(ReplenishmentWorkflow.current)).revision == 2

    await until(scored_again, "the next revision")
    await _tell(handle, engine.records.answer(ref.decision_id, Meaning.APPROVE))
    return handle


@ending
async def replenishment_answered_before_rescore(engine: Engine) -> Handle:
    ref = engine.task()
    _move_world(engine, decided(revision=2, on_hand=500, risk="0.001"))

    async def answered() -> None:
        engine.records.answer(ref.decision_id, Meaning.REJECT)

    engine.assessments.first("load_waiting", answered)
    handle = await engine.replenish(ref)
    await engine.messenger.world_moved(ref.decision_id)
    return handle


@ending
async def replenishment_forged_then_expired(engine: Engine) -> Handle:
    ref = engine.task()
    handle = await engine.replenish(ref)
    forged = VerdictNotice(approval_id="nobody-stored-this", proposal_hash=ref.proposal_hash, meaning=Meaning.APPROVE)
    await _tell(handle, forged)
    await _tick(engine, ref, 4)
    return handle


@ending
async def replenishment_approved_at_expiry(engine: Engine) -> Handle:
    return await _answered_at_expiry(engine, Meaning.APPROVE)


@ending
async def replenishment_rejected_at_expiry(engine: Engine) -> Handle:
    return await _answered_at_expiry(engine, Meaning.REJECT)


@ending
async def replenishment_refused_by_gate(engine: Engine) -> Handle:
    ref = ref_of(decided(), tier=RiskTier.AUTO, clock=ClockMode.REPLAYED)
    engine.records.propose(ref.model_copy(update={"tier": RiskTier.REVIEW}))
    return await engine.replenish(ref)


# With time to take an answer back.


@ending
async def replenishment_approved_after_undo_time(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered(engine, Meaning.APPROVE)
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


@ending
async def replenishment_undone_then_rejected(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered(engine, Meaning.APPROVE)
    decision_id = next(iter(engine.records.proposals))
    taken = engine.records.take_back(decision_id)
    assert await engine.verdicts.taken_back(decision_id, taken.approval_id)
    await until(lambda: engine.approvals.calls["find"] == 2, "the look at what stands")
    await _tell(handle, engine.records.answer(decision_id, Meaning.REJECT))
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


@ending
async def replenishment_undone_untold_then_approved(engine: Engine) -> Handle:
    return await _undone_untold(engine, Meaning.APPROVE, "release")


@ending
async def replenishment_rejection_undone_untold_then_approved(engine: Engine) -> Handle:
    return await _undone_untold(engine, Meaning.REJECT, "close_rejected")


@ending
async def replenishment_undone_untold_answered_in_its_time(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered(engine, Meaning.APPROVE)
    decision_id = next(iter(engine.records.proposals))
    engine.records.take_back(decision_id)
    await _tell(handle, engine.records.answer(decision_id, Meaning.REJECT))
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


@ending
async def replenishment_forged_undo_then_approved(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered(engine, Meaning.APPROVE)
    decision_id, approval_id = next(iter(engine.records.proposals)), next(iter(engine.records.approvals))
    assert await engine.verdicts.taken_back(decision_id, approval_id)
    await until(lambda: engine.approvals.calls["find"] == 2, "the look at what stands")
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


@ending
async def replenishment_undone_then_expired(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered(engine, Meaning.APPROVE)
    (ref,) = (row.ref for row in engine.records.proposals.values())
    taken = engine.records.take_back(ref.decision_id)
    assert await engine.verdicts.taken_back(ref.decision_id, taken.approval_id)
    await _tick(engine, ref, 4)
    return handle


@ending
async def replenishment_approved_at_expiry_after_undo_time(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered_at_expiry(engine, Meaning.APPROVE)
    await until(lambda: engine.approvals.calls["expire"] == 1, "the deadline")
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


@ending
async def replenishment_undone_at_expiry(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered_at_expiry(engine, Meaning.APPROVE)
    await until(lambda: engine.approvals.fired == 1 and bool(engine.records.approvals), "the deadline")
    engine.records.take_back(next(iter(engine.records.proposals)))
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


@ending
async def replenishment_told_at_expiry_in_its_time(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered_at_expiry(engine, Meaning.APPROVE)
    await until(lambda: engine.approvals.fired == 1 and bool(engine.records.approvals), "the deadline")
    (approval,) = engine.records.approvals.values()
    await _tell(handle, VerdictNotice.model_validate(approval.model_dump()))
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


@ending
async def replenishment_answered_before_rescore_in_its_time(engine: Engine) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await replenishment_answered_before_rescore(engine)
    await until(lambda: bool(engine.records.approvals), "the answer")
    (approval,) = engine.records.approvals.values()
    await _tell(handle, VerdictNotice.model_validate(approval.model_dump()))
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


# Purchasing.


@ending
async def purchasing_received(engine: Engine) -> Handle:
    return await _placed_and_settled(engine, engine.order(), OrderState.RECEIVED)


@ending
async def purchasing_due_received(engine: Engine) -> Handle:
    """Its cutoff had passed when it was started: it is placed within its first step."""
    ref = engine.order().model_copy(update={"due": True})
    handle = await engine.purchase(ref)
    await _becomes(engine, ref, OrderState.PLACED)
    return await _settled(engine, handle, ref, OrderState.RECEIVED)


@ending
async def purchasing_due_in_doubt_then_received(engine: Engine) -> Handle:
    engine.supplier.behaviour.append("lost")
    return await purchasing_due_received(engine)


@ending
async def purchasing_received_live(engine: Engine) -> Handle:
    cutoff = await engine.env.get_current_time() + timedelta(hours=9)
    ref = engine.order(clock=ClockMode.LIVE).model_copy(update={"cutoff_at": cutoff})
    handle = await engine.purchase(ref)
    await engine.env.sleep(timedelta(hours=9))
    await _becomes(engine, ref, OrderState.PLACED)
    return await _settled(engine, handle, ref, OrderState.RECEIVED)


@ending
async def purchasing_closed_short(engine: Engine) -> Handle:
    return await _placed_and_settled(engine, engine.order(), OrderState.CLOSED)


@ending
async def purchasing_refused(engine: Engine) -> Handle:
    engine.supplier.behaviour.append("refuse")
    return await _at_cutoff(engine, engine.order())


@ending
async def purchasing_withheld(engine: Engine) -> Handle:
    await engine.stop_workers()
    engine.passive = True
    await engine.start_workers()
    return await _at_cutoff(engine, engine.order())


@ending
async def purchasing_empty(engine: Engine) -> Handle:
    return await _at_cutoff(engine, engine.order(lines=0))


@ending
async def purchasing_in_doubt_then_received(engine: Engine) -> Handle:
    engine.supplier.behaviour.append("lost")
    return await _placed_and_settled(engine, engine.order(), OrderState.RECEIVED)


@ending
async def purchasing_parked_then_resumed(engine: Engine) -> Handle:
    ref = engine.order()
    engine.supplier.behaviour.extend(["down"] * 1_000)
    handle = await _at_cutoff(engine, ref)

    async def parked() -> bool:
        await engine.env.sleep(timedelta(minutes=10))
        return (await handle.describe()).typed_search_attributes.get(naming.DECISION_STATE) == NEEDS_OPERATOR

    await until(parked, "the end of patience")
    engine.supplier.behaviour.clear()
    await engine.messenger.try_order_again(ref.order_id)
    await _becomes(engine, ref, OrderState.PLACED)
    return await _settled(engine, handle, ref, OrderState.RECEIVED)


@ending
async def purchasing_held(engine: Engine) -> Handle:
    """Held by a stop switch at its cutoff, then let go on."""
    ref = engine.order()
    engine.records.stops["northern-foods"] = "their site floods"
    handle = await _at_cutoff(engine, ref)

    async def held() -> bool:
        return (await handle.describe()).typed_search_attributes.get(naming.DECISION_STATE) == HELD

    await until(held, "the stop")
    engine.records.stops.clear()
    await engine.messenger.try_order_again(ref.order_id)
    await _becomes(engine, ref, OrderState.PLACED)
    return await _settled(engine, handle, ref, OrderState.RECEIVED)


@ending
async def purchasing_cancelled(engine: Engine) -> Handle:
    handle = await engine.purchase(engine.order())
    await handle.cancel()
    return handle


# Outcomes, monitoring and retraining.


@ending
async def outcomes_closed(engine: Engine) -> Handle:
    engine.records.due = [
        OutcomeFacts(
            decision_id="LEEDS:OAT-1L:1", horizon_days=12, closed_at=CLOCK, demand_units=40, forecast_p10=Decimal(30),
            forecast_p50=Decimal(38), forecast_p90=Decimal(50), days_out_of_stock=0, ordered_units=48,
            received_units=48, on_hand_units=20, shortage_per_unit=Decimal("3.70"),
            holding_per_unit_day=Decimal("0.0023"),
        )
    ]  # fmt: skip
    return await engine.client.start_workflow(
        OutcomesWorkflow.run, id=naming.OUTCOMES_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )


@ending
async def histories_kept(engine: Engine) -> Handle:
    engine.closed_runs.target.runs = [closed(1), closed(2, status=RunStatus.TERMINATED), closed(3)]
    engine.closed_runs.target.bodies["run-3"] = None
    return await _sweep(engine)


@ending
async def histories_continued(engine: Engine) -> Handle:
    engine.closed_runs.target.page_size = 100_000
    engine.closed_runs.target.runs = [closed(n) for n in range(ROUNDS * ROUND + 1)]
    first = await _sweep(engine)
    await first.result()
    return engine.client.get_workflow_handle(first.id, run_id=first.first_execution_run_id)


@ending
async def monitoring_quiet(engine: Engine) -> Handle:
    return await _watch(engine, {})


@ending
async def monitoring_retrained(engine: Engine) -> Handle:
    return await _watch(engine, {"cusum": "smooth"})


@ending
async def retraining_first_model(engine: Engine) -> Handle:
    return await _retrain(engine)


@ending
async def retraining_promoted(engine: Engine) -> Handle:
    engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))
    return await _retrain(engine)


@ending
async def retraining_refused(engine: Engine) -> Handle:
    engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))
    engine.learner.loss_ratio = Decimal("1.04")
    return await _retrain(engine)


@ending
async def retraining_awaiting_approval(engine: Engine) -> Handle:
    engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))
    engine.needs_approval = True
    return await _retrain(engine)


@ending
async def retraining_nothing_new(engine: Engine) -> Handle:
    engine.models.crown(engine.store, engine.learner, LAST_DAY)
    return await _retrain(engine)


@ending
async def retraining_failed(engine: Engine) -> Handle:
    champion = engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))
    del engine.store.bodies[champion.digest]
    return await _retrain(engine)


async def played(engine: Engine, name: str) -> Handle:
    """Play an ending to its end."""
    handle = await ENDINGS[name](engine)
    try:
        await engine.result(handle)
    except WorkflowFailureError:
        assert name in {"purchasing-cancelled", "retraining-failed"}, f"{name} should have ended well"
    return handle


async def _answered(engine: Engine, meaning: Meaning, *, units: int | None = None) -> Handle:
    ref = engine.task()
    handle = await engine.replenish(ref)
    await _tell(handle, engine.records.answer(ref.decision_id, meaning, units=units))
    return handle


async def _answered_at_expiry(engine: Engine, meaning: Meaning) -> Handle:
    ref = engine.task()

    async def answered() -> None:
        engine.records.answer(ref.decision_id, meaning)

    engine.approvals.first("expire", answered)
    handle = await engine.replenish(ref)
    await _tick(engine, ref, 4)
    return handle


async def _undone_untold(engine: Engine, meaning: Meaning, call: str) -> Handle:
    engine.undo_seconds = UNDO_SECONDS
    handle = await _answered(engine, meaning)
    decision_id = next(iter(engine.records.proposals))
    engine.records.take_back(decision_id)
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    await until(lambda: engine.orders.calls[call] == 1, "the attempt to carry it out")
    await _tell(handle, engine.records.answer(decision_id, Meaning.APPROVE))
    await engine.env.sleep(timedelta(seconds=UNDO_SECONDS))
    return handle


async def _tell(handle: Handle, notice: VerdictNotice) -> bool:
    return await handle.execute_update(ReplenishmentWorkflow.submit_verdict, notice, id=notice.approval_id)


async def _tick(engine: Engine, ref: ReplenishmentRef, days: int) -> None:
    await engine.messenger.tick("replenishment", ref.decision_id, CLOCK + timedelta(days=days))


def _move_world(engine: Engine, becomes: Decided) -> None:
    engine.models.crown(engine.store, engine.learner, LAST_DAY)
    engine.scoring.scores[becomes.inputs.item.item] = becomes.inputs.scores
    engine.records.rescored = becomes


async def _at_cutoff(engine: Engine, ref: OrderRef) -> Handle:
    handle = await engine.purchase(ref)
    await engine.messenger.tick("order", ref.order_id, ref.cutoff_at)
    return handle


async def _placed_and_settled(engine: Engine, ref: OrderRef, state: OrderState) -> Handle:
    handle = await _at_cutoff(engine, ref)
    await _becomes(engine, ref, OrderState.PLACED)
    return await _settled(engine, handle, ref, state)


async def _becomes(engine: Engine, ref: OrderRef, state: OrderState) -> None:
    async def it_did() -> bool:
        await engine.env.sleep(timedelta(seconds=1))
        return engine.records.orders[ref.order_id].state is state

    await until(it_did, f"the state {state}")


async def _settled(engine: Engine, handle: Handle, ref: OrderRef, state: OrderState) -> Handle:
    engine.records.orders[ref.order_id].become(state)
    await engine.messenger.order_settled(ref.order_id)
    return handle


async def _watch(engine: Engine, loud: dict[str, str]) -> Handle:
    engine.monitoring.target.today, engine.watching.loud = LAST_DAY, loud
    return await engine.client.start_workflow(
        MonitoringWorkflow.run, id=naming.MONITORING_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )


async def _sweep(engine: Engine) -> Handle:
    return await engine.client.start_workflow(
        HistoriesWorkflow.run, id=naming.HISTORIES_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )


async def _retrain(engine: Engine) -> Handle:
    return await engine.client.start_workflow(
        RetrainingWorkflow.run, TrainingRequest(), id=naming.retraining_id(LAST_DAY.isoformat(), 1),
        task_queue=naming.ENGINE_QUEUE,
    )  # fmt: skip


# Replaying decisions.


@ending
async def replaying_done(engine: Engine) -> Handle:
    return await engine.client.start_workflow(
        ReplayingWorkflow.run, ReplayRun(request=ReplayRequest(sample=30)), id=naming.replaying_id("0" * 16),
        task_queue=naming.ENGINE_QUEUE,
    )  # fmt: skip
