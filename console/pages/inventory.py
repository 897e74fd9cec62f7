"""Inventory: positions worst first, a page at a time; one position with all that moved it, what is on order and why."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages, link
from console.tables import table_download
from workflows.domain.approvals import STORABLE
from workflows.domain.errors import NotFound
from workflows.domain.people import Permission
from workflows.domain.stock_views import CRITICAL_RISK, MAX_ROWS, SEARCHED_ITEMS, PositionQuery, PositionRow, Stock

PAGE = 50
DOWNLOADED = 10_000
"""Rows of one CSV file, the worst ones."""
MOVEMENTS = 50
COLUMNS = (
    "location", "item", "name", "category", "supplier", "on_hand", "on_order", "reserved", "available", "watch_level",
    "days_of_cover", "risk", "value", "unit_cost", "decision", "decided_at",
)  # fmt: skip
Field = Annotated[str, Query(max_length=100, pattern=STORABLE)]


def asked(
    location: Field = "", category: Field = "", supplier: Field = "", text: Field = "", critical: bool = False,
    after: Annotated[str | None, Query(max_length=200, pattern=STORABLE, description="`next` of the last page")] = None,
) -> PositionQuery:  # fmt: skip
    """A FastAPI dependency: the filters of the page, of its download and of the REST operation alike."""
    return PositionQuery(
        location=location, category=category, supplier=supplier, text=text, critical=critical, after=after or None,
        limit=PAGE,
    )  # fmt: skip


Asked = Annotated[PositionQuery, Depends(asked)]


def stock_of(ports: ConsolePorts) -> Stock:
    """The port.

    Raises:
        NotFound: this installation does not show stock.
    """
    if ports.stock is None:
        raise NotFound("This installation does not show its inventory.")
    return ports.stock


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/inventory`, its download, and one position's page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/inventory")
    async def inventory(
        request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))], query: Asked
    ) -> Response:
        stock = stock_of(ports)
        rows = await stock.positions(query.model_copy(update={"limit": PAGE + 1}))
        context = {
            "rows": rows[:PAGE], "query": query, "choices": await stock.choices(), "critical_risk": CRITICAL_RISK,
            "filters": filters_of(query), "next": rows[PAGE - 1].key if len(rows) > PAGE else None,
            "searched": SEARCHED_ITEMS, "downloaded": DOWNLOADED,
        }  # fmt: skip
        return pages.show(request, "inventory.html", session, context)

    @router.get("/inventory.csv")
    async def download(session: Annotated[Session, Depends(gate.page(Permission.SEE))], query: Asked) -> Response:
        found: list[PositionRow] = []
        while len(found) < DOWNLOADED:
            asked_for = {"limit": MAX_ROWS, "after": found[-1].key if found else query.after}
            rows = await stock_of(ports).positions(query.model_copy(update=asked_for))
            found += rows
            if len(rows) < MAX_ROWS:
                break
        return table_download("inventory.csv", COLUMNS, (_cells(row) for row in found))

    @router.get("/inventory/{location}/{item}")
    async def position(
        request: Request,
        session: Annotated[Session, Depends(gate.page(Permission.SEE))],
        location: str,
        item: str,
        before_at: AwareDatetime | None = None,
        before_id: Annotated[str, Query(max_length=500, pattern=STORABLE)] = "",
    ) -> Response:
        stock = stock_of(ports)
        row = await stock.position(storable(location), storable(item))
        before = (before_at, before_id) if before_at else None
        movements = await stock.movements(location, item, MOVEMENTS + 1, before)
        last = movements[MOVEMENTS - 1] if len(movements) > MOVEMENTS else None
        context = {
            "row": row, "movements": movements[:MOVEMENTS], "lines": await stock.open_lines(location, item),
            "decisions": await stock.decisions(location, item), "paged": before is not None,
            "next": last and link(
                "/inventory", location, item, before_at=last.occurred_at.isoformat(), before_id=last.event_id
            ),
            "clock": (await ports.clocks()).get(location),
        }  # fmt: skip
        return pages.show(request, "inventory_position.html", session, context)

    return router


def storable(name: str) -> str:
    """A name from a path, if a database can hold it.

    Raises:
        NotFound: nothing has such a name.
    """
    if "\x00" in name:
        raise NotFound("Nothing has such a name.")
    return name


def filters_of(query: PositionQuery) -> dict[str, object]:
    """The filters that are set, as they stand in an address."""
    named = {name: getattr(query, name) or None for name in ("location", "category", "supplier", "text")}
    return {name: value for name, value in named.items() if value} | ({"critical": "true"} if query.critical else {})


def _cells(row: PositionRow) -> tuple[object, ...]:
    return (
        row.location, row.item, row.item_name, row.category, row.supplier, row.on_hand_units, row.on_order_units,
        row.reserved_units, row.available_units, row.watch_level_units, row.days_of_cover, row.risk, row.value,
        row.unit_cost, row.decision_id, row.decided_at and row.decided_at.isoformat(),
    )  # fmt: skip
