"""Demand is one global XGBoost booster for all items: every quantile, every horizon, directly.

Its answers leave as whole thousandths of a unit, so that nothing after it depends on the last bit of a float.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from activities.learning.windows import Floats, Ints

QUANTILES: tuple[float, ...] = (0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995)
MEDIAN = QUANTILES.index(0.5)
MILLI = 1_000
"""Thousandths of a unit: the lattice on which every forecast lives."""
LARGEST = 5e10
"""Units a period that are never exceeded: the whole-number arithmetic of scenarios stays inside 64 bits."""
ROUNDS = 80
ETA = 0.08
DEPTH = 5
ROWS_PER_LEAF_ROW = 200
"""The 0.98 quantile of a leaf of 20 rows is its largest one: small leaves make narrow intervals."""

Matrix = npt.NDArray[np.float32]


class _Report(xgb.callback.TrainingCallback):
    """Tells after every round how far training is: long work must show that it lives."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Never asks to stop."""
        self._report(epoch + 1)
        return False


def train_booster(
    vectors: Matrix, targets: Floats, weights: Floats, *, rounds: int, seed: int, nthread: int,
    report: Callable[[int], None],
) -> xgb.Booster:  # fmt: skip
    """The booster for demand relative to scale; the same rows, seed and library give the same bytes."""
    # A leaf of a small panel must rest on fewer rows, or nothing could be told apart.
    leaf = float(min(max(round(len(targets) / ROWS_PER_LEAF_ROW), 20), 100))
    data = xgb.QuantileDMatrix(vectors, targets, weight=weights, nthread=nthread, max_bin=64)
    parameters = {
        "objective": "reg:quantileerror", "quantile_alpha": list(QUANTILES), "tree_method": "hist", "max_bin": 64,
        "max_depth": DEPTH, "eta": ETA, "subsample": 0.8, "colsample_bytree": 0.6, "min_child_weight": leaf,
        "seed": seed, "nthread": nthread,
    }  # fmt: skip
    return xgb.train(parameters, data, rounds, callbacks=[_Report(report)])


def median_booster(booster: xgb.Booster) -> xgb.Booster:
    """The trees of the 0.5 quantile alone: explaining them costs a twelfth of explaining all quantiles."""
    document = json.loads(booster.save_raw("json"))
    learner = document["learner"]
    model = learner["gradient_booster"]["model"]
    kept = [index for index, output in enumerate(model["tree_info"]) if output == MEDIAN]
    trees = []
    for number, index in enumerate(kept):
        trees.append(model["trees"][index] | {"id": number})
    model.update(trees=trees, tree_info=[0] * len(trees), iteration_indptr=list(range(len(trees) + 1)))
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    told = learner["learner_model_param"]["base_score"]
    # One for each quantile; XGBoost before 3.1 has a single one for all of them, spelled without brackets.
    base = f"[{told.strip('[]').split(',')[MEDIAN]}]" if told.startswith("[") else told
    learner["learner_model_param"].update(base_score=base, num_target="1")
    learner["objective"] = {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}
    return load_booster(json.dumps(document).encode(), nthread=1)


def load_booster(raw: bytes, *, nthread: int) -> xgb.Booster:
    """A booster from its UBJSON or JSON bytes."""
    booster = xgb.Booster()
    booster.load_model(bytearray(raw))
    booster.set_param({"nthread": nthread})
    return booster


def quantile_ratios(booster: xgb.Booster, vectors: Matrix) -> Floats:
    """Quantiles of demand relative to scale, one row per vector: not crossing, not negative."""
    if len(vectors) == 0:
        return np.zeros((0, len(QUANTILES)))
    raw = booster.inplace_predict(vectors, missing=np.nan).reshape(len(vectors), len(QUANTILES))
    ratios: Floats = np.maximum(np.sort(raw.astype(np.float64), axis=1), 0.0)
    return ratios


def contributions(median: xgb.Booster, vectors: Matrix) -> Floats:
    """TreeSHAP shares of the median, one column per feature and the bias last; they add up to the prediction."""
    return median.predict(xgb.DMatrix(vectors, nthread=1), pred_contribs=True).astype(np.float64)


def to_milli(units: Floats) -> Ints:
    """Units as whole thousandths, half to even; what is no number is zero, what is absurd is capped."""
    return np.rint(np.clip(np.nan_to_num(units, nan=0.0), 0.0, LARGEST) * MILLI).astype(np.int64)
