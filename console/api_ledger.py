"""REST for auditors: the ledger's entries, one chain, verification and the signed export. Reading is recorded."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from console.api_problems import NOT_HERE, FreeKey
from console.api_times import Day
from console.audit_desk import AuditDesk, about_people
from console.auth import Caller, Gate
from console.pages.audit import question_of
from workflows.domain.audit import Chain, LedgerLine, Question, SignedExport
from workflows.domain.errors import NotFound
from workflows.domain.ledger import Break, EntryType
from workflows.domain.people import Permission

Short = Annotated[str, Query(max_length=200)]
When = Annotated[Day | None, Query(description="In UTC")]


class LedgerPage(BaseModel):
    """Entries, newest first."""

    entries: list[LedgerLine]
    next: str | None
    """What `after` takes to go on; null on the last page."""
    capped: bool
    """More decisions match than a search looks at."""


class VerificationDocument(BaseModel):
    """What recomputing every hash found."""

    ok: bool
    entries: int
    chains: int
    breaks: list[Break]
    leaves: int
    """Of the notary's tree."""
    checkpoints: int
    """Signed ones, each compared with the leaves."""
    without_leaf: int
    """Entries that no checkpoint covers yet."""
    anchored_leaves: int | None
    """Compared with what the anchors remember; null: they cannot be seen from here."""
    losses: list[str]
    """Who accepted that certified entries are gone for good, and why."""


class SigningKey(BaseModel):
    """The key that exports are signed with."""

    algorithm: str
    public_key: str


def asked_by_query(
    request: Request, subject: Short = "", item: Short = "", location: Short = "", person: Short = "",
    model: Short = "", types: Annotated[list[EntryType] | None, Query(max_length=20)] = None, first_day: When = None,
    last_day: When = None,
) -> Any:  # fmt: skip
    """The question; the parameters are named so that the description of the API has them."""
    return question_of(request)


def routes(desk: AuditDesk | None, gate: Gate) -> APIRouter:
    """`/api/v1/ledger...`."""
    router = APIRouter(prefix="/api/v1/ledger")
    Auditor = Annotated[Caller, Depends(gate.api(Permission.AUDIT))]

    def asked() -> AuditDesk:
        if desk is None:
            raise NotFound("This installation shows no ledger here.")
        return desk

    async def meant(question: Question) -> Question:
        return await about_people(question, gate.sign_in.people)

    @router.get("", summary="Search the ledger, newest entry first", responses=NOT_HERE)
    async def search(
        caller: Auditor, question: Annotated[Any, Depends(asked_by_query)],
        limit: Annotated[int, Query(ge=1, le=500)] = 100, after: Annotated[str | None, Query(max_length=400)] = None,
    ) -> LedgerPage:  # fmt: skip
        found = await asked().trail.search(await meant(question), caller.actor, limit=limit, after=after)
        return LedgerPage(entries=list(found.lines), next=found.after, capped=found.capped)

    @router.get("/chain", summary="One chain from its first entry, verified", responses=NOT_HERE)
    async def chain(caller: Auditor, stream: Annotated[str, Query(min_length=1, max_length=300)]) -> Chain:
        return await asked().trail.chain(stream, caller.actor)

    @router.get("/export", summary="What a search finds as one signed document", responses=NOT_HERE)
    async def export(caller: Auditor, question: Annotated[Any, Depends(asked_by_query)]) -> SignedExport:
        return await asked().signed_export(await meant(question), caller.actor)

    @router.get("/export.csv", summary="The same as CSV, unsigned", response_class=Response,
                responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, **NOT_HERE})  # fmt: skip
    async def export_csv(caller: Auditor, question: Annotated[Any, Depends(asked_by_query)]) -> Response:
        table = await asked().csv_export(await meant(question), caller.actor)
        return Response(table, media_type="text/csv; charset=utf-8", headers={"Cache-Control": "no-store"})

    @router.get("/key", summary="The key that exports are signed with", responses=NOT_HERE)
    async def key(caller: Auditor) -> SigningKey:
        return SigningKey(algorithm="Ed25519", public_key=asked().signer.public_key)

    @router.post(
        "/verify", summary="Recompute chains, tree and checkpoints, and compare the anchors", responses=NOT_HERE
    )
    async def verify(caller: Auditor, idempotency_key: FreeKey) -> VerificationDocument:
        """Reads everything and changes nothing; that it was read is recorded each time."""
        found = await asked().trail.verify(caller.actor)
        return VerificationDocument(
            ok=found.ok, entries=found.entries, chains=found.streams, breaks=list(found.breaks[:1000]),
            leaves=found.leaves, checkpoints=found.checkpoints, without_leaf=found.unsealed,
            anchored_leaves=found.anchored_leaves, losses=list(found.losses),
        )  # fmt: skip

    return router
