"""The second opinion is a Tweedie mean: one number a period from a loss that expects many zeros and few large values.

The quantiles decide. Where their mean and this one differ widely, one of the two has not understood the item, and a
person should look.
"""

import numpy as np
import xgboost as xgb

from activities.learning.demand import Matrix
from activities.learning.features import features, scale
from activities.learning.forecasting import Vectors, pairs_of
from activities.learning.model_file import Model
from activities.learning.windows import Floats, Ints, Windows

VARIANCE_POWER = 1.3
"""Between Poisson (1) and gamma (2): science 1.1 takes 1.1 to 1.5."""
ROUNDS, ETA, DEPTH, LEAF = 60, 0.08, 5, 50


def train_mean(vectors: Matrix, targets: Floats, weights: Floats, *, seed: int, nthread: int) -> xgb.Booster:
    """The booster of mean demand relative to scale; the same rows, seed and library give the same bytes."""
    data = xgb.QuantileDMatrix(vectors, targets, weight=weights, nthread=nthread, max_bin=64)
    parameters = {
        "objective": "reg:tweedie", "tweedie_variance_power": VARIANCE_POWER, "tree_method": "hist", "max_bin": 64,
        "max_depth": DEPTH, "eta": ETA, "subsample": 0.8, "colsample_bytree": 0.6, "min_child_weight": LEAF,
        "seed": seed, "nthread": nthread,
    }  # fmt: skip
    return xgb.train(parameters, data, ROUNDS)


def mean_demand(
    model: Model, windows: Windows, periods: Ints, vectors: Vectors | None = None, of: Ints | None = None
) -> Floats:
    """Expected units of each row over its first `periods` periods; NaN where the model has no second opinion.

    `vectors` are the features of at least those periods, for who has them already; `of` is the number of each row's
    window (None: each has its own).
    """
    if model.mean is None or len(windows) == 0:
        return np.full(len(periods), np.nan)
    of = np.arange(len(windows)) if of is None else of
    longest = np.zeros(len(windows), dtype=np.int64)
    np.maximum.at(longest, of, periods)
    rows, ahead = pairs_of(longest)
    asked = features(windows, rows, ahead, model.context) if vectors is None else vectors.within(longest)
    ratios = model.mean.inplace_predict(asked, missing=np.nan)
    units = ratios.astype(np.float64) * scale(windows)[rows]
    # Summed row by row, in the order of the periods: a row alone has the sum that it has in a batch.
    begins = (np.cumsum(longest) - longest)[of]
    return np.array([
        float(units[begin:end].sum())
        for begin, end in zip(begins.tolist(), (begins + periods).tolist(), strict=True)
    ])  # fmt: skip
