"""Scores are what the forecasters say about one item at one location, in integers and decimals only.

Everything a decision needs is here, quantised, so that the decision can be re-made from the record alone to the same
number on any machine.
"""

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, ClassVar, NamedTuple, Protocol

from pydantic import Field

from workflows.domain.drivers import DriverSeries
from workflows.domain.identity import Code, Digest, Grown, Payload

Probability = Annotated[Decimal, Field(ge=0, le=1)]


def probability(value: float) -> Decimal:
    """A probability to four decimals: the precision that is shown, stored, hashed and compared."""
    return Decimal(repr(float(value))).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


def units(value: float) -> Decimal:
    """Units to three decimals, round half to even (science: quantise before anything is decided)."""
    return Decimal(repr(float(value))).quantize(Decimal("0.001"), rounding=ROUND_HALF_EVEN)


class DemandHistory(Payload):
    """Daily demand from `first_day` on, in units; None where it could not be observed (no stock): missing, not zero."""

    first_day: date
    daily_units: tuple[int | None, ...]


class Promotion(Payload):
    """Days (inclusive) on which the item is promoted; known ahead."""

    first_day: date
    last_day: date


class KeptPromises(Payload):
    """How often promised days were kept: orders of the last year whose promised day is over, and the late ones."""

    judged: int = Field(default=0, ge=0)
    late: int = Field(default=0, ge=0)


class LeadTimes(Payload):
    """Observed lead times of a supplier lane and of the supplier, in whole days, and the promised one.

    One observation is one order: the days from ordering until it was sellable, by parts of its units where it came on
    several days. What is still on its way is one too: its age says how long the lead time is at least.
    """

    lane_days: tuple[int, ...] = ()
    supplier_days: tuple[int, ...] = ()
    promised_days: int
    parts_per_order: int = Field(default=1, ge=1)
    """Each order stands with so many entries in `lane_days` and `supplier_days`, one per equal part of its units."""
    lane_waiting: tuple[int, ...] = ()
    supplier_waiting: tuple[int, ...] = ()
    """Ages in days of the orders in flight: right-censored lead times."""
    everyone_slips: tuple[int, ...] = ()
    """Days beyond the promised ones (negative: early) over all suppliers: the prior of who has no history."""
    lane_transport_days: tuple[int, ...] = ()
    supplier_transport_days: tuple[int, ...] = ()
    """The transport's share of the lead time: shipped to sellable, where the supplier says when it ships."""
    supplier_handling_days: tuple[int, ...] = ()
    """The supplier's own share: ordered to shipped."""
    slips: tuple[int, ...] = ()
    """Days by which the supplier's orders missed (positive) the first day that the supplier itself named."""
    revised_slips: tuple[int, ...] = ()
    """The same for the last day named, of the orders whose first day was taken back."""
    delivered_permille: tuple[int, ...] = ()
    """Per settled order line of the supplier: the share of the units ordered that ever came, in thousandths."""
    lane_kept: KeptPromises = KeptPromises()
    supplier_kept: KeptPromises = KeptPromises()


class OpenReceipt(Payload):
    """Units still owed by a supplier on one order line, and how many days ago it was ordered."""

    units: int = Field(ge=0)
    ordered_days_ago: int = Field(ge=0)
    expected_in_days: int | None = None
    """What the supplier last said, counted from the day of scoring; None when it said nothing."""
    supplier: Code | None = None
    lead_times: LeadTimes | None = None
    """Of the supplier that owes it; None: those of the row."""
    revised: bool = False
    """The supplier has taken back its first word about the day: it is `expected_in_days` that is judged."""
    shipped_days_ago: int | None = None
    """When the supplier said that the goods are on their way; None while it has not."""
    promised_days: int | None = None
    """The day that was promised first (by the supplier, else by the catalog), counted from the order."""
    dated: bool = False
    """Whether the supplier itself named that day for this order."""
    order_units: int = Field(default=0, ge=0)
    order_lines: int = Field(default=0, ge=0)
    order_value: Decimal = Field(default=Decimal(0), ge=0)
    """The whole order that the line is on: units, lines and value."""
    late_risk: Probability | None = None
    """Probability of coming after `expected_in_days`, when the caller knows it; else it is worked out when scored."""


class ScoringRow(Payload):
    """Everything known about one item at one location at the decision's instant (point in time)."""

    item: Code
    location: Code
    category: str = "uncategorised"
    supplier: Code
    last_day: date
    """The last day whose demand is known; day 0 of the projection is the next one."""
    history: DemandHistory
    promotions: tuple[Promotion, ...] = ()
    drivers: tuple[DriverSeries, ...] = ()
    """What moves its demand from outside, as known at the instant."""
    country: str | None = None
    subdivision: str | None = None
    """Whose public holidays its location keeps; None: they are not looked at."""
    holidays: tuple[date, ...] | None = None
    """Those of the days that scoring looks at; None: whatever the calendar that is installed says today."""
    demand_definition: Digest | None = None
    """Which definition of demand the history follows (`domain.demand`); None: not recorded."""
    on_hand_units: int
    reserved_units: int = 0
    sold_today_units: int = Field(default=0, ge=0)
    """Demand of day 0 that was served already: `on_hand_units` is net of it, so only the rest of the day is to come."""
    day_elapsed_permille: int | None = Field(default=None, ge=0, le=1000)
    """The share of a usual day's sales that is done by now at this location; None where nobody knows."""
    day_clump_permille: int | None = Field(default=None, ge=0, le=1000)
    """How sales clump there: the chance that two units of one item and day left in one sale."""
    open_receipts: tuple[OpenReceipt, ...] = ()
    lead_times: LeadTimes
    review_days: int = Field(ge=1)
    """R of rule 4: one order must last lead time + review_days. (A chance to order comes every day, so the risk of
    waiting, pi_0, and the watch level look at R = 1.)"""
    shortage_per_unit: Decimal = Field(ge=0)
    """Cost of one unit not sold: unit margin + goodwill."""
    holding_per_unit_day: Decimal = Field(ge=0)


Hundredths = Annotated[int, Field(ge=0)]
HUNDRED = 100


class Wider(NamedTuple):
    """Quantiles of one day's demand beside the three that decide, in hundredths of a unit: only ever drawn."""

    p025: Hundredths
    p25: Hundredths
    p75: Hundredths
    p975: Hundredths


class DayForecast(Payload):
    """Demand of one future day in units: median and the 80 % interval; where recorded the 50 % and 95 % ones too."""

    day: date
    p10: Decimal
    p50: Decimal
    p90: Decimal
    wider: Wider | None = Field(default=None, exclude_if=lambda value: value is None)
    """None: not recorded."""


class Driver(Payload):
    """What moved a forecast, in the model's own words: a feature and its share of the median forecast."""

    feature: str
    value: str
    effect_units: Decimal


class Scores(Grown):
    """One scored row. `requirement_units` is the sorted sample of what one order must cover (science 2.2, rule 4):
    negative where stock already suffices; its order statistics are the order-up-to quantities."""

    FIRST_FIELDS: ClassVar[frozenset[str]] = frozenset({
        "item", "location", "forecaster", "segment", "target", "requirement_units", "days", "protection_days",
        "lead_time_p50_days", "lead_time_p95_days", "demand_p10", "demand_p50", "demand_p90", "stockout_risk",
        "stockout_risk_soon", "expected_lost_units", "watch_level_units", "novelty", "drivers",
    })  # fmt: skip

    item: Code
    location: Code
    forecaster: str
    """Which forecaster spoke: `xgboost`, `prophet` or `cold_start`."""
    segment: str
    target: Probability
    """Tau: the probability with which one order should suffice."""
    requirement_units: Annotated[tuple[int, ...], Field(min_length=1)]
    days: tuple[DayForecast, ...]
    protection_days: int
    """Days that one order must cover: median lead time + review."""
    lead_time_p50_days: int
    lead_time_p95_days: int
    demand_p10: Decimal
    demand_p50: Decimal
    demand_p90: Decimal
    """Demand over the protection days, in units."""
    second_opinion_units: Decimal | None = Field(default=None, exclude_if=lambda value: value is None)
    """Mean demand over the same days by a model with another loss; None where there is none."""
    stockout_risk: Probability
    """Pi_0: probability of running out before the next chance to be helped if nothing is ordered now: mean of N > 0
    where N is the requirement with R = 1 (the next chance is tomorrow's order)."""
    stockout_risk_soon: Probability
    """Pi_soon: probability of running out before anything ordered now could arrive."""
    expected_lost_units: Decimal
    """If nothing is ordered now, until an order of tomorrow could arrive: lost in the lead time + max(N, 0), R = 1."""
    watch_level_units: int
    """Available stock below which an event must make a need: the tau-quantile of demand over lead time + 1 day."""
    lost_before_units: Decimal = Decimal(0)
    """Units expected to be lost before anything ordered now can arrive: no quantity saves them, a faster supplier may.
    """
    waiting_short_units: Decimal | None = Field(default=None, exclude_if=lambda value: value is None)
    """E[(N)+] with R = 1, to three decimals: what is expected to be lost until an order of tomorrow could help, beyond
    what no order of now saves. None: not recorded; then waiting is judged by its risk alone."""
    waiting_risk: tuple[Probability, ...] = ()
    """Probability of running out before help comes if the next order leaves 1, 2, ... days from now; the last one is
    the first above 1 - tau, or that of the last day looked at."""
    cover_days: int = Field(default=0, ge=0)
    """R, the days beyond its lead time that one order must last, as the requirement was computed; 0: not recorded."""
    novelty: bool = False
    """Too little history for the model to speak from experience."""
    drivers: tuple[Driver, ...] = ()
    recent_units: tuple[int | None, ...] = ()
    """Demand of the days before the first of `days`, the newest last, as it was known; None where nothing was on the
    shelf to be sold. Empty: not recorded."""
    stock_p10: tuple[int, ...] = ()
    stock_p50: tuple[int, ...] = ()
    stock_p90: tuple[int, ...] = ()
    """Net stock at the end of each of `days` if nothing is ordered: on hand less reserved, with what is on order and
    without the demand so far; below zero it is what was asked for in vain. Order statistics of the futures."""


class Scored(NamedTuple):
    """One row's scores, and their canonical JSON."""

    scores: Scores
    text: str


class Calendars(Protocol):
    """Knows public holidays. What it says may change with its version, so it is asked once and the answer recorded."""

    def holidays(self, row: ScoringRow) -> tuple[date, ...] | None:
        """Those of the row's location in all days that scoring looks at, ascending; None: it keeps none.

        Raises:
            InvalidInput: the country or its subdivision is unknown.
        """
        ...


class Scoring(Protocol):
    """Scores rows with one model, in one vectorised pass; the same rows and model give the same scores."""

    def score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scores]:
        """One result per row, in order.

        Raises:
            ModelUnusable: when the bytes are damaged or were written by a newer library than the one installed.
        """
        ...


class WrittenScoring(Scoring, Protocol):
    """Scoring that writes what it finds along the way: who assesses many rows hashes them all."""

    def score_written(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scored]:
        """`score`, each with its canonical JSON.

        Raises:
            ModelUnusable: as `score`.
        """
        ...
