"""Watching turns outcomes into readings, one per segment and statistic; none where there is too little to say."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from activities.learning import drift
from activities.learning.drift import Reading
from activities.learning.windows import Floats
from workflows.domain.monitoring import DEFINITIONS, EVERYTHING, DriftReading, WatchedOutcome

RECENT_DAYS = 14
LEAST_OUTCOMES = 50
"""Fewer outcomes say nothing about a share or a distribution."""
REFERENCE_CYCLES = 20
"""The first business days of a model: what its errors are like while it is new."""
LEAST_CYCLES = 6
"""So many business days after the reference before errors are judged."""
STREAM = 1_000
"""Newest outcomes that ADWIN looks at."""
SPREAD = 2.5631
"""P90 - P10 of a standard normal law."""
LEVELS = ((0.1, "p10"), (0.5, "p50"), (0.9, "p90"))


class DriftWatching:
    """Implements `domain.monitoring.Watching`."""

    def read(self, outcomes: Sequence[WatchedOutcome], day: date, model_digest: str) -> list[DriftReading]:
        """Errors and intervals: outcomes that do not overlap, in stock all the time, decided with this model.

        Risks and shares: all of them. Recent is what closed in the last `RECENT_DAYS` days before `day`.
        """
        by_segment: dict[str, list[WatchedOutcome]] = defaultdict(list)
        for outcome in outcomes:
            by_segment[outcome.segment].append(outcome)
        if len(by_segment) > 1:
            by_segment[EVERYTHING] = list(outcomes)
        readings = []
        for segment, found in sorted(by_segment.items()):
            split = day - timedelta(days=RECENT_DAYS)
            own = [one for one in found if one.model_digest == model_digest and one.days_out_of_stock == 0]
            told = [*_of_forecasts(apart(own)), *_of_decisions(found, split), *_of_inputs(found, split)]
            readings += [_reading(segment, statistic, reading) for statistic, reading in told]
        return readings


def apart(outcomes: Iterable[WatchedOutcome]) -> list[WatchedOutcome]:
    """Outcomes of which no two of one item and location share a day: overlapping ones are no new evidence."""
    free: dict[tuple[str, str], date] = {}
    kept = []
    for one in sorted(outcomes, key=lambda each: (each.decided_on, each.decision_id)):
        key = one.location, one.item
        if key not in free or one.decided_on >= free[key]:
            free[key] = one.closed_on
            kept.append(one)
    return sorted(kept, key=lambda each: (each.closed_on, each.decision_id))


def pit_of(outcome: WatchedOutcome) -> float:
    """The level, 0 to 1, at which demand fell within its forecast.

    Between two quantiles (or at one that it ties with) nobody knows where: it is placed by the decision's own digest,
    which is even, and the same on every machine.
    """
    demand = outcome.demand_units
    low: float = max((level for level, name in LEVELS if getattr(outcome, name) < demand), default=0.0)
    high: float = min((level for level, name in LEVELS if getattr(outcome, name) > demand), default=1.0)
    digest = hashlib.sha256(outcome.decision_id.encode()).digest()
    place = int.from_bytes(digest[:6], "big") / 2**48
    return low + (high - low) * place


def error_of(outcome: WatchedOutcome) -> float:
    """(demand - median forecast) / the forecast's own standard deviation, at least that of a Poisson law, units."""
    spread = float(outcome.p90 - outcome.p10) / SPREAD
    return float(outcome.demand_units - outcome.p50) / max(spread, math.sqrt(outcome.p50), 0.5)


def _of_forecasts(outcomes: Sequence[WatchedOutcome]) -> Iterable[tuple[str, Reading]]:
    if len(outcomes) < LEAST_OUTCOMES:
        return
    yield "adwin", drift.adwin([pit_of(one) for one in outcomes[-STREAM:]])
    at_or_below = [sum(one.demand_units <= getattr(one, name) for one in outcomes) for _, name in LEVELS]
    strictly = [sum(one.demand_units < getattr(one, name) for one in outcomes) for _, name in LEVELS]
    for (level, _), high, low in zip(LEVELS, at_or_below, strictly, strict=True):
        yield f"coverage_{level * 100:.0f}", drift.coverage(high, low, len(outcomes), level)
    yield "pit", drift.pit_chi2(at_or_below, strictly, len(outcomes), [level for level, _ in LEVELS])
    cycles = _daily(outcomes)
    if len(cycles) >= REFERENCE_CYCLES + LEAST_CYCLES:
        reference = np.array(cycles[:REFERENCE_CYCLES])
        deviation = max(float(reference.std(ddof=1)), 1e-6)
        standard = [(error - float(reference.mean())) / deviation for error in cycles]
        yield "page_hinkley", drift.page_hinkley(standard)
        # The reference's mean is known to one standard error only, which is no drift.
        yield "cusum", drift.cusum(standard[REFERENCE_CYCLES:], slack=0.5 + REFERENCE_CYCLES**-0.5)
        yield "tracking_signal", drift.tracking_signal(standard)


def _daily(outcomes: Sequence[WatchedOutcome]) -> list[float]:
    """One error per business day that closed outcomes: their mean times the root of their number, so that days with
    many outcomes and days with few scatter alike."""
    by_day: dict[date, list[float]] = defaultdict(list)
    for one in outcomes:
        by_day[one.closed_on].append(error_of(one))
    return [sum(errors) / len(errors) ** 0.5 for _, errors in sorted(by_day.items())]


def _of_decisions(outcomes: Sequence[WatchedOutcome], split: date) -> Iterable[tuple[str, Reading]]:
    # Of what sells less than a unit a day an empty shelf is mostly no lost sale, and nobody can tell which is one.
    held = apart(one for one in outcomes if one.held and one.closed_on > split and one.p50 >= _days(one))
    if len(held) >= LEAST_OUTCOMES:
        risks = np.array([float(one.stockout_risk) for one in held])
        ran_out = np.array([float(one.ran_out) for one in held])
        yield "risk_calibration", drift.calibration_error(risks, ran_out)
        yield "risk_promised", drift.promised_against_realised(risks, ran_out)
    proposals = [one for one in outcomes if not one.held]
    answers = [one for one in proposals if one.answered]
    shares: tuple[tuple[str, list[WatchedOutcome], Callable[[WatchedOutcome], bool]], ...] = (
        ("gated_share", proposals, lambda one: one.gated),
        ("override_rate", answers, lambda one: one.overridden),
    )
    for statistic, among, counts in shares:
        before = [counts(one) for one in among if one.closed_on <= split]
        now = [counts(one) for one in among if one.closed_on > split]
        if min(len(before), len(now)) >= LEAST_OUTCOMES:
            yield statistic, drift.share_shift(sum(before), len(before), sum(now), len(now))


def _of_inputs(outcomes: Sequence[WatchedOutcome], split: date) -> Iterable[tuple[str, Reading]]:
    before = [one for one in outcomes if one.closed_on <= split]
    now = [one for one in outcomes if one.closed_on > split]
    if min(len(before), len(now)) < 2 * LEAST_OUTCOMES:
        return
    levels = _levels(before), _levels(now)
    yield "psi_forecast_level", drift.psi(*levels)
    yield "ks_forecast_level", drift.kolmogorov_smirnov(*levels)
    yield "forecaster_mix", drift.categories([one.forecaster for one in before], [one.forecaster for one in now])


def _levels(outcomes: Sequence[WatchedOutcome]) -> Floats:
    return np.array([float(one.p50) / _days(one) for one in outcomes])


def _days(outcome: WatchedOutcome) -> int:
    return max(1, (outcome.closed_on - outcome.decided_on).days)


def _reading(segment: str, statistic: str, reading: Reading) -> DriftReading:
    kind, _ = DEFINITIONS[statistic]
    value, threshold = _decimal(reading.value), _decimal(reading.threshold)
    detail = f"{statistic} is {value}, {'beyond' if reading.alarm else 'within'} {threshold}, on {reading.observations}"
    return DriftReading(
        segment=segment, statistic=statistic, kind=kind, value=value, threshold=threshold,
        observations=reading.observations, alarm=reading.alarm, detail=detail,
    )  # fmt: skip


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value))).quantize(Decimal("0.0001"))
