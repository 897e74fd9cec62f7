"""Drivers are numbers by day that move demand from outside: prices, weather as it was forecast, footfall."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from workflows.domain.identity import Code, Instant, Payload

EVERYWHERE = "*"
PRICE = "price"
"""The driver that the engine knows itself: what customers paid."""
DriverName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Number = Annotated[Decimal, Field(max_digits=20, decimal_places=6, allow_inf_nan=False)]


class DriverSeries(Payload):
    """One driver of one item at one location, day by day; None where nothing was known at the decision's instant."""

    name: DriverName
    first_day: date
    values: tuple[Number | None, ...]
    known_ahead: bool
    """Whether its values of coming days are known, as those of a plan or a weather forecast are."""

    @classmethod
    def of(cls, name: str, by_day: Mapping[date, Decimal], *, known_ahead: bool) -> "DriverSeries":
        """From values by day, at least one; days between without a value are None."""
        first, last = min(by_day), max(by_day)
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return cls(name=name, first_day=first, values=tuple(by_day.get(day) for day in days), known_ahead=known_ahead)


class ExternalValue(Payload):
    """One row that somebody gives. `known_at` is when it was issued: a forecast of the weather, never the weather."""

    location: Code | Annotated[str, StringConstraints(pattern=r"^\*$")]
    name: DriverName
    day: date
    value: Number
    known_at: Instant

    @model_validator(mode="after")
    def _not_ours(self) -> "ExternalValue":
        if self.name == PRICE:
            raise ValueError("prices come with sales (unit_price) and with the history's column unit_price")
        return self
