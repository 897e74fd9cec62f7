"""Forecasts are judged by what was observed: pinball loss, coverage, and paired differences over series."""

import numpy as np

from activities.learning.demand import QUANTILES
from activities.learning.windows import Flags, Floats, Ints

BOOTSTRAPS = 2_000
BOOTSTRAP_SEED = 20_240_229


def pinball(actual: Floats, quantiles: Floats, levels: tuple[float, ...] = QUANTILES) -> Floats:
    """Mean pinball loss over the levels, one per observation, in the unit of demand. Columns are the levels."""
    alpha = np.array(levels)[None, :]
    short = actual[:, None] - quantiles
    loss: Floats = np.maximum(alpha * short, (alpha - 1) * short).mean(axis=1)
    return loss


def weighted_quantile_loss(actual: Floats, quantiles: Floats, levels: tuple[float, ...] = QUANTILES) -> float:
    """Twice the pinball loss per unit of demand: comparable between data sets; infinite where nothing was demanded."""
    demand = float(np.abs(actual).sum())
    return 2 * float(pinball(actual, quantiles, levels).sum()) / demand if demand > 0 else float("inf")


def coverage(actual: Floats, quantile: Floats) -> float:
    """Share of observations at or below the quantile; 0 without observations."""
    return float((actual <= quantile).mean()) if len(actual) else 0.0


def by_series(values: Floats, series: Ints, count: int) -> Floats:
    """Sums per series."""
    return np.bincount(series, weights=values, minlength=count).astype(np.float64)


def loss_ratio(candidate: Floats, champion: Floats) -> float:
    """Candidate's loss over the champion's; 1 when neither lost anything."""
    ours, theirs = float(candidate.sum()), float(champion.sum())
    if theirs > 0:
        return ours / theirs
    return 1.0 if ours == 0 else float("inf")


def ratio_upper(candidate: Floats, champion: Floats, *, percent: float = 97.5) -> float:
    """Upper end of the 95 % interval of the loss ratio: paired bootstrap over series (one loss per series each).

    The seed is fixed: the same losses give the same bound.
    """
    keep: Flags = (candidate > 0) | (champion > 0)
    ours, theirs = candidate[keep], champion[keep]
    if len(ours) == 0:
        return 1.0
    chance = np.random.Generator(np.random.PCG64(BOOTSTRAP_SEED))
    ratios = np.empty(BOOTSTRAPS)
    for draw in range(BOOTSTRAPS):
        picked = chance.integers(0, len(ours), len(ours))
        ratios[draw] = loss_ratio(ours[picked], theirs[picked])
    finite = np.where(np.isfinite(ratios), ratios, np.finfo(np.float64).max)
    return float(np.percentile(finite, percent))
