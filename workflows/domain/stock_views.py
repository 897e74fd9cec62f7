"""What people look at in stock and demand: a page at a time, with what each figure is taken from.

Nothing here changes anything. Days of cover are stock on hand over the newest decision's median demand a day, as in the
inbox.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Protocol

from pydantic import Field, StringConstraints

from workflows.domain.approvals import STORABLE
from workflows.domain.demand import DayLayers
from workflows.domain.identity import Code, Digest, Instant, Payload
from workflows.domain.scores import DayForecast

CRITICAL_RISK = Decimal("0.2")
"""Positions whose newest decision gives them at least this probability of running out are critical."""
SEARCHED_ITEMS = 500
"""A text finds at most so many items."""
MAX_ROWS = 500
Words = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True, pattern=STORABLE)]


class PositionQuery(Payload):
    """Which positions, worst first: by probability of running out, then by what waiting is expected to cost."""

    location: Words = ""
    category: Words = ""
    supplier: Words = ""
    """The item's first supplier there."""
    text: Words = ""
    """Part of an item's id or name, in any case."""
    critical: bool = False
    """Only those with a risk of at least `CRITICAL_RISK`."""
    limit: int = Field(default=50, ge=1, le=MAX_ROWS)
    after: Words | None = None
    """`location:item` of the last row of the page before."""


class PositionRow(Payload):
    """One item at one location."""

    location: Code
    item: Code
    item_name: str
    category: str
    supplier: str | None = None
    on_hand_units: int
    on_order_units: int
    reserved_units: int
    watch_level_units: int | None = None
    unit_cost: Decimal | None = None
    decision_id: str | None = None
    """The newest one; None: never assessed."""
    decision_kind: str | None = None
    decided_at: Instant | None = None
    risk: Decimal | None = None
    """Probability of running out before the next chance to be helped if nothing is ordered; the newest decision's."""
    demand_p50_per_day: Decimal | None = None
    data_through: Instant | None = None

    @property
    def key(self) -> str:
        """What `after` takes."""
        return f"{self.location}:{self.item}"

    @property
    def available_units(self) -> int:
        """On hand + on order - reserved."""
        return self.on_hand_units + self.on_order_units - self.reserved_units

    @property
    def days_of_cover(self) -> Decimal | None:
        """Days that the goods on hand last at the median pace; None where the median is zero or unknown."""
        if not self.demand_p50_per_day:
            return None
        return (Decimal(max(0, self.on_hand_units)) / self.demand_p50_per_day).quantize(Decimal("0.1"))

    @property
    def value(self) -> Decimal | None:
        """Of the goods on hand, at cost."""
        if self.unit_cost is None:
            return None
        return (max(0, self.on_hand_units) * self.unit_cost).quantize(Decimal("0.01"))


class MovementRow(Payload):
    """One change of stock."""

    event_id: str
    source: str
    kind: str
    occurred_at: Instant
    on_hand_delta: int
    reserved_delta: int
    counted_units: int | None = None
    order_id: str | None = None
    reason: str | None = None


class OpenLine(Payload):
    """What is on order and not all here."""

    order_id: str
    supplier: str
    state: str
    units: int
    received_units: int
    promised_at: Instant | None = None


class DecisionRow(Payload):
    """One decision about the position."""

    decision_id: str
    revision: int
    kind: str
    decided_at: Instant
    sentence: str


class Choices(Payload):
    """What one can filter by; long lists are cut."""

    locations: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    suppliers: tuple[str, ...] = ()


class Stock(Protocol):
    """Positions as they are now."""

    async def positions(self, query: PositionQuery) -> list[PositionRow]:
        """A page of them, worst first.

        Raises:
            InvalidInput: `after` is no position.
        """
        ...

    async def position(self, location: str, item: str) -> PositionRow:
        """One of them.

        Raises:
            NotFound: no event ever spoke of it.
        """
        ...

    async def movements(
        self, location: str, item: str, limit: int = 50, before: tuple[datetime, str] | None = None
    ) -> list[MovementRow]:
        """What moved it, newest first; `before`: instant and event id of the last row of the page before."""
        ...

    async def open_lines(self, location: str, item: str) -> list[OpenLine]:
        """What is on order, soonest first."""
        ...

    async def decisions(self, location: str, item: str, limit: int = 10) -> list[DecisionRow]:
        """The newest decisions about it."""
        ...

    async def choices(self) -> Choices:
        """What one can filter by."""
        ...


class DemandHistoryView(Payload):
    """Demand of one item at one location: layer by layer as it was, and as its newest decision expects it."""

    location: Code
    item: Code
    item_name: str
    category: str
    days: tuple[DayLayers, ...]
    forecast: tuple[DayForecast, ...] = ()
    """Of the newest decision: the days that its order had to cover."""
    decision_id: str | None = None
    decided_at: Instant | None = None
    definition_words: str
    definition_digest: Digest


class Demand(Protocol):
    """Demand as forecasts see it."""

    async def history(self, location: str, item: str, days: int) -> DemandHistoryView:
        """The newest closed days.

        Raises:
            NotFound: nothing was ever recorded of it.
        """
        ...
