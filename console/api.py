"""REST for programs: the same desk, the same answers and the same rules as the pages."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from console.auth import Caller, Gate
from console.desk import AnswerDesk
from console.ports import ConsolePorts
from console.problems import problem_of, problem_response
from workflows.domain.approvals import Meaning, RejectReason, TaskState, Text, VerdictCommand, VerdictReceipt
from workflows.domain.decisions import Proposal
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotFound, StaleProposal
from workflows.domain.identity import Digest
from workflows.domain.people import Permission
from workflows.domain.ports import BlockedRow, DecisionView, TaskRow

TaskFilter = Literal["open", "approved", "rejected", "expired", "voided", "all"]
DecisionId = Annotated[str, Path(description="The decision's id, which is its need's id: location:item:number")]
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many rows")]


class TaskPage(BaseModel):
    """Tasks by cost of waiting, dearest first."""

    tasks: list[TaskRow]
    next_after: str | None
    """Give it as `after` to get the page that follows; null on the last page."""


class Blocked(BaseModel):
    """What is needed and the engine may not order, newest first."""

    blocked: list[BlockedRow]


class DecisionDocument(DecisionView):
    """One decision with its history, and the hash that a verdict must carry."""

    proposal_hash: Digest


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


class Orders(BaseModel):
    """Purchase orders, newest first."""

    orders: list[dict[str, Any]]


class DeadLetters(BaseModel):
    """Messages that could not be read, newest first."""

    dead_letters: list[dict[str, Any]]


def routes(ports: ConsolePorts, answers: AnswerDesk, gate: Gate) -> APIRouter:
    """Everything under `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])
    _reading(router, ports)
    _answering(router, ports, answers, gate)

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> dict[str, Any]:
        document: dict[str, Any] = request.app.openapi()
        return document

    return router


def _reading(router: APIRouter, ports: ConsolePorts) -> None:
    @router.get("/tasks", summary="Tasks by cost of waiting, dearest first")
    async def tasks(
        state: TaskFilter = "open",
        limit: Limit = 100,
        after: Annotated[str | None, Query(max_length=200, description="next_after of the page before")] = None,
    ) -> TaskPage:
        wanted = None if state == "all" else TaskState(state)
        rows = await ports.desk.tasks(state=wanted, limit=limit, after=after)
        return TaskPage(tasks=rows, next_after=rows[-1].decision_id if len(rows) == limit else None)

    @router.get("/tasks/{decision_id}", summary="One task with its decision")
    async def task(decision_id: DecisionId) -> DecisionDocument:
        view = await ports.desk.decision(decision_id)
        if view.task is None:
            raise NotFound(f"Decision {decision_id} never needed a person: there is no task.")
        return _document(view)

    @router.get("/blocked", summary="What is needed and the engine may not order, newest first, with the rules")
    async def blocked(limit: Limit = 100) -> Blocked:
        return Blocked(blocked=await ports.desk.blocked(limit))

    @router.get("/decisions/{decision_id}", summary="One decision from need to outcome")
    async def decision(decision_id: DecisionId) -> DecisionDocument:
        return _document(await ports.desk.decision(decision_id))

    @router.get("/orders", summary="Purchase orders, newest first")
    async def orders(limit: Limit = 100) -> Orders:
        return Orders(orders=await ports.desk.orders(limit))

    @router.get("/counts", summary="The running totals, by their glossary names")
    async def counts() -> dict[str, int]:
        return await ports.desk.counts()

    @router.get("/dead-letters", summary="Messages that could not be read, with the reason, newest first")
    async def dead_letters(limit: Limit = 100) -> DeadLetters:
        return DeadLetters(dead_letters=await ports.desk.dead_letters(limit))


def _answering(router: APIRouter, ports: ConsolePorts, answers: AnswerDesk, gate: Gate) -> None:
    key = Header(
        alias="Idempotency-Key", min_length=8, max_length=100,
        description="Yours. The same key with the same body gives the same answer; with another body it is refused.",
    )  # fmt: skip

    @router.post(
        "/tasks/{decision_id}/verdict", summary="Approve, approve edited or reject", response_model=None,
        responses={
            200: {"model": VerdictReceipt}, 403: {"description": "Nobody may release it, by the policy in force"},
            409: {"description": "Stale, or answered by somebody"},
        },
    )  # fmt: skip
    async def verdict(
        request: Request,
        decision_id: DecisionId,
        body: VerdictBody,
        idempotency_key: Annotated[str, key],
        caller: Annotated[Caller, Depends(gate.api(Permission.ANSWER))],
    ) -> VerdictReceipt | Response:
        """The verdict counts only for the proposal whose hash it carries, and only the first valid one counts."""
        if body.decision_id not in (None, decision_id) or body.command_id not in (None, idempotency_key):
            raise InvalidInput("decision_id and command_id in the body must be those of the path and the header.")
        fields = body.model_dump() | {"decision_id": decision_id, "command_id": idempotency_key}
        try:
            command = VerdictCommand.model_validate(fields)
        except ValueError as error:
            raise InvalidInput(str(error)) from error
        try:
            return await answers.answer(command, caller.actor)
        except (StaleProposal, AlreadyAnswered) as error:
            problem = problem_of(error)
            assert problem is not None  # noqa: S101 - both classes are in the list
            extra = _current(await ports.desk.decision(decision_id))
            return problem_response(problem, request, str(error), extra)


def _document(view: DecisionView) -> DecisionDocument:
    return DecisionDocument(**dict(view), proposal_hash=view.decision.proposal_hash)


def _current(view: DecisionView) -> dict[str, Any]:
    """What stands now, so that a program can look again without another request."""
    result, task = view.decision.result, view.task or {}
    value: Decimal | None = result.value if isinstance(result, Proposal) else None
    return {
        "current": {
            "revision": view.decision.revision,
            "proposal_hash": view.decision.proposal_hash,
            "units": result.units if isinstance(result, Proposal) else None,
            "value": None if value is None else str(value),
            "state": task.get("state"),
            "answered_by": task.get("answered_by"),
        }
    }
