"""A forecast on request: which items, where, which days; and an answer that says what it was made from.

The same question to the same model about the same facts gives the same numbers: the answer names all three.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Protocol, Self

from pydantic import ConfigDict, Field, model_validator

from workflows.domain.identity import Code, Digest, Payload
from workflows.domain.models import TrainingSeries

SHORTEST_DAYS, LONGEST_DAYS = 7, 90
MOST_SERIES = 100
LEVELS = tuple(Decimal(level) for level in ("0.05", "0.1", "0.25", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.95"))
"""Quantiles that can be asked for: those that the models learn."""
USUAL_LEVELS = (Decimal("0.1"), Decimal("0.5"), Decimal("0.9"))


class ForecastRequest(Payload):
    """Items at locations, and days: either the next `horizon_days`, or `first_day` to `last_day`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    products: Annotated[tuple[Code, ...], Field(min_length=1, max_length=MOST_SERIES)]
    locations: Annotated[tuple[Code, ...], Field(max_length=MOST_SERIES)] = ()
    """Empty: wherever demand of the products was recorded."""
    horizon_days: int | None = Field(default=None, ge=SHORTEST_DAYS, le=LONGEST_DAYS)
    first_day: date | None = None
    last_day: date | None = None
    quantiles: Annotated[tuple[Decimal, ...], Field(min_length=1, max_length=len(LEVELS))] = USUAL_LEVELS

    @model_validator(mode="after")
    def _whole(self) -> Self:
        ranged = self.first_day is not None and self.last_day is not None
        if ranged is (self.horizon_days is not None) or (self.first_day is None) is not (self.last_day is None):
            raise ValueError("say either horizon_days, or both first_day and last_day")
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ValueError("last_day comes before first_day")
        if strange := [str(level) for level in self.quantiles if level not in LEVELS]:
            known = ", ".join(str(level) for level in LEVELS)
            raise ValueError(f"quantiles: {', '.join(strange)} cannot be told; these can: {known}")
        if len({*self.quantiles}) < len(self.quantiles):
            raise ValueError("quantiles: each once")
        return self


class ForecastDay(Payload):
    """One day's demand in units, to three decimals."""

    day: date
    mean: Decimal
    quantiles: dict[str, Decimal]
    """Level ("0.1") to units."""


class ForecastSeries(Payload):
    """One item at one location."""

    item: Code
    location: Code
    forecaster: str
    """Which forecaster spoke: the global model, a seasonal one, the item's own past, or its category's prior."""
    days: tuple[ForecastDay, ...]


class ForecastAnswer(Payload):
    """What the champion expects, and what it was asked with."""

    model_digest: Digest
    data_through: date
    """The last day whose demand the model saw."""
    demand_definition: Digest
    first_day: date
    last_day: date
    series: tuple[ForecastSeries, ...]
    unknown: tuple[str, ...] = ()
    """`location:item` that were asked for and of which no demand was ever recorded."""


class ForecastFacts(Payload):
    """What is known of the series that were asked for."""

    series: tuple[TrainingSeries, ...]
    data_through: date
    demand_definition: Digest
    unknown: tuple[str, ...] = ()


class Forecasts(Protocol):
    """Forecasts on request."""

    async def forecast(self, request: ForecastRequest) -> ForecastAnswer:
        """Ask the champion.

        Raises:
            NotFound: there is no model or no demand yet, or nothing is known of all that was asked for.
            InvalidInput: days outside the horizon, or more than `MOST_SERIES` series.
        """
        ...

    async def answer_once(self, request: ForecastRequest, command_id: str, actor: str) -> ForecastAnswer:
        """The same; asking again with the same id gives the same answer.

        Raises:
            InvalidInput: also when the id was used for another question.
        """
        ...
