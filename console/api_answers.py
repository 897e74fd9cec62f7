"""REST for answers: a verdict on a task, and taking it back, by the desk that the pages answer at."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from console.api_problems import KeptKey, Outdated, told
from console.auth import Caller, Gate
from console.changes import changed_since, what_stands
from console.desk import AnswerDesk
from console.ports import ConsolePorts
from console.problems import problem_of, problem_response
from workflows.domain.approvals import (
    STORABLE,
    Meaning,
    RejectReason,
    Text,
    UndoCommand,
    UndoReceipt,
    VerdictCommand,
    VerdictReceipt,
)
from workflows.domain.errors import AlreadyAnswered, Conflict, InvalidInput, StaleProposal
from workflows.domain.identity import Digest
from workflows.domain.people import Permission

DecisionId = Annotated[
    str,
    Path(
        description="The decision's id, which is its need's id: location:item:number", max_length=200, pattern=STORABLE
    ),
]


class VerdictBody(BaseModel):
    """A verdict on a proposal. The fields are those of the command; its id is the header `Idempotency-Key`."""

    model_config = ConfigDict(extra="forbid")

    proposal_hash: Digest
    meaning: Meaning
    units: int | None = Field(default=None, gt=0, le=100_000_000, description="For approve_edited only")
    reason: RejectReason | None = Field(default=None, description="Required for reject")
    comment: Text = ""
    decision_id: str | None = Field(default=None, description="May be repeated here; must be the path's")
    command_id: str | None = Field(default=None, description="May be repeated here; must be the header's")


class UndoBody(BaseModel):
    """Which answer to take back; without a body, whichever of the caller's stands."""

    model_config = ConfigDict(extra="forbid")

    approval_id: Annotated[str, Field(max_length=100, pattern=STORABLE)] | None = Field(
        default=None, description="As the verdict's receipt said"
    )


def routes(ports: ConsolePorts, answers: AnswerDesk, gate: Gate) -> APIRouter:
    """`/api/v1/tasks/{id}/verdict` and `/api/v1/tasks/{id}/undo`."""
    router = APIRouter(prefix="/api/v1", tags=["tasks"])

    @router.post(
        "/tasks/{decision_id}/verdict", summary="Approve, approve edited or reject", response_model=None,
        responses={
            200: {"model": VerdictReceipt},
            409: told("Stale, or answered by somebody: with what stands now and what changed", Outdated),
        },
    )  # fmt: skip
    async def verdict(
        request: Request,
        decision_id: DecisionId,
        body: VerdictBody,
        idempotency_key: KeptKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.ANSWER))],
    ) -> VerdictReceipt | Response:
        """The verdict counts only for the proposal whose hash it carries, and only the first valid one counts.

        `complete` false in the answer: the policy wants two signatures, and another person must send the same units.
        Until `undo_until` nothing comes of it.
        """
        if body.decision_id not in (None, decision_id) or body.command_id not in (None, idempotency_key):
            raise InvalidInput("decision_id and command_id in the body must be those of the path and the header.")
        fields = body.model_dump() | {"decision_id": decision_id, "command_id": idempotency_key}
        try:
            command = VerdictCommand.model_validate(fields)
        except ValidationError as error:
            raise InvalidInput(str(error)) from error
        try:
            return await answers.answer(command, caller.actor)
        except (StaleProposal, AlreadyAnswered) as error:
            return await _outdated(ports, request, decision_id, body.proposal_hash, error)

    @router.post(
        "/tasks/{decision_id}/undo", summary="Take one's own answer back, before anything came of it",
        responses={409: told("Nothing of the caller's stands, or something came of it already")},
    )  # fmt: skip
    async def undo(
        decision_id: DecisionId,
        idempotency_key: KeptKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.ANSWER))],
        body: UndoBody | None = None,
    ) -> UndoReceipt:
        """The task waits again, and the answer stays on the record as taken back."""
        approval_id = body.approval_id if body else None
        command = UndoCommand(command_id=idempotency_key, decision_id=decision_id, approval_id=approval_id)
        return await answers.undo(command, caller.actor)

    return router


async def _outdated(
    ports: ConsolePorts, request: Request, decision_id: str, seen_hash: str, error: Conflict
) -> Response:
    problem = problem_of(error)
    assert problem is not None  # noqa: S101 - both classes are in the list
    view = await ports.desk.decision(decision_id)
    changes = await changed_since(ports.desk, view, seen_hash)
    extra = {"current": what_stands(view), "changes": [change.model_dump(mode="json") for change in changes]}
    detail = str(error) if not changes else f"{error}: {'; '.join(change.words for change in changes)}."
    return problem_response(problem, request, detail, extra)
