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
from workflows.domain.operations import Attention, OrderFilters
from workflows.domain.orders import OrderState
from workflows.domain.people import Permission
from workflows.domain.planning import DEFINITIONS

MOST_WAITING = 5000
"""More tasks than this are told as "5,000+"."""
MOST_PLACES = 200
MOST_ORDERS = 100
"""More orders than this that somebody should look at are told as "100+"."""
LOOKED_FOR: tuple[tuple[Attention | OrderState, str], ...] = (
    (Attention.AWAITS_OPERATOR, "need a person"), (OrderState.IN_DOUBT, "in doubt"), (Attention.HELD, "held back"),
)  # fmt: skip


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
            "definitions": DEFINITIONS, "orders": await orders_to_look_at(), "most_orders": MOST_ORDERS,
            "money": snapshot.money if snapshot and not location else None,
            "what_if": ports.what_if is not None,
            "clocks": sorted((await ports.clocks()).items())[:MOST_PLACES],
        }  # fmt: skip
        return pages.show(request, "home.html", session, context)

    async def orders_to_look_at() -> list[tuple[str, str, int]]:
        """Of each kind that there is: its filter, its words and how many."""
        if ports.operations is None:
            return []
        desk, found = ports.operations, []
        for state, words in LOOKED_FOR:
            page = await desk.orders(OrderFilters(state=state), limit=MOST_ORDERS + 1)
            found.append((str(state), words, len(page.orders)))
        return [one for one in found if one[2]]

    @router.get("/decisions")
    async def find(session: Annotated[Session, Depends(gate.page(Permission.SEE))], id: str = "") -> Response:
        target = link("/decisions", id.strip()) if id.strip() else "/"
        return RedirectResponse(target, HTTPStatus.SEE_OTHER)

    return router
