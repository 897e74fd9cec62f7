"""A purchase order is what one supplier is asked to bring to one location in one order cycle; it exists once.

collecting ──cutoff──> sending ──> placed ──> received
    │                    │  │         └─────> closed (what is missing will never come)
    └─> empty            │  └─> in_doubt ──reconcile──> placed | sending
    └─> withheld (passive mode)
                         └─> refused
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from workflows.domain.capabilities import Manifest
from workflows.domain.catalog import Money
from workflows.domain.identity import Code, Digest, Instant, Payload, digest
from workflows.domain.needs import ClockMode


class OrderState(StrEnum):
    """Where a purchase order is. Only these words; `in_doubt` is a state that people see, never a failure."""

    COLLECTING = "collecting"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    PLACED = "placed"
    REFUSED = "refused"
    RECEIVED = "received"
    CLOSED = "closed"
    EMPTY = "empty"
    WITHHELD = "withheld"

    @property
    def is_final(self) -> bool:
        """Nothing more will happen to the order."""
        return self in {self.REFUSED, self.RECEIVED, self.CLOSED, self.EMPTY, self.WITHHELD}

    @property
    def may_leave(self) -> bool:
        """A request for the order may still leave."""
        return self in {self.COLLECTING, self.SENDING, self.IN_DOUBT}

    @property
    def counts_as_on_order(self) -> bool:
        """Whether its outstanding units are part of the position."""
        return self in {self.COLLECTING, self.SENDING, self.IN_DOUBT, self.PLACED}


class OrderLine(Payload):
    """Units of one item for one need. `line_no` follows the need ids' order, so it is the same on every attempt."""

    line_no: int
    need_id: str
    item: Code
    units: int
    unit_cost: Money


class PurchaseOrder(Payload):
    """What is sent. The key makes the order one, however often it is sent."""

    order_id: str
    key: Digest
    supplier: Code
    location: Code
    cycle: str
    currency: str
    ordered_at: Instant
    """On the business clock."""
    lines: tuple[OrderLine, ...]

    @property
    def lines_digest(self) -> str:
        """SHA-256 of what was ordered: compared with the supplier's own journal."""
        return lines_digest((line.item, line.units) for line in self.lines)

    @property
    def total(self) -> Decimal:
        """The order's value in its currency."""
        return sum((line.units * line.unit_cost for line in self.lines), Decimal(0))


def lines_digest(lines: object) -> str:
    """SHA-256 of the sorted (item, units) pairs."""
    return digest(sorted([list(pair) for pair in lines]))  # type: ignore[attr-defined]


class SupplierAnswer(Payload):
    """The supplier has the order: its own number, and what it promises."""

    key: Digest
    supplier_number: str
    promised_at: Instant | None = None
    others: tuple[str, ...] = ()
    """Numbers of further orders under the same key: there should be none."""
    lines_digest: Digest | None = None
    """Of what the supplier has under this key, where it says so: `PurchaseOrder.lines_digest`."""


class DraftState(StrEnum):
    """What became of a draft at the supplier."""

    DRAFT = "draft"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Draft(Payload):
    """An order that the supplier has drafted and that orders nothing until it is confirmed."""

    key: Digest
    draft: str
    state: DraftState = DraftState.DRAFT
    supplier_number: str | None = None
    """Confirmed: the order's number."""
    lines_digest: Digest | None = None
    """Of what is in it, where the supplier says so: `PurchaseOrder.lines_digest`."""


class Suppliers(Protocol):
    """The connector to whoever takes purchase orders."""

    @property
    def manifest(self) -> Manifest:
        """What it declares of the supplier's system."""
        ...

    async def place(self, order: PurchaseOrder) -> SupplierAnswer:
        """Place the order once, however often this is called with the same key.

        Raises:
            SupplierRefused: the supplier said no; final.
            OrderKeyKnown: the supplier knows the key: `find` what it has.
            OutcomeUnknown: the request may have been carried out; `find` before sending again.
            Unavailable: the request certainly did not get through.
        """
        ...

    async def find(self, supplier: str, key: str) -> SupplierAnswer | None:
        """The order under this key, or None when the supplier has none.

        Raises:
            Unavailable: the supplier could not be asked.
        """
        ...

    async def draft(self, order: PurchaseOrder) -> Draft:
        """Make a draft; called twice it makes two.

        Raises:
            SupplierRefused, OrderKeyKnown, OutcomeUnknown, Unavailable: as `place`.
        """
        ...

    async def drafts(self, supplier: str, key: str) -> tuple[Draft, ...]:
        """All drafts under this key, oldest first, whatever became of them.

        Raises:
            Unavailable: the supplier could not be asked.
        """
        ...

    async def cancel_draft(self, supplier: str, draft: Draft) -> None:
        """Let a draft go; what is cancelled stays so.

        Raises:
            OrderKeyKnown: it is none any more: somebody confirmed it.
            OutcomeUnknown, Unavailable: as `place`.
        """
        ...

    async def confirm_draft(self, supplier: str, draft: Draft) -> SupplierAnswer:
        """Order what was drafted. A draft that is confirmed already answers with its number.

        Raises:
            SupplierRefused: the supplier said no; final.
            OrderKeyKnown: it is cancelled, or something else is the matter with the draft: list them.
            OutcomeUnknown, Unavailable: as `place`.
        """
        ...


class OrderRef(Payload):
    """What a workflow carries of an order."""

    order_id: str
    location: Code
    supplier: Code
    cutoff_at: Instant
    clock: ClockMode = ClockMode.LIVE
    clock_lag_seconds: int = 0
    """Live: how far the business clock stays behind the wall clock."""
    due: bool = False
    """The cutoff had passed on the business clock when the workflow was started: there is nothing to wait for."""
    brief: bool = False
    """Carried in fewer, larger steps. False: it began before there were any, and goes on as it began."""


class PlacementResult(Payload):
    """What an attempt to place came to."""

    order_id: str
    state: OrderState
    supplier_number: str | None = None
    reason: str = ""
    held: bool = False
    """A stop switch holds it; it is to be tried again when it is lifted."""


CUTOFF_HOUR = 6


def order_cycle(clock: datetime) -> tuple[str, datetime]:
    """The cycle that a line released at this instant of the business clock joins, and the cycle's cutoff.

    Cycles are days; a cycle closes at 06:00 UTC. A line that comes at or after its cutoff goes to the next cycle.
    """
    clock = clock.astimezone(UTC)
    cutoff = clock.replace(hour=CUTOFF_HOUR, minute=0, second=0, microsecond=0)
    if clock >= cutoff:
        cutoff += timedelta(days=1)
    return cutoff.date().isoformat(), cutoff
