"""What becomes of an order follows from the order and its supplier's ways: the same each time, in any process."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, time, timedelta

from workflows.domain.events import Event, ShipmentLine, ShipmentStatus, ShipmentUpdated, StockReceived
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.orders import OrderLine, PurchaseOrder

DELIVERY_TIME = time(5, 30)
"""UTC. Goods come in the morning, before order cycles close."""
SECOND_DELIVERY_AFTER = timedelta(days=2)
LINES_PER_EVENT = 400
"""Keeps an event well below the size that intake accepts."""


def promised_at(order: PurchaseOrder, behaviour: SupplierBehaviour) -> datetime:
    """When the supplier says that it will deliver; the first delivery morning after the order at the earliest."""
    days = behaviour.lead_days[int(_chance(order.key, "lead") * len(behaviour.lead_days))]
    return _morning(order.ordered_at, days)


def refuses(order: PurchaseOrder, behaviour: SupplierBehaviour) -> bool:
    """Whether the order falls into a stretch in which the supplier takes none."""
    day = order.ordered_at.date()
    return any(first <= day <= last for first, last in behaviour.refuses)


def events_of(
    order: PurchaseOrder, behaviour: SupplierBehaviour, traceparent: str | None, *, booking: int = 1
) -> list[Event]:
    """Everything that will be heard of the order, in time order; an event's time is when it becomes due. An order that
    was booked again (`booking` 2, ...) is delivered again, and its events are others.

    The order is acknowledged when it is placed, shipped the day before it comes, and called late on the morning that
    it was promised for. What never comes is said when the rest is shipped.
    """
    made = _Events(order, traceparent, booking)
    promise = promised_at(order, behaviour)
    late = behaviour.late_extra_days > 0 and _chance(order.key, "late") < behaviour.late_probability
    arrival = promise + timedelta(days=behaviour.late_extra_days) if late else promise
    ships = max(order.ordered_at, (arrival - timedelta(days=1)).replace(hour=12, minute=0))

    events = [made.shipment("acknowledged", ShipmentStatus.ACKNOWLEDGED, order.ordered_at, promise)]
    if late:
        events.append(made.shipment("delayed", ShipmentStatus.DELAYED, promise, arrival))
    events.append(made.shipment("shipped", ShipmentStatus.SHIPPED, ships, arrival))
    missing: list[ShipmentLine] = []
    for line in order.lines:
        short = _short_units(order.key, line, behaviour)
        if short:
            missing.append(ShipmentLine(item=line.item, units=short))
        events += made.receipts(line, line.units - short, arrival, behaviour)
    for start in range(0, len(missing), LINES_PER_EVENT):
        lines = tuple(missing[start : start + LINES_PER_EVENT])
        name = f"shortened:{start // LINES_PER_EVENT + 1}"
        events.append(made.shipment(name, ShipmentStatus.SHORTENED, ships, arrival, lines))
    return sorted(events, key=lambda event: event.time)


class _Events:
    """Events of one order; their ids name the order's key and what they are about, so they are the same each time."""

    def __init__(self, order: PurchaseOrder, traceparent: str | None, booking: int) -> None:
        self._order = order
        self._named = order.key if booking == 1 else f"{order.key}-{booking}"
        self._traceparent = traceparent

    def shipment(
        self,
        name: str,
        status: ShipmentStatus,
        due: datetime,
        expected: datetime,
        lines: tuple[ShipmentLine, ...] = (),
    ) -> Event:
        body = ShipmentUpdated(
            order_id=self._order.order_id,
            location=self._order.location,
            status=status,
            expected_at=expected,
            lines=lines,
        )
        return self._event(body, name, due)

    def receipts(self, line: OrderLine, units: int, arrival: datetime, behaviour: SupplierBehaviour) -> Iterator[Event]:
        second = (
            units // 2 if _chance(self._order.key, f"partial:{line.line_no}") < behaviour.partial_probability else 0
        )
        for number, part in enumerate((units - second, second), 1):
            if part:
                body = StockReceived(
                    item=line.item, location=self._order.location, units=part, order_id=self._order.order_id
                )
                due = arrival + SECOND_DELIVERY_AFTER * (number - 1)
                yield self._event(body, f"line-{line.line_no}:delivery-{number}", due)

    def _event(self, body: ShipmentUpdated | StockReceived, name: str, due: datetime) -> Event:
        return Event.of(
            body,
            id=f"{self._named}:{name}",
            source=f"supplier/{self._order.supplier}",
            time=due,
            traceparent=self._traceparent,
        )


def _short_units(key: str, line: OrderLine, behaviour: SupplierBehaviour) -> int:
    """A tenth, rounded up, but something always comes."""
    if _chance(key, f"short:{line.line_no}") >= behaviour.short_probability:
        return 0
    return min(-(-line.units // 10), line.units - 1)


def _morning(ordered_at: datetime, days: int) -> datetime:
    due = ordered_at.replace(hour=DELIVERY_TIME.hour, minute=DELIVERY_TIME.minute, second=0, microsecond=0) + timedelta(
        days=days
    )
    return due if due > ordered_at else due + timedelta(days=1)


def _chance(key: str, purpose: str) -> float:
    """A number in [0, 1) that belongs to the order: equal orders behave equally, on every machine."""
    # 53 bits, not 64: a larger integer over 2**64 may round up to 1.0.
    return (int.from_bytes(hashlib.sha256(f"{key}/{purpose}".encode()).digest()[:8], "big") >> 11) / 2**53
