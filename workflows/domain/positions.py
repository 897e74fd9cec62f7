"""A position is the fold over movements: on hand + on order - reserved, for one item at one location.

The fold does not depend on arrival order: a count is the truth at its instant, so movements at or before the newest
count are already in it, whenever they arrive.
"""

from collections.abc import Iterable
from datetime import UTC, date
from decimal import Decimal
from enum import StrEnum

from workflows.domain.events import (
    Event,
    SaleCancelled,
    SaleRecorded,
    StockAdjusted,
    StockCounted,
    StockReceived,
    StockReserved,
)
from workflows.domain.identity import Code, Instant, Payload


class MovementKind(StrEnum):
    """What kind of event moved the stock."""

    SALE = "sale"
    CANCELLATION = "cancellation"
    COUNT = "count"
    ADJUSTMENT = "adjustment"
    RESERVATION = "reservation"
    RECEIPT = "receipt"


class Movement(Payload):
    """One change of stock. `counted_units`: counts only. Demand moves on `demand_day`, stock at `occurred_at`."""

    source: str
    event_id: str
    item: Code
    location: Code
    kind: MovementKind
    occurred_at: Instant
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
    data = event.data
    if isinstance(data, SaleRecorded):
        kind, delta = MovementKind.SALE, -data.units
        return _movement(
            event, data.item, data.location, kind, on_hand_delta=delta, demand_day=event.time.astimezone(UTC).date(),
            promotion=data.promotion, demand_units=data.units, unit_price=data.unit_price,
        )  # fmt: skip
    if isinstance(data, SaleCancelled):
        back = data.units if data.returned_to_stock else 0
        return _movement(
            event, data.item, data.location, MovementKind.CANCELLATION, on_hand_delta=back,
            demand_day=data.sold_at.astimezone(UTC).date(), demand_units=-data.units,
        )  # fmt: skip
    if isinstance(data, StockCounted):
        return _movement(event, data.item, data.location, MovementKind.COUNT, counted_units=data.on_hand_units)
    if isinstance(data, StockAdjusted):
        return _movement(
            event, data.item, data.location, MovementKind.ADJUSTMENT, on_hand_delta=data.delta_units, reason=data.reason
        )
    if isinstance(data, StockReserved):
        return _movement(event, data.item, data.location, MovementKind.RESERVATION, reserved_delta=data.delta_units)
    if isinstance(data, StockReceived):
        kind = MovementKind.RECEIPT
        return _movement(event, data.item, data.location, kind, on_hand_delta=data.units, order_id=data.order_id)
    return None


def _movement(event: Event, item: str, location: str, kind: MovementKind, **rest: object) -> Movement:
    return Movement.model_validate(
        {
            "source": event.source, "event_id": event.id, "item": item, "location": location, "kind": kind,
            "occurred_at": event.time, **rest,
        }
    )  # fmt: skip


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
