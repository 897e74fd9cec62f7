"""Reconciliation compares our orders with a supplier's own list of them: what is missing, double, different or unknown.

An order is known on both sides by its key. The comparison needs nothing of how an order came to be there: whatever the
state machine believed, the supplier's list is held against what we have written down. A difference is explained by the
engine where it knows better (the order was on its way while the list was read), else it stays open until a person says
why. The report is completeness and accuracy evidence: its digest is in the ledger.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

from workflows.domain.identity import Payload, digest
from workflows.domain.order_lists import ListedLine, ListedOrder, ListedState, readable
from workflows.domain.orders import OrderState

MAX_SAYS_CHARS = 500
SHOWN_ITEMS = 3
_ORDERED = frozenset({OrderState.PLACED, OrderState.RECEIVED, OrderState.CLOSED})


class OurLine(Payload):
    """Units of one item at a price, as they were sent."""

    item: str
    units: int
    unit_cost: Decimal


class OurOrder(Payload):
    """What we have written down of an order."""

    key: str
    order_id: str
    state: OrderState
    in_doubt: bool = False
    """A request left of which nobody knows what it came to."""
    moving: bool = False
    """Something left or was answered shortly before or while the list was read."""
    supplier_number: str = ""
    currency: str = ""
    lines: tuple[OurLine, ...] = ()


class DifferenceKind(StrEnum):
    """How the two sides differ."""

    MISSING = "missing"
    """We hold it as ordered, and it is not there, or cancelled."""
    DUPLICATE = "duplicate"
    """It is there more than once."""
    MISMATCH = "mismatch"
    """Other items, units, prices, currency or number."""
    UNKNOWN_ORIGIN = "unknown_origin"
    """It is there, and we never had such an order."""
    NOT_ORDERED = "not_ordered"
    """It is there, and we hold it as not ordered."""
    IN_DOUBT = "in_doubt"
    """We do not know whether it is there; the list says so."""


class Difference(Payload):
    """One difference."""

    difference_id: str
    """The same difference has the same id in every report: SHA-256 of supplier, kind, key and what is told."""
    kind: DifferenceKind
    key: str
    order_id: str | None = None
    supplier_number: str = ""
    says: str
    explained: str | None = None
    """Why it is no fault, where the engine knows or a person said so; None: it is open."""
    explained_by: str | None = None
    """The person; None: nobody, or the engine."""


def compare(supplier: str, ours: OurOrder | None, theirs: Sequence[ListedOrder]) -> list[Difference]:
    """The differences of one key. `theirs`: all entries of the list under it. A draft orders nothing and is none."""
    there = [one for one in theirs if one.state is ListedState.CONFIRMED]
    if ours is None:
        return [_unknown(supplier, one) for one in there]

    def found(kind: DifferenceKind, says: str, explained: str | None = None) -> Difference:
        numbers = ", ".join(sorted({one.supplier_number for one in there if one.supplier_number})[:10])
        return _difference(supplier, kind, ours.key, says, order_id=ours.order_id, numbers=numbers, explained=explained)

    moving = "it was on its way while their list was read; the next report shows it" if ours.moving else None
    if len(there) > 1:
        return [found(DifferenceKind.DUPLICATE, f"it is there {len(there)} times")]
    if ours.in_doubt:
        says = "a request left and its answer was lost; their list "
        says += f"has it as {there[0].supplier_number or 'an order without number'}" if there else "does not have it"
        looking = "the engine looks for it by itself" if ours.moving else None
        return [found(DifferenceKind.IN_DOUBT, says, looking)]
    if ours.state not in _ORDERED:
        says = f"it is there, and we hold it as {ours.state}"
        return [found(DifferenceKind.NOT_ORDERED, says, moving)] if there else []
    if not there:
        cancelled = any(one.state is ListedState.CANCELLED for one in theirs)
        says = f"we hold it as {ours.state}, and there it is " + ("cancelled" if cancelled else "not")
        return [found(DifferenceKind.MISSING, says, moving)]
    unequal = _unequal(ours, there[0])
    return [found(DifferenceKind.MISMATCH, unequal)] if unequal else []


def _unknown(supplier: str, one: ListedOrder) -> Difference:
    says = "they have it under a key that none of our orders has" if one.key else "they have it without a key of ours"
    kind = DifferenceKind.UNKNOWN_ORIGIN
    return _difference(supplier, kind, one.key, says, numbers=one.supplier_number)


def _unequal(ours: OurOrder, there: ListedOrder) -> str:
    """In what they differ, in words; empty: in nothing that they tell."""
    if there.unreadable:
        return f"their entry cannot be read: {there.unreadable}"
    found = []
    if there.supplier_number != ours.supplier_number:
        found.append(f"their number is {there.supplier_number or 'none'}, ours is {ours.supplier_number or 'none'}")
    if there.currency and there.currency != ours.currency:
        found.append(f"their currency is {there.currency}, ours is {ours.currency}")
    mine, others = _by_item(ours.lines), _by_item(there.lines)
    items = [item for item in sorted(mine.keys() | others.keys()) if _differ(mine.get(item), others.get(item))]
    found += [f"{item}: {_told(others.get(item))} there, {_told(mine.get(item))} here" for item in items[:SHOWN_ITEMS]]
    if len(items) > SHOWN_ITEMS:
        found.append(f"and {len(items) - SHOWN_ITEMS} more items")
    return "; ".join(found)


_Sums = tuple[int, Decimal | None]


def _by_item(lines: Sequence[OurLine | ListedLine]) -> Mapping[str, _Sums]:
    """Units and value of each item; the value is None where a price is not told."""
    found: dict[str, _Sums] = {}
    for line in lines:
        units, value = found.get(line.item, (0, Decimal(0)))
        more = None if line.unit_cost is None or value is None else value + line.units * line.unit_cost
        found[line.item] = units + line.units, more
    return found


def _differ(mine: _Sums | None, other: _Sums | None) -> bool:
    if mine is None or other is None:
        return True
    return mine[0] != other[0] or (other[1] is not None and other[1] != mine[1])


def _told(sums: _Sums | None) -> str:
    if sums is None:
        return "none"
    return f"{sums[0]} units" if sums[1] is None else f"{sums[0]} units for {sums[1]:f}"


def _difference(
    supplier: str, kind: DifferenceKind, key: str, says: str, *, order_id: str | None = None, numbers: str = "",
    explained: str | None = None,
) -> Difference:  # fmt: skip
    says, numbers = readable(says, MAX_SAYS_CHARS), readable(numbers, MAX_SAYS_CHARS)
    return Difference(
        difference_id=digest([supplier, kind, key, numbers, says]), kind=kind, key=key, order_id=order_id,
        supplier_number=numbers, says=says, explained=explained,
    )  # fmt: skip
