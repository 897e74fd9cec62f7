"""Forecasts against what came: scaled error, quantile loss, coverage, as published tables compute them.

Conventions are those of GluonTS and of the tables that use it (Hyndman & Koehler 2006 for MASE): a period that was not
observed counts nowhere; a series whose seasonal error is undefined or zero is left out of MASE only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from activities.learning.evaluation import coverage, weighted_quantile_loss
from activities.learning.windows import Floats
from workflows.domain.studies import Period

SEASONAL_NAIVE = "seasonal_naive"
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MEDIAN = LEVELS.index(0.5)


def season_of(period: Period, periods: int) -> int:
    """Periods in the season that MASE compares with: 12 months, 7 days, 52 weeks of at least two years, else 1."""
    if period is Period.WEEK:
        return 52 if periods >= 2 * 52 else 1
    return 12 if period is Period.MONTH else 7


def seasonal_error(history: Floats, season: int) -> Floats:
    """Mean absolute difference of [rows, periods] to one season before; NaN where no pair was observed."""
    apart = np.abs(history[:, season:] - history[:, :-season]) if history.shape[1] > season else history[:, :0]
    seen = ~np.isnan(apart)
    sums, pairs = np.where(seen, apart, 0.0).sum(axis=1), seen.sum(axis=1)
    return np.asarray(np.divide(sums, pairs, out=np.full(len(history), np.nan), where=pairs > 0), dtype=np.float64)


def mase(actual: Floats, point: Floats, history: Floats, season: int) -> float | None:
    """Mean over series of mean absolute error over seasonal error; None if that is defined for no series."""
    errors = np.abs(actual - point)
    seen = ~np.isnan(errors)
    scale = seasonal_error(history, season)
    keep = seen.any(axis=1) & (scale > 0)  # a comparison with NaN is false
    if not keep.any():
        return None
    mean = np.where(seen, errors, 0.0).sum(axis=1)[keep] / seen.sum(axis=1)[keep]
    return float((mean / scale[keep]).mean())


@dataclass(frozen=True)
class Forecasts:
    """Quantiles of one method, and what came."""

    quantiles: Floats
    """[rows, horizon, levels], levels as in LEVELS."""
    actual: Floats
    """[rows, horizon]; NaN where not observed."""
    history: Floats
    """[rows, periods] before; NaN where not observed."""
    period: Period

    def scores(self) -> dict[str, Any]:
        """mase, wql, wape and coverage by level; the first three None where undefined (nothing was demanded)."""
        seen = ~np.isnan(self.actual)
        actual, quantiles = self.actual[seen], self.quantiles[seen]
        demand = float(np.abs(actual).sum())
        median = self.quantiles[:, :, MEDIAN]
        return {
            "mase": mase(self.actual, median, self.history, season_of(self.period, self.history.shape[1])),
            "wql": weighted_quantile_loss(actual, quantiles, LEVELS) if demand > 0 else None,
            "wape": float(np.abs(actual - median[seen]).sum()) / demand if demand > 0 else None,
            "coverage": {f"{level:g}": coverage(actual, quantiles[:, i]) for i, level in enumerate(LEVELS)},
        }


def seasonal_naive(history: Floats, period: Period, horizon: int) -> Floats:
    """Quantiles [rows, horizon, levels], all equal to the demand one season before, as in the published tables; where
    that was not observed, to that of the newest season in which it was, else the last observed, else 0."""
    season = season_of(period, history.shape[1])
    rows, known = history.shape
    padded = np.concatenate([np.full((rows, (-known) % season), np.nan), history], axis=1)
    seasons = padded.reshape(rows, -1, season)
    last = _newest(seasons)
    anything = _newest(history[:, :, None])
    last = np.where(np.isnan(last), anything, last)
    point = np.nan_to_num(last)[:, np.arange(horizon) % season]
    return np.repeat(point[:, :, None], len(LEVELS), axis=2)


def _newest(values: Floats) -> Floats:
    """[rows, width]: along axis 1 the last number of each; NaN where there is none."""
    newest = np.full((values.shape[0], values.shape[2]), np.nan)
    for step in range(values.shape[1]):
        newest = np.where(np.isnan(values[:, step]), newest, values[:, step])
    return newest
