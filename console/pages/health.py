"""Health: what is stuck, in doubt, lagging or poisoned, what that means and what to do; and the stop switches."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from console.auth import Gate, Session
from console.pages.orders import reason_of
from console.ports import ConsolePorts
from console.rendering import Pages
from console.words import Word
from workflows.domain.checkup import age, judge
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.health import Aspect, Health, Light
from workflows.domain.people import Permission
from workflows.domain.stops import StopCommand, StopId, Stops

ASPECTS = {
    Aspect.STUCK: "Stuck",
    Aspect.IN_DOUBT: "In doubt",
    Aspect.LAGGING: "Lagging",
    Aspect.POISONED: "Poisoned",
    Aspect.RUNNING: "Running",
}
LIGHTS: dict[str, Word] = {
    Light.GREEN: Word("Good", "check", "good"),
    Light.AMBER: Word("Look today", "alert", "warn"),
    Light.RED: Word("Act now", "cross", "bad"),
    Light.UNKNOWN: Word("Not known", "dash"),
}
LIFTED = 10


async def health_of(ports: ConsolePorts) -> Health:
    """The state of the engine now.

    Raises:
        NotFound: this installation does not look.
    """
    if ports.health is None:
        raise NotFound("This installation does not show its health.")
    return judge(await ports.health.facts())


def switches(ports: ConsolePorts) -> Stops:
    """The stop switches.

    Raises:
        NotFound: this installation has none.
    """
    if ports.stops is None:
        raise NotFound("This installation has no stop switches.")
    return ports.stops


def command_of(scope: str, subject: str, reason: str) -> StopCommand:
    """What a form asks to stop.

    Raises:
        InvalidInput: it names nothing that can be stopped, or gives no reason.
    """
    try:
        return StopCommand.model_validate({"scope": scope, "subject": subject, "reason": reason_of(reason)})
    except ValidationError as error:
        raise InvalidInput("; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())) from error


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/health` and the switches' forms."""
    router = APIRouter(include_in_schema=False)

    @router.get("/health")
    async def health(request: Request, session: Annotated[Session, Depends(gate.page())]) -> Response:
        found = await health_of(ports)
        history = await ports.stops.history(limit=2 * LIFTED + len(found.facts.stops)) if ports.stops else []
        context = {
            "health": found, "span": age, "facts": found.facts, "aspects": ASPECTS, "lights": LIGHTS,
            "may": ports.stops is not None and session.person.may(Permission.OPERATE),
            "lifted": [one for one in history if one.lifted_at is not None][:LIFTED],
            "champion": await ports.models.champion(),
        }  # fmt: skip
        return pages.show(request, "health.html", session, context)

    @router.post("/stops")
    async def stop(
        session: Annotated[Session, Depends(gate.form(Permission.OPERATE))],
        scope: Annotated[str, Form()] = "",
        subject: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
    ) -> Response:
        await switches(ports).stop(command_of(scope, subject, reason), session.actor)
        return RedirectResponse("/health#stops", HTTPStatus.SEE_OTHER)

    @router.post("/stops/{stop_id}/lift")
    async def lift(
        stop_id: Annotated[StopId, Path()],
        session: Annotated[Session, Depends(gate.form(Permission.OPERATE))],
        reason: Annotated[str, Form()] = "",
    ) -> Response:
        await switches(ports).lift(stop_id, reason_of(reason), session.actor)
        return RedirectResponse("/health#stops", HTTPStatus.SEE_OTHER)

    return router
