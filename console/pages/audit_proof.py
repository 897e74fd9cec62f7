"""One entry's proof: its place in the tree, the path to a signed root, and every step of checking it in words."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from console.auth import Gate, Session
from console.rendering import Pages
from workflows.domain.approvals import STORABLE
from workflows.domain.auditing import RecordDesk
from workflows.domain.errors import NotFound
from workflows.domain.people import Permission

Stream = Annotated[str, Query(min_length=1, max_length=300, pattern=STORABLE, description="The chain's name")]
Seq = Annotated[int, Query(ge=1, le=2**31 - 1, description="The entry's number in its chain")]


def record_of(record: RecordDesk | None) -> RecordDesk:
    """The record.

    Raises:
        NotFound: this installation does not show it.
    """
    if record is None:
        raise NotFound("This installation does not show how its record is certified.")
    return record


def routes(record: RecordDesk | None, gate: Gate, pages: Pages) -> APIRouter:
    """`/audit/proof` and `/audit/proof.json`."""
    router = APIRouter(include_in_schema=False, prefix="/audit")
    AuditSession = Annotated[Session, Depends(gate.page(Permission.AUDIT))]

    @router.get("/proof")
    async def proof(request: Request, session: AuditSession, stream: Stream, seq: Seq) -> Response:
        found = await record_of(record).proof(stream, seq, session.actor)
        return pages.show(request, "audit_proof.html", session, {"proof": found})

    @router.get("/proof.json")
    async def proof_json(session: AuditSession, stream: Stream, seq: Seq) -> Response:
        found = await record_of(record).proof(stream, seq, session.actor)
        headers = {"Content-Disposition": 'attachment; filename="entry-proof.json"', "Cache-Control": "no-store"}
        return Response(found.model_dump_json(indent=1), media_type="application/json", headers=headers)

    return router
