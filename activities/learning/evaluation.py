"""Forecasts are judged by what was observed: pinball loss, coverage, and paired differences over series."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri  # type: ignore[import-untyped]

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


def ratio_upper(candidate: Floats, champion: Floats) -> float:
    """Upper end of the 95 % interval of the loss ratio; see `ratio_bounds`."""
    return ratio_bounds(candidate, champion)[1]


def ratio_bounds(candidate: Floats, champion: Floats) -> tuple[float, float]:
    """The 95 % interval of the loss ratio: paired bootstrap over series (one loss per series each).

    The seed is fixed: the same losses give the same bounds.
    """
    keep: Flags = (candidate > 0) | (champion > 0)
    ours, theirs = candidate[keep], champion[keep]
    if len(ours) == 0:
        return 1.0, 1.0
    chance = np.random.Generator(np.random.PCG64(BOOTSTRAP_SEED))
    ratios = np.empty(BOOTSTRAPS)
    for draw in range(BOOTSTRAPS):
        picked = chance.integers(0, len(ours), len(ours))
        ratios[draw] = loss_ratio(ours[picked], theirs[picked])
    finite = np.where(np.isfinite(ratios), ratios, np.finfo(np.float64).max)
    lower, upper = np.percentile(finite, (2.5, 97.5))
    return float(lower), float(upper)


def mid_pit(actual: Floats, quantiles: Floats) -> Floats:
    """Where each observation lies in its predicted distribution, 0 to 1; NaN where nothing was observed.

    Between two quantiles the level is interpolated; on a run of equal quantiles (whole numbers pile up) it is the
    middle of the run, so that counts have a centred value without any chance. Columns are `QUANTILES`.
    """
    levels = np.array([0.0, *QUANTILES, 1.0])
    ends = np.concatenate([np.zeros((len(actual), 1)), quantiles, quantiles[:, -1:] * 1.3 + 1e-9], axis=1)
    below = (ends < actual[:, None] - 1e-9).sum(axis=1)
    upto = (ends <= actual[:, None] + 1e-9).sum(axis=1)
    rows = np.arange(len(actual))
    low, high = np.clip(below - 1, 0, len(levels) - 1), np.clip(below, 0, len(levels) - 1)
    gap = ends[rows, high] - ends[rows, low]
    way = np.clip(np.divide(actual - ends[rows, low], gap, out=np.ones_like(gap), where=gap > 0), 0, 1)
    between = levels[low] + way * (levels[high] - levels[low])
    run = (levels[np.clip(below, 0, len(levels) - 1)] + levels[np.clip(upto - 1, 0, len(levels) - 1)]) / 2
    place: Floats = np.where(upto > below, run, between)
    return np.where(np.isnan(actual), np.nan, np.clip(place, 0.0, 1.0))


def correlation(places: Sequence[Floats]) -> float:
    """Mean correlation between the periods of one row's forecast, from PIT values [rows, periods] of several origins.

    Normal scores z: the average of z_h z_k over h != k, relative to the average of z_h^2.
    """
    cross, square, pairs, count = 0.0, 0.0, 0.0, 0.0
    for found in places:
        known = ~np.isnan(found)
        z = np.where(known, ndtri(np.clip(np.where(known, found, 0.5), 0.002, 0.998)), 0.0)
        seen = known.sum(axis=1)
        sums, squares = z.sum(axis=1), (z * z).sum(axis=1)
        cross += float((sums * sums - squares).sum())
        pairs += float((seen * (seen - 1)).sum())
        square += float(squares.sum())
        count += float(seen.sum())
    if pairs <= 0 or square <= 0:
        return 0.0
    return (cross / pairs) / (square / count)
