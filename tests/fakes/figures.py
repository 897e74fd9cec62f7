"""Figures, stock, demand, sales and forecasts in memory: a small shop that a unit test and a browser test look at."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tests.fakes.desk import MemoryShop
from workflows.domain.approvals import TaskState
from workflows.domain.demand import DayLayers, DemandDefinition
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.figures import PlaceFigures, Snapshot
from workflows.domain.forecasts import (
    LONGEST_DAYS,
    ForecastAnswer,
    ForecastDay,
    ForecastRequest,
    ForecastSeries,
)
from workflows.domain.money import Money
from workflows.domain.planning import Planning
from workflows.domain.sales_views import Mover, SalesPeriod, SalesPoint, SalesQuery, SalesReport, Today
from workflows.domain.scores import DayForecast
from workflows.domain.stock_views import (
    CRITICAL_RISK,
    Choices,
    DecisionRow,
    DemandHistoryView,
    MovementRow,
    OpenLine,
    PositionQuery,
    PositionRow,
)

NOON = datetime(2025, 11, 24, 12, 4, tzinfo=UTC)
LAST_DAY = NOON.date() - timedelta(days=1)
MODEL = "a" * 64


class MemoryFigures:
    """`Figures`: counted whenever somebody looks, unless a test says when it was counted."""

    def __init__(
        self, shop: MemoryShop, planning: Planning | None = None, money: Money | None = None,
        *, places: tuple[PlaceFigures, ...] | None = None,
    ) -> None:  # fmt: skip
        self._shop, self._planning, self._money = shop, planning, money
        self.as_of: datetime | None = datetime.now(UTC)
        """None: not counted yet."""
        self.places = some_places() if places is None else places

    async def snapshot(self) -> Snapshot | None:
        if self.as_of is None:
            return None
        return Snapshot(
            as_of=self.as_of, seconds=Decimal("0.2"), currency="EUR", cap_days=90, places=self.places,
            counts=dict(self._shop.counts), stability=await self._planning.stability() if self._planning else None,
            money=await self._money.report() if self._money else None,
        )  # fmt: skip

    async def waiting(self, most: int) -> int:
        open_tasks = [c for c in self._shop.cases.values() if (c.task or {}).get("state") == TaskState.OPEN]
        return min(most, len(open_tasks))


def some_places() -> tuple[PlaceFigures, ...]:
    """Two locations whose figures differ in every share."""
    return (
        PlaceFigures(
            location="LEEDS", positions=410, unassessed=2, live=400, out_of_stock=8, below_reorder=30, understocked=62,
            overstocked=21, value=Decimal("184806.18"), unpriced=3, sold_units=10951, lost_units=Decimal("529.4"),
            held=650, auto=332, review=64, blocked=1, waiting=6, waiting_value=Decimal("812.40"),
            avoided=Decimal("120.55"),
        ),
        PlaceFigures(location="YORK", positions=100, live=100, out_of_stock=10, value=Decimal("900.00"), waiting=3),
    )  # fmt: skip


def a_position(number: int, *, location: str = "LEEDS", risk: str = "0.05", on_hand: int = 40) -> PositionRow:
    """A position like others."""
    return PositionRow(
        location=location, item=f"ITEM-{number:03}", item_name=f"Item {number}", category="things", supplier="acme",
        on_hand_units=on_hand, on_order_units=12, reserved_units=2, watch_level_units=30, unit_cost=Decimal("4.20"),
        decision_id=f"{location}:ITEM-{number:03}:1", decision_kind="hold", decided_at=NOON, risk=Decimal(risk),
        demand_p50_per_day=Decimal("8.0"), data_through=NOON,
    )  # fmt: skip


class MemoryStock:
    """`Stock` over a list, worst first."""

    def __init__(self, rows: list[PositionRow] | None = None) -> None:
        given = [a_position(n, risk=str(Decimal(n) / 100)) for n in range(1, 100)] if rows is None else rows
        self.rows = sorted(given, key=lambda row: (row.risk or Decimal(0), row.key), reverse=True)

    async def positions(self, query: PositionQuery) -> list[PositionRow]:
        rows = [row for row in self.rows if self._wanted(row, query)]
        if query.after:
            keys = [row.key for row in self.rows]
            if query.after not in keys:
                raise InvalidInput("after: that is no position")
            rows = [row for row in rows if keys.index(row.key) > keys.index(query.after)]
        return rows[: query.limit]

    def _wanted(self, row: PositionRow, query: PositionQuery) -> bool:
        named = ((query.location, row.location), (query.category, row.category), (query.supplier, row.supplier))
        if any(wanted and wanted != has for wanted, has in named):
            return False
        if query.text and query.text.lower() not in f"{row.item} {row.item_name}".lower():
            return False
        return not query.critical or (row.risk or Decimal(0)) >= CRITICAL_RISK

    async def position(self, location: str, item: str) -> PositionRow:
        for row in self.rows:
            if (row.location, row.item) == (location, item):
                return row
        raise NotFound(f"No event ever spoke of {item} at {location}.")

    async def movements(
        self, location: str, item: str, limit: int = 50, before: tuple[datetime, str] | None = None
    ) -> list[MovementRow]:
        rows = [
            MovementRow(
                event_id=f"e{n:03}", source="urn:test", kind="count" if n == 0 else "sale",
                occurred_at=NOON - timedelta(hours=120 - n), on_hand_delta=0 if n == 0 else -1, reserved_delta=0,
                counted_units=100 if n == 0 else None,
            )
            for n in range(119, -1, -1)
        ]  # fmt: skip
        return [row for row in rows if before is None or (row.occurred_at, row.event_id) < before][:limit]

    async def open_lines(self, location: str, item: str) -> list[OpenLine]:
        return [OpenLine(order_id="acme:LEEDS:2025-11-24:1", supplier="acme", state="placed", units=12,
                         received_units=4, promised_at=NOON)]  # fmt: skip

    async def decisions(self, location: str, item: str, limit: int = 10) -> list[DecisionRow]:
        return [DecisionRow(decision_id=f"{location}:{item}:1", revision=1, kind="hold", decided_at=NOON,
                            sentence="Stock suffices.")]  # fmt: skip

    async def choices(self) -> Choices:
        names = {name: tuple(sorted({getattr(row, name) for row in self.rows})) for name in ("location", "category")}
        return Choices(locations=names["location"], categories=names["category"], suppliers=("acme",))


class MemoryDemand:
    """`Demand` with one missing day and a forecast of a week."""

    async def history(self, location: str, item: str, days: int) -> DemandHistoryView:
        if item == "NONE":
            raise NotFound(f"No demand of {item} at {location} was ever recorded.")
        definition = DemandDefinition()
        return DemandHistoryView(
            location=location, item=item, item_name="A name", category="things",
            days=tuple(
                DayLayers(day=LAST_DAY - timedelta(days=n), sold_units=n % 9, promotion=n == 2, censored=n == 3,
                          effective_units=None if n == 3 else n % 9)
                for n in range(days - 1, -1, -1)
            ),
            forecast=tuple(
                DayForecast(day=LAST_DAY + timedelta(days=n), p10=Decimal(1), p50=Decimal(4), p90=Decimal(9))
                for n in range(1, 8)
            ),
            decision_id=f"{location}:{item}:1", decided_at=NOON, definition_words=definition.words,
            definition_digest=definition.digest,
        )  # fmt: skip


class MemorySales:
    """`Sales` of two locations."""

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty

    async def report(self, query: SalesQuery) -> SalesReport:
        if self._empty:
            return SalesReport(as_of=None, currency="EUR", points=())
        if query.item == "NONE":
            raise NotFound("The catalog has no item NONE.")
        step = timedelta(days=1 if query.period is SalesPeriod.DAY else 7)
        points = [
            SalesPoint(name=name, first_day=LAST_DAY - n * step, units=100 + n, priced_units=50,
                       revenue=Decimal("212.50"))
            for name in ("LEEDS", "=YORK") for n in range(query.periods)
        ]  # fmt: skip
        today = Today(location="LEEDS", clock=NOON, sold_units=31, usual_units=Decimal(90), expected_units=Decimal(45))
        mover = Mover(item="ITEM-001", item_name="Item 1", newest_units=70, before_units=80)
        return SalesReport(
            as_of=NOON,
            currency="EUR",
            points=tuple(points),
            first_day=LAST_DAY - (query.periods - 1) * step,
            last_day=LAST_DAY,
            running=True,
            today=(today,),
            risers=(mover,),
            best=(mover,),
        )


class MemoryForecasts:
    """`Forecasts`: four units a day, whatever is asked for."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[ForecastRequest, ForecastAnswer]] = {}

    async def forecast(self, request: ForecastRequest) -> ForecastAnswer:
        first = request.first_day or LAST_DAY + timedelta(days=1)
        last = request.last_day or LAST_DAY + timedelta(days=request.horizon_days or LONGEST_DAYS)
        if first <= LAST_DAY or last > LAST_DAY + timedelta(days=LONGEST_DAYS):
            raise InvalidInput(f"Demand is known through {LAST_DAY}: these days cannot be forecast.")
        if "NONE" in request.products:
            raise NotFound("The catalog has no item NONE.")
        days = tuple(self._day(first, n, request) for n in range((last - first).days + 1))
        series = tuple(
            ForecastSeries(item=item, location=place, forecaster="xgboost", days=days)
            for item in request.products for place in request.locations or ("LEEDS",)
        )  # fmt: skip
        return ForecastAnswer(
            model_digest=MODEL, data_through=LAST_DAY, demand_definition=DemandDefinition().digest, first_day=first,
            last_day=last, series=series,
        )  # fmt: skip

    def _day(self, first: date, ahead: int, request: ForecastRequest) -> ForecastDay:
        return ForecastDay(
            day=first + timedelta(days=ahead), mean=Decimal("4.2"),
            quantiles={str(level): Decimal(8) * level for level in request.quantiles},
        )  # fmt: skip

    async def answer_once(self, request: ForecastRequest, command_id: str, actor: str) -> ForecastAnswer:
        if (actor, command_id) not in self._kept:
            self._kept[actor, command_id] = request, await self.forecast(request)
        asked, answer = self._kept[actor, command_id]
        if asked != request:
            raise InvalidInput("The id was used for another forecast; take a new one.")
        return answer
