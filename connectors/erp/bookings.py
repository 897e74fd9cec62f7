"""What a simulated supplier has: orders that count, drafts that do not yet, and its rule for repeated ones."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from connectors.erp.deliveries import events_of, promised_at
from workflows.domain.capabilities import DedupeLevel
from workflows.domain.events import Event
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.identity import rfc3339
from workflows.domain.orders import PurchaseOrder, SupplierAnswer


class Refusal(Exception):
    """Nothing was carried out. `kind` is a bounded reason, `status` its HTTP status; `also` goes into the document."""

    def __init__(self, status: int, kind: str, detail: str, **also: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.also = also


@dataclass(frozen=True)
class Terms:
    """How the supplier's system treats a repeated order. `memory`: L3 repeats its answer for so long; None: for ever.

    After its memory L3 is as L1: the key is known to whoever looks, and no longer to whoever orders.
    """

    level: DedupeLevel = DedupeLevel.L3
    drafts: bool = False
    memory: timedelta | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def repeats(self, first: "BookedOrder") -> bool:
        """Whether a second order under the key gets the first one's answer."""
        if self.level is not DedupeLevel.L3:
            return False
        return self.memory is None or self.now() - first.booked_at <= self.memory


@dataclass(frozen=True)
class BookedOrder:
    """An order that exists, with what its supplier answered; `booking` counts the orders under one key from 1."""

    order: PurchaseOrder
    answer: SupplierAnswer
    events: tuple[Event, ...]
    booked_at: datetime
    booking: int = 1

    @classmethod
    def of(
        cls, order: PurchaseOrder, behaviour: SupplierBehaviour, traceparent: str | None, at: datetime, booking: int
    ) -> "BookedOrder":
        """What the supplier does with the order.

        Raises:
            OverflowError: it is from beyond the calendar.
            ValidationError: no event can be made of it.
        """
        number = f"SIM-{order.key[:12].upper()}" + (f"-{booking}" if booking > 1 else "")
        answer = SupplierAnswer(key=order.key, supplier_number=number, promised_at=promised_at(order, behaviour))
        events = tuple(events_of(order, behaviour, traceparent, booking=booking))
        return cls(order, answer, events, at, booking)

    def described(self) -> dict[str, Any]:
        """As the list of orders has it."""
        return {
            **described(self.order), "supplier_number": self.answer.supplier_number, "state": "confirmed",
            "booked_at": rfc3339(self.booked_at),
        }  # fmt: skip


class DraftState(StrEnum):
    """Where a draft is. Only a confirmed one is an order."""

    DRAFT = "draft"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


@dataclass
class Draft:
    """An order that somebody prepared. Drafts are never told apart: two with one key are two drafts."""

    number: str
    order: PurchaseOrder
    behaviour: SupplierBehaviour
    traceparent: str | None
    made_at: datetime
    state: DraftState = DraftState.DRAFT
    booked: BookedOrder | None = None

    @property
    def supplier_number(self) -> str | None:
        """Of the order that it became."""
        return self.booked.answer.supplier_number if self.booked else None

    def described(self) -> dict[str, Any]:
        """As the list of orders has it."""
        return {**described(self.order), "supplier_number": None, "state": str(self.state)}


def described(order: PurchaseOrder) -> dict[str, Any]:
    """What an order asks for."""
    return {
        "key": order.key, "order_id": order.order_id, "supplier": order.supplier, "location": order.location,
        "lines_digest": order.lines_digest, "ordered_at": rfc3339(order.ordered_at), "total": str(order.total),
        "currency": order.currency,
        "lines": [
            {"item": line.item, "units": line.units, "unit_cost": str(line.unit_cost)} for line in order.lines
        ],
    }  # fmt: skip


def same(one: PurchaseOrder, other: PurchaseOrder) -> bool:
    """Whether both ask for the same."""
    mine, theirs = ((o.supplier, o.location, o.lines_digest) for o in (one, other))
    return mine == theirs
