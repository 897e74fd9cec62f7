"""Sales over time by location, category or item, what the stream adds today, and what changed most."""

from collections import defaultdict
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from console.auth import Gate, Session
from console.charts_series import bars
from console.ports import ConsolePorts
from console.rendering import Pages
from console.tables import table_download
from workflows.domain.approvals import STORABLE
from workflows.domain.errors import NotFound
from workflows.domain.people import Permission
from workflows.domain.sales_views import SalesBy, SalesPeriod, SalesPoint, SalesQuery, SalesReport
from workflows.domain.stock_views import Choices

SHOWN_PERIODS = 8
"""Newest periods with a column of their own; the chart and the download have them all."""
SHOWN_LINES = 100
Field = Annotated[str, Query(max_length=100, pattern=STORABLE)]


def asked(
    by: SalesBy = SalesBy.LOCATION, period: SalesPeriod = SalesPeriod.DAY,
    periods: Annotated[int, Query(ge=2, le=104, description="How many of the newest, the running one included")] = 28,
    location: Field = "", category: Field = "", item: Field = "",
) -> SalesQuery:  # fmt: skip
    """A FastAPI dependency: the filters of the page, of its download and of the REST operation alike."""
    return SalesQuery(
        by=by, period=period, periods=periods, location=location.strip(), category=category.strip(), item=item.strip()
    )


Asked = Annotated[SalesQuery, Depends(asked)]


async def report_of(ports: ConsolePorts, query: SalesQuery) -> SalesReport:
    """The report.

    Raises:
        NotFound: this installation does not show sales, or the catalog does not have the item.
    """
    if ports.sales is None:
        raise NotFound("This installation does not show sales.")
    return await ports.sales.report(query)


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/sales` and its download."""
    router = APIRouter(include_in_schema=False)

    @router.get("/sales")
    async def sales(
        request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))], query: Asked
    ) -> Response:
        report = await report_of(ports, query)
        periods, lines = report.periods(query.period), lines_of(report)
        sums: dict[date, int] = defaultdict(int)
        for one in report.points:
            sums[one.first_day] += one.units
        totals = [(first, sums[first]) for first in periods]
        context = {
            "report": report, "query": query, "periods": periods[-SHOWN_PERIODS:],
            "lines": sorted(lines.items(), key=lambda line: -sum(one.units for one in line[1].values()))[:SHOWN_LINES],
            "more_lines": max(0, len(lines) - SHOWN_LINES), "totals": dict(totals),
            "chart": bars(totals, title=f"Units sold by {query.period}", running=report.running),
            "choices": await ports.stock.choices() if ports.stock else Choices(),
            "filters": query.model_dump(mode="json", exclude_defaults=True),
        }  # fmt: skip
        return pages.show(request, "sales.html", session, context)

    @router.get("/sales.csv")
    async def download(session: Annotated[Session, Depends(gate.page(Permission.SEE))], query: Asked) -> Response:
        report = await report_of(ports, query)
        header = (str(query.by), "first_day", "units", "priced_units", "revenue", "currency")
        rows = ((p.name, p.first_day, p.units, p.priced_units, p.revenue, report.currency) for p in report.points)
        return table_download("sales.csv", header, rows)

    return router


def lines_of(report: SalesReport) -> dict[str, dict[date, SalesPoint]]:
    """Each line's points by period."""
    lines: dict[str, dict[date, SalesPoint]] = defaultdict(dict)
    for point in report.points:
        lines[point.name][point.first_day] = point
    return dict(lines)
