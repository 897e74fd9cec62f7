"""Demand: one item's history layer by layer with what is expected of it, and forecasts for whoever asks."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from markupsafe import Markup
from pydantic import ValidationError

from console.auth import Gate, Session
from console.charts_series import Expected, Observed, demand
from console.pages.inventory import storable
from console.ports import ConsolePorts
from console.rendering import Pages
from console.tables import table_download
from workflows.domain.approvals import STORABLE
from workflows.domain.errors import InvalidInput, NotFound, QuartermasterError
from workflows.domain.forecasts import (
    LONGEST_DAYS,
    MOST_SERIES,
    SHORTEST_DAYS,
    ForecastAnswer,
    ForecastRequest,
    ForecastSeries,
)
from workflows.domain.people import Permission
from workflows.domain.stock_views import DemandHistoryView, PositionQuery

HISTORY_DAYS = 91
FOUND = 30
USUAL_DAYS = "28"
CHARTS = 4
"""So many series are drawn; more are told in one table of their sums."""
Field = Annotated[str, Query(max_length=8000, pattern=STORABLE)]
Days = Annotated[int, Query(ge=7, le=730, description="Closed days")]


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/demand`, one item's page, the forecast on request, and their downloads."""
    router = APIRouter(include_in_schema=False)
    See = Annotated[Session, Depends(gate.page(Permission.SEE))]

    @router.get("/demand")
    async def look_for(
        request: Request, session: See, text: Annotated[str, Query(max_length=100, pattern=STORABLE)] = ""
    ) -> Response:
        if ports.demand is None:
            raise NotFound("This installation does not show demand.")
        query = PositionQuery(text=text, limit=FOUND)
        context = {
            "text": text, "rows": await ports.stock.positions(query) if ports.stock else [], "found": FOUND,
            "form": _form("", "", USUAL_DAYS, "", ""), "error": "", **_limits(),
        }  # fmt: skip
        return pages.show(request, "demand.html", session, context)

    @router.get("/demand/forecast")
    async def forecast(
        request: Request, session: See, products: Field = "", locations: Field = "",
        horizon_days: Field = "", first_day: Field = "", last_day: Field = "",
    ) -> Response:  # fmt: skip
        form = _form(products, locations, horizon_days, first_day, last_day)
        answer, error = None, ""
        try:
            answer = await _answer(ports, form) if products.strip() else None
        except QuartermasterError as problem:
            error = str(problem)
        series = answer.series if answer else ()
        context = {
            "form": form, "error": error, "answer": answer, "drawn": len(series) <= CHARTS,
            "charts": [_chart_of(one, n) for n, one in enumerate(series)] if len(series) <= CHARTS else [],
            "sums": [(one, sum((each.mean for each in one.days), Decimal(0))) for one in series],
            **_limits(),
        }  # fmt: skip
        return pages.show(request, "forecast.html", session, context)

    @router.get("/demand/forecast.csv")
    async def forecast_csv(
        session: See, products: Field = "", locations: Field = "",
        horizon_days: Field = "", first_day: Field = "", last_day: Field = "",
    ) -> Response:  # fmt: skip
        answer = await _answer(ports, _form(products, locations, horizon_days, first_day, last_day))
        rows = (
            (one.item, one.location, each.day, each.mean, *each.quantiles.values(), one.forecaster,
             answer.model_digest, answer.data_through)
            for one in answer.series for each in one.days
        )  # fmt: skip
        header = ("item", "location", "day", "mean", "p10", "p50", "p90", "forecaster", "model", "data_through")
        return table_download("forecast.csv", header, rows)

    @router.get("/demand/{location}/{item}")
    async def history(request: Request, session: See, location: str, item: str, days: Days = HISTORY_DAYS) -> Response:
        found = await _history(ports, location, item, days)
        context = {
            "found": found, "chart": _chart(found), "days": days, "form": _form(item, location, USUAL_DAYS, "", ""),
            "error": "", **_limits(),
        }  # fmt: skip
        return pages.show(request, "demand_history.html", session, context)

    @router.get("/demand/{location}/{item}/days.csv")
    async def history_csv(session: See, location: str, item: str, days: Days = HISTORY_DAYS) -> Response:
        found = await _history(ports, location, item, days)
        header = ("day", "sold", "promotion", "cut_to", "censored", "in_stock_permille", "word", "effective")
        rows = (
            (one.day, one.sold_units, one.promotion, one.outlier_units, one.censored, one.exposure_permille,
             one.adjustment and f"{one.adjustment.layer}: {one.adjustment.reason}", one.effective_units)
            for one in found.days
        )  # fmt: skip
        return table_download("demand.csv", header, rows)

    return router


async def _history(ports: ConsolePorts, location: str, item: str, days: int) -> DemandHistoryView:
    if ports.demand is None:
        raise NotFound("This installation does not show demand.")
    return await ports.demand.history(storable(location), storable(item), days)


async def _answer(ports: ConsolePorts, form: Mapping[str, str]) -> ForecastAnswer:
    if ports.forecasts is None:
        raise NotFound("This installation makes no forecasts on request.")
    return await ports.forecasts.forecast(request_of(form))


def request_of(form: Mapping[str, str]) -> ForecastRequest:
    """What a form asks for: items and locations by commas, spaces or lines; days win over a number of days.

    Raises:
        InvalidInput: in the words of the field that is wrong.
    """
    asked: dict[str, Any] = {name: _listed(form[name]) for name in ("products", "locations")}
    ranged = form["first_day"] or form["last_day"]
    for name in ("first_day", "last_day") if ranged else ("horizon_days",):
        asked[name] = form[name] or None
    try:
        return ForecastRequest.model_validate(asked)
    except ValidationError as error:
        raise InvalidInput(_first(error)) from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    text = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {text}" if where else text


def _listed(text: str) -> list[str]:
    return text.replace(",", " ").replace(";", " ").split()


def _form(products: str, locations: str, horizon_days: str, first_day: str, last_day: str) -> dict[str, str]:
    return {
        "products": products, "locations": locations, "horizon_days": horizon_days.strip(),
        "first_day": first_day.strip(), "last_day": last_day.strip(),
    }  # fmt: skip


def _limits() -> dict[str, int]:
    return {"shortest": SHORTEST_DAYS, "longest": LONGEST_DAYS, "most_series": MOST_SERIES}


def _chart(found: DemandHistoryView) -> Markup:
    observed = [Observed(one.day, one.effective_units) for one in found.days]
    expected = [Expected(one.day, one.p10, one.p50, one.p90) for one in found.forecast]
    label = "newest decision"
    return demand(observed, expected, title=f"Demand of {found.item_name} at {found.location}", label=label)


def _chart_of(series: ForecastSeries, number: int) -> Markup:
    expected = [
        Expected(one.day, one.quantiles["0.1"], one.quantiles["0.5"], one.quantiles["0.9"]) for one in series.days
    ]
    title = f"Forecast of {series.item} at {series.location}"
    return demand([], expected, title=title, name=f"forecast-{number}")
