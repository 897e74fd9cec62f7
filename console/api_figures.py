"""REST for figures, each with its definition; for positions, demand and sales; and for forecasts on request."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from console.api_problems import NOT_HERE, KeptKey
from console.auth import Caller, Gate
from console.pages.inventory import Asked as AskedPositions
from console.pages.inventory import stock_of
from console.pages.sales import Asked as AskedSales
from console.pages.sales import report_of
from console.ports import ConsolePorts
from workflows.domain.approvals import STORABLE
from workflows.domain.errors import NotFound
from workflows.domain.figures import DEFINITIONS, Definition, Figure, PlaceFigures
from workflows.domain.forecasts import ForecastAnswer, ForecastRequest
from workflows.domain.identity import CODE_PATTERN, Instant
from workflows.domain.people import Permission
from workflows.domain.planning import DEFINITIONS as STEADINESS
from workflows.domain.planning import Stability
from workflows.domain.sales_views import SalesReport
from workflows.domain.stock_views import (
    DecisionRow,
    DemandHistoryView,
    MovementRow,
    OpenLine,
    PositionRow,
)

Code = Annotated[str, Path(pattern=CODE_PATTERN)]
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many rows")]


class PositionDocument(PositionRow):
    """One position with what follows from it."""

    available: int = Field(description="On hand + on order - reserved")
    cover_days: Decimal | None = Field(description="Days that the goods on hand last at the median pace")
    stock_value: Decimal | None = Field(description="Of the goods on hand, at cost")

    @classmethod
    def of(cls, row: PositionRow) -> "PositionDocument":
        """The row and what follows from it."""
        return cls(**dict(row), available=row.available_units, cover_days=row.days_of_cover, stock_value=row.value)


class PositionPage(BaseModel):
    """Positions, worst first."""

    positions: list[PositionDocument]
    next: str | None = Field(description="Give it as `after` to get the page that follows; null on the last page")


class PositionDetail(BaseModel):
    """One position with its newest movements, what is on order, and the newest decisions about it."""

    position: PositionDocument
    movements: list[MovementRow]
    on_order: list[OpenLine]
    decisions: list[DecisionRow]


class KpiDocument(BaseModel):
    """The figures of one instant, of the company or of one location, with what each of them means."""

    as_of: Instant | None = Field(description="Null: they are being counted for the first time; ask again")
    location: str | None
    figures: list[Figure]
    sums: PlaceFigures | None = Field(description="What the figures are made of")
    locations: list[str]
    definitions: dict[str, Definition | str]
    stability: Stability | None
    nervousness: Decimal | None


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """Figures under `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])
    _kpis(router, ports)
    _stock(router, ports)
    _demand(router, ports, gate)

    @router.get("/sales", summary="Sales over time, what the stream adds today, and what changed most",
                responses=NOT_HERE)  # fmt: skip
    async def sales(query: AskedSales) -> SalesReport:
        return await report_of(ports, query)

    return router


def _kpis(router: APIRouter, ports: ConsolePorts) -> None:
    @router.get("/kpis", summary="The figures of the home page with their definitions and the instant they are of",
                responses=NOT_HERE)  # fmt: skip
    async def kpis(
        location: Annotated[str, Query(max_length=100, pattern=STORABLE, description="Empty: all")] = "",
    ) -> KpiDocument:
        if ports.figures is None:
            raise NotFound("This installation shows no figures.")
        snapshot = await ports.figures.snapshot()
        place = snapshot.at(location or None) if snapshot else None
        if snapshot and place is None:
            raise NotFound(f"There are no figures of a location {location}.")
        stability = snapshot.stability if snapshot else None
        return KpiDocument(
            as_of=snapshot.as_of if snapshot else None, location=location or None, sums=place,
            figures=snapshot.figures(location or None) if snapshot else [],
            locations=[one.location for one in snapshot.places] if snapshot else [],
            definitions={**{one.name: one for one in DEFINITIONS}, **STEADINESS},
            stability=stability, nervousness=stability.nervousness if stability else None,
        )  # fmt: skip


def _stock(router: APIRouter, ports: ConsolePorts) -> None:
    @router.get("/positions", summary="Positions, worst first: by risk, then by what waiting is expected to cost",
                responses=NOT_HERE)  # fmt: skip
    async def positions(query: AskedPositions, limit: Limit = 100) -> PositionPage:
        rows = await stock_of(ports).positions(query.model_copy(update={"limit": limit}))
        return PositionPage(
            positions=[PositionDocument.of(row) for row in rows], next=rows[-1].key if len(rows) == limit else None
        )

    @router.get("/positions/{location}/{item}", summary="One position: movements, what is on order, decisions",
                responses=NOT_HERE)  # fmt: skip
    async def position(location: Code, item: Code, limit: Limit = 50) -> PositionDetail:
        stock = stock_of(ports)
        return PositionDetail(
            position=PositionDocument.of(await stock.position(location, item)),
            movements=await stock.movements(location, item, limit),
            on_order=await stock.open_lines(location, item), decisions=await stock.decisions(location, item),
        )  # fmt: skip


def _demand(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    @router.get("/demand/{location}/{item}", summary="Demand by day and layer, and the newest decision's forecast",
                responses=NOT_HERE)  # fmt: skip
    async def demand(
        location: Code, item: Code, days: Annotated[int, Query(ge=1, le=1100, description="Closed days")] = 91
    ) -> DemandHistoryView:
        if ports.demand is None:
            raise NotFound("This installation does not show demand.")
        return await ports.demand.history(location, item, days)

    @router.post("/forecasts", summary="Forecast items at locations for 7 to 90 days, or for days among the next 90",
                 responses=NOT_HERE)  # fmt: skip
    async def forecasts(
        body: ForecastRequest, idempotency_key: KeptKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.SEE))],
    ) -> ForecastAnswer:  # fmt: skip
        """The champion answers from all that is known now; the answer names the model and the facts it is made from."""
        if ports.forecasts is None:
            raise NotFound("This installation makes no forecasts on request.")
        return await ports.forecasts.answer_once(body, idempotency_key, caller.person.name)
