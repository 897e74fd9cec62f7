"""Deliveries: orders in flight with the odds that they are late, what runs out meanwhile, who keeps its promises."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages
from console.words import Word
from workflows.domain.deliveries import Delivery, SupplierRecord
from workflows.domain.people import Permission

ROWS = 200
AT_RISK = 0.2
"""Orders at least so likely to be late are counted as at risk."""


class DeliveryPage(BaseModel):
    """Orders in flight, dearest first: by expected lost sales, then by probability of lateness."""

    deliveries: list[Delivery]
    suppliers: list[SupplierRecord] = Field(description="Each supplier's last year: promises against lead times")


def state_word(delivery: Delivery) -> Word:
    """Where the order is, in words."""
    if delivery.called_late:
        return Word("Called late", "alert", "warn")
    return Word("On its way", "truck", "good") if delivery.shipped else Word("Not shipped yet", "clock")


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/deliveries`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/deliveries")
    async def deliveries(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        found = await _found(ports, ROWS)
        context = {
            "deliveries": found.deliveries, "suppliers": found.suppliers, "rows": ROWS, "state_word": state_word,
            "at_risk": sum(1 for one in found.deliveries if one.late_probability >= AT_RISK),
            "threatened": sum(len(one.threats) for one in found.deliveries), "at_risk_from": AT_RISK,
        }  # fmt: skip
        return pages.show(request, "deliveries.html", session, context)

    return router


def rest(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/deliveries`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])

    @router.get("/deliveries", summary="Orders in flight with their probability of being late, and suppliers' records")
    async def deliveries(
        limit: Annotated[int, Query(ge=1, le=500, description="At most so many orders")] = 100,
    ) -> DeliveryPage:
        return await _found(ports, limit)

    return router


async def _found(ports: ConsolePorts, limit: int) -> DeliveryPage:
    if ports.deliveries is None:
        return DeliveryPage(deliveries=[], suppliers=[])
    return DeliveryPage(
        deliveries=await ports.deliveries.in_flight(limit), suppliers=await ports.deliveries.suppliers()
    )
