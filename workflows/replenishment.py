"""One need that something must be ordered for: proposal -> verdict -> order line -> closed.

What this workflow believes authorises nothing: an approval exists once Postgres has it, and the send gate there looks
again. The workflow waits, reminds and passes on.
"""

from datetime import datetime

from temporalio import workflow

from workflows.domain.approvals import Meaning, TaskState, VerdictNotice
from workflows.domain.errors import StaleProposal
from workflows.domain.identity import Payload
from workflows.domain.policies import RiskTier
from workflows.domain.ports import ReplenishmentRef
from workflows.naming import DECISION_STATE
from workflows.options import DATABASE, SCORING
from workflows.waiting import BusinessClock

with workflow.unsafe.imports_passed_through():
    from activities.approvals import ApprovalActivities
    from activities.orders import OrderActivities
    from activities.scores import AssessmentActivities


class ReplenishmentClosed(Payload):
    """How a replenishment ended: released onto an order, rejected, expired, voided, or refused by the gate."""

    decision_id: str
    state: str
    order_id: str | None = None
    reason: str = ""


@workflow.defn(name="replenishment")
class ReplenishmentWorkflow:
    """Carries one proposal, in all its revisions, to its one end."""

    @workflow.init
    def __init__(self, ref: ReplenishmentRef) -> None:
        self._ref = ref
        self._clock = BusinessClock(ref.clock)
        self._verdict: VerdictNotice | None = None
        self._world_moved = False

    @workflow.run
    async def run(self, ref: ReplenishmentRef) -> ReplenishmentClosed:
        """Low risk is ordered at once; high risk waits for a person, and silence never approves."""
        if ref.tier is RiskTier.AUTO:
            return await self._release()
        workflow.upsert_search_attributes([DECISION_STATE.value_set("waiting")])
        closed = await self._answered_by_a_person()
        workflow.upsert_search_attributes([DECISION_STATE.value_set(closed.state)])
        await workflow.wait_condition(workflow.all_handlers_finished)
        return closed

    @workflow.update
    def submit_verdict(self, notice: VerdictNotice) -> bool:
        """Hear of a stored verdict. True when this is the one that counts."""
        self._hear(notice)
        return self._verdict is not None and self._verdict.approval_id == notice.approval_id

    @submit_verdict.validator
    def _check_verdict(self, notice: VerdictNotice) -> None:
        if notice.proposal_hash != self._ref.proposal_hash:
            raise StaleProposal("the verdict was given for another revision of the proposal")

    @workflow.signal
    def verdict_recorded(self, notice: VerdictNotice) -> None:
        """The same for machine clients: no answer, and a stale one is ignored."""
        if notice.proposal_hash == self._ref.proposal_hash:
            self._hear(notice)

    @workflow.signal
    def tick(self, watermark: datetime) -> None:
        """The business clock reached an instant that this workflow waits for."""
        self._clock.tick(watermark)

    @workflow.signal
    def world_moved(self) -> None:
        """Stock moved past tolerance while the task waits: score again."""
        self._world_moved = True

    @workflow.query
    def current(self) -> ReplenishmentRef:
        """The revision that a verdict must be given for."""
        return self._ref

    def _hear(self, notice: VerdictNotice) -> None:
        """The first one counts; later ones change nothing."""
        self._verdict = self._verdict or notice

    async def _answered_by_a_person(self) -> ReplenishmentClosed:
        for step in (self._remind, self._escalate, self._expire):
            closed = await step()
            if closed is not None:
                return closed
        raise AssertionError("expiry always ends a task")

    async def _remind(self) -> ReplenishmentClosed | None:
        closed = await self._wait(self._ref.remind_at)
        if closed is None:
            await workflow.execute_activity_method(ApprovalActivities.remind, self._ref.decision_id, **DATABASE)
        return closed

    async def _escalate(self) -> ReplenishmentClosed | None:
        closed = await self._wait(self._ref.escalate_at)
        if closed is None:
            await workflow.execute_activity_method(ApprovalActivities.escalate, self._ref.decision_id, **DATABASE)
        return closed

    async def _expire(self) -> ReplenishmentClosed | None:
        closed = await self._wait(self._ref.expire_at)
        if closed is not None:
            return closed
        state = await workflow.execute_activity_method(
            ApprovalActivities.expire, args=[self._ref.decision_id, self._ref.proposal_hash], **DATABASE
        )
        if state is TaskState.APPROVED:
            return await self._release()  # somebody answered in the same moment, and that counts
        if state is TaskState.REJECTED:
            return await self._reject()
        return ReplenishmentClosed(decision_id=self._ref.decision_id, state=str(state))

    async def _wait(self, instant: datetime | None) -> ReplenishmentClosed | None:
        """Wait for a deadline. An answer or a vanished need ends the wait for good; None means the deadline came."""
        if instant is None:
            return None
        while True:
            came = await self._clock.wait_until(instant, lambda: self._verdict is not None or self._world_moved)
            if self._verdict is not None:
                closed = await self._follow(self._verdict)
                if closed is not None:
                    return closed
                self._verdict = None  # nothing stored stands behind it: a forged message, so the wait goes on
            elif self._world_moved:
                closed = await self._rescore()
                if closed is not None:
                    return closed
            elif came:
                return None

    async def _follow(self, verdict: VerdictNotice) -> ReplenishmentClosed | None:
        """Do what the verdict says, if Postgres knows it."""
        stands = await workflow.execute_activity_method(ApprovalActivities.stands, verdict, **DATABASE)
        if not stands:
            return None
        return await (self._reject() if verdict.meaning is Meaning.REJECT else self._release())

    async def _rescore(self) -> ReplenishmentClosed | None:
        self._world_moved = False
        result = await workflow.execute_activity_method(AssessmentActivities.rescore, self._ref.decision_id, **SCORING)
        if result.ref is None:
            return ReplenishmentClosed(decision_id=self._ref.decision_id, state=TaskState.VOIDED)
        self._ref = result.ref.model_copy(update={"clock": self._ref.clock})
        return None

    async def _release(self) -> ReplenishmentClosed:
        result = await workflow.execute_activity_method(
            OrderActivities.release, args=[self._ref.decision_id, self._ref.proposal_hash], **DATABASE
        )
        return ReplenishmentClosed(
            decision_id=self._ref.decision_id,
            state="released" if result.released else "refused_by_gate",
            order_id=result.order_id,
            reason=result.reason,
        )

    async def _reject(self) -> ReplenishmentClosed:
        await workflow.execute_activity_method(OrderActivities.close_rejected, self._ref.decision_id, **DATABASE)
        return ReplenishmentClosed(decision_id=self._ref.decision_id, state=TaskState.REJECTED)
