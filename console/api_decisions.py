"""REST: decisions of the past, and what can be asked about one: alternatives, other quantities, cases like it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from console.api_answers import DecisionId
from console.api_problems import NOT_HERE
from console.api_times import Day
from console.auth import Caller, Gate
from console.decision_desk import DecisionDesk, Recomputation
from console.ports import ConsolePorts
from workflows.domain.alternatives import Alternative
from workflows.domain.decisions import DecisionInputs
from workflows.domain.desk import DecisionView
from workflows.domain.errors import NotFound
from workflows.domain.identity import Code, Digest, Payload
from workflows.domain.past_decisions import DecisionFilters, DecisionKind, DecisionRow, SimilarDecision
from workflows.domain.people import Permission
from workflows.domain.pictures import Picture, picture_of
from workflows.domain.policies import RiskTier
from workflows.domain.rerun import Deviation


class DecisionDocument(DecisionView):
    """One decision with its history, and the hash that a verdict must carry."""

    proposal_hash: Digest
    picture_digest: Digest
    """Of everything that its charts are drawn from: equal digests are equal pictures."""


class Decisions(Payload):
    """Decisions, newest first. A page may be short, even empty, and still have a `next`."""

    decisions: tuple[DecisionRow, ...]
    next: str | None
    """Give it as `after` to get the page that follows; null on the last page."""


class Alternatives(Payload):
    """A decision beside waiting, less and more, by units; empty where the policy that it names is not held here."""

    decision_id: str
    currency: str
    alternatives: tuple[Alternative, ...]


class SimilarDecisions(Payload):
    """Earlier decisions about the same item and location, then the same category and location, newest first."""

    decision_id: str
    similar: tuple[SimilarDecision, ...]


class RerunDocument(Payload):
    """Whether the decision comes out as recorded when it is made again from its recorded inputs and policy."""

    decision_id: str
    equal: bool
    rule: int
    """Number of the rule of decision that was used."""
    deviations: tuple[Deviation, ...]


def document(view: DecisionView) -> DecisionDocument:
    """The decision for programs."""
    picture = picture_of(DecisionInputs.model_validate(view.inputs), view.decision.result)
    return DecisionDocument(**dict(view), proposal_hash=view.decision.proposal_hash, picture_digest=picture.digest)


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """Reads of decisions under `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])
    desk = DecisionDesk(ports)
    _one(router, ports, desk)

    @router.get(
        "/decisions", summary="Decisions, newest first",
        responses=NOT_HERE,
    )  # fmt: skip
    async def decisions(
        item: Annotated[Code | None, Query()] = None,
        location: Annotated[Code | None, Query()] = None,
        kind: DecisionKind | None = None,
        tier: RiskTier | None = None,
        first: Annotated[Day | None, Query(alias="from", description="Decided on this day or later (UTC)")] = None,
        last: Annotated[Day | None, Query(alias="to", description="Decided on this day or before (UTC)")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="At most so many rows")] = 100,
        after: Annotated[str | None, Query(max_length=600, description="next of the page before")] = None,
    ) -> Decisions:
        if ports.past is None:
            raise NotFound("This installation does not list past decisions.")
        filters = DecisionFilters(
            item=item, location=location, kind=kind, tier=tier, first_day=first, last_day=last
        )  # fmt: skip
        page = await ports.past.page(filters, limit=limit, after=after)
        return Decisions(decisions=page.rows, next=page.after)

    @router.get(
        "/tasks/{decision_id}/recompute", summary="The proposal with another quantity, and whether you may approve it"
    )  # fmt: skip
    async def recomputed(
        decision_id: DecisionId,
        units: Annotated[int, Query(gt=0, le=100_000_000)],
        caller: Annotated[Caller, Depends(gate.api(Permission.SEE))],
    ) -> Recomputation:
        return await desk.recompute(decision_id, units, caller.person)

    return router


def _one(router: APIRouter, ports: ConsolePorts, desk: DecisionDesk) -> None:
    @router.get("/decisions/{decision_id}", summary="One decision from need to outcome")
    async def decision(decision_id: DecisionId) -> DecisionDocument:
        return document(await ports.desk.decision(decision_id))

    @router.get("/tasks/{decision_id}", summary="One task with its decision")
    async def task(decision_id: DecisionId) -> DecisionDocument:
        view = await ports.desk.decision(decision_id)
        if view.task is None:
            raise NotFound(f"Decision {decision_id} never needed a person: there is no task.")
        return document(view)

    @router.get("/decisions/{decision_id}/alternatives", summary="What else could be ordered")
    async def alternatives(decision_id: DecisionId) -> Alternatives:
        found = await desk.explained(decision_id)
        return Alternatives(
            decision_id=decision_id, currency=found.inputs.currency, alternatives=found.alternatives
        )  # fmt: skip

    @router.get("/decisions/{decision_id}/similar", summary="Earlier decisions that resemble it")
    async def similar(decision_id: DecisionId) -> SimilarDecisions:
        return SimilarDecisions(decision_id=decision_id, similar=tuple(await desk.similar(decision_id)))

    @router.get("/decisions/{decision_id}/picture", summary="What its charts are drawn from")
    async def picture(decision_id: DecisionId) -> Picture:
        return (await desk.explained(decision_id)).picture

    @router.get("/decisions/{decision_id}/rerun", summary="Whether it comes out the same when made again")
    async def made_again(decision_id: DecisionId) -> RerunDocument:
        found = await desk.rerun(decision_id)
        return RerunDocument(
            decision_id=decision_id, equal=found.equal, rule=found.rule, deviations=found.deviations
        )  # fmt: skip
