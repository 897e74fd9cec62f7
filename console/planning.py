"""REST for planning: where a limited amount of money goes first."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import WithJsonSchema

from console.api_problems import NOT_HERE
from console.auth import Gate
from console.ports import ConsolePorts
from workflows.domain.budgets import Ranking
from workflows.domain.errors import NotFound
from workflows.domain.people import Permission
from workflows.domain.planning import Planning

Amount = Annotated[
    Decimal,
    Query(ge=0, max_digits=16, decimal_places=4, description="Money to spend"),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,4})?$"}),
]


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/budget`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])

    @router.get(
        "/budget", summary="Open proposals by what their packs save per money, within an amount", responses=NOT_HERE
    )
    async def budget(amount: Amount) -> Ranking:
        return await _planning(ports).budget(amount)

    return router


def _planning(ports: ConsolePorts) -> Planning:
    if ports.planning is None:
        raise NotFound("This installation shows no planning figures.")
    return ports.planning
