"""Dead letters: messages that could not be read, with the reason, and a way to send them again."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import Gate, Session
from console.pages.orders import desk_of
from console.ports import ConsolePorts
from console.rendering import Pages, link
from workflows.domain.people import Permission

ROWS = 100
LARGEST = 2**63 - 1
Number = Annotated[int, Path(ge=1, le=LARGEST)]


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/dead-letters`."""
    router = APIRouter(include_in_schema=False)

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
            "may": session.person.may(Permission.OPERATE),
            "next": link("/dead-letters", **asked, after=page.next) if page.next else None,
            "first": link("/dead-letters", **asked),
        }  # fmt: skip
        return pages.show(request, "dead_letters.html", session, context)

    @router.post("/dead-letters/{dead_letter_id}/redrive")
    async def redrive(
        dead_letter_id: Number, session: Annotated[Session, Depends(gate.form(Permission.OPERATE))]
    ) -> Response:
        await desk_of(ports).redrive(dead_letter_id, session.actor)
        return RedirectResponse(f"/dead-letters?after={min(dead_letter_id + 1, LARGEST)}", HTTPStatus.SEE_OTHER)

    return router
