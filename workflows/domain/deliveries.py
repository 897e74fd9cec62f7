"""A delivery is an order on its way: what was promised, how likely it comes later, and what runs out meanwhile.

Late means: most of the order's units are sellable on a later day than the one promised first, by the supplier for this
order, else by the catalog for the lane.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol

from pydantic import Field

from workflows.domain.catalog import Money
from workflows.domain.identity import Code, Payload
from workflows.domain.scores import LeadTimes, OpenReceipt, Probability


class DeliveryRecord(Payload):
    """One order as it was known at the end of a day: teaches how often promised days are missed."""

    supplier: Code
    location: Code
    ordered_on: date
    promised_on: date
    """The day that was promised first."""
    dated: bool = False
    """Whether the supplier itself named that day for this order."""
    received_on: date | None = None
    """The day on which most of it came; None while it is in flight."""
    shipped_on: date | None = None
    lines: int = Field(default=1, ge=0)
    units: int = Field(default=0, ge=0)
    value: Decimal = Field(default=Decimal(0), ge=0)


class WaitingItem(Payload):
    """An item on an order in flight, and what its location has of it."""

    item: Code
    name: str
    units: int
    """Still owed."""
    on_hand_units: int
    daily_units: Decimal
    """Mean daily demand of the last 28 days that had stock."""
    price: Money


class OrderInFlight(Payload):
    """Everything known today about one order that was placed and has not come in full."""

    order_id: str
    supplier: Code
    supplier_name: str
    location: Code
    today: date
    ordered_on: date
    promised_on: date | None
    """Promised first, by the supplier; None when it named no day."""
    receipt: OpenReceipt
    """The whole order as one open receipt: `units` still owed."""
    outstanding_value: Decimal
    currency: str
    items: tuple[WaitingItem, ...] = ()
    lead_times: LeadTimes


class Threat(Payload):
    """An item that may run out before the order arrives."""

    item: Code
    name: str
    probability: Probability
    """That the order comes later than the stock lasts at the pace of the last 28 days, no other delivery counted."""
    lost_units: Decimal
    """Expected sales lost between the last unit on the shelf and the order's arrival."""
    lost_value: Decimal
    """`lost_units` at the selling price."""


class Delivery(Payload):
    """One order in flight with what is to be expected of it."""

    order_id: str
    supplier: Code
    supplier_name: str
    location: Code
    ordered_on: date
    promised_on: date
    """The day promised first: the supplier's word, else the order's day and the catalog's lead time."""
    expected_on: date | None
    """What the supplier said last."""
    shipped: bool
    called_late: bool
    """The supplier took back its first word."""
    late_probability: Probability
    """That most of the order is sellable only after `promised_on`, from what is known today."""
    days_late: Decimal
    """Expected days beyond `promised_on`; on time and early count as 0."""
    likely_on: date
    """As likely before (or on) as after it."""
    surely_by: date
    """The day that suffices with 95 %."""
    source: str
    """`model`, or `counts`: the supplier's own record where there are too few receipts to train from."""
    units: int
    lines: int
    value: Decimal
    """Of what is still owed."""
    currency: str
    threats: tuple[Threat, ...] = ()
    """Dearest first."""

    @property
    def lost_value(self) -> Decimal:
        """What all threats together are expected to cost in lost sales."""
        return sum((threat.lost_value for threat in self.threats), Decimal(0))


class SupplierYear(Payload):
    """What one supplier did in the last year, over all its lanes."""

    supplier: Code
    name: str
    in_flight: int
    lead_times: LeadTimes


class SupplierRecord(Payload):
    """How one supplier has kept its promises over the last year."""

    supplier: Code
    name: str
    orders: int
    """Judged orders: those whose promised day has passed."""
    late: int
    in_flight: int
    promised_days: int
    lead_time_p50_days: int
    lead_time_p95_days: int
    supplier_p50_days: int | None = None
    """Ordered to shipped, where shipments were announced."""
    transport_p50_days: int | None = None
    """Shipped to sellable."""
    delivered_share: Decimal
    """Of the units ordered, the share that ever came."""

    @property
    def late_share(self) -> Decimal | None:
        """Late orders of the judged ones."""
        return (Decimal(self.late) / self.orders).quantize(Decimal("0.0001")) if self.orders else None


class DeliveryHistory(Protocol):
    """What became of past orders."""

    async def delivery_records(self, last_day: date) -> list[DeliveryRecord]:
        """The orders of the last two years as they were known at the end of `last_day`, oldest first."""
        ...


class DeliveryRisks(Protocol):
    """Says what to expect of orders in flight."""

    def assess(self, orders: Sequence[OrderInFlight], model: bytes | None) -> list[Delivery]:
        """One result per order, in order; without a model, or with one that learned no lateness, from the counts."""
        ...

    def records(self, suppliers: Sequence[SupplierYear]) -> list[SupplierRecord]:
        """The suppliers' years in figures, in order."""
        ...


class Deliveries(Protocol):
    """Orders in flight for people, most worrying first."""

    async def in_flight(self, limit: int = 200) -> list[Delivery]:
        """Placed orders that have not come in full, by expected lost sales, then by probability of lateness."""
        ...

    async def suppliers(self) -> list[SupplierRecord]:
        """Every supplier that was ordered from in the last year."""
        ...
