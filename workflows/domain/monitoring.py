"""Monitoring holds what was forecast against what came, each business day: readings, alarms, and what follows of them.

Input drift alone never retrains, it is a finding; errors and intervals that no longer hold do (science 6.1).
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol

from workflows.domain.identity import Payload

EVERYTHING: Final = "all"
"""The segment of all segments together."""
RETRAINING_REST: Final = timedelta(days=7)
"""Business days after a retraining in which no alarm starts another: what was learned must first show."""


class DriftKind(StrEnum):
    """What a statistic watches, and so what its alarm leads to."""

    ERROR = "error"
    """The forecasts are off: retrains, and the segment's proposals go to a person."""
    COVERAGE = "coverage"
    """The intervals do not hold: as above."""
    DECISION = "decision"
    """Decisions come out otherwise than they said, or people stop going along: a finding."""
    INPUT = "input"
    """What is forecast from has changed: a finding."""


RETRAINS: Final = frozenset({DriftKind.ERROR, DriftKind.COVERAGE})

_ERROR, _COVERAGE, _DECISION, _INPUT = DriftKind
DEFINITIONS: Final[dict[str, tuple[DriftKind, str]]] = {
    "page_hinkley": (
        _ERROR,
        "Sum of the daily errors beyond their own mean, less 0.25 deviations a day, above its lowest point. An error "
        "is demand less median forecast, over the forecast's own spread.",
    ),
    "cusum": (
        _ERROR,
        "Sum of the daily errors beyond half a deviation of the model's first twenty days, never below zero.",
    ),
    "adwin": (
        _ERROR,
        "How many outcomes, oldest first, had to be left out so that the levels at which demand fell within its "
        "forecast are alike in the rest.",
    ),
    "coverage_10": (_COVERAGE, "Share of outcomes at or below the 10 % forecast, as near to 10 % as ties allow."),
    "coverage_50": (_COVERAGE, "Share of outcomes at or below the median forecast, as near to 50 % as ties allow."),
    "coverage_90": (_COVERAGE, "Share of outcomes at or below the 90 % forecast, as near to 90 % as ties allow."),
    "pit": (_COVERAGE, "Chi-squared of the levels at which demand fell within its forecast, against even ones."),
    "tracking_signal": (
        _DECISION,
        "Sum of the last twelve daily errors over their mean size; alarms when the last six have one sign, too.",
    ),
    "risk_calibration": (
        _DECISION,
        "Mean distance of the risk that was said from the share that ran out, in ten classes of risk, over decisions "
        "to order nothing of what sells at least a unit a day.",
    ),
    "risk_promised": (
        _DECISION,
        "Stock-outs that came less those that the risks promised, in deviations, over decisions to order nothing "
        "of what sells at least a unit a day. Positive: more came.",
    ),
    "gated_share": (_DECISION, "Change of the share of proposals that went to a person, in deviations."),
    "override_rate": (_DECISION, "Change of the share of answers that were no plain approval, in deviations."),
    "psi_forecast_level": (
        _INPUT,
        "Population stability index of the median forecast per day: the last two weeks against before.",
    ),
    "ks_forecast_level": (_INPUT, "Largest distance of the same two distributions (Kolmogorov-Smirnov)."),
    "forecaster_mix": (_INPUT, "Chi-squared of which forecaster speaks: the last two weeks against before."),
}
"""Statistic -> what it watches and what its value is, in words. Thresholds come with each reading."""


class WatchedOutcome(Payload):
    """One decision whose horizon has passed, as monitoring needs it."""

    decision_id: str
    location: str
    item: str
    segment: str
    forecaster: str
    model_digest: str
    decided_on: date
    closed_on: date
    """The day after its horizon."""
    demand_units: int
    p10: Decimal
    p50: Decimal
    p90: Decimal
    """Of demand over the horizon, as forecast."""
    days_out_of_stock: int
    stockout_risk: Decimal
    ran_out: bool
    """Whether it was out of stock on the first day that an order would have served: what `stockout_risk` speaks of."""
    held: bool
    gated: bool = False
    answered: bool = False
    overridden: bool = False
    """A person edited or rejected it."""


class DriftReading(Payload):
    """One statistic of one segment on one business day."""

    segment: str
    statistic: str
    kind: DriftKind
    value: Decimal
    threshold: Decimal
    observations: int
    alarm: bool
    detail: str = ""


class DriftAlarm(Payload):
    """An alarm, from the day that raised it to the first that did not."""

    alarm_id: str
    segment: str
    statistic: str
    kind: DriftKind
    started_on: date
    ended_on: date | None = None
    detail: str
    retraining_id: str | None = None
    """The workflow that it started."""


class DriftView(Payload):
    """The newest day's readings and the alarms, for people."""

    day: date | None = None
    readings: tuple[DriftReading, ...] = ()
    alarms: tuple[DriftAlarm, ...] = ()
    """Open ones first, then the newest that are over."""


class MonitoringClosed(Payload):
    """What one round of monitoring came to."""

    day: date | None = None
    """None: no business day has closed since the last round, or there is no model yet."""
    readings: int = 0
    raised: int = 0
    ended: int = 0
    shelves_settled: int = 0
    shelves_suspected: int = 0
    """Findings about shelves that were settled, and new ones, whichever day of which location they are of."""
    retrain: DriftAlarm | None = None
    """The alarm that a retraining is owed for."""


class Recorded(Payload):
    """What storing a day's readings changed."""

    raised: int = 0
    ended: int = 0


def alarm_id(segment: str, statistic: str, started_on: date) -> str:
    """An alarm's identity: what it is about and the day it began."""
    return f"{segment}:{statistic}:{started_on.isoformat()}"


class Watching(Protocol):
    """The numeric part: knows neither storage nor Temporal."""

    def read(self, outcomes: Sequence[WatchedOutcome], day: date, model_digest: str) -> list[DriftReading]:
        """Every statistic that has enough observations, by segment; errors are those of this model's decisions."""
        ...


class Monitoring(Protocol):
    """Where outcomes are read from and readings go to."""

    async def due(self) -> tuple[date, str] | None:
        """The newest closed business day and the champion's digest; None when that day was read, or there is none."""
        ...

    async def outcomes(self, day: date) -> list[WatchedOutcome]:
        """Outcomes of decisions whose horizon ended by this day, a bounded number of the newest, oldest first."""
        ...

    async def record(self, day: date, model_digest: str, readings: Sequence[DriftReading]) -> Recorded:
        """Store a day's readings once; raise and end alarms, each with its ledger entry."""
        ...

    async def retraining_owed(self) -> DriftAlarm | None:
        """The oldest open alarm that retrains and has not, unless a retraining was started within the rest."""
        ...

    async def retraining_started(self, alarm_id: str, retraining_id: str) -> None:
        """Note it; safe to repeat."""
        ...

    async def view(self) -> DriftView:
        """What people are shown."""
        ...
