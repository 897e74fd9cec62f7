"""A feed plays a world into the engine: its catalog, its recorded past, and its events day by day."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol

from pydantic import Field

from workflows.domain.catalog import Catalog
from workflows.domain.events import Event
from workflows.domain.identity import Code, Payload

StockKey = tuple[str, str]
"""(location, item)."""


class RecordedDemand(Payload):
    """Demand of one past day, recorded before the engine ran. Days without a row sold nothing."""

    item: Code
    location: Code
    day: date
    units: int
    in_stock: bool = True
    """False: there was no stock, so `units` says nothing about demand."""
    promotion: bool = False
    unit_price: Decimal | None = Field(default=None, ge=0, max_digits=14, decimal_places=4)
    """What a customer paid on that day; None: not recorded."""


class RecordedReceipt(Payload):
    """One past delivery: teaches lead times."""

    supplier: Code
    item: Code
    location: Code
    ordered_on: date
    received_on: date
    units: int = Field(gt=0)


class SupplierBehaviour(Payload):
    """How a simulated supplier really behaves, whatever it promises. Calendar days; probabilities per order."""

    supplier: Code
    lead_days: tuple[int, ...] = Field(min_length=1)
    """The days a delivery takes; one is picked per order by its key, so equal orders behave equally."""
    late_probability: float = Field(default=0.0, ge=0, le=1)
    late_extra_days: int = Field(default=0, ge=0)
    partial_probability: float = Field(default=0.0, ge=0, le=1)
    """Probability that a line arrives in two deliveries, the second two days later."""
    short_probability: float = Field(default=0.0, ge=0, le=1)
    """Probability that a tenth of a line never comes."""
    refuses: tuple[tuple[date, date], ...] = ()
    """Stretches (inclusive) in which it refuses every order: a failure of the supplier."""


class FeedReport(Payload):
    """What a feed read, made and left out, and why."""

    rows_read: int = 0
    events: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    """Rows left out, by reason."""
    invented: tuple[str, ...] = ()
    """What the source does not have and the feed generated from its seed, in words."""


class FeedSource(Protocol):
    """One world. Deterministic: the same source, seed and stock give the same events with the same ids.

    Event ids and sources are a function of the world, so a feed that is started again emits what the inbox already has.
    """

    name: str
    first_day: date
    """First day that is played as events; everything before it is recorded history."""
    last_day: date
    catalog: Catalog
    behaviours: Sequence[SupplierBehaviour]

    def recorded_demand(self) -> Iterator[RecordedDemand]:
        """The past before `first_day`, in any order."""
        ...

    def recorded_receipts(self) -> Iterator[RecordedReceipt]:
        """Past deliveries before `first_day`."""
        ...

    def opening(self) -> list[Event]:
        """Stock counts at the start of `first_day`, one per item and location."""
        ...

    def day(self, day: date, on_hand: Mapping[StockKey, int]) -> list[Event]:
        """The day's events in time order, given what is on the shelf that morning. File feeds ignore `on_hand`:
        their sales are facts."""
        ...

    def report(self) -> FeedReport:
        """What was read and left out so far."""
        ...
