"""Lateness is the probability that an order in flight misses the day promised first, learned from orders that came.

A shallow XGBoost classifier, then isotonic regression on what earlier boosters said of later orders, block by block: a
fifth of the time line alone would calibrate it to that fifth's chance. It is kept only if it beats the base rate on the
last block; until then the supplier's own record speaks (`arrivals.broken_words_ppm`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import xgboost as xgb

from activities.learning.arrivals import PPM
from activities.learning.calibration import Isotonic, Skill, fit_isotonic, skill
from activities.learning.lateness_features import MONOTONE, NAMES, Matrix, Snapshots, is_late, snapshots, vector_of
from activities.learning.windows import Flags, Floats, Ints
from workflows.domain.deliveries import DeliveryRecord
from workflows.domain.errors import ModelUnusable
from workflows.domain.scores import ScoringRow

MIN_ORDERS = 200
"""Fewer judged orders than this, or fewer than MIN_EACH late or punctual ones, teach nothing that counts do not say."""
MIN_EACH = 20
ROUNDS, ETA, DEPTH = 80, 0.05, 3
MIN_CHILD_SHARE = 0.005
FORMAT = 1
ENDS = (0.4, 0.6, 0.8)
"""Shares of the time line at which its blocks end: each block after the first is foretold from the ones before it."""
# Rates stay off the ends: nobody knows for certain.
LEAST = 0.001


@dataclass(frozen=True)
class LatenessModel:
    """A loaded lateness model."""

    booster: xgb.Booster
    isotonic: Isotonic
    base_rate: float
    """Share of late orders in training: what an unknown supplier is shrunk to."""
    orders: int
    tested: Skill
    """On the last part of the time line, by a model that had seen none of it."""

    def risks_ppm(self, vectors: Matrix) -> Ints:
        """Probability of lateness in whole millionths, one per row: nothing after it depends on the last bit."""
        rates = np.clip(self.isotonic(_margins(self.booster, vectors)), LEAST, 1 - LEAST)
        return np.rint(rates * PPM).astype(np.int64)

    def document(self) -> dict[str, Any]:
        """All of it as JSON values; the same training gives the same document."""
        return {
            "format": FORMAT, "xgboost_version": xgb.__version__, "features": list(NAMES), "orders": self.orders,
            "base_rate": self.base_rate, "scores": self.isotonic.scores.tolist(),
            "rates": self.isotonic.rates.tolist(), "tested": asdict(self.tested),
            "booster": json.loads(self.booster.save_raw("json")),
        }  # fmt: skip

    @classmethod
    def from_document(cls, found: Mapping[str, Any], *, nthread: int) -> "LatenessModel":
        """The model in a document.

        Raises:
            ModelUnusable: when it is damaged, or was trained on other features than the ones installed.
        """
        try:
            if found["format"] > FORMAT or tuple(found["features"]) != NAMES:
                raise ModelUnusable("the lateness model was trained on other features than the ones installed")
            booster = xgb.Booster({"nthread": nthread})
            booster.load_model(bytearray(json.dumps(found["booster"]).encode()))
            return cls(
                booster, Isotonic(np.array(found["scores"], dtype=np.float64), np.array(found["rates"])),
                float(found["base_rate"]), int(found["orders"]), Skill(**found["tested"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, xgb.core.XGBoostError) as error:
            raise ModelUnusable(f"the lateness part of the model cannot be read: {error}") from error


def train_lateness(
    records: Sequence[DeliveryRecord], *, last_day: date, seed: int, nthread: int
) -> LatenessModel | None:
    """A model of the orders known by the end of `last_day`; None where they are too few, or it would be of no use."""
    outcomes = [is_late(record, last_day) for record in records]
    judged = sum(outcome is not None for outcome in outcomes)
    late = sum(outcome is True for outcome in outcomes)
    if judged < MIN_ORDERS or min(late, judged - late) < MIN_EACH:
        return None
    base_rate = late / judged
    seen = snapshots(records, last_day, base_rate)
    block = np.searchsorted(np.quantile(seen.days, ENDS, method="lower"), seen.days)
    foretold = np.zeros(len(seen.late))
    for each in range(1, len(ENDS) + 1):
        booster = _fit(seen, block < each, seed, nthread, base_rate)
        if booster is None or not (block == each).any():
            return None
        foretold[block == each] = _margins(booster, seen.vectors[block == each])
    before, newest = (block >= 1) & (block < len(ENDS)), block == len(ENDS)
    known = float(np.average(seen.late[~newest], weights=seen.weights[~newest]))
    trial = fit_isotonic(foretold[before], seen.late[before], seen.weights[before], known)
    tested = skill(trial(foretold[newest]), seen.late[newest], known)
    final = _fit(seen, block >= 0, seed, nthread, base_rate)
    if tested.brier_skill <= 0 or final is None:
        return None
    isotonic = fit_isotonic(foretold[block >= 1], seen.late[block >= 1], seen.weights[block >= 1], base_rate)
    return LatenessModel(final, isotonic, base_rate, judged, tested)


def late_risks(rows: Sequence[ScoringRow], model: LatenessModel | None) -> list[list[int | None]]:
    """Per row and open receipt the probability, in millionths, of missing the day promised first, in one pass.

    None where the counts must say: no model, no promise, one that was taken back, or one that has passed.
    """
    risks: list[list[int | None]] = [[None] * len(row.open_receipts) for row in rows]
    if model is None:
        return risks
    places, vectors = [], []
    for i, row in enumerate(rows):
        today = date.fromordinal(row.last_day.toordinal() + 1)
        for number, receipt in enumerate(row.open_receipts):
            found = vector_of(receipt, receipt.lead_times or row.lead_times, today, model.base_rate)
            if found is not None:
                places.append((i, number))
                vectors.append(found)
    if vectors:
        said = model.risks_ppm(np.array(vectors, dtype=np.float32))
        for (i, number), ppm in zip(places, said.tolist(), strict=True):
            risks[i][number] = ppm
    return risks


def _margins(booster: xgb.Booster, vectors: Matrix) -> Floats:
    found = booster.inplace_predict(vectors, predict_type="margin")
    return np.asarray(found, dtype=np.float64).reshape(-1)


def _fit(seen: Snapshots, of: Flags, seed: int, nthread: int, base_rate: float) -> xgb.Booster | None:
    """A booster of these snapshots; None where all of them are late, or none is."""
    late = seen.late[of]
    if len(late) == 0 or late.min() == late.max():
        return None
    parameters = {
        "objective": "binary:logistic", "base_score": base_rate, "max_depth": DEPTH, "eta": ETA, "tree_method": "hist",
        "min_child_weight": max(1.0, MIN_CHILD_SHARE * len(late)), "seed": seed, "nthread": nthread,
        "monotone_constraints": str(MONOTONE),
    }  # fmt: skip
    data = xgb.DMatrix(seen.vectors[of], late, weight=seen.weights[of], nthread=nthread)
    return xgb.train(parameters, data, num_boost_round=ROUNDS)
