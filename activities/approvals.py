"""Does what a waiting task asks for: checks a verdict, reminds, escalates, expires."""

from temporalio import activity

from workflows.domain.approvals import TaskState, VerdictNotice
from workflows.domain.ports import Approvals


class ApprovalActivities:
    """Small transactions around one task."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    @activity.defn
    async def stands(self, decision_id: str, notice: VerdictNotice) -> bool:
        """Whether a stored approval of this decision says what the notice says.

        That the workflow heard of it is not noted here but by whoever told it and had its yes: this step may be lost,
        and then the workflow knows of nothing.
        """
        approval = await self._approvals.find(notice.approval_id)
        if approval is None or approval.decision_id != decision_id:
            return False
        return (approval.proposal_hash, approval.meaning) == (notice.proposal_hash, notice.meaning)

    @activity.defn
    async def remind(self, decision_id: str) -> None:
        """The task waits longer than the policy likes."""
        await self._approvals.remind(decision_id)

    @activity.defn
    async def escalate(self, decision_id: str) -> None:
        """Somebody else must look."""
        await self._approvals.escalate(decision_id)

    @activity.defn
    async def expire(self, decision_id: str, proposal_hash: str) -> TaskState:
        """Close the task unless somebody answered in the same moment."""
        return await self._approvals.expire(decision_id, proposal_hash)
