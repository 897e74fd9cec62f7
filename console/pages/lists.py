"""Dead letters: messages that could not be read, with the reason, and the two words by which one is sent again."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import Gate, Session
from console.pages.orders import desk_of, reason_of
from console.ports import ConsolePorts
from console.rendering import Pages, link
from workflows.domain.people import Permission
from workflows.domain.policy_changes import same_person

ROWS = 100
LARGEST = 2**63 - 1
Number = Annotated[int, Path(ge=1, le=LARGEST)]


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/dead-letters`."""
    router = APIRouter(include_in_schema=False)
    Operator = Annotated[Session, Depends(gate.form(Permission.OPERATE))]

    @router.get("/dead-letters")
    async def dead_letters(
        request: Request,
        session: Annotated[Session, Depends(gate.page())],
        reason: Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")] = "",
        waiting: bool = False,
        after: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    ) -> Response:
        page = await desk_of(ports).dead_letters(reason=reason, waiting=waiting, limit=ROWS, after=after)
        asked = {"reason": reason or None, "waiting": "true" if waiting else None}
        context = {
            "page": page, "reason": reason, "waiting_only": waiting, "after": after,
            "may": session.person.may(Permission.OPERATE), "own": lambda name: same_person(name, session.name),
            "next": link("/dead-letters", **asked, after=page.next) if page.next else None,
            "first": link("/dead-letters", **asked),
        }  # fmt: skip
        return pages.show(request, "dead_letters.html", session, context)

    @router.post("/dead-letters/{dead_letter_id}/redrive")
    async def redrive(dead_letter_id: Number, session: Operator, reason: Annotated[str, Form()] = "") -> Response:
        asked = await desk_of(ports).ask_redrive(dead_letter_id, reason_of(reason), session.actor)
        return _back_to(asked.dead_letter_id)

    @router.post("/redrives/{redrive_id}/confirm")
    async def confirm(
        redrive_id: Number, session: Operator, payload_sha256: Annotated[str, Form(max_length=64)] = ""
    ) -> Response:
        sent = await desk_of(ports).confirm_redrive(redrive_id, payload_sha256, session.actor)
        return _back_to(sent.dead_letter_id)

    @router.post("/redrives/{redrive_id}/decline")
    async def decline(redrive_id: Number, session: Operator, reason: Annotated[str, Form()] = "") -> Response:
        declined = await desk_of(ports).decline_redrive(redrive_id, reason_of(reason), session.actor)
        return _back_to(declined.dead_letter_id)

    @router.post("/redrives/{redrive_id}/withdraw")
    async def withdraw(redrive_id: Number, session: Operator) -> Response:
        withdrawn = await desk_of(ports).withdraw_redrive(redrive_id, session.actor)
        return _back_to(withdrawn.dead_letter_id)

    return router


def _back_to(dead_letter_id: int) -> Response:
    return RedirectResponse(f"/dead-letters?after={min(dead_letter_id + 1, LARGEST)}", HTTPStatus.SEE_OTHER)
