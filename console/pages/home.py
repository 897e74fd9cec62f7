"""Home: what waits for people, and how the stock is: each figure with its instant, its definition a click away."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages, link
from console.totals import in_words, looks_old
from workflows.domain.approvals import STORABLE
from workflows.domain.errors import NotFound
from workflows.domain.figures import figures_of
from workflows.domain.people import Permission
from workflows.domain.planning import DEFINITIONS

MOST_WAITING = 5000
"""More tasks than this are told as "5,000+"."""
MOST_PLACES = 200


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/`, and the way from a decision's id to its page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def home(
        request: Request,
        session: Annotated[Session, Depends(gate.page(Permission.SEE))],
        location: Annotated[str, Query(max_length=100, pattern=STORABLE)] = "",
    ) -> Response:
        snapshot = await ports.figures.snapshot() if ports.figures else None
        place = snapshot.at(location or None) if snapshot else None
        if snapshot and place is None:
            raise NotFound(f"There are no figures of a location {location}.")
        first = await ports.desk.tasks(limit=1)
        waiting = await ports.figures.waiting(MOST_WAITING + 1) if ports.figures else len(first)
        context = {
            "snapshot": snapshot, "place": place, "location": location, "shown": ports.figures is not None,
            "figures": figures_of(place, snapshot.currency) if snapshot and place else [],
            "places": sorted(snapshot.places, key=lambda one: (-(one.share(one.out_of_stock) or 0), one.location))
            if snapshot else [],
            "most": MOST_PLACES, "old": snapshot is not None and looks_old(snapshot.as_of),
            "groups": in_words(snapshot.counts) if snapshot and not location else [],
            "waiting": max(min(waiting, MOST_WAITING), len(first)), "more": waiting > MOST_WAITING or not ports.figures,
            "first": first[0] if first else None,
            "stability": snapshot.stability if snapshot and not location else None,
            "definitions": DEFINITIONS,
            "money": snapshot.money if snapshot and not location else None,
            "what_if": ports.what_if is not None,
            "clocks": sorted((await ports.clocks()).items())[:MOST_PLACES],
        }  # fmt: skip
        return pages.show(request, "home.html", session, context)

    @router.get("/decisions")
    async def find(session: Annotated[Session, Depends(gate.page(Permission.SEE))], id: str = "") -> Response:
        target = link("/decisions", id.strip()) if id.strip() else "/"
        return RedirectResponse(target, HTTPStatus.SEE_OTHER)

    return router
