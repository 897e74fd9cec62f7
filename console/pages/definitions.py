"""Definitions: what each figure counts, over which days, what is left out and how it is worked out; one anchor each."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from console.auth import Gate, Session
from console.rendering import Pages
from workflows.domain.figures import DEFINITIONS
from workflows.domain.people import Permission
from workflows.domain.sending_figures import SENDING_DEFINITIONS


def routes(gate: Gate, pages: Pages) -> APIRouter:
    """`/definitions`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/definitions")
    async def definitions(
        request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]
    ) -> Response:
        return pages.show(
            request, "definitions.html", session, {"definitions": DEFINITIONS, "sending": SENDING_DEFINITIONS}
        )

    return router
