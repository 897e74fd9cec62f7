"""A supplier's own list of orders, as we read it."""

from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from workflows.domain.errors import QuartermasterError
from workflows.domain.identity import Instant, Payload


class NotListed(QuartermasterError):
    """The supplier has no list of its orders to read: a system of level L0, or one that does not offer it."""


class ListedState(StrEnum):
    """What an order is to the supplier."""

    CONFIRMED = "confirmed"
    DRAFT = "draft"
    CANCELLED = "cancelled"


class ListedLine(Payload):
    """Units of one item, at a price where the supplier tells one."""

    item: str = Field(max_length=200)
    units: int = Field(ge=0, le=10**12)
    unit_cost: Decimal | None = Field(default=None, ge=0, max_digits=24)


class ListedOrder(Payload):
    """One order in the supplier's list. A key that is none of ours is empty."""

    key: str = ""
    supplier_number: str = Field(default="", max_length=200)
    state: ListedState = ListedState.CONFIRMED
    currency: str = Field(default="", max_length=20)
    lines: tuple[ListedLine, ...] = ()
    ordered_at: Instant | None = None
    unreadable: str = ""
    """Why the rest of it could not be read; empty: it could."""


class ListedPage(Payload):
    """A part of the list and where the next one begins; None: it was the last."""

    orders: tuple[ListedOrder, ...]
    next: str | None = None


class OrderLists(Protocol):
    """Suppliers that tell what they have."""

    async def listed(self, supplier: str, after: str | None) -> ListedPage:
        """The page after this cursor, oldest orders first.

        Raises:
            NotListed: this supplier tells no list.
            Unavailable: it could not be asked, or its answer cannot be read.
        """
        ...


def readable(said: str, most: int) -> str:
    """What somebody else wrote, bounded and without what could not be stored or would move a cursor."""
    return "".join(char if char.isprintable() else "?" for char in said[:most])
