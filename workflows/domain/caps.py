"""Value caps bound what may leave in an hour and in a day, whatever was approved: the last fence around a mistake.

They count on the wall clock and over a window that slides. The business clock would be the wrong one: an event with a
wrong time moves it, and would empty every window; and a cap buys people time to notice, which they have in hours of
their own. Each currency is counted by itself against the same figure, as every limit of the policy is compared with
values in the order's own currency. An order counts once, with what it was worth when it was last let go, from that
instant on and whatever came of it.
"""

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from workflows.domain.identity import Payload
from workflows.domain.limits import Place
from workflows.domain.policies import Policy

HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400


class CapName(StrEnum):
    """A cap, by the name of the policy's field."""

    HOUR = "sent_value_per_hour"
    DAY = "sent_value_per_day"
    SUPPLIER_DAY = "supplier_value_per_day"


class Left(NamedTuple):
    """What left already, in one currency and without the order that is asked about."""

    hour: Decimal = Decimal(0)
    day: Decimal = Decimal(0)
    supplier_day: Decimal = Decimal(0)


class Exceeded(NamedTuple):
    """The cap that an order would exceed."""

    cap: CapName
    limit: Decimal
    left: Decimal
    """What left in its window already."""
    words: str


def capped(policy: Policy, supplier: str) -> dict[CapName, Decimal]:
    """The caps that an order to this supplier is held to."""
    of_supplier = policy.limits_for(Place(item="", category="", supplier=supplier, location="")).supplier_value_per_day
    caps = {
        CapName.HOUR: policy.sent_value_per_hour, CapName.DAY: policy.sent_value_per_day,
        CapName.SUPPLIER_DAY: of_supplier,
    }  # fmt: skip
    return {name: limit for name, limit in caps.items() if limit is not None}


def exceeded(policy: Policy, supplier: str, value: Decimal, currency: str, left: Left) -> Exceeded | None:
    """The first cap that an order of this value would exceed now; None: it may go."""
    already = {CapName.HOUR: left.hour, CapName.DAY: left.day, CapName.SUPPLIER_DAY: left.supplier_day}
    for name, limit in capped(policy, supplier).items():
        if already[name] + value > limit:
            where = f" to {supplier}" if name is CapName.SUPPLIER_DAY else ""
            span = "an hour" if name is CapName.HOUR else "24 hours"
            words = (
                f"{value:.2f} {currency} and the {already[name]:.2f} that left{where} within {span} are above the "
                f"{limit:.2f} that may leave without a person"
            )
            return Exceeded(name, limit, already[name], words)
    return None


class CapUsed(Payload):
    """How much of a cap is used now."""

    cap: CapName
    supplier: str = ""
    """Whose cap it is; empty: over all of them."""
    currency: str
    limit: Decimal
    used: Decimal


class CapsDesk(Protocol):
    """What people look at."""

    async def used(self) -> list[CapUsed]:
        """Every cap of the policy in force, in each currency in which something left in its window."""
        ...
