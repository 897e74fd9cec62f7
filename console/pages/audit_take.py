"""What auditors take along: evidence packs and whole populations, each recorded before it is given."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import FileResponse
from pydantic import ValidationError
from starlette.background import BackgroundTask

from console.auth import Gate, Session
from console.rendering import Pages
from workflows.domain.auditing import MadeFile, RecordCopies
from workflows.domain.errors import InvalidInput, NotFound, explained
from workflows.domain.packs import PackRequest, ScopeKind
from workflows.domain.people import Permission
from workflows.domain.population import PopulationFormat, PopulationKind, Wanted

DAYS = 30
"""The period that forms begin with."""
KINDS = {
    PopulationKind.DECISIONS: "every decision, holds one by one",
    PopulationKind.ORDERS: "every purchase order",
    PopulationKind.APPROVALS: "every answer that counted",
    PopulationKind.ENTRIES: "every entry of the ledger",
}
NAMED = {"decision", "since", "until", "what", "form", "models"}


def copies_of(copies: RecordCopies | None) -> RecordCopies:
    """Whoever makes them.

    Raises:
        NotFound: this installation makes none.
    """
    if copies is None:
        raise NotFound("This installation makes no copies of its record here.")
    return copies


def pack_of(decision: str | None, since: date | None, until: date | None, *, models: bool) -> PackRequest:
    """What is asked for: one decision, or a period. Everything there is, is for the command.

    Raises:
        InvalidInput: it is neither.
    """
    try:
        asked = PackRequest(decision=decision or None, since=since, until=until, models=models)
    except ValidationError as error:
        raise InvalidInput(explained(error, "the days")) from error
    if asked.kind is ScopeKind.EVERYTHING:
        raise InvalidInput(
            "name a decision, or a first and a last day; a pack of everything is made by `quartermaster audit pack`"
        )
    return asked


def wanted_of(what: PopulationKind, since: date, until: date) -> Wanted:
    """The population.

    Raises:
        InvalidInput: the period ends before it begins.
    """
    if until < since:
        raise InvalidInput(f"the last day, {until}, lies before the first, {since}")
    return Wanted(what=what, since=since, until=until)


def sent(made: MadeFile) -> FileResponse:
    """The file on its way; it is gone from this machine when it was sent."""

    def remove() -> None:
        made.path.unlink(missing_ok=True)
        made.path.parent.rmdir()

    headers = {"Cache-Control": "no-store", "X-Content-SHA256": made.sha256}
    return FileResponse(
        made.path, media_type="application/zip", filename=made.name, headers=headers, background=BackgroundTask(remove)
    )


def day_of(text: str, what: str) -> date:
    """A day from a form.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{what} is a day, written like 2026-11-21") from error


def routes(copies: RecordCopies | None, gate: Gate, pages: Pages) -> APIRouter:
    """`/audit/population`, the page with both forms, and their targets."""
    router = APIRouter(include_in_schema=False, prefix="/audit")
    FormSession = Annotated[Session, Depends(gate.form(Permission.AUDIT))]

    def shown(
        request: Request, session: Session, given: Mapping[str, str], problem: str = "",
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:  # fmt: skip
        today = datetime.now(UTC).date()
        first = {"since": str(today - timedelta(days=DAYS)), "until": str(today), "decision": "", "what": "decisions",
                 "form": "csv", "models": "yes"}  # fmt: skip
        context: dict[str, Any] = {"there": copies is not None, "kinds": KINDS, "forms": list(PopulationFormat),
                                   "problem": problem, "given": {**first, **given}}  # fmt: skip
        return pages.show(request, "audit_take.html", session, context, status)

    @router.get("/population")
    async def forms(request: Request, session: Annotated[Session, Depends(gate.page(Permission.AUDIT))]) -> Response:
        asked = {name: value[:200] for name, value in request.query_params.items() if name in NAMED}
        return shown(request, session, asked)

    @router.post("/population")
    async def population(
        request: Request, session: FormSession, what: Annotated[str, Form()] = "", since: Annotated[str, Form()] = "",
        until: Annotated[str, Form()] = "", form: Annotated[str, Form()] = "csv",
    ) -> Response:  # fmt: skip
        try:
            if what not in set(PopulationKind) or form not in set(PopulationFormat):
                raise InvalidInput("choose what is exported, and how it is written")
            wanted = wanted_of(PopulationKind(what), day_of(since, "the first day"), day_of(until, "the last day"))
            return sent(await copies_of(copies).population(wanted, PopulationFormat(form), session.actor))
        except InvalidInput as error:
            given = {"what": what[:20], "since": since[:20], "until": until[:20], "form": form[:10]}
            return shown(request, session, given, str(error), HTTPStatus.UNPROCESSABLE_ENTITY)

    @router.post("/pack")
    async def pack(
        request: Request, session: FormSession, decision: Annotated[str, Form(max_length=200)] = "",
        since: Annotated[str, Form()] = "", until: Annotated[str, Form()] = "", models: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        try:
            one = decision.strip()
            days = (None, None) if one else (day_of(since, "the first day"), day_of(until, "the last day"))
            asked = pack_of(one, *days, models=bool(one) or models == "yes")
            return sent(await copies_of(copies).pack(asked, session.actor))
        except InvalidInput as error:
            given = {"decision": decision[:200], "since": since[:20], "until": until[:20], "models": models[:5]}
            return shown(request, session, given, str(error), HTTPStatus.UNPROCESSABLE_ENTITY)

    return router
