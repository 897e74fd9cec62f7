"""REST for the policy: what is in force, what a document would change, and the decision about it, by the same desk."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from console.auth import Caller, Gate
from console.policy_desk import WEEKS, PolicyDesk
from workflows.domain.people import Permission
from workflows.domain.policy_changes import ChangeState, Difference, PolicyChange, PolicyVersion, Reason, differences
from workflows.domain.policy_trials import Trial

ChangeId = Annotated[str, Path(max_length=100, description="The change's id")]


class PolicyDraft(BaseModel):
    """A whole policy document; what it leaves out is at its default. `version` may be that of the policy in force."""

    model_config = ConfigDict(extra="forbid")

    document: dict[str, Any] = Field(description="As `GET /api/v1/policy` gives it, changed")
    weeks: int = Field(default=WEEKS, ge=1, le=104, description="Weeks of past decisions that are tried")


class PolicyProposal(PolicyDraft):
    """A draft with the reason for it."""

    reason: Reason


class PolicyAnswer(BaseModel):
    """What a person says to a change."""

    model_config = ConfigDict(extra="forbid")

    meaning: Literal["approve", "reject"]
    reason: str = Field(default="", max_length=1000, description="Required to reject")


class PolicyVersions(BaseModel):
    """Every version, newest first."""

    versions: list[PolicyVersion]


class PolicyChanges(BaseModel):
    """Changes, newest first."""

    changes: list[PolicyChange]


class PolicyChangeDocument(PolicyChange):
    """One change, with what it sets differently than the policy that it was made for."""

    differences: list[Difference]


def routes(desk: PolicyDesk, gate: Gate) -> APIRouter:
    """Everything under `/api/v1/policy`."""
    router = APIRouter(prefix="/api/v1/policy", dependencies=[Depends(gate.api(Permission.SEE))])
    policies = desk.policies

    async def document(change: PolicyChange) -> PolicyChangeDocument:
        base = (await policies.version(change.base_digest)).policy
        return PolicyChangeDocument(**dict(change), differences=differences(base, change.policy))

    @router.get("", summary="The policy in force")
    async def current() -> PolicyVersion:
        return await policies.current()

    @router.get("/history", summary="Every version, newest first")
    async def history() -> PolicyVersions:
        return PolicyVersions(versions=await policies.history())

    @router.get("/changes", summary="Policy changes, newest first")
    async def changes(state: Annotated[ChangeState | None, Query()] = None) -> PolicyChanges:
        return PolicyChanges(changes=await policies.changes(state))

    @router.get("/changes/{change_id}", summary="One policy change with its dry run")
    async def change(change_id: ChangeId) -> PolicyChangeDocument:
        return await document(await policies.change(change_id))

    @router.post("/dry-run", summary="What a policy would have made of open tasks and past weeks; stores nothing")
    async def dry_run(draft: PolicyDraft) -> Trial:
        return await desk.dry_run(draft.document, weeks=draft.weeks)

    @router.post("/changes", summary="Propose a policy; another person must approve it")
    async def propose(
        proposal: PolicyProposal, caller: Annotated[Caller, Depends(gate.api(Permission.PROPOSE_POLICY))]
    ) -> PolicyChangeDocument:
        """The same document proposed again while it waits is the change that waits."""
        return await document(
            await desk.propose(proposal.document, proposal.reason, caller.actor, weeks=proposal.weeks)
        )

    @router.post(
        "/changes/{change_id}/verdict", summary="Approve or reject a policy change",
        responses={403: {"description": "Its author approves"}, 409: {"description": "Stale, or answered by somebody"}},
    )  # fmt: skip
    async def answer(
        change_id: ChangeId, said: PolicyAnswer, caller: Annotated[Caller, Depends(gate.api(Permission.ADOPT_POLICY))]
    ) -> PolicyChangeDocument:
        """The same answer again changes nothing. Whoever proposed a change cannot approve it."""
        approve = said.meaning == "approve"
        return await document(await desk.answer(change_id, caller.actor, approve=approve, reason=said.reason))

    return router
