"""Many tasks at once: a preview of what one is about to do, one request, and an answer for each row.

The desk that programs answer many tasks at judges both steps: a form that was never previewed gets the same refusals.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData

from console.auth import Gate, Session
from console.bulk import BulkAnswer, BulkDesk, BulkRow
from console.desk import AnswerDesk
from console.inbox_views import PAGE
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.approvals import Meaning, RejectReason, Text
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.inbox import Inbox, InboxRow
from workflows.domain.people import Permission

AT_ONCE = 4
"""Rows that are read at the same time: the rest of the console wants connections too."""


class Group(NamedTuple):
    """What goes to one supplier in one currency; amounts of different currencies are never summed."""

    supplier: str
    currency: str
    rows: int
    units: int
    value: Decimal


class Done(NamedTuple):
    """What became of one row."""

    decision_id: str
    name: str
    done: bool
    said: str


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/inbox/bulk`: without `sure` it shows what would be answered, with it it answers."""
    router = APIRouter(include_in_schema=False)
    desk = BulkDesk(ports, AnswerDesk(ports.approvals, ports.verdicts))

    @router.post("/inbox/bulk")
    async def bulk(
        request: Request, session: Annotated[Session, Depends(gate.form(Permission.ANSWER))]
    ) -> Response:  # fmt: skip
        form = await request.form()
        meaning = _meaning(form)
        if form.get("sure") == "yes":
            results = await _answer(desk, form, meaning, session)
            context: dict[str, object] = {"results": results, "meaning": meaning, "back": _back(form)}
            return pages.show(request, "inbox_bulk_done.html", session, context)
        rows, missing = await _rows(ports, _ids(form))
        ready, apart = await _sorted(desk, rows, meaning, session)
        context = {
            "ready": ready, "apart": apart, "missing": missing, "groups": groups(ready), "meaning": meaning,
            "worst": max((row.stockout_risk for row in ready), default=None), "reasons": list(RejectReason),
            "command": secrets.token_urlsafe(16), "back": _back(form),
        }  # fmt: skip
        return pages.show(request, "inbox_bulk.html", session, context)

    return router


def groups(rows: Sequence[InboxRow]) -> list[Group]:
    """The rows by supplier and currency, dearest first."""
    by: dict[tuple[str, str], list[InboxRow]] = defaultdict(list)
    for row in rows:
        by[row.supplier, row.currency].append(row)
    found = [
        Group(supplier, currency, len(own), sum(row.units for row in own), sum((row.value for row in own), Decimal(0)))
        for (supplier, currency), own in by.items()
    ]
    return sorted(found, key=lambda group: (group.currency, -group.value))


async def _sorted(
    desk: BulkDesk, rows: Sequence[InboxRow], meaning: Meaning, session: Session
) -> tuple[list[InboxRow], list[tuple[InboxRow, str]]]:
    """Rows that one answer fits, and those that it does not, with why."""
    if not rows:
        return [], []
    asked = [BulkRow(decision_id=row.decision_id, proposal_hash=row.proposal_hash) for row in rows]
    preview = await desk.preview(asked, meaning, session.person)
    why = {line.decision_id: line.why for line in preview.apart}
    ready = [row for row in rows if row.decision_id not in why]
    return ready, [(row, why[row.decision_id]) for row in rows if row.decision_id in why]


async def _rows(ports: ConsolePorts, ids: Sequence[str]) -> tuple[list[InboxRow], list[str]]:
    if ports.inbox is None:
        raise NotFound("This installation has no views of its tasks.")
    inbox, places = ports.inbox, asyncio.Semaphore(AT_ONCE)

    async def one(decision_id: str) -> InboxRow | None:
        async with places:
            return await _row(inbox, decision_id)

    found = await asyncio.gather(*(one(decision_id) for decision_id in ids))
    missing = [decision_id for decision_id, row in zip(ids, found, strict=True) if row is None]
    return [row for row in found if row is not None], missing


async def _row(inbox: Inbox, decision_id: str) -> InboxRow | None:
    try:
        return await inbox.row(decision_id)
    except NotFound:
        return None


async def _answer(desk: BulkDesk, form: FormData, meaning: Meaning, session: Session) -> list[Done]:
    """Each row for itself: one that is refused holds up no other. Sent again, the same form answers the same."""
    asked, names = _asked(form)
    try:
        reason = RejectReason(str(form.get("reason"))) if meaning is Meaning.REJECT else None
        comment = TypeAdapter(Text).validate_python(str(form.get("comment") or ""))
    except ValidationError as error:
        raise InvalidInput("At most 1,000 characters of comment, please.") from error
    except ValueError as error:
        raise InvalidInput("A rejection needs a reason. Go back and choose one.") from error
    answer: BulkAnswer = await desk.answer(
        asked, meaning, session.person, session.actor, key=f"form-{form.get('command')}", reason=reason,
        comment=comment,
    )  # fmt: skip
    return [
        Done(line.decision_id, names[line.decision_id], line.done, "Done." if line.done else line.why)
        for line in answer.lines
    ]


def _asked(form: FormData) -> tuple[list[BulkRow], dict[str, str]]:
    """The rows of the second form, and what each is called."""
    rows, names = [], {}
    for line in _ids(form):
        decision_id, _, told = line.partition("|")
        proposal_hash, _, name = told.partition("|")
        try:
            rows.append(BulkRow(decision_id=decision_id, proposal_hash=proposal_hash))
        except ValidationError as error:
            raise InvalidInput("The form was damaged on its way; nothing was answered.") from error
        names[decision_id] = name or decision_id
    return rows, names


def _ids(form: FormData) -> list[str]:
    ids = list(dict.fromkeys(str(value)[:500] for value in form.getlist("task") if "\x00" not in str(value)))
    if not ids:
        raise InvalidInput("Select at least one task first.")
    if len(ids) > PAGE:
        raise InvalidInput(f"At most {PAGE} tasks at once, so that somebody has looked at each.")
    return ids


def _meaning(form: FormData) -> Meaning:
    given = form.get("meaning")
    if given not in (Meaning.APPROVE, Meaning.REJECT):
        raise InvalidInput("Many tasks at once are approved as proposed, or rejected.")
    return Meaning(str(given))


def _back(form: FormData) -> str:
    """Back to the list that one came from; only ever to the inbox."""
    given = str(form.get("back") or "")
    return given if given.startswith("/inbox?") and given.isprintable() else "/inbox"
