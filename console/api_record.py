"""REST over the certified record: its state, proofs, decisions made again, copies to take along, and reviews."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from console.api_answers import DecisionId
from console.api_problems import NOT_HERE, FreeKey, told
from console.api_times import Day
from console.auth import Caller, Gate
from console.pages.audit_access import days_of, reviews_of
from console.pages.audit_proof import record_of
from console.pages.audit_take import copies_of, pack_of, sent, wanted_of
from console.pages.decision_replay import replays_of
from console.ports import ConsolePorts
from workflows.domain.access_review import AccessReview
from workflows.domain.approvals import STORABLE
from workflows.domain.auditing import RecordState
from workflows.domain.controls import Blocked, Controls
from workflows.domain.entry_proofs import EntryProof
from workflows.domain.people import Permission
from workflows.domain.population import PopulationFormat, PopulationKind
from workflows.domain.replay import Replayed, Verdict

Since = Annotated[Day | None, Query(description="First day, in UTC; by default 90 days before")]
Last = Annotated[Day | None, Query(description="Last day, to its end in UTC; by default today")]
BUSY: dict[int | str, dict[str, Any]] = {409: told("Another one is being made on this console; ask again in a minute")}
ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


class ReplayDocument(BaseModel):
    """What came of making a decision again, each revision by itself."""

    decision_id: str
    verdict: Verdict
    """The worst of the revisions'."""
    revisions: list[Replayed]


class ControlCount(Blocked):
    """How often one control worked, for one reason."""


class ControlsDocument(Controls):
    """What was kept from happening on these days (inclusive, UTC, by when it was recorded), and how people answered."""

    blocked: tuple[ControlCount, ...]


class PackBody(BaseModel):
    """One decision, or the days in which entries were recorded."""

    model_config = ConfigDict(extra="forbid")

    decision: str | None = Field(default=None, min_length=1, max_length=200, pattern=STORABLE)
    since: Day | None = None
    until: Day | None = Field(default=None, description="The last day, inclusive (UTC)")
    models: bool = Field(default=True, description="With the bytes of the models that decided")


class PopulationBody(BaseModel):
    """What is exported."""

    model_config = ConfigDict(extra="forbid")

    what: PopulationKind
    since: Day
    until: Day = Field(description="The last day, inclusive (UTC)")
    form: PopulationFormat = PopulationFormat.CSV


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/ledger/state`, `/proof`, `/pack`, `/population`, `/access`, `/controls`, and a decision's `/replay`."""
    router = APIRouter(prefix="/api/v1")
    _proofs(router, ports, gate)
    _copies(router, ports, gate)
    _reviews(router, ports, gate)

    @router.post("/decisions/{decision_id}/replay", summary="Make it again from the ledger and the evidence alone",
                 responses=BUSY)  # fmt: skip
    async def replay(
        decision_id: DecisionId, idempotency_key: FreeKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.SEE))],
    ) -> ReplayDocument:  # fmt: skip
        """Features, forecast, risk, quantity, rule of approval and the order's payload are computed again and compared
        with what was recorded. Each time it is asked is recorded; nothing else is changed."""
        revisions = [one.replayed for one in await replays_of(ports).remade(decision_id, caller.actor)]
        worst = [Verdict.DIFFERENT, Verdict.INCOMPLETE, Verdict.EQUAL]
        verdict = min((one.verdict for one in revisions), key=worst.index)
        return ReplayDocument(decision_id=decision_id, verdict=verdict, revisions=revisions)

    return router


def _proofs(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    @router.get("/ledger/state", summary="How far the record is certified", responses=NOT_HERE,
                dependencies=[Depends(gate.api(Permission.AUDIT))])  # fmt: skip
    async def state() -> RecordState:
        return await record_of(ports.record).state()

    @router.get(
        "/ledger/proof",
        summary="The proof that an entry is under the newest checkpoint",
        responses={404: told("There is no such entry"), 409: told("It waits for the next checkpoint")},
    )
    async def proof(
        caller: Annotated[Caller, Depends(gate.api(Permission.AUDIT))],
        stream: Annotated[str, Query(min_length=1, max_length=300, pattern=STORABLE)],
        seq: Annotated[int, Query(ge=1, le=2**31 - 1)],
    ) -> EntryProof:
        """Whole: whoever has it, and the notary's key from elsewhere, checks it without us."""
        return await record_of(ports.record).proof(stream, seq, caller.actor)


def _copies(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    Auditor = Annotated[Caller, Depends(gate.api(Permission.AUDIT))]

    @router.post("/ledger/pack", summary="An evidence pack of one decision or of a period", response_class=Response,
                 responses={**ZIP, **BUSY, 404: told("There is no such decision")})  # fmt: skip
    async def pack(body: PackBody, caller: Auditor, idempotency_key: FreeKey) -> Response:
        """A zip that `deploy/verify.py` checks offline; `X-Content-SHA256` is in the ledger too. At most 200 MiB before
        it is compressed; larger ones are made by the command."""
        asked = pack_of(body.decision, body.since, body.until, models=body.models)
        return sent(await copies_of(ports.copies).pack(asked, caller.actor))

    @router.post("/ledger/population", summary="Every item of a period, with a proof that none is left out",
                 response_class=Response, responses={**ZIP, **BUSY, **NOT_HERE})  # fmt: skip
    async def population(body: PopulationBody, caller: Auditor, idempotency_key: FreeKey) -> Response:
        """A zip of the file and its proof, at most 200,000 rows."""
        wanted = wanted_of(body.what, body.since, body.until)
        return sent(await copies_of(ports.copies).population(wanted, body.form, caller.actor))


def _reviews(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    Auditor = Annotated[Caller, Depends(gate.api(Permission.AUDIT))]

    @router.get("/ledger/access", summary="Who could approve what at the end of a day, and who did", responses=NOT_HERE)
    async def access(caller: Auditor, on: Last = None, since: Since = None) -> AccessReview:
        first, last = days_of(since, on)
        return await reviews_of(ports.reviews).review(last, first, caller.actor)

    @router.get("/ledger/controls", summary="What was kept from happening in a period", responses=NOT_HERE)
    async def controls(caller: Auditor, since: Since = None, until: Last = None) -> ControlsDocument:
        first, last = days_of(since, until)
        found = await reviews_of(ports.reviews).controls(first, last, caller.actor)
        return ControlsDocument.model_validate(found.model_dump())
