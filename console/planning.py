"""REST for planning: where a limited amount of money goes first, and how steady the orders are."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from console.auth import Gate
from console.ports import ConsolePorts
from workflows.domain.budgets import Ranking
from workflows.domain.errors import NotFound
from workflows.domain.people import Permission
from workflows.domain.planning import DEFINITIONS, Planning, Stability

Amount = Annotated[Decimal, Query(ge=0, max_digits=16, decimal_places=4, description="Money to spend")]


class StabilityDocument(BaseModel):
    """The stability figures and what each of them means."""

    stability: Stability
    nervousness: Decimal | None
    definitions: dict[str, str]


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/budget` and `/api/v1/kpis`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])

    @router.get("/budget", summary="Open proposals by what their packs save per money, within an amount")
    async def budget(amount: Amount) -> Ranking:
        return await _planning(ports).budget(amount)

    @router.get("/kpis", summary="How much orders swing beside demand, and how often the plan changes its mind")
    async def kpis() -> StabilityDocument:
        found = await _planning(ports).stability()
        return StabilityDocument(stability=found, nervousness=found.nervousness, definitions=DEFINITIONS)

    return router


def _planning(ports: ConsolePorts) -> Planning:
    if ports.planning is None:
        raise NotFound("This installation shows no planning figures.")
    return ports.planning
