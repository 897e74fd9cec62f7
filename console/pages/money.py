"""Money: what a decision costs and what deciding saves, by week, every definition on the page; and its REST twin."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from console.api_problems import NOT_HERE
from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.errors import NotFound
from workflows.domain.money import DEFINITIONS, REVIEW_SHARE, TARGET_PER_DECISION, WEEKS, Money
from workflows.domain.people import Permission

Weeks = Annotated[int, Query(ge=1, le=520, description="How many of the newest weeks")]


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/money`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/money")
    async def money(
        request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))], weeks: Weeks = WEEKS
    ) -> Response:
        context = {
            "report": await _money(ports).report(weeks), "definitions": DEFINITIONS, "review_share": REVIEW_SHARE,
            "target": TARGET_PER_DECISION, "invented": await ports.invented(),
        }  # fmt: skip
        return pages.show(request, "money.html", session, context)

    return router


def rest(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/money`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])

    @router.get(
        "/money",
        summary="Cost per decision, and cost avoided against the static reorder point, by week",
        responses=NOT_HERE,
    )
    async def money(weeks: Weeks = WEEKS) -> dict[str, Any]:
        return (await _money(ports).report(weeks)).document()

    return router


def _money(ports: ConsolePorts) -> Money:
    if ports.money is None:
        raise NotFound("This installation shows no figures about money.")
    return ports.money
