"""What operators see and do besides stopping: purchase orders that need somebody, messages that could not be read."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Protocol

from pydantic import StringConstraints

from workflows.domain.approvals import STORABLE, Actor
from workflows.domain.identity import Instant, Payload
from workflows.domain.orders import OrderState
from workflows.domain.redrives import Redrive, Redrives
from workflows.domain.stops import Held, Reason

OrderId = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=STORABLE)]
Narrowing = Annotated[str, StringConstraints(max_length=64, strip_whitespace=True, pattern=STORABLE)]


class Attention(StrEnum):
    """Orders that are looked for by what is the matter with them, whatever their state."""

    FAILED = "failed"
    """Refused and seen by nobody yet, in doubt, or waiting for an operator."""
    AWAITS_OPERATOR = "awaits_operator"
    HELD = "held"
    """A stop switch holds them."""
    OVERDUE = "overdue"
    """Past their cutoff and neither sent nor held."""


class OrderFilters(Payload):
    """Narrows the list of orders; `None` and empty narrow nothing."""

    state: OrderState | Attention | None = None
    supplier: Narrowing = ""
    location: Narrowing = ""


class OrderRow(Payload):
    """One purchase order in a list."""

    order_id: str
    supplier: str
    location: str
    cycle: str
    state: OrderState
    currency: str
    value: Decimal
    """Of the lines that the send gate did not refuse, in the order's currency."""
    lines: int
    units: int
    received_units: int = 0
    cutoff_at: Instant
    """Business clock."""
    supplier_number: str | None = None
    promised_at: Instant | None = None
    delayed: bool = False
    reason: str = ""
    attempts: int = 0
    held: Held | None = None
    awaits_operator_at: Instant | None = None
    attended_by: str | None = None
    key: str = ""
    lines_digest: str | None = None


class OrdersPage(Payload):
    """One page of orders, newest cutoff first."""

    orders: tuple[OrderRow, ...]
    next: str | None = None
    """Give it as `after` to get the page that follows; null on the last page."""


class OrderLineRow(Payload):
    """One line of an order; `need_id` is the decision that asked for it."""

    need_id: str
    item: str
    item_name: str = ""
    units: int
    unit_cost: Decimal
    received_units: int = 0
    short_units: int = 0
    refused_reason: str | None = None


class StepState(StrEnum):
    """Where a step of an order's life is."""

    DONE = "done"
    NOW = "now"
    AHEAD = "ahead"
    FAILED = "failed"
    SKIPPED = "skipped"


class Step(Payload):
    """One step: approved, sent, acknowledged, received."""

    name: str
    state: StepState
    at: Instant | None = None
    says: str = ""


class OrderView(Payload):
    """One order from its first line to its end, and what may be done with it now."""

    order: OrderRow
    lines: tuple[OrderLineRow, ...]
    steps: tuple[Step, ...]
    timeline: tuple[dict[str, Any], ...] = ()
    """Ledger entries of the order, oldest first: seq, at, type, actor, body."""
    approved_at: Instant | None = None
    """When its last line was released (wall clock)."""
    last_sent_at: Instant | None = None
    acknowledged_at: Instant | None = None
    shipped_at: Instant | None = None
    settled_at: Instant | None = None
    can_retry: bool = False
    can_close: bool = False
    """Certainly nothing of it is at the supplier, and nobody is at it."""
    can_attend: bool = False
    why_not_close: str = ""


class OrderDone(Payload):
    """What became of a word about an order."""

    order_id: str
    state: OrderState
    done: str
    """What was done, in words."""


class DeadLetterRow(Payload):
    """A message that nothing could be made of; its bytes stay in the database and are shown to nobody here."""

    dead_letter_id: int
    topic: str
    partition: int
    kafka_offset: int
    message_key: str | None = None
    error_code: str
    error_detail: str
    bytes: int
    first_seen: Instant
    redriven_at: Instant | None = None
    redrive: Redrive | None = None
    """Who asked last that it be sent again, and what became of that."""


class WaitingOrders(Payload):
    """Which of the orders that wait for an operator; empty narrows nothing."""

    supplier: Narrowing = ""
    location: Narrowing = ""


class OrdersRetried(Payload):
    """How many orders are tried again, and how many like them wait still: a word is about so many at most."""

    orders: int
    left: int = 0


class DeadLetterPage(Payload):
    """One page of dead letters, newest first."""

    dead_letters: tuple[DeadLetterRow, ...]
    next: int | None = None


class Operations(Redrives, Protocol):
    """Reads and words for operators. Lists are bounded; each word is one transaction with its ledger entry.

    A `command_id` makes a word safe to repeat: the same one gets the same answer, for another word it is InvalidInput.
    """

    async def orders(self, filters: OrderFilters, *, limit: int = 100, after: str | None = None) -> OrdersPage:
        """A page of orders, newest cutoff first.

        Raises:
            InvalidInput: `after` is no order's id.
        """
        ...

    async def order(self, order_id: str) -> OrderView:
        """One order.

        Raises:
            NotFound: there is no such order.
        """
        ...

    async def retry(self, order_id: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        """Go on with an order that waits for an operator: look for it at the supplier, send it if it is absent.

        Raises:
            NotFound: there is no such order.
            Conflict: it does not wait for an operator.
        """
        ...

    async def retry_waiting(
        self, which: WaitingOrders, actor: Actor, *, command_id: str | None = None
    ) -> OrdersRetried:
        """The same for all that wait, as after a supplier's long outage: the longest waiting first. None is no error,
        and those that were tried again already are not counted."""
        ...

    async def close_unordered(
        self, order_id: str, reason: Reason, actor: Actor, *, command_id: str | None = None
    ) -> OrderDone:
        """End an order of which certainly nothing is at the supplier: its lines leave the position, and what is still
        needed is needed anew.

        Raises:
            NotFound: there is no such order.
            Conflict: it is over, somebody is at it, or something of it may be at the supplier.
        """
        ...

    async def attend(self, order_id: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        """Take a refused order off the list of those that need somebody.

        Raises:
            NotFound: there is no such order.
            Conflict: it is not refused.
        """
        ...

    async def dead_letters(
        self, *, reason: str = "", waiting: bool = False, limit: int = 100, after: int | None = None
    ) -> DeadLetterPage:
        """A page of dead letters, newest first; only of this reason, only those never sent again."""
        ...
