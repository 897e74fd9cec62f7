"""One need that something must be ordered for: proposal -> verdict -> order line -> closed.

What this workflow believes authorises nothing: an approval exists once Postgres has it, and the send gate there looks
again. The workflow waits, reminds and passes on.
"""

import asyncio
from collections import deque
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.domain.approvals import Meaning, TaskState, VerdictNotice
from workflows.domain.errors import Conflict, InvalidInput, StaleProposal
from workflows.domain.identity import Payload
from workflows.domain.policies import RiskTier
from workflows.domain.ports import ReleaseResult, ReplenishmentRef
from workflows.naming import DECISION_STATE, SUPPLIER
from workflows.options import DATABASE, SCORING
from workflows.swiftly import transacted
from workflows.waiting import BusinessClock

with workflow.unsafe.imports_passed_through():
    from activities.approvals import ApprovalActivities
    from activities.orders import OrderActivities
    from activities.scores import AssessmentActivities


class ReplenishmentState(StrEnum):
    """Where a replenishment is, in the words of the search attribute; all but `WAITING` are ends."""

    WAITING = "waiting"
    RELEASED = "released"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOIDED = "voided"
    REFUSED_BY_GATE = "refused_by_gate"


class ReplenishmentClosed(Payload):
    """How a replenishment ended, on which order its line is, and why there is none."""

    decision_id: str
    state: ReplenishmentState
    order_id: str | None = None
    reason: str = ""


class _Hearing(NamedTuple):
    """A notice that came in, and the answer its sender waits for."""

    notice: VerdictNotice
    counts: asyncio.Future[bool]


@workflow.defn(name="replenishment")
class ReplenishmentWorkflow:
    """Carries one proposal, in all its revisions, to its one end."""

    @workflow.init
    def __init__(self, ref: ReplenishmentRef) -> None:
        self._ref = ref
        self._clock = BusinessClock(ref.clock, ref.clock_lag_seconds)
        self._heard: deque[_Hearing] = deque()
        self._taken_back: set[str] = set()
        self._ordering = False
        self._world_moved = False
        self._knows_revision = True

    @workflow.run
    async def run(self, ref: ReplenishmentRef) -> ReplenishmentClosed:
        """Low risk is ordered at once; high risk waits for a person, and silence never approves."""
        if ref.tier is RiskTier.AUTO:
            closed = self._released(await self._order(ref.proposal_hash))
        else:
            if not ref.brief:  # else whoever starts it shows it
                workflow.upsert_search_attributes([DECISION_STATE.value_set(ReplenishmentState.WAITING)])
            closed = await self._answered()
        workflow.upsert_search_attributes([DECISION_STATE.value_set(closed.state)])
        await self._answer_whoever_still_asks()
        return closed

    @workflow.update
    async def submit_verdict(self, notice: VerdictNotice) -> bool:
        """Hear of a stored verdict. True when Postgres has it for the current proposal: it counts."""
        return await self._hear(notice)

    @submit_verdict.validator
    def _check_verdict(self, notice: VerdictNotice) -> None:
        if notice.meaning is Meaning.EXPIRE:
            raise InvalidInput("only the business clock expires a task")
        if self._is_stale(notice):
            raise StaleProposal("the verdict was given for another revision of the proposal")

    @workflow.update
    async def undo_verdict(self, approval_id: str) -> None:
        """Hear that an answer was taken back. Postgres is asked before that is believed, and before anything is ordered
        all the same."""
        self._taken_back.add(approval_id)

    @undo_verdict.validator
    def _check_undo(self, approval_id: str) -> None:
        if self._ordering:
            raise Conflict("ordering has begun: the answer cannot be taken back any more")

    @workflow.signal
    def verdict_recorded(self, notice: VerdictNotice) -> None:
        """The same for machine clients: no answer, and a stale or false one changes nothing."""
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

    def _is_stale(self, notice: VerdictNotice) -> bool:
        """Given for an older revision. While the proposal is scored again, only Postgres can tell."""
        return self._knows_revision and notice.proposal_hash != self._ref.proposal_hash

    def _hear(self, notice: VerdictNotice) -> asyncio.Future[bool]:
        """Queue it. Anyone can send a notice, so none may push another aside before Postgres was asked."""
        hearing = _Hearing(notice, asyncio.get_running_loop().create_future())
        self._heard.append(hearing)
        return hearing.counts

    async def _answered(self) -> ReplenishmentClosed:
        """Wait for a person, on the clock's terms: remind, escalate, and in the end expire."""
        ref = self._ref
        if ref.remind_at is not None:
            if closed := await self._closed_before(ref.remind_at):
                return closed
            await workflow.execute_activity_method(ApprovalActivities.remind, ref.decision_id, **DATABASE)
        if ref.escalate_at is not None:
            if closed := await self._closed_before(ref.escalate_at):
                return closed
            await workflow.execute_activity_method(ApprovalActivities.escalate, ref.decision_id, **DATABASE)
        deadline = ref.expire_at
        while True:
            if closed := await self._closed_before(deadline) or await self._ended_as_stored():
                return closed
            if not (ref.undo_seconds and self._heard):
                deadline = None  # approved, in a revision that we never heard of: the approval's own notice names it

    async def _closed_before(self, deadline: datetime | None) -> ReplenishmentClosed | None:
        """An answer or a vanished need ends the wait for good; None says that the deadline came (if there is one)."""
        while True:
            came = await self._clock.wait_until(deadline, lambda: bool(self._heard) or self._world_moved)
            if self._heard:
                # A notice that nothing stored stands behind is forged or premature: the wait goes on.
                if (notice := await self._heed(self._heard.popleft())) and (closed := await self._carried_out(notice)):
                    return closed
            elif self._world_moved:
                if closed := await self._rescore():
                    return closed
            elif came:
                return None

    async def _carried_out(self, notice: VerdictNotice) -> ReplenishmentClosed | None:
        """Order or close what was answered, once nobody can take it back any more. None: somebody did; it waits on."""
        standing: VerdictNotice | None = notice
        if self._ref.undo_seconds:
            standing = await self._left_standing(notice)
        if standing is None:
            return None
        if standing.meaning is Meaning.REJECT:
            return await self._reject()
        result = await self._order(standing.proposal_hash)
        return None if result.waits else self._released(result)

    async def _left_standing(self, notice: VerdictNotice) -> VerdictNotice | None:
        """The answer that stands when its author's time to take it back is over. None: it was taken back.

        An answer that can only have been given because nobody could tell us of the undo has its own time.
        """
        window = timedelta(seconds=self._ref.undo_seconds)
        ends = workflow.now() + window
        while (left := ends - workflow.now()) > timedelta():
            try:
                await workflow.wait_condition(partial(self._disturbed, notice), timeout=left)
            except TimeoutError:
                return notice
            if self._heard:
                newer = await self._heed(self._heard.popleft())
                if newer is not None and newer.approval_id != notice.approval_id:
                    notice, ends = newer, workflow.now() + window
            else:
                self._taken_back.discard(notice.approval_id)
                if not await self._stands(notice):
                    return None
        return notice

    def _disturbed(self, notice: VerdictNotice) -> bool:
        return bool(self._heard) or notice.approval_id in self._taken_back

    async def _stands(self, notice: VerdictNotice) -> bool:
        return bool(await transacted(ApprovalActivities.stands, self._ref.decision_id, notice, brief=self._ref.brief))

    async def _heed(self, hearing: _Hearing) -> VerdictNotice | None:
        """The notice if Postgres has that verdict, standing, on this decision; its sender learns whether it counted."""
        notice = hearing.notice
        stands = not self._is_stale(notice) and await self._stands(notice)
        hearing.counts.set_result(stands)
        return notice if stands else None

    async def _answer_whoever_still_asks(self) -> None:
        while self._heard or not workflow.all_handlers_finished():
            await workflow.wait_condition(lambda: bool(self._heard) or workflow.all_handlers_finished())
            if self._heard:
                await self._heed(self._heard.popleft())

    async def _rescore(self) -> ReplenishmentClosed | None:
        self._world_moved, self._knows_revision = False, False
        try:
            result = await workflow.execute_activity_method(
                AssessmentActivities.rescore, self._ref.decision_id, **SCORING
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("proposal %s could not be scored again; the wait goes on", self._ref.decision_id)
            return None
        if result.ref is not None:
            timing = self._ref.model_dump(include={"clock", "clock_lag_seconds", "undo_seconds", "brief"})
            self._ref, self._knows_revision = result.ref.model_copy(update=timing), True
            workflow.upsert_search_attributes([SUPPLIER.value_set(self._ref.supplier)])
            return None
        # The need went away; or the task was answered before it could be scored, and a person's word is not lost.
        if result.changed:
            return self._closed(ReplenishmentState.VOIDED)
        # With time to take it back its author may do so; the answer's own notice is under way and counts from there.
        return None if self._ref.undo_seconds else await self._ended_as_stored()

    async def _ended_as_stored(self) -> ReplenishmentClosed | None:
        """Expire the task unless it has an end already, and do what that end says. None: approved, but for what?"""
        state = await self._expire()
        if state in (TaskState.APPROVED, TaskState.REJECTED) and self._ref.undo_seconds:
            # Answered in this very moment. The notice is under way, and its author may still take it back.
            with suppress(TimeoutError):
                window = timedelta(seconds=self._ref.undo_seconds)
                await workflow.wait_condition(lambda: bool(self._heard), timeout=window)
            if self._heard:
                return None
            state = await self._expire()
        if state is TaskState.APPROVED:
            if not self._knows_revision:
                return None
            return self._released(await self._order(self._ref.proposal_hash))
        if state is TaskState.REJECTED:
            return await self._reject()
        return self._closed(ReplenishmentState(state))

    async def _expire(self) -> TaskState:
        return await workflow.execute_activity_method(
            ApprovalActivities.expire, args=[self._ref.decision_id, self._ref.proposal_hash], **DATABASE
        )

    async def _order(self, proposal_hash: str) -> ReleaseResult:
        """From here on nothing can be taken back, unless Postgres says that it was before."""
        self._ordering = True
        arguments = self._ref.decision_id, proposal_hash
        result: ReleaseResult = await transacted(OrderActivities.release, *arguments, brief=self._may_hurry)
        self._ordering = not result.waits
        return result

    @property
    def _may_hurry(self) -> bool:
        """Within this step no update is heard: not where an undo is to be refused."""
        return self._ref.brief and not self._ref.undo_seconds

    def _released(self, result: ReleaseResult) -> ReplenishmentClosed:
        state = ReplenishmentState.RELEASED if result.released else ReplenishmentState.REFUSED_BY_GATE
        return self._closed(state, result.order_id, result.reason)

    async def _reject(self) -> ReplenishmentClosed | None:
        """None: the rejection was taken back in the last moment."""
        self._ordering = True
        closed = await transacted(OrderActivities.close_rejected, self._ref.decision_id, brief=self._may_hurry)
        if closed is False:  # None: from a worker of before there was a way back
            self._ordering = False
            return None
        return self._closed(ReplenishmentState.REJECTED)

    def _closed(self, state: ReplenishmentState, order_id: str | None = None, reason: str = "") -> ReplenishmentClosed:
        return ReplenishmentClosed(decision_id=self._ref.decision_id, state=state, order_id=order_id, reason=reason)
