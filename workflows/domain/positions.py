"""A position is the fold over movements: on hand + on order - reserved, for one item at one location.

The fold does not depend on arrival order: a count is the truth at its instant, so movements at or before the newest
count are already in it, whenever they arrive.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from workflows.domain.events import (
    PREFIX,
    Event,
    SaleCancelled,
    SaleRecorded,
    StockAdjusted,
    StockCounted,
    StockReceived,
    StockReserved,
)
from workflows.domain.identity import Code, Payload


class MovementKind(StrEnum):
    """What kind of event moved the stock."""

    SALE = "sale"
    CANCELLATION = "cancellation"
    COUNT = "count"
    ADJUSTMENT = "adjustment"
    RESERVATION = "reservation"
    RECEIPT = "receipt"


EVENT_TYPES: dict[MovementKind, str] = {
    MovementKind.SALE: PREFIX + SaleRecorded.kind,
    MovementKind.CANCELLATION: PREFIX + SaleCancelled.kind,
    MovementKind.COUNT: PREFIX + StockCounted.kind,
    MovementKind.ADJUSTMENT: PREFIX + StockAdjusted.kind,
    MovementKind.RESERVATION: PREFIX + StockReserved.kind,
    MovementKind.RECEIPT: PREFIX + StockReceived.kind,
}
"""What the event that caused a movement is called."""


class Movement(NamedTuple):
    """One change of stock. `counted_units`: counts only. Demand moves on `demand_day`, stock at `occurred_at` (aware).

    A tuple, and not checked again: it is made of a checked event, tens of thousands of times a second.
    """

    source: str
    event_id: str
    location: str
    item: str
    kind: MovementKind
    occurred_at: datetime
    on_hand_delta: int = 0
    reserved_delta: int = 0
    counted_units: int | None = None
    demand_day: date | None = None
    demand_units: int = 0
    unit_price: Decimal | None = None
    promotion: bool = False
    order_id: str | None = None
    reason: str | None = None
    """Adjustments only: why, in the sender's words."""


def movement_of(event: Event) -> Movement | None:
    """The movement that an event causes, or None for events that move no stock."""
    data, told = event.data, (event.source, event.id)
    if isinstance(data, SaleRecorded):
        return Movement(
            *told, data.location, data.item, MovementKind.SALE, event.time, on_hand_delta=-data.units,
            demand_day=event.time.astimezone(UTC).date(), demand_units=data.units, unit_price=data.unit_price,
            promotion=data.promotion,
        )  # fmt: skip
    if isinstance(data, SaleCancelled):
        return Movement(
            *told, data.location, data.item, MovementKind.CANCELLATION, event.time,
            on_hand_delta=data.units if data.returned_to_stock else 0,
            demand_day=data.sold_at.astimezone(UTC).date(), demand_units=-data.units,
        )  # fmt: skip
    if isinstance(data, StockCounted):
        return Movement(
            *told, data.location, data.item, MovementKind.COUNT, event.time, counted_units=data.on_hand_units
        )
    if isinstance(data, StockAdjusted):
        return Movement(
            *told, data.location, data.item, MovementKind.ADJUSTMENT, event.time, on_hand_delta=data.delta_units,
            reason=data.reason,
        )  # fmt: skip
    if isinstance(data, StockReserved):
        return Movement(
            *told, data.location, data.item, MovementKind.RESERVATION, event.time, reserved_delta=data.delta_units
        )
    if isinstance(data, StockReceived):
        return Movement(
            *told, data.location, data.item, MovementKind.RECEIPT, event.time, on_hand_delta=data.units,
            order_id=data.order_id,
        )  # fmt: skip
    return None


class Position(Payload):
    """Stock of one item at one location, in units. May be negative on hand: sales are facts even when stock was not."""

    item: Code
    location: Code
    on_hand_units: int = 0
    reserved_units: int = 0
    on_order_units: int = 0
    watch_level_units: int | None = None
    """Available stock below which an event makes a need; None until the first assessment."""

    @property
    def available_units(self) -> int:
        """On hand + on order - reserved."""
        return self.on_hand_units + self.on_order_units - self.reserved_units


def on_hand_after(movements: Iterable[Movement]) -> int:
    """The fold: the newest count (ties: the larger event id) plus every later delta. Any order gives the same units."""
    movements = list(movements)
    counts = [m for m in movements if m.counted_units is not None]
    newest = max(counts, key=lambda m: (m.occurred_at, m.source, m.event_id), default=None)
    base, since = (newest.counted_units or 0, newest.occurred_at) if newest else (0, None)
    return base + sum(m.on_hand_delta for m in movements if since is None or m.occurred_at > since)
