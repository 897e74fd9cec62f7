"""Sales as people look at them: over time, today against what is usual, and what changed most."""

from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from workflows.domain.identity import Instant, Payload
from workflows.domain.stock_views import Words


class SalesBy(StrEnum):
    """What one line of the sales is."""

    LOCATION = "location"
    CATEGORY = "category"
    ITEM = "item"


class SalesPeriod(StrEnum):
    """What one column of the sales is."""

    DAY = "day"
    WEEK = "week"


class SalesQuery(Payload):
    """Which sales. By item: those of the item that is named, or of the best sellers of the newest week."""

    by: SalesBy = SalesBy.LOCATION
    period: SalesPeriod = SalesPeriod.DAY
    periods: int = Field(default=28, ge=2, le=104)
    """How many of the newest, the running one included."""
    location: Words = ""
    category: Words = ""
    item: Words = ""


class SalesPoint(Payload):
    """Sales of one line in one period."""

    name: str
    first_day: date
    units: int
    priced_units: int
    revenue: Decimal


class Today(Payload):
    """What the stream adds today at one location."""

    location: str
    clock: Instant
    sold_units: int
    usual_units: Decimal | None = None
    """Mean of the same weekday of the last four weeks; None where there is none."""
    expected_units: Decimal | None = None
    """What usually has been sold by this time; None where nobody knows at which hours the location sells."""


class Mover(Payload):
    """An item's newest closed week beside the four before it."""

    item: str
    item_name: str
    newest_units: int
    before_units: int
    """In the 28 days before."""

    @property
    def change_units(self) -> Decimal:
        """Units of the newest week more (or fewer) than a usual week of those before."""
        return (self.newest_units - Decimal(self.before_units) / 4).quantize(Decimal("0.1"))


class SalesReport(Payload):
    """Sales over time, as of an instant."""

    as_of: Instant | None
    """When they were added up; None: not yet. Sales of one item are always of now."""
    currency: str
    points: tuple[SalesPoint, ...]
    """Only periods with a record; the others are zeros."""
    first_day: date | None = None
    """Of the oldest period that was asked for; None: nothing was ever sold."""
    last_day: date | None = None
    running: bool = False
    """Whether the newest period is not over."""
    today: tuple[Today, ...] = ()
    risers: tuple[Mover, ...] = ()
    fallers: tuple[Mover, ...] = ()
    best: tuple[Mover, ...] = ()

    def periods(self, period: SalesPeriod) -> list[date]:
        """The first days of all periods, oldest first."""
        if self.first_day is None or self.last_day is None:
            return []
        step = 1 if period is SalesPeriod.DAY else 7
        return [self.first_day + timedelta(days=n) for n in range(0, (self.last_day - self.first_day).days + 1, step)]

    @property
    def units(self) -> int:
        """All of them."""
        return sum(point.units for point in self.points)

    @property
    def revenue(self) -> Decimal:
        """Of the priced units."""
        return sum((point.revenue for point in self.points), Decimal(0))

    @property
    def priced_share(self) -> Decimal | None:
        """Units of which the price is known; None where nothing was sold."""
        # A sale that was taken back leaves the units, not what was paid: never more than all of them.
        priced = min(self.units, sum(point.priced_units for point in self.points))
        return (Decimal(priced) / self.units).quantize(Decimal("0.0001")) if self.units > 0 else None


class Sales(Protocol):
    """Units sold, as events and recorded history tell."""

    async def report(self, query: SalesQuery) -> SalesReport:
        """Sales over time.

        Raises:
            NotFound: the catalog does not have the item.
        """
        ...
