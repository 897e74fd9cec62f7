"""Live: events as they arrive, how many of each kind, and how far behind intake is. Refreshed while somebody looks."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.arrivals import Arrivals, Rates
from workflows.domain.checkup import age
from workflows.domain.errors import NotFound

ROWS = 50
RATES_LAST_SECONDS = 5.0


class RecentRates:
    """The rates, counted at most every five seconds however many people look."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._known: tuple[float, Rates] | None = None

    async def now(self) -> Rates:
        """At most five seconds old."""
        asked = time.monotonic()
        if self._known is None or asked - self._known[0] > RATES_LAST_SECONDS:
            self._known = asked, await self._arrivals.rates()
        return self._known[1]


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/live`; with the header `X-Fragment` only what changes, for the script that refreshes it."""
    router = APIRouter(include_in_schema=False)
    rates = RecentRates(ports.arrivals) if ports.arrivals else None

    @router.get("/live")
    async def live(request: Request, session: Annotated[Session, Depends(gate.page())]) -> Response:
        if ports.arrivals is None or rates is None:
            raise NotFound("This installation does not show events as they arrive.")
        template = "live_parts.html" if "x-fragment" in request.headers else "live.html"
        context = {"events": await ports.arrivals.events(ROWS), "rates": await rates.now(), "span": age}
        return pages.show(request, template, session, context)

    return router
