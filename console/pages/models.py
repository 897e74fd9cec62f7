"""Model versions: champion and candidates, how each did, and a person's word where the policy asks for it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from console import charts_calibration
from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages, link
from workflows.domain.errors import Conflict, NotFound
from workflows.domain.model_history import OUTCOMES, RECORD_DEFINITIONS
from workflows.domain.models import ModelStatus, ModelVersion
from workflows.domain.monitoring import DEFINITIONS
from workflows.domain.people import Permission


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/models`, a version's own page, its promotion, and the way back to the champion before."""
    router = APIRouter(include_in_schema=False)

    async def version_of(digest: str) -> ModelVersion:
        model = await ports.models.find(digest)
        if model is None:
            raise NotFound(f"There is no model {digest}.")
        return model

    @router.get("/models")
    async def models(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        versions = await ports.models.versions()
        context = {
            "versions": versions,
            "champion": next((one for one in versions if one.status is ModelStatus.CHAMPION), None),
            "went_before": any(one.status is ModelStatus.RETIRED for one in versions),
            "may_promote": session.person.may(Permission.PROMOTE),
            "AWAITING": ModelStatus.AWAITING_APPROVAL,
            "drift": await ports.drift(),
            "definitions": DEFINITIONS,
        }
        return pages.show(request, "models.html", session, context)

    @router.get("/models/{digest}")
    async def model(
        request: Request, digest: str, session: Annotated[Session, Depends(gate.page(Permission.SEE))]
    ) -> Response:
        version, history = await version_of(digest), ports.model_history
        records = await history.turned_out(version.digest) if history else []
        context = {
            "model": version,
            "events": await history.events(version.digest) if history else [],
            "records": [(record, charts_calibration.levels(record)) for record in records],
            "definitions": RECORD_DEFINITIONS,
            "outcomes": OUTCOMES,
            "may_promote": session.person.may(Permission.PROMOTE),
            "AWAITING": ModelStatus.AWAITING_APPROVAL,
        }
        return pages.show(request, "model.html", session, context)

    @router.post("/models/{digest}/promote")
    async def promote(digest: str, session: Annotated[Session, Depends(gate.form(Permission.PROMOTE))]) -> Response:
        version = await version_of(digest)
        if version.status is not ModelStatus.AWAITING_APPROVAL:
            raise Conflict(f"Model {version.number} does not wait for a person: it is {version.status.value}.")
        await ports.models.promote(version.digest, session.name)
        return RedirectResponse(link("/models", version.digest), HTTPStatus.SEE_OTHER)

    @router.post("/models/rollback")
    async def rollback(session: Annotated[Session, Depends(gate.form(Permission.PROMOTE))]) -> Response:
        version = await ports.models.rollback(session.name)
        return RedirectResponse(link("/models", version.digest), HTTPStatus.SEE_OTHER)

    return router
