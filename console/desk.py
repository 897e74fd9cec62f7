"""An answer exists once it is stored; only then is the workflow told, and a workflow out of reach loses nothing."""

import logging

from workflows.domain.approvals import Actor, VerdictCommand, VerdictNotice, VerdictReceipt
from workflows.domain.errors import Unavailable
from workflows.domain.ports import Approvals, VerdictChannel

log = logging.getLogger(__name__)


class AnswerDesk:
    """Takes verdicts, whoever brings them: the console, the REST API and the command line answer through here."""

    def __init__(self, approvals: Approvals, verdicts: VerdictChannel) -> None:
        self._approvals = approvals
        self._verdicts = verdicts

    async def answer(self, command: VerdictCommand, actor: Actor) -> VerdictReceipt:
        """Record the verdict, then tell the waiting workflow; the same command again gives the same approval.

        Raises:
            NotFound: there is no such task.
            StaleProposal: the proposal has another hash by now.
            AlreadyAnswered: somebody's valid verdict came first.
            NotAllowed: an approval of what the policy in force lets nobody release.
            InvalidInput: the command id was used for another command.
        """
        approval = await self._approvals.record(command, actor)
        notice = VerdictNotice(
            approval_id=approval.approval_id, proposal_hash=approval.proposal_hash, meaning=approval.meaning
        )
        return VerdictReceipt(
            approval_id=approval.approval_id,
            decision_id=approval.decision_id,
            meaning=approval.meaning,
            heard=await self._tell(approval.decision_id, notice),
        )

    async def _tell(self, decision_id: str, notice: VerdictNotice) -> bool:
        """The verdict stands already, so an unreachable server fails nothing: the relay tells the workflow later."""
        try:
            heard = await self._verdicts.tell(decision_id, notice)
            if heard:
                await self._approvals.heard(notice.approval_id)
        except Unavailable:
            log.warning("verdict recorded, workflow not reached", extra={"decision_id": decision_id})
            return False
        return heard
