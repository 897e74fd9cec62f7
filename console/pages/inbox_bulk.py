"""Many tasks at once: a preview of what one is about to do, one request, and an answer for each row.

Rows that want a second look, or are above the person's limit, are named apart and never slip in.
"""

import asyncio
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from console.auth import Gate, Session
from console.desk import AnswerDesk
from console.inbox_views import PAGE, guard, may_answer
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.approvals import Meaning, RejectReason, TaskState, VerdictCommand
from workflows.domain.errors import InvalidInput, NotFound, QuartermasterError
from workflows.domain.inbox import Inbox, InboxRow
from workflows.domain.people import Permission, Person

AT_ONCE = 8
"""Verdicts on their way at the same time."""


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
    answers = AnswerDesk(ports.approvals, ports.verdicts)

    @router.post("/inbox/bulk")
    async def bulk(
        request: Request, session: Annotated[Session, Depends(gate.form(Permission.ANSWER))]
    ) -> Response:  # fmt: skip
        form = await request.form()
        meaning = _meaning(form)
        if form.get("sure") == "yes":
            results = await _answer(answers, form, meaning, session)
            context: dict[str, object] = {"results": results, "meaning": meaning, "back": _back(form)}
            return pages.show(request, "inbox_bulk_done.html", session, context)
        rows, missing = await _rows(ports, _ids(form))
        ready, apart = _sorted(rows, session.person, ports.currency)
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


def _sorted(
    rows: Sequence[InboxRow], person: Person, currency: str
) -> tuple[list[InboxRow], list[tuple[InboxRow, str]]]:
    """Rows that one answer fits, and those that it does not, with why."""
    ready, apart = [], []
    for row in rows:
        why = guard(row, person, currency)
        if row.state is not TaskState.OPEN:
            why = f"{row.state.value} already"
        elif not may_answer(row, person):
            why = f"not yours to answer: it is at {row.location}"
        if why:
            apart.append((row, why))
        else:
            ready.append(row)
    return ready, apart


async def _rows(ports: ConsolePorts, ids: Sequence[str]) -> tuple[list[InboxRow], list[str]]:
    if ports.inbox is None:
        raise NotFound("This installation has no views of its tasks.")
    found = await asyncio.gather(*(_row(ports.inbox, decision_id) for decision_id in ids))
    missing = [decision_id for decision_id, row in zip(ids, found, strict=True) if row is None]
    return [row for row in found if row is not None], missing


async def _row(inbox: Inbox, decision_id: str) -> InboxRow | None:
    try:
        return await inbox.row(decision_id)
    except NotFound:
        return None


async def _answer(answers: AnswerDesk, form: FormData, meaning: Meaning, session: Session) -> list[Done]:
    """Each row for itself: one that is refused holds up no other. Sent again, the same form answers the same."""
    gate = asyncio.Semaphore(AT_ONCE)
    reason = str(form.get("reason") or "") or None
    if meaning is Meaning.REJECT and reason is None:
        raise InvalidInput("A rejection needs a reason. Go back and choose one.")

    async def one(line: str) -> Done:
        decision_id, _, told = line.partition("|")
        proposal_hash, _, name = told.partition("|")
        try:
            command = VerdictCommand.model_validate({
                "command_id": _key(str(form.get("command") or ""), decision_id), "decision_id": decision_id,
                "proposal_hash": proposal_hash, "meaning": meaning, "reason": reason,
                "comment": str(form.get("comment") or ""),
            })  # fmt: skip
            async with gate:
                receipt = await answers.answer(command, session.actor)
        except ValidationError:
            return Done(
                decision_id, name or decision_id, False, "The form was damaged on its way; nothing was answered."
            )
        except QuartermasterError as error:
            return Done(decision_id, name, False, str(error))
        said = "Done." if receipt.complete else "Signed; another person must sign too."
        return Done(decision_id, name, True, said)

    return await asyncio.gather(*(one(line) for line in _ids(form)))


def _key(command: str, decision_id: str) -> str:
    """The same form and row give the same key, so that sending it twice answers once."""
    return "bulk-" + hashlib.blake2b(f"{command}|{decision_id}".encode(), digest_size=24).hexdigest()


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
