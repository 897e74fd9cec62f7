"""A study is a past to learn from, a stretch to be judged on, and the terms that stock costs there.

It is read from a folder by the commands `simulate` and `evaluate`: demand per item, location and period, the terms of
each item, the state at the start, the rules of the trial. Quantities are whole numbers of *lattice units*:
units if every quantity of the study is whole, thousandths of a unit otherwise.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from workflows.domain.errors import InvalidInput

MISSING = -1
"""In an array of quantities: nothing is known of the period."""
THOUSANDTHS = 1000
LONGEST_LEAD_PERIODS = 1_000
MOST_ROUNDS = 10_000
LARGEST_QUANTITY = Decimal(1_000_000_000)
HOLDING_A_YEAR = Decimal("0.20")
"""Of the unit cost: what holding costs where only the unit cost is known."""


class Period(StrEnum):
    """How long one step of a study is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def a_year(self) -> int:
        """Periods in a year."""
        return {Period.DAY: 365, Period.WEEK: 52, Period.MONTH: 12}[self]

    def number(self, day: date) -> int:
        """Counts periods: equal for all days of one period of weeks that begin on the same weekday as `day`."""
        if self is Period.MONTH:
            return day.year * 12 + day.month - 1
        return day.toordinal() // 7 if self is Period.WEEK else day.toordinal()

    def on_grid(self, day: date, anchor: date) -> bool:
        """Whether the day begins a period, where `anchor` does."""
        if self is Period.MONTH:
            return day.day == 1
        return self is Period.DAY or (day - anchor).days % 7 == 0

    def between(self, first: date, later: date) -> int:
        """Periods from one first day to another; negative if it lies before."""
        if self is Period.MONTH:
            return self.number(later) - self.number(first)
        return (later - first).days // (7 if self is Period.WEEK else 1)

    def after(self, first: date, periods: int) -> date:
        """The first day of the period that many periods later."""
        if self is Period.MONTH:
            month = self.number(first) + periods
            return date(month // 12, month % 12 + 1, 1)
        return first + timedelta(days=periods * (7 if self is Period.WEEK else 1))


class Unmet(StrEnum):
    """What becomes of demand that finds no stock."""

    LOST = "lost"
    BACKLOG = "backlog"


Money = Annotated[Decimal, Field(ge=0, le=LARGEST_QUANTITY, allow_inf_nan=False)]
Quantity = Annotated[Decimal, Field(ge=0, le=LARGEST_QUANTITY, allow_inf_nan=False)]


class Terms(BaseModel):
    """What an item costs and how it is bought; None where nobody said."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    unit_cost: Money | None = None
    price: Money | None = None
    holding_per_unit_period: Money | None = None
    """Charged on each unit left at the end of a period."""
    shortage_per_unit: Money | None = None
    """Charged on each unit that is not served; under backlog in every period that it waits."""
    order_cost: Money | None = None
    """Charged on each order line."""
    lead_time_periods: Annotated[int, Field(ge=0, le=LONGEST_LEAD_PERIODS)] | None = None
    """An order placed at the end of period t is usable from the start of period t + lead time + 1."""
    minimum_order: Quantity | None = None
    pack: Quantity | None = None

    def over(self, defaults: "Terms") -> "Terms":
        """These terms, with the defaults where they say nothing."""
        own = {name: value for name, value in self if value is not None}
        return defaults.model_copy(update=own)


class StudyRules(BaseModel):
    """The rules of a trial: `rules.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    period: Period
    unmet: Unmet = Unmet.LOST
    start: date | None = None
    """First day of the last period that is known at the first review."""
    rounds: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] | None = None
    """How many periods after `start` are costed."""
    defaults: Terms = Terms()
    target_fill_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """If given, the aim is least stock and ordering cost at this fill rate instead of least cost."""


@dataclass(frozen=True, slots=True)
class SettledTerms:
    """Terms with nothing left open."""

    holding: Decimal
    shortage: Decimal
    order_cost: Decimal
    lead_periods: int
    minimum_order: Decimal
    pack: Decimal
    """0 where any quantity may be ordered."""


def settled(terms: Terms, period: Period, target_fill_rate: float | None) -> SettledTerms:
    """What the terms come to. Holding follows from the unit cost and shortage from the margin where they are not given;
    with a target fill rate neither is needed: holding is then 1, so that cost is stock, and shortage 0.

    Raises:
        InvalidInput: the lead time, or what holding or shortage would follow from, is missing.
    """
    holding, shortage = terms.holding_per_unit_period, terms.shortage_per_unit
    if holding is None and terms.unit_cost is not None:
        holding = terms.unit_cost * HOLDING_A_YEAR / period.a_year
    if shortage is None and terms.price is not None and terms.unit_cost is not None:
        shortage = max(Decimal(0), terms.price - terms.unit_cost)
    if target_fill_rate is not None:
        holding = Decimal(1) if holding is None else holding
        shortage = Decimal(0) if shortage is None else shortage
    if holding is None:
        raise InvalidInput("no holding_per_unit_period and no unit_cost to take it from")
    if shortage is None:
        raise InvalidInput("no shortage_per_unit and no price and unit_cost to take it from")
    if terms.lead_time_periods is None:
        raise InvalidInput("no lead_time_periods")
    return SettledTerms(
        holding, shortage, terms.order_cost or Decimal(0), terms.lead_time_periods,
        terms.minimum_order or Decimal(0), terms.pack or Decimal(0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StudySeries:
    """One item at one location."""

    item: str
    location: str
    first: int
    """The period of its first row, counted from the study's first; `quantities` begin here and end with the study."""
    quantities: "array[int]"
    """Recorded demand in lattice units, returns clipped at 0, MISSING where nothing is known."""
    censored: frozenset[int]
    """Periods of the study in which it was not in stock: their quantity is only the least that was wanted."""
    terms: Terms
    categories: tuple[str, ...] = ()
    on_hand: int | None = None
    """Lattice units at the end of the start period; None where the folder has no state."""
    arrivals: tuple[int, ...] = ()
    """Lattice units that become usable at the start of the 1st, 2nd, ... period after the start."""


@dataclass(frozen=True, slots=True)
class Study:
    """A whole folder. Series are sorted by item and location."""

    period: Period
    first_day: date
    """Of period 0."""
    periods: int
    scale: int
    """Lattice units in a unit: 1, or 1000 if any quantity is a fraction."""
    series: tuple[StudySeries, ...]
    category_names: tuple[str, ...] = ()
    rules: StudyRules | None = None
    notes: Mapping[str, int] | None = None
    """What was found and not taken as it was, by how often."""

    def day(self, period: int) -> date:
        """First day of a period."""
        return self.period.after(self.first_day, period)

    def schedule(self) -> tuple[StudyRules, int, int]:
        """The rules, how many periods are known at the first review, and how many are costed.

        Raises:
            InvalidInput: the rules are not there, incomplete, or ask for periods that the demand does not have.
        """
        rules = self.rules
        if rules is None or rules.start is None or rules.rounds is None:
            raise InvalidInput(
                "a simulation needs rules.json with at least period, start and rounds, "
                'as in {"period": "week", "unmet": "lost", "start": "2024-04-08", "rounds": 8}'
            )
        if not self.period.on_grid(rules.start, self.first_day):
            raise InvalidInput(
                f"rules.json: start {rules.start} does not begin a {self.period} as {self.first_day} does"
            )
        known = self.period.between(self.first_day, rules.start) + 1
        if known < 1 or known + rules.rounds > self.periods:
            raise InvalidInput(
                f"rules.json: {rules.rounds} rounds after {rules.start} need demand up to "
                f"{self.period.after(rules.start, rules.rounds)}; demand.csv has {self.first_day} to "
                f"{self.day(self.periods - 1)}"
            )
        return rules, known, rules.rounds
