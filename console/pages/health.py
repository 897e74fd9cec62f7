"""Health: what is stuck, in doubt, lagging or poisoned, what that means and what to do; and the stop switches."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from console.auth import Gate, Session
from console.doubt_words import CAPS, trouble
from console.pages.orders import back, reason_of
from console.ports import ConsolePorts
from console.rendering import Pages
from console.words import Word
from workflows.domain.breaker import Phase
from workflows.domain.caps import CapUsed
from workflows.domain.checkup import age, judge
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.health import Aspect, Health, Light
from workflows.domain.people import Permission
from workflows.domain.stops import Stop, StopCommand, StopId, Stops, StopScope

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
LONGEST_PAUSE_MINUTES = 31 * 24 * 60
CAPS_SHOWN = 50
"""Caps that the page lists, those used most first."""
PHASES = {
    Phase.CLOSED: Word("Answers", "check", "good"),
    Phase.OPEN: Word("Left alone", "cross", "bad"),
    Phase.HALF_OPEN: Word("Being asked", "clock", "warn"),
}


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


def command_of(scope: str, subject: str, reason: str, ends_at: datetime | None = None) -> StopCommand:
    """What a form asks to stop.

    Raises:
        InvalidInput: it names nothing that can be stopped, or gives no reason.
    """
    told = {"scope": scope, "subject": subject, "reason": reason_of(reason), "ends_at": ends_at}
    try:
        return StopCommand.model_validate(told)
    except ValidationError as error:
        raise InvalidInput("; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())) from error


def end_of(minutes: str) -> datetime | None:
    """When a pause of so many minutes ends; None: nothing was given, so it does not end by itself.

    Raises:
        InvalidInput: it is no such number.
    """
    if not minutes.strip():
        return None
    if not minutes.strip().isdecimal() or not 1 <= int(minutes.strip()[:9]) <= LONGEST_PAUSE_MINUTES:
        raise InvalidInput(f"A pause takes 1 to {LONGEST_PAUSE_MINUTES:,} minutes; leave it empty for no end.")
    return datetime.now(UTC) + timedelta(minutes=int(minutes))


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/health` and the switches' forms."""
    router = APIRouter(include_in_schema=False)

    @router.get("/health")
    async def health(request: Request, session: Annotated[Session, Depends(gate.page())]) -> Response:
        found = await health_of(ports)
        caps = sorted(await ports.caps.used(), key=lambda one: (-share_of(one), one.cap)) if ports.caps else []
        history = await ports.stops.history(limit=2 * LIFTED + len(found.facts.stops)) if ports.stops else []
        context = {
            "health": found, "span": age, "facts": found.facts, "aspects": ASPECTS, "lights": LIGHTS,
            "may": ports.stops is not None and session.person.may(Permission.OPERATE),
            "lifted": [one for one in history if one.lifted_at is not None][:LIFTED],
            "champion": await ports.models.champion(),
            "circuits": await ports.circuits.circuits() if ports.circuits else None, "phases": PHASES,
            "caps": caps[:CAPS_SHOWN], "more_caps": max(0, len(caps) - CAPS_SHOWN),
            "longest_pause": LONGEST_PAUSE_MINUTES,
            "caps_shown": ports.caps is not None, "cap_words": CAPS, "share_of": share_of, "trouble": trouble,
        }  # fmt: skip
        return pages.show(request, "health.html", session, context)

    @router.post("/stops")
    async def stop(
        session: Annotated[Session, Depends(gate.form(Permission.OPERATE))],
        scope: Annotated[str, Form()] = "",
        subject: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
        minutes: Annotated[str, Form(max_length=20)] = "",
        came_from: Annotated[str, Form(alias="back")] = "",
    ) -> Response:
        command = command_of(scope, subject, reason, end_of(minutes))
        return _after(await switches(ports).stop(command, session.actor), came_from, "stop")

    @router.post("/stops/{stop_id}/lift")
    async def lift(
        stop_id: Annotated[StopId, Path()],
        session: Annotated[Session, Depends(gate.form(Permission.OPERATE))],
        reason: Annotated[str, Form()] = "",
        came_from: Annotated[str, Form(alias="back")] = "",
    ) -> Response:
        return _after(await switches(ports).lift(stop_id, reason_of(reason), session.actor), came_from, "lift")

    return router


def share_of(one: CapUsed) -> Decimal:
    """How much of a cap is used, as a share of it; a cap of nothing is used up."""
    return one.used / one.limit if one.limit else Decimal(1)


def _after(stop: Stop, came_from: str, done: str) -> RedirectResponse:
    """Back to where the switch was thrown."""
    if came_from == "order" and stop.scope is StopScope.ORDER:
        return back(stop.subject, done)
    return RedirectResponse("/health#stops", HTTPStatus.SEE_OTHER)
