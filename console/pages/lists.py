"""The plain lists: purchase orders and dead letters, newest first."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.people import Permission

ROWS = 200


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/orders` and `/dead-letters`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/orders")
    async def orders(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        return pages.show(request, "orders.html", session, {"orders": await ports.desk.orders(ROWS), "rows": ROWS})

    @router.get("/dead-letters")
    async def dead_letters(
        request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]
    ) -> Response:
        letters = await ports.desk.dead_letters(ROWS)
        return pages.show(request, "dead_letters.html", session, {"letters": letters, "rows": ROWS})

    return router
