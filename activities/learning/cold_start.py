"""Items without a past borrow one: the sales rate of their category, updated by what little they have shown.

Rate ~ Gamma(a, b) over the items of a category, demand of a day given the rate ~ negative binomial with the category's
dispersion and weekday profile. A scenario keeps one rate through all its periods: not knowing the rate is a risk that
does not average out over a lead time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from activities.learning.cadence import Cadence
from activities.learning.demand import MILLI, QUANTILES
from activities.learning.features import weekday
from activities.learning.rolling import ratio
from activities.learning.windows import Flags, Floats, Ints, Windows

RATES = 16
"""Equally likely rates by which the posterior is represented."""
LATTICE = 400
"""Largest number of lots in a day's table; demand beyond it is counted in larger lots."""
MIN_OBSERVED = {"day": 14, "week": 4, "month": 3}
"""Observed periods from which on an item teaches the prior; fewer where no item was observed as long."""
OVERALL = ""
"""Key of the prior that is fitted on all categories, for those the model has not met."""


@dataclass(frozen=True)
class Prior:
    """Gamma(shape, periods) of the sales rate, variance-to-mean ratio of a period, factors of the cycle (mean 1)."""

    shape: float
    periods: float
    dispersion: float
    cycle: tuple[float, ...]


def _place(cadence: Cadence, periods: Ints) -> Ints:
    """Where in its cycle a period lies: the weekday of a day."""
    return weekday(periods) if cadence.cycle > 1 else np.zeros_like(periods)


def _prior(units: Floats, periods: Floats, variance_ratio: Floats, profile: Floats) -> Prior:
    if len(units) == 0:
        return Prior(0.2, 2.0, 1.5, (1.0,) * len(profile))  # nothing was ever observed: a wide guess around 0.1
    rates = units / np.maximum(periods, 1)
    mean = max(float(units.sum() / max(periods.sum(), 1)), 1e-4)
    dispersion = float(np.clip(np.median(variance_ratio) if len(variance_ratio) else 1.5, 1.0, 1e9))
    # The spread of the rates less what few periods alone would cause; never sharper than 25 items' agreement.
    between = float(np.mean((rates - mean) ** 2) - np.mean(rates * dispersion / np.maximum(periods, 1)))
    shape = float(np.clip(mean * mean / max(between, 1e-9), 0.2, 25.0))
    factors = tuple(round(float(value), 4) for value in profile)
    # Significant digits, not decimals: of an item that sells millions, the periods are millionths.
    return Prior(round(shape, 6), float(f"{shape / mean:.9g}"), round(dispersion, 4), factors)


def fit_priors(windows: Windows) -> dict[str, Prior]:
    """One prior per category with at least five observed items, and one over all."""
    cadence = windows.cadence
    units = windows.units[:, -cadence.season :]
    known = ~np.isnan(units)
    filled = np.where(known, units, 0.0)
    total, periods = filled.sum(axis=1), known.sum(axis=1).astype(np.float64)
    mean = ratio(total, periods)
    variance = (ratio((filled * filled).sum(axis=1), periods) - mean * mean) * ratio(periods, periods - 1)
    dispersion = ratio(np.nan_to_num(variance), np.nan_to_num(mean))
    place = _place(cadence, windows.origin[:, None] - np.arange(units.shape[1])[::-1][None, :])
    names = np.array(windows.category)
    groups = {OVERALL: np.ones(len(names), dtype=np.bool_)} | {name: names == name for name in sorted(set(names))}
    priors: dict[str, Prior] = {}
    # In a very short history nobody was observed for long; what little there is says more than a guess.
    enough = min(MIN_OBSERVED[cadence.name], max(1.0, float(periods.max(initial=0.0))))
    for name, members in groups.items():
        member = members & (periods >= enough)
        if name != OVERALL and member.sum() < 5:
            continue
        sold = member & (total > 0)
        profile = _cycle_profile(filled[sold], known[sold], place[sold], cadence.cycle)
        priors[name] = _prior(total[member], periods[member], dispersion[sold], profile)
    return priors


def _cycle_profile(units: Floats, known: Flags, place: Ints, cycle: int) -> Floats:
    totals = np.array([units[place == here].sum() for here in range(cycle)])
    counts = np.array([known[place == here].sum() for here in range(cycle)], dtype=np.float64)
    means = np.nan_to_num(ratio(totals, counts), nan=0.0)
    average = float(means.mean())
    return means / average if average > 0 else np.ones(cycle)


@dataclass(frozen=True)
class ColdForecast:
    """For each row: equally likely rates x cycle x cumulative probabilities of 0, 1, ... lots, and the lot size."""

    cadence: Cadence
    cumulative: Floats
    lot: Ints
    origin: Ints

    def take(self, rows: Ints) -> "ColdForecast":
        """These rows only, in this order."""
        return ColdForecast(self.cadence, self.cumulative[rows], self.lot[rows], self.origin[rows])

    def scenarios(self, daily: Ints, rates: Ints, horizon: int) -> Ints:
        """Demand in units [rows, days, scenarios]; `daily` and `rates` are the rows' permutations of 0..N-1."""
        count = daily.shape[2]
        strata = (np.arange(count) + 0.5) / count
        level = rates * RATES // count
        place = _place(self.cadence, self.origin[:, None] + 1 + np.arange(horizon)[None, :])
        result = np.empty((len(self.lot), horizon, count), dtype=np.int64)
        for row, tables in enumerate(self.cumulative):
            found = np.stack([[np.searchsorted(table, strata) for table in of_rate] for of_rate in tables])
            result[row] = found[level[row][None, :], place[row][:, None], daily[row]] * self.lot[row]
        return result

    def knots(self, horizon: int) -> Ints:
        """Quantiles of each day's demand over all rates, in thousandths of a unit [rows, days, quantiles]."""
        mixed = self.cumulative.mean(axis=1)
        by_place = np.stack(
            [(mixed < level - 1e-9).sum(axis=2) for level in QUANTILES], axis=2
        ) * self.lot[:, None, None]  # fmt: skip
        place = _place(self.cadence, self.origin[:, None] + 1 + np.arange(horizon)[None, :])
        knots: Ints = by_place[np.arange(len(self.lot))[:, None], place] * MILLI
        return knots


def posterior(priors: Mapping[str, Prior], windows: Windows) -> tuple[Floats, Floats, list[Prior]]:
    """Gamma shape and periods of each row's rate after what it has shown.

    Where demand comes in batches (dispersion d), or is counted in thousandths, d units are one observation: the
    variance of a period is d times its mean, so what was shown weighs 1/d of what as many single customers would say.
    """
    chosen = [priors.get(name, priors[OVERALL]) for name in windows.category]
    known = ~np.isnan(windows.units)
    weight = 1 / np.array([prior.dispersion for prior in chosen])
    shape = np.array([prior.shape for prior in chosen]) + np.where(known, windows.units, 0.0).sum(axis=1) * weight
    return shape, np.array([prior.periods for prior in chosen]) + known.sum(axis=1) * weight, chosen


def cold_forecast(priors: Mapping[str, Prior], windows: Windows) -> ColdForecast:
    """The predictive law of each row, as tables."""
    shape, periods, chosen = posterior(priors, windows)
    rates = _gamma_points(shape, periods)
    factors = np.array([prior.cycle for prior in chosen]).reshape(len(windows), windows.cadence.cycle)
    dispersion = np.array([prior.dispersion for prior in chosen])
    mean = rates[:, :, None] * factors[:, None, :]
    # Far in the tail of the largest mean: eight deviations or a count of 30, in lots that the table can hold.
    top = mean.max(axis=(1, 2), initial=0.0)
    reach = top + 8 * np.sqrt(top * dispersion) + 30
    lot = np.maximum(np.ceil(reach / LATTICE), 1.0)
    cumulative = _negative_binomial(mean / lot[:, None, None], np.maximum(dispersion / lot, 1.0)[:, None, None])
    return ColdForecast(windows.cadence, cumulative, lot.astype(np.int64), windows.origin)


def _gamma_points(shape: Floats, periods: Floats) -> Floats:
    """RATES equally likely values of Gamma(shape, periods), by summing its density over a grid of logarithms."""
    grid = np.linspace(-12.0, 4.0, 641)[None, :]  # ln(rate / mean)
    log_density = shape[:, None] * (grid - np.exp(grid))
    running = np.cumsum(np.exp(log_density - log_density.max(axis=1, keepdims=True)), axis=1)
    levels = (np.arange(RATES) + 0.5)[None, :, None] / RATES
    found = (running[:, None, :] < levels * running[:, -1][:, None, None]).sum(axis=2)
    points: Floats = np.exp(grid[0, np.minimum(found, 640)]) * (shape / periods)[:, None]
    return points


def _negative_binomial(mean: Floats, dispersion: Floats) -> Floats:
    """Cumulative probabilities of 0 .. LATTICE for this mean and variance-to-mean ratio (1: Poisson)."""
    excess = np.maximum(dispersion - 1.0, 1e-6)
    size = mean / excess
    keep = excess / (1.0 + excess)
    log_start = -size * np.log1p(excess)
    result = np.empty((*mean.shape, LATTICE + 1))
    log_mass = log_start
    running = np.exp(log_mass)
    result[..., 0] = running
    tiny = np.finfo(np.float64).tiny
    for count in range(LATTICE):
        log_mass = log_mass + np.log(np.maximum((size + count) / (count + 1) * keep, tiny))
        running = running + np.exp(log_mass)
        result[..., count + 1] = running
    return np.minimum(result / np.maximum(result[..., -1:], tiny), 1.0)
