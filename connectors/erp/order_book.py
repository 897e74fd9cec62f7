"""The order book is the truth about which orders exist at the simulated suppliers, and it survives kill -9."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.erp.bookings import BookedOrder, Draft, DraftState, Refusal, Terms, same
from connectors.erp.deliveries import refuses
from connectors.erp.journal import Journal, JournalUnwritable
from connectors.erp.news import BEFORE_TIME, News
from workflows.domain.capabilities import DedupeLevel
from workflows.domain.errors import Unavailable
from workflows.domain.events import Event
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.orders import PurchaseOrder, SupplierAnswer

_log = logging.getLogger(__name__)

Publish = Callable[[Sequence[Event]], None]


class OrderBook:
    """Orders, the business clock of each location, and the events that became due. Safe to share between threads.

    An order is in the journal before it is answered, one line for each that was booked; an event is in the log before
    the journal says so. A crash between the two publishes it again under the same id, which is harmless.
    """

    def __init__(
        self,
        journal: Journal,
        behaviours: Mapping[str, SupplierBehaviour],
        publish: Publish | None = None,
        terms: Terms | None = None,
    ) -> None:
        """Read the journal. Without `publish` events only become due, for whoever lists them."""
        self.terms = terms or Terms()
        self.journal = journal
        self.lock = threading.Lock()
        """Held for everything that reads or changes the book."""
        self.drafts: dict[str, Draft] = {}
        """By number; see `DraftBook`."""
        self._behaviours = behaviours
        self._publish = publish
        self._emitting = threading.Lock()
        self._orders: dict[str, list[BookedOrder]] = {}
        self._booked: list[BookedOrder | Draft] = []
        """Everything that was ever taken down, in order; drafts stay what they become."""
        self._clock: dict[str | None, datetime] = {}
        """By location; under None, the least that every location's clock is."""
        self._news = News()
        self._emitted: dict[str, Event] = {}
        for entry in journal.entries:
            self._replay(entry)

    def place(
        self, order: PurchaseOrder, traceparent: str | None = None, *, again: bool = False
    ) -> tuple[SupplierAnswer, bool]:
        """The answer, and whether an order was booked. What becomes of a repeated one is up to the level; with `again`
        it is booked once more whatever the level says: a fault of the supplier's.

        Raises:
            Refusal: another order has this key (422), the key is taken (409, L2), nobody knows the supplier (404), or
                it takes no orders (409).
            ValidationError: no event can be made of it; it is larger or longer than anything may be.
            JournalUnwritable: the order does not exist.
        """
        with self.lock:
            known = self._orders.get(order.key, [])
            if known and not again:
                self._refuse_repeated(order, known[0])
                if self.terms.repeats(known[0]):
                    return known[0].answer, False
            behaviour = self.behaviour_for(order)
            booked = self.booked(order, behaviour, traceparent)
            entry = {
                "kind": "order",
                "order": order.model_dump(mode="json"),
                "lines_digest": order.lines_digest,
                # The order's fate stays what it was, also when the supplier is described differently later.
                "behaviour": behaviour.model_dump(mode="json"),
                "traceparent": traceparent,
                "supplier_number": booked.answer.supplier_number,
                "booked_at": booked.booked_at.isoformat(),
            }
            self.journal.append(entry)
            self.add(booked)
            return booked.answer, True

    def find(self, key: str, *, older_than: timedelta | None = None) -> list[BookedOrder]:
        """The orders under this key, the first booked first; with `older_than` those that a stale index has by now.

        Raises:
            Refusal: the system cannot be searched (L0).
        """
        self.require_search()
        seen = BEFORE_TIME if older_than is None else self.terms.now() - older_than
        with self.lock:
            found = self._orders.get(key, [])
            return [one for one in found if older_than is None or one.booked_at <= seen]

    def require_search(self) -> None:
        """Raises Refusal where orders cannot be looked for (L0)."""
        if self.terms.level is DedupeLevel.L0:
            raise Refusal(501, "no-search", "orders cannot be looked for in this system")

    def orders(self) -> list[BookedOrder]:
        """All orders, in the order they came."""
        with self.lock:
            return [one for one in self._booked if isinstance(one, BookedOrder)]

    def listed(
        self, supplier: str, after: int, limit: int, *, older_than: timedelta | None = None
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Orders and drafts of a supplier from a cursor (0: the start), and the next cursor, None at the end.

        Raises:
            Refusal: the system cannot be searched (L0).
        """
        self.require_search()
        seen = None if older_than is None else self.terms.now() - older_than
        found: list[dict[str, Any]] = []
        with self.lock:
            for number in range(after, len(self._booked)):
                one = self._booked[number]
                at = one.booked_at if isinstance(one, BookedOrder) else one.made_at
                # A draft that was confirmed stands further on, as the order that it became.
                gone = isinstance(one, Draft) and one.booked is not None
                if one.order.supplier != supplier or gone or (seen is not None and at > seen):
                    continue
                if len(found) == limit:
                    return found, number
                found.append(one.described())
        return found, None

    def advance(self, through: datetime, location: str | None = None) -> list[Event]:
        """Move the clock of a location (of all, without one), never back, and emit what became due there.

        Raises:
            Unavailable: the events could not all be published; the same call again publishes them.
        """
        with self.lock:
            if through > self._clock.get(location, BEFORE_TIME):
                entry = {"kind": "clock", "location": location, "through": through.isoformat()}
                self.journal.append(entry)
                self._replay(entry)
        return self.emit_due(location)

    def clock(self, location: str) -> datetime:
        """The business clock of a location."""
        with self.lock:
            return self._clock_of(location)

    def emit_due(self, location: str | None = None) -> list[Event]:
        """Publish the events that are due and not out yet, in time order; without a location, those of all.

        Raises:
            Unavailable: as `advance`.
        """
        # One emission at a time; placing orders must not wait for the broker meanwhile.
        with self._emitting:
            with self.lock:
                taken = self._news.take(location, self._clock_of)
                due = self._news.events(taken)
            try:
                if due and self._publish is not None:
                    self._publish(due)
                with self.lock:
                    if due:
                        entry = {"kind": "emitted", "ids": [event.id for event in due]}
                        self.journal.append(entry)
                        self._replay(entry)
            except BaseException:
                with self.lock:
                    self._news.put_back(taken)
                raise
            return due

    def emitted(self, through: datetime | None = None) -> list[Event]:
        """What was emitted so far, oldest first; with `through`, only events up to that instant."""
        with self.lock:
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

    def behaviour_for(self, order: PurchaseOrder) -> SupplierBehaviour:
        """How the supplier of this order behaves. The caller holds the lock.

        Raises:
            Refusal: nobody knows the supplier (404), or it takes no orders (409).
        """
        behaviour = self._behaviours.get(order.supplier)
        if behaviour is None:
            raise Refusal(404, "unknown-supplier", f"there is no supplier {order.supplier}")
        if refuses(order, behaviour):
            raise Refusal(409, "not-taking-orders", f"{order.supplier} takes no orders on {order.ordered_at:%d %B %Y}")
        return behaviour

    def booked(self, order: PurchaseOrder, behaviour: SupplierBehaviour, traceparent: str | None) -> BookedOrder:
        """The order as it would be booked now, one more under its key. The caller holds the lock.

        Raises:
            Refusal: it is from beyond the calendar.
        """
        try:
            return BookedOrder.of(
                order, behaviour, traceparent, self.terms.now(), len(self._orders.get(order.key, [])) + 1
            )
        except OverflowError:
            raise Refusal(400, "malformed", "the order is from beyond the calendar") from None

    def add(self, booked: BookedOrder) -> None:
        """Have it. The caller holds the lock and has written it to the journal."""
        order = booked.order
        self._orders.setdefault(order.key, []).append(booked)
        self._booked.append(booked)
        self._news.add(order.location, order.ordered_at, booked.events)

    def keep(self, draft: Draft) -> None:
        """Have a draft. The caller holds the lock and has written it to the journal."""
        self.drafts[draft.number] = draft
        self._booked.append(draft)

    def confirm(self, draft: Draft, booked: BookedOrder) -> None:
        """Have the order that a draft became. The caller holds the lock and has written it to the journal."""
        draft.booked, draft.state = booked, DraftState.CONFIRMED
        self.add(booked)

    def _refuse_repeated(self, order: PurchaseOrder, first: BookedOrder) -> None:
        if self.terms.level is DedupeLevel.L2:
            raise Refusal(
                409, "duplicate-key", f"there is an order under the key {order.key} already",
                supplier_number=first.answer.supplier_number,
            )  # fmt: skip
        if self.terms.repeats(first) and not same(first.order, order):
            raise Refusal(422, "key-reused", f"another order was placed under the key {order.key}")

    def _clock_of(self, location: str) -> datetime:
        return max(self._clock.get(None, BEFORE_TIME), self._clock.get(location, BEFORE_TIME))

    def _replay(self, entry: dict[str, Any]) -> None:
        kind = entry["kind"]
        if kind == "order":
            order = PurchaseOrder.model_validate(entry["order"])
            behaviour = SupplierBehaviour.model_validate(entry["behaviour"])
            number = len(self._orders.get(order.key, [])) + 1
            self.add(BookedOrder.of(order, behaviour, entry["traceparent"], _instant(entry), number))
        elif kind == "draft":
            order = PurchaseOrder.model_validate(entry["order"])
            behaviour = SupplierBehaviour.model_validate(entry["behaviour"])
            self.keep(Draft(entry["draft"], order, behaviour, entry["traceparent"], _instant(entry)))
        elif kind == "draft-cancelled":
            self.drafts[entry["draft"]].state = DraftState.CANCELLED
        elif kind == "draft-confirmed":
            draft = self.drafts[entry["draft"]]
            number = len(self._orders.get(draft.order.key, [])) + 1
            self.confirm(
                draft, BookedOrder.of(draft.order, draft.behaviour, draft.traceparent, _instant(entry), number)
            )
        elif kind == "clock":
            self._clock[entry["location"]] = datetime.fromisoformat(entry["through"])
        elif kind == "emitted":
            for event_id in entry["ids"]:
                self._emitted[event_id] = self._news.told(event_id)


def emit_quietly(book: OrderBook, location: str) -> None:
    """Emit what an order just placed made due; what fails now is emitted when the clock advances."""
    try:
        book.emit_due(location)
    except (Unavailable, JournalUnwritable) as error:
        _log.warning("events wait for the clock to advance: %s", error)


def _instant(entry: dict[str, Any]) -> datetime:
    """When it was booked; journals of earlier releases did not say."""
    return datetime.fromisoformat(entry["booked_at"]) if "booked_at" in entry else BEFORE_TIME
