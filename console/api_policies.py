"""REST for the policy: what is in force, what a document would change, and the decision about it, by the same desk."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from console.api_pages import Limit, NumberAfter, below
from console.api_problems import FreeKey, told
from console.auth import Caller, Gate
from console.policy_desk import WEEKS, PolicyDesk
from workflows.domain.approvals import STORABLE, Text
from workflows.domain.people import Permission
from workflows.domain.policy_changes import ChangeState, Difference, PolicyChange, PolicyVersion, Reason, differences
from workflows.domain.policy_trials import Trial

ChangeId = Annotated[str, Path(max_length=100, pattern=STORABLE, description="The change's id")]


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
    reason: Text = Field(default="", description="Required to reject")


class PolicyVersions(BaseModel):
    """Every version, newest first."""

    versions: list[PolicyVersion]
    next: int | None
    """What `after` takes to go on; null on the last page."""


class PolicyChanges(BaseModel):
    """Changes, newest first."""

    changes: list[PolicyChange]
    next: int | None
    """What `after` takes to go on; null on the last page."""


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
    async def history(limit: Limit = 100, after: NumberAfter = None) -> PolicyVersions:
        shown, following = below(await policies.history(), lambda one: one.policy.version, limit, after)
        return PolicyVersions(versions=shown, next=following)

    @router.get("/changes", summary="Policy changes, newest first")
    async def changes(
        state: Annotated[ChangeState | None, Query()] = None, limit: Limit = 100, after: NumberAfter = None
    ) -> PolicyChanges:
        shown, following = below(await policies.changes(state), lambda one: one.number, limit, after)
        return PolicyChanges(changes=shown, next=following)

    @router.get("/changes/{change_id}", summary="One policy change with its dry run")
    async def change(change_id: ChangeId) -> PolicyChangeDocument:
        return await document(await policies.change(change_id))

    @router.post("/dry-run", summary="What a policy would have made of open tasks and past weeks; stores nothing")
    async def dry_run(draft: PolicyDraft, idempotency_key: FreeKey) -> Trial:
        return await desk.dry_run(draft.document, weeks=draft.weeks)

    @router.post("/changes", summary="Propose a policy; another person must approve it")
    async def propose(
        proposal: PolicyProposal, idempotency_key: FreeKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.PROPOSE_POLICY))],
    ) -> PolicyChangeDocument:  # fmt: skip
        """The same document proposed again while it waits is the change that waits."""
        return await document(
            await desk.propose(proposal.document, proposal.reason, caller.actor, weeks=proposal.weeks)
        )

    @router.post(
        "/changes/{change_id}/verdict", summary="Approve or reject a policy change",
        responses={403: told("Its author approves, or they may not"), 409: told("Stale, or answered by somebody")},
    )  # fmt: skip
    async def answer(
        change_id: ChangeId, said: PolicyAnswer, idempotency_key: FreeKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.ADOPT_POLICY))],
    ) -> PolicyChangeDocument:  # fmt: skip
        """The same answer again changes nothing. Whoever proposed a change cannot approve it."""
        approve = said.meaning == "approve"
        return await document(await desk.answer(change_id, caller.actor, approve=approve, reason=said.reason))

    return router
