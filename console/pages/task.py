"""One decision on one page: what is proposed, why, on which facts, and the forms that answer it.

A task page is a decision page with forms on it, so that what was approved can be looked at later just as it was.
"""

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from console.auth import Gate, Session
from console.changes import changed_since
from console.desk import AnswerDesk
from console.pages.decision_page import DecisionPages
from console.ports import ConsolePorts
from console.rendering import Pages, link
from workflows.domain.approvals import UndoCommand, VerdictCommand, VerdictReceipt
from workflows.domain.decisions import Proposal
from workflows.domain.desk import DecisionView
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotAllowed, StaleProposal, explained
from workflows.domain.people import MayNot, Permission

Units = Annotated[int | None, Query(gt=0, le=100_000_000)]


def routes(ports: ConsolePorts, answers: AnswerDesk, gate: Gate, pages: Pages) -> APIRouter:
    """`/tasks/{id}`, `/decisions/{id}` (the same page), its evidence alone, and the forms' targets."""
    router = APIRouter(include_in_schema=False)
    shown = DecisionPages(ports)
    may_see = Annotated[Session, Depends(gate.page(Permission.SEE))]

    @router.get("/tasks/{decision_id}")
    @router.get("/decisions/{decision_id}")
    async def task(
        request: Request, decision_id: str, session: may_see, units: Units = None, again: Literal["", "yes"] = ""
    ) -> Response:
        context = await shown.context(session, decision_id, asked=units, made_again=again == "yes")
        return pages.show(request, "task.html", session, {**context, "fragment": False})

    @router.get("/tasks/{decision_id}/evidence")
    async def evidence(request: Request, decision_id: str, session: may_see) -> Response:
        """The same evidence and forms without the page around them, for a pane of the inbox."""
        context = await shown.context(session, decision_id)
        return pages.show(request, "decision_fragment.html", session, {**context, "fragment": True})

    @router.post("/tasks/{decision_id}/verdict")
    async def answer(
        request: Request, decision_id: str, session: Annotated[Session, Depends(gate.form(Permission.ANSWER))]
    ) -> Response:
        form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
        try:
            receipt = await answers.answer(command_of(decision_id, form), session.actor)
        except (InvalidInput, NotAllowed) as error:
            if isinstance(error, MayNot):
                raise  # nothing was said of this answer yet; the refusal goes on record on its way out
            context = await shown.context(session, decision_id, form=form)
            context |= {"problem": str(error), "fragment": False}
            refused = isinstance(error, NotAllowed)
            status = HTTPStatus.FORBIDDEN if refused else HTTPStatus.UNPROCESSABLE_ENTITY
            return pages.show(request, "task.html", session, context, status)
        except (StaleProposal, AlreadyAnswered) as error:
            view = await ports.desk.decision(decision_id)
            stale = isinstance(error, StaleProposal)
            changes = await changed_since(ports.desk, view, form.get("proposal_hash", "")) if stale else ()
            context = {**changed(view, form), "detail": str(error), "stale": stale, "changes": changes}
            return pages.show(request, "changed.html", session, context, HTTPStatus.CONFLICT)
        return RedirectResponse(_inbox_after(receipt), HTTPStatus.SEE_OTHER)

    @router.post("/tasks/{decision_id}/undo")
    async def undo(
        request: Request, decision_id: str, session: Annotated[Session, Depends(gate.form(Permission.ANSWER))]
    ) -> Response:
        form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
        fields = {"command_id": form.get("command_id") or secrets.token_urlsafe(16), "decision_id": decision_id,
                  "approval_id": form.get("approval_id") or None}  # fmt: skip
        try:
            command = UndoCommand.model_validate(fields)
        except ValidationError as error:
            raise InvalidInput("This is no answer that could be taken back. Reload the page and try again.") from error
        await answers.undo(command, session.actor)
        return RedirectResponse(link("/tasks", decision_id), HTTPStatus.SEE_OTHER)

    return router


def _inbox_after(receipt: VerdictReceipt) -> str:
    """Back to the inbox, which says what became of the answer."""
    return link("/inbox", answered=receipt.decision_id, heard="yes" if receipt.heard else "not yet")


def command_of(decision_id: str, form: Mapping[str, str]) -> VerdictCommand:
    """The verdict that a form says.

    Raises:
        InvalidInput: it is not complete; the message is for the person who sent it.
    """
    fields = {key: form[key] for key in ("command_id", "proposal_hash", "meaning", "comment") if key in form}
    fields |= {key: form[key].strip() for key in ("units", "reason") if form.get(key, "").strip()}
    try:
        return VerdictCommand.model_validate({**fields, "decision_id": decision_id})
    except ValidationError as error:
        raise InvalidInput(explained(error)) from error


def changed(view: DecisionView, form: Mapping[str, str]) -> dict[str, object]:
    """What the person saw when they answered, beside what stands now. What they saw comes from their own form."""
    now = view.decision.result
    return {
        "view": view,
        "now": now if isinstance(now, Proposal) else None,
        "seen": {key.removeprefix("seen_"): value for key, value in form.items() if key.startswith("seen_")},
        "seen_hash": form.get("proposal_hash", ""),
        "now_hash": view.decision.proposal_hash,
        "task": view.task or {},
    }
