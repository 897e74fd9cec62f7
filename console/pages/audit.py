"""The audit page: state of the record, search, one chain, verification, export; what is read here is recorded."""

import json
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ValidationError

from console.audit_desk import AuditDesk, about_people
from console.auth import Gate, Session
from console.record_words import badge, standing, verified_in_words
from console.rendering import Pages, link
from console.words import ENTRIES, text
from workflows.domain.audit import Question
from workflows.domain.auditing import RecordDesk
from workflows.domain.checkup import age
from workflows.domain.errors import InvalidInput, NotFound, explained
from workflows.domain.identity import plain
from workflows.domain.ledger import EntryType
from workflows.domain.people import Permission

FIELDS = ("subject", "item", "location", "person", "model", "first_day", "last_day")
PRESETS: tuple[tuple[str, tuple[EntryType, ...]], ...] = (
    ("Verdicts", (EntryType.VERDICT_RECORDED,)),
    ("Refused attempts", tuple(kind for kind in EntryType if kind.value.endswith("refused"))),
    ("Policy", tuple(kind for kind in EntryType if kind.value.startswith("policy."))),
    ("Models", tuple(kind for kind in EntryType if kind.value.startswith("model."))),
    ("Sign-ins and rights", tuple(kind for kind in EntryType if kind.value.startswith(("session.", "person.")))),
    ("Reading and exports", (EntryType.AUDIT_READ, EntryType.EXPORT_MADE)),
)
"""Questions that auditors ask again and again."""


def question_of(request: Request) -> Question:
    """The question in the address; empty fields were left empty.

    Raises:
        InvalidInput: it cannot be answered; the message is for the person who asked.
    """
    given: dict[str, Any] = {name: request.query_params[name] for name in FIELDS if request.query_params.get(name)}
    given["types"] = [one for one in request.query_params.getlist("types") if one]
    try:
        return Question.model_validate(given)
    except ValidationError as error:
        raise InvalidInput(explained(error, "the dates")) from error


def routes(desk: AuditDesk | None, record: RecordDesk | None, gate: Gate, pages: Pages) -> APIRouter:
    """`/audit`, `/audit/chain`, `/audit/verify`, `/audit/export.json` and `.csv`."""
    router = APIRouter(include_in_schema=False, prefix="/audit")
    AuditSession = Annotated[Session, Depends(gate.page(Permission.AUDIT))]

    def asked() -> AuditDesk:
        if desk is None:
            raise NotFound("This installation shows no ledger here.")
        return desk

    async def meant_by(request: Request) -> Question:
        return await about_people(question_of(request), gate.sign_in.people)

    async def context_of(question: Question) -> dict[str, object]:
        state = await record.state() if record else None
        return {
            "problem": "", "found": None, "verified": None, "after": None,
            "state": state, "standing": standing(state) if state else None, "span": age,
            "question": question,
            "types": [(kind, text(ENTRIES, kind)) for kind in EntryType],
            "presets": [(name, f"/audit?{address_of(Question(types=kinds))}") for name, kinds in PRESETS],
            "address": address_of(question),
            "public_key": asked().signer.public_key,
        }  # fmt: skip

    @router.get("")
    async def search(
        request: Request, session: AuditSession, after: Annotated[str | None, Query(max_length=400)] = None
    ) -> Response:
        try:
            question = question_of(request)
            meant = await about_people(question, gate.sign_in.people)
            found = await asked().trail.search(meant, session.actor, after=after)
        except InvalidInput as error:
            context = {
                **await context_of(Question()),
                "problem": str(error),
                "found": None,
                "verified": None,
                "after": None,
            }
            return pages.show(request, "audit.html", session, context, HTTPStatus.UNPROCESSABLE_ENTITY)
        context = {**await context_of(question), "found": found, "after": after}
        return pages.show(request, "audit.html", session, context)

    @router.get("/chain")
    async def chain(
        request: Request, session: AuditSession, stream: Annotated[str, Query(min_length=1, max_length=300)]
    ) -> Response:
        found = await asked().trail.chain(stream, session.actor)
        bodies = [json.dumps(line.body, ensure_ascii=False, indent=2, sort_keys=True) for line in found.lines]
        certified = await record.certified([(line.stream, line.seq) for line in found.lines]) if record else None
        badges = [badge(certified, line.stream, line.seq) for line in found.lines]
        leaves = [certified.leaves.get((line.stream, line.seq)) if certified else None for line in found.lines]
        context = {"chain": found, "bodies": bodies, "decision": decision_of(stream), "badges": badges,
                   "leaves": leaves}  # fmt: skip
        return pages.show(request, "audit_chain.html", session, context)

    @router.post("/verify")
    async def verify(request: Request, session: Annotated[Session, Depends(gate.form(Permission.AUDIT))]) -> Response:
        verified = await asked().trail.verify(session.actor)
        context = {**await context_of(Question()), "verified": verified, "told": verified_in_words(verified)}
        return pages.show(request, "audit.html", session, context)

    @router.get("/export.json")
    async def export_json(request: Request, session: AuditSession) -> Response:
        signed = await asked().signed_export(await meant_by(request), session.actor)
        return _file(signed.model_dump_json(indent=1), "application/json", "ledger-export.json")

    @router.get("/export.csv")
    async def export_csv(request: Request, session: AuditSession) -> Response:
        table = await asked().csv_export(await meant_by(request), session.actor)
        return _file(table, "text/csv; charset=utf-8", "ledger-export-unsigned.csv")

    return router


def address_of(question: Question) -> str:
    """The question as the query of an address, without its `?`."""
    fields = {name: value for name, value in plain(question).items() if value and name != "types"}
    query = link("", **fields).lstrip("?")
    types = "&".join(f"types={one}" for one in question.types)
    return "&".join(part for part in (query, types) if part)


def decision_of(stream: str) -> str | None:
    """The decision that a chain is about; None for a chain about something else."""
    location, _, rest = stream.partition(":")
    item, _, number = rest.partition(":")
    return stream if location and item and number.isdecimal() and location != "order" else None


def _file(content: str, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)
