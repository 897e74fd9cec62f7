"""An answer exists once it is stored; only then is the workflow told, and a workflow out of reach loses nothing."""

import logging

from workflows.domain.approvals import (
    Actor,
    Approval,
    UndoCommand,
    UndoReceipt,
    VerdictCommand,
    VerdictNotice,
    VerdictReceipt,
)
from workflows.domain.errors import Unavailable
from workflows.domain.ports import Approvals, VerdictChannel

log = logging.getLogger(__name__)


class AnswerDesk:
    """Takes verdicts and takes them back, whoever asks: the console, the REST API and the command line come here."""

    def __init__(self, approvals: Approvals, verdicts: VerdictChannel) -> None:
        self._approvals = approvals
        self._verdicts = verdicts

    async def answer(self, command: VerdictCommand, actor: Actor) -> VerdictReceipt:
        """Record the verdict, then tell the waiting workflow; the same command again gives the same approval.

        Where the policy wants two signatures, the first one is recorded with `complete` false and nobody is told: the
        task waits for another person.

        Raises:
            NotFound: there is no such task.
            StaleProposal: the proposal has another hash by now.
            AlreadyAnswered: somebody's valid verdict came first, or this person has signed it already.
            NotAllowed: this person may not give this answer, or the policy in force lets nobody release it.
            InvalidInput: the command id was used for another command.
        """
        approval = await self._approvals.record(command, actor)
        window = approval.undo_until - approval.recorded_at if approval.undo_until else None
        return VerdictReceipt(
            approval_id=approval.approval_id,
            decision_id=approval.decision_id,
            meaning=approval.meaning,
            heard=await self._tell(approval) if approval.complete else True,
            complete=approval.complete,
            undo_until=approval.undo_until,
            undo_seconds=round(window.total_seconds()) if window else 0,
        )

    async def undo(self, command: UndoCommand, actor: Actor) -> UndoReceipt:
        """Take the actor's own answer back, then tell the workflow; the same command again changes nothing.

        A workflow that is out of reach finds out by itself: it asks before it orders.

        Raises:
            NotFound: there is no such task.
            Conflict: nothing of the actor's stands, or something came of it already.
            NotAllowed: it is somebody else's answer.
            InvalidInput: the command id was used for another command.
        """
        taken = await self._approvals.withdraw(command, actor)
        return UndoReceipt(
            approval_id=taken.approval_id,
            decision_id=taken.decision_id,
            meaning=taken.meaning,
            heard=await self._tell_taken_back(taken.decision_id, taken.approval_id) if taken.complete else True,
        )

    async def _tell(self, approval: Approval) -> bool:
        """The verdict stands already, so an unreachable server fails nothing: the relay tells the workflow later."""
        notice = VerdictNotice(
            approval_id=approval.approval_id, proposal_hash=approval.proposal_hash, meaning=approval.meaning
        )
        try:
            heard = await self._verdicts.tell(approval.decision_id, notice)
            if heard:
                await self._approvals.heard(notice.approval_id)
        except Unavailable:
            log.warning("verdict recorded, workflow not reached", extra={"decision_id": approval.decision_id})
            return False
        return heard

    async def _tell_taken_back(self, decision_id: str, approval_id: str) -> bool:
        try:
            return await self._verdicts.taken_back(decision_id, approval_id)
        except Unavailable:
            log.warning("answer taken back, workflow not reached", extra={"decision_id": decision_id})
            return False
