"""Model versions: what the gate said, and a person's word where the policy asks for it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.errors import Conflict, NotFound
from workflows.domain.models import ModelStatus
from workflows.domain.monitoring import DEFINITIONS
from workflows.domain.people import Permission


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/models` and the promotion of a model that waits for a person."""
    router = APIRouter(include_in_schema=False)

    @router.get("/models")
    async def models(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        context = {
            "versions": await ports.models.versions(),
            "AWAITING": ModelStatus.AWAITING_APPROVAL,
            "drift": await ports.drift(),
            "definitions": DEFINITIONS,
        }
        return pages.show(request, "models.html", session, context)

    @router.post("/models/{digest}/promote")
    async def promote(digest: str, session: Annotated[Session, Depends(gate.form(Permission.PROMOTE))]) -> Response:
        model = await ports.models.find(digest)
        if model is None:
            raise NotFound(f"There is no model {digest}.")
        if model.status is not ModelStatus.AWAITING_APPROVAL:
            raise Conflict(f"Model {model.number} does not wait for a person: it is {model.status.value}.")
        await ports.models.promote(model.digest, session.name)
        return RedirectResponse("/models", HTTPStatus.SEE_OTHER)

    return router
