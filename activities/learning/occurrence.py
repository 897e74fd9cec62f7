"""How likely a period passes without any sale is learned by itself: between two quantiles it could only be guessed.

A lumpy item sells nothing on 85 days of 100 and then twelve units. Its 0.8 quantile is 0 and its 0.9 quantile 5, and a
line between them puts the first sale at 0.81, so that shelves look riskier than they are. Here one more booster says
where zero ends (Cragg's hurdle, 1971); the sizes of what is sold stay those of the quantiles.
"""

import numpy as np
import xgboost as xgb

from activities.learning.demand import QUANTILES, Matrix
from activities.learning.windows import Floats, Ints

PERMILLE = 1_000
HALF = 0.5
"""Whole units round half up, so this is where the first unit begins."""
STRETCH = 1.3
ROUNDS, ETA, DEPTH = 120, 0.05, 3
ROWS_PER_LEAF_ROW = 100
"""Shallow trees on large leaves: a probability is a mean over many rows, and depth 5 found 10 % larger errors."""
LEVELS = np.array([0.0, *QUANTILES, 1.0])


def train_occurrence(vectors: Matrix, targets: Floats, weights: Floats, *, seed: int, nthread: int) -> xgb.Booster:
    """The booster of P(a period sells something). Squared error has the probability as its optimum like the logistic
    loss, and asks no exponential of anybody's mathematical library."""
    data = xgb.QuantileDMatrix(vectors, (targets > 0).astype(np.float64), weight=weights, nthread=nthread, max_bin=64)
    leaf = min(max(len(targets) // ROWS_PER_LEAF_ROW, 20), 600)
    parameters = {
        "objective": "reg:squarederror", "tree_method": "hist", "max_bin": 64, "max_depth": DEPTH, "eta": ETA,
        "subsample": 0.8, "colsample_bytree": 0.6, "min_child_weight": leaf, "seed": seed, "nthread": nthread,
    }  # fmt: skip
    return xgb.train(parameters, data, ROUNDS)


def no_sale_permille(booster: xgb.Booster, vectors: Matrix) -> Ints:
    """P(no sale) of each vector's period, in thousandths: 0 to 1000."""
    sold = booster.inplace_predict(vectors, missing=np.nan).astype(np.float64)
    found: Ints = np.rint((1 - np.clip(np.nan_to_num(sold), 0.0, 1.0)) * PERMILLE).astype(np.int64)
    return found


def first_sale(quantiles: Floats) -> Floats:
    """The level at which quantiles in units [n, levels] pass half a unit: what they imply as the chance of no sale."""
    ends = _ends(quantiles)
    return _passing(ends, (ends < HALF).sum(axis=1))


def _ends(quantiles: Floats) -> Floats:
    return np.concatenate([quantiles[:, :1] / STRETCH, quantiles, quantiles[:, -1:] * STRETCH], axis=1)


def _passing(ends: Floats, above: Ints) -> Floats:
    at, place = np.arange(len(ends)), np.minimum(above, len(LEVELS) - 1)
    before = np.maximum(place - 1, 0)
    gap = ends[at, place] - ends[at, before]
    way = np.divide(HALF - ends[at, before], gap, out=np.zeros_like(gap), where=gap > 0)
    level: Floats = LEVELS[before] + np.clip(way, 0, 1) * (LEVELS[place] - LEVELS[before])
    return np.where(above == 0, 0.0, np.where(above == len(LEVELS), 1.0, level))


def with_occurrence(quantiles: Floats, no_sale: Ints) -> Floats:
    """Quantiles in units [n, levels] of the law that sells nothing with `no_sale` [n] thousandths.

    Given that something is sold, sizes follow the law before: Q'(a) = Q(p + (a - p')(1 - p)/(1 - p')) for a > p', with
    p where the old law passes half a unit and p' the new chance of no sale. A law that never sold sells one unit then.
    """
    ends = _ends(quantiles)
    at, last = np.arange(len(ends)), len(LEVELS) - 1
    above = (ends < HALF).sum(axis=1)
    never, old = above > last, _passing(ends, above)
    new = no_sale / PERMILLE
    result = np.zeros_like(quantiles)
    for column, level in enumerate(QUANTILES):
        wanted = old + (level - new) * (1 - old) / np.maximum(1 - new, 1e-9)
        knot = np.clip((LEVELS[None, :] <= wanted[:, None]).sum(axis=1) - 1, 0, last - 1)
        # In the gap where the first sale lies, the old law begins at half a unit.
        first = knot == above - 1
        low, small = np.where(first, old, LEVELS[knot]), np.where(first, HALF, ends[at, knot])
        width = LEVELS[knot + 1] - low
        way = np.divide(wanted - low, width, out=np.zeros_like(width), where=width > 0)
        size = small + np.clip(way, 0.0, 1.0) * (ends[at, knot + 1] - small)
        result[:, column] = np.where(level <= new, 0.0, np.where(never, 1.0, np.maximum(size, HALF)))
    return result
