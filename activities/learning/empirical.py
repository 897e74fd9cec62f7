"""The empirical forecaster repeats what an item itself did: quantiles of its own past periods.

The marginal of Willemain's bootstrap: no distribution is assumed, and on sparse parts it is hard to beat (science
1.6). Where periods of a cycle differ, sales are divided by the item's own (shrunk) weekday factor first.
"""

import numpy as np

from activities.learning.demand import QUANTILES
from activities.learning.rolling import ratio
from activities.learning.windows import Floats, Ints, Windows

SHRINKAGE = 2.0
"""Cycles of average weekdays that an item's own weekday factors are mixed with."""
FACTOR_FLOOR = 0.02


def empirical_quantiles(windows: Windows, rows: Ints, horizons: Ints, *, half_life: int | None) -> Floats:
    """Quantiles in units of each (row, periods ahead) pair; zero where nothing was ever observed.

    `half_life` is in periods; None weighs the whole last year alike.
    """
    cadence = windows.cadence
    units = windows.units[:, -cadence.season :]
    known = ~np.isnan(units)
    back = np.arange(units.shape[1])[::-1]
    factors = _cycle_factors(units, back, cadence.cycle)
    plain = np.where(known, units / factors[:, back % cadence.cycle], np.inf)
    weight = np.where(known, 1.0 if half_life is None else 0.5 ** (back / half_life), 0.0)
    order = np.argsort(plain, axis=1, kind="stable")
    ordered, weight = np.take_along_axis(plain, order, axis=1), np.take_along_axis(weight, order, axis=1)
    running = np.cumsum(weight, axis=1)
    middle = ratio(running - weight / 2, np.repeat(running[:, -1:], units.shape[1], axis=1))
    found = np.stack([_interpolated(ordered, middle, known.sum(axis=1), level) for level in QUANTILES], axis=1)
    result: Floats = found[rows] * factors[rows, (-horizons) % cadence.cycle][:, None]
    return result


def _interpolated(ordered: Floats, middle: Floats, count: Ints, level: float) -> Floats:
    """Linear between the middles of the weights; constant beyond the first and the last observation."""
    rows, last = np.arange(len(ordered)), np.maximum(count - 1, 0)
    above = np.minimum((np.where(np.isnan(middle), np.inf, middle) < level).sum(axis=1), last)
    below = np.maximum(above - 1, 0)
    low, high = middle[rows, below], middle[rows, above]
    way = np.clip(np.nan_to_num(ratio(level - low, high - low), nan=1.0), 0.0, 1.0)
    small, large = ordered[rows, below], ordered[rows, above]
    value = np.where(count > 0, small, 0.0)
    value = np.where(count > 1, small + (np.where(count > 1, large, 0.0) - value) * way, value)
    return np.where(np.isfinite(value), value, 0.0)


def _cycle_factors(units: Floats, back: Ints, cycle: int) -> Floats:
    """Sales on each place of the cycle (0: that of the origin) relative to the item's mean, shrunk to 1."""
    if cycle == 1:
        return np.ones((len(units), 1))
    known = ~np.isnan(units)
    mean = ratio(np.where(known, units, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
    factors = np.ones((len(units), cycle))
    for place in range(cycle):
        mine = known & (back % cycle == place)[None, :]
        count = mine.sum(axis=1).astype(np.float64)
        total = np.where(mine, units, 0.0).sum(axis=1) + SHRINKAGE * np.nan_to_num(mean)
        relative = ratio(ratio(total, count + SHRINKAGE), np.nan_to_num(mean))
        factors[:, place] = np.maximum(np.nan_to_num(relative, nan=1.0), FACTOR_FLOOR)
    return factors
