"""The order book is the truth about which orders exist at the simulated suppliers, and it survives kill -9."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.erp.deliveries import events_of, promised_at, refuses
from connectors.erp.journal import Journal, JournalUnwritable
from workflows.domain.errors import Unavailable
from workflows.domain.events import Event
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.orders import PurchaseOrder, SupplierAnswer

_log = logging.getLogger(__name__)

BEFORE_TIME = datetime.min.replace(tzinfo=UTC)


class Refusal(Exception):
    """The order is not taken. `kind` is a bounded reason, `status` its HTTP status."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind


@dataclass(frozen=True)
class BookedOrder:
    """An order that exists, with what its supplier answered."""

    order: PurchaseOrder
    answer: SupplierAnswer
    events: tuple[Event, ...]


class OrderBook:
    """Orders, the business clock of each location, and the events that became due. Safe to share between threads.

    An order is in the journal before it is answered; an event is in the log before the journal says so. A crash between
    the two publishes it again under the same id, which is harmless.
    """

    def __init__(
        self,
        journal: Journal,
        behaviours: Mapping[str, SupplierBehaviour],
        publish: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        """Read the journal. Without `publish` events only become due, for whoever lists them."""
        self._journal = journal
        self._behaviours = behaviours
        self._publish = publish
        self._lock = threading.Lock()
        self._emitting = threading.Lock()
        self._orders: dict[str, BookedOrder] = {}
        self._clock: dict[str | None, datetime] = {}
        """By location; under None, the least that every location's clock is."""
        self._waiting: dict[str, tuple[Event, str, datetime]] = {}
        """Events not emitted yet by id, with location and the order's own instant."""
        self._emitted: dict[str, Event] = {}
        for entry in journal.entries:
            self._replay(entry)

    def place(self, order: PurchaseOrder, traceparent: str | None = None) -> tuple[SupplierAnswer, bool]:
        """The answer, and whether the order is new. The same order again gets the same answer.

        Raises:
            Refusal: another order has this key (422), nobody knows the supplier (404), or it takes no orders (409).
            ValidationError: no event can be made of it; it is larger or longer than anything may be.
            JournalUnwritable: the order does not exist.
        """
        with self._lock:
            if booked := self._orders.get(order.key):
                if _identity(booked.order) != _identity(order):
                    raise Refusal(422, "key-reused", f"another order was placed under the key {order.key}")
                return booked.answer, False
            behaviour = self._behaviours.get(order.supplier)
            if behaviour is None:
                raise Refusal(404, "unknown-supplier", f"there is no supplier {order.supplier}")
            if refuses(order, behaviour):
                raise Refusal(
                    409, "not-taking-orders", f"{order.supplier} takes no orders on {order.ordered_at:%d %B %Y}"
                )
            try:
                booked = _booked(order, behaviour, traceparent)
            except OverflowError:
                raise Refusal(400, "malformed", "the order is from beyond the calendar") from None
            entry = {
                "kind": "order",
                "order": order.model_dump(mode="json"),
                "lines_digest": order.lines_digest,
                # The order's fate stays what it was, also when the supplier is described differently later.
                "behaviour": behaviour.model_dump(mode="json"),
                "traceparent": traceparent,
            }
            self._journal.append(entry)
            self._add(booked)
            return booked.answer, True

    def find(self, key: str) -> BookedOrder | None:
        """The order under this key."""
        with self._lock:
            return self._orders.get(key)

    def orders(self) -> list[BookedOrder]:
        """All orders, in the order they came."""
        with self._lock:
            return list(self._orders.values())

    def advance(self, through: datetime, location: str | None = None) -> list[Event]:
        """Move the clock of a location (of all, without one), never back, and emit what became due there.

        Raises:
            Unavailable: the events could not all be published; the same call again publishes them.
        """
        with self._lock:
            if through > self._clock.get(location, BEFORE_TIME):
                entry = {"kind": "clock", "location": location, "through": through.isoformat()}
                self._journal.append(entry)
                self._replay(entry)
        return self.emit_due(location)

    def clock(self, location: str) -> datetime:
        """The business clock of a location."""
        with self._lock:
            return self._clock_of(location)

    def emit_due(self, location: str | None = None) -> list[Event]:
        """Publish the events that are due and not out yet, in time order; without a location, those of all.

        Raises:
            Unavailable: as `advance`.
        """
        # One emission at a time; placing orders must not wait for the broker meanwhile.
        with self._emitting:
            with self._lock:
                due = sorted(
                    (
                        event
                        for event, where, ordered_at in self._waiting.values()
                        if (location is None or where == location)
                        # An order's own instant is known to have come: its acknowledgement is due when it is placed.
                        and event.time <= max(self._clock_of(where), ordered_at)
                    ),
                    key=lambda event: (event.time, event.id),
                )
            if due:
                if self._publish is not None:
                    self._publish(due)
                with self._lock:
                    entry = {"kind": "emitted", "ids": [event.id for event in due]}
                    self._journal.append(entry)
                    self._replay(entry)
            return due

    def emitted(self, through: datetime | None = None) -> list[Event]:
        """What was emitted so far, oldest first; with `through`, only events up to that instant."""
        with self._lock:
            events = [event for event in self._emitted.values() if through is None or event.time <= through]
        return sorted(events, key=lambda event: (event.time, event.id))

    def emit_again(self, ids: Sequence[str] | None) -> list[Event]:
        """Publish emitted events once more (all of them for None): the broker lost its log. Unknown ids are left out.

        Raises:
            Unavailable: some could not be published.
        """
        wanted = None if ids is None else set(ids)
        events = [event for event in self.emitted() if wanted is None or event.id in wanted]
        if self._publish is not None and events:
            self._publish(events)
        return events

    def _clock_of(self, location: str) -> datetime:
        return max(self._clock.get(None, BEFORE_TIME), self._clock.get(location, BEFORE_TIME))

    def _add(self, booked: BookedOrder) -> None:
        order = booked.order
        self._orders[order.key] = booked
        self._waiting |= {event.id: (event, order.location, order.ordered_at) for event in booked.events}

    def _replay(self, entry: dict[str, Any]) -> None:
        if entry["kind"] == "order":
            order = PurchaseOrder.model_validate(entry["order"])
            self._add(_booked(order, SupplierBehaviour.model_validate(entry["behaviour"]), entry["traceparent"]))
        elif entry["kind"] == "clock":
            self._clock[entry["location"]] = datetime.fromisoformat(entry["through"])
        elif entry["kind"] == "emitted":
            for event_id in entry["ids"]:
                self._emitted[event_id] = self._waiting.pop(event_id)[0]


def emit_quietly(book: OrderBook, location: str) -> None:
    """Emit what an order just placed made due; what fails now is emitted when the clock advances."""
    try:
        book.emit_due(location)
    except (Unavailable, JournalUnwritable) as error:
        _log.warning("events wait for the clock to advance: %s", error)


def _booked(order: PurchaseOrder, behaviour: SupplierBehaviour, traceparent: str | None) -> BookedOrder:
    answer = SupplierAnswer(
        key=order.key,
        supplier_number=f"SIM-{order.key[:12].upper()}",
        promised_at=promised_at(order, behaviour),
    )
    return BookedOrder(order, answer, tuple(events_of(order, behaviour, traceparent)))


def _identity(order: PurchaseOrder) -> tuple[str, str, str]:
    return order.supplier, order.location, order.lines_digest
