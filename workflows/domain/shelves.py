"""A shelf that has fallen silent although the books say stock should be counted: phantom stock hides demand.

The rule. An item with stock on the books has not sold for n days on which its location sold something. Before that it
sold on k of m such days, at least eight. If the chance of that silence, ((k) / (m + 1) taken as the chance of a sale
day), is below one in a thousand, and usual demand over the silent days is at least five units, the shelf should be
counted. A count of zero confirms it: the silent days are then of the layer `phantom_stock`, missing, never zero. A
count above zero refutes it, and so does a sale.
"""

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from workflows.domain.identity import Code, Payload

BASE_DAYS = 91
"""The days before the silence that say what is usual."""
MIN_SALE_DAYS = 8
MIN_USUAL_UNITS = 5
SILENCE_LIMIT_PPM = 1_000
"""Millionths: one in a thousand."""
MILLION = 1_000_000


class ShelfState(StrEnum):
    """What became of a finding."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    SOLD = "sold"
    """It sold again before anybody counted."""


class ShelfWatch(Protocol):
    """Looks at the shelves of a location once a business day."""

    async def due(self) -> list[tuple[str, date]]:
        """(location, day) of every business day that is over and was not looked at, oldest first at each location;
        after a long pause only the newest."""
        ...

    async def watch(self, location: str, day: date) -> tuple[int, int]:
        """Look at a location as it stood at the end of a day; doing it again finds nothing more. Returns (settled,
        found)."""
        ...


class Silence(Payload):
    """How long an item has been silent, and what it sold before. Days are those on which its location sold something
    and the item was in stock by the books."""

    item: Code
    location: Code
    silent_since: date
    """The first silent day."""
    silent_days: int = Field(ge=0)
    base_days: int = Field(ge=0)
    base_sale_days: int = Field(ge=0)
    base_units: int = Field(ge=0)
    on_hand_units: int

    @property
    def usual_units(self) -> Decimal:
        """What it usually sells in as many days as it has been silent."""
        if self.base_days == 0:
            return Decimal(0)
        return (Decimal(self.base_units * self.silent_days) / self.base_days).quantize(Decimal("0.001"))

    @property
    def chance_ppm(self) -> int:
        """The chance of this silence in millionths, rounded up: (1 - k / (m + 1)) ** n, exact in whole numbers."""
        quiet, all_days = self.base_days + 1 - self.base_sale_days, self.base_days + 1
        chance: int = -(-MILLION * quiet**self.silent_days // all_days**self.silent_days)
        return min(MILLION, chance)

    @property
    def suspicious(self) -> bool:
        """Whether the shelf should be counted."""
        return (
            self.on_hand_units > 0
            and self.base_sale_days >= MIN_SALE_DAYS
            and self.usual_units >= MIN_USUAL_UNITS
            and self.chance_ppm < SILENCE_LIMIT_PPM
        )

    @property
    def words(self) -> str:
        """The finding in one sentence."""
        usual = self.usual_units.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
        return (
            f"Count this shelf: the books say {self.on_hand_units:,} units of {self.item} at {self.location}, but none "
            f"was sold since {self.silent_since}; about {usual:,} usually are in that time"
        )
