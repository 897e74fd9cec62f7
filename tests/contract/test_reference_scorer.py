"""The reference scorer answers what XGBoost answers, bit for bit, for every objective that the engine trains."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

from activities.learning.demand import QUANTILES
from activities.learning.learner import XgboostLearner
from activities.learning.reference_scorer import ReferenceScorer, Singles
from activities.learning.rescoring import probing_rows, rescore_self_test
from activities.learning.ubjson import read_ubjson
from tests.unit.learning_world import LAST_DAY, steady_world
from workflows.domain.errors import ModelUnusable
from workflows.domain.models import Comparison, Rescored, promotion_gate

ROWS, FEATURES = 3_000, 12
OBJECTIVES: dict[str, dict[str, Any]] = {
    "reg:quantileerror": {"quantile_alpha": list(QUANTILES)}, "reg:tweedie": {"tweedie_variance_power": 1.3},
    "binary:logistic": {}, "reg:squarederror": {}, "count:poisson": {},
}  # fmt: skip


def vectors(seed: int) -> Singles:
    """Numbers of all sizes, whole ones among them, and one in eight missing."""
    chance = np.random.default_rng(seed)
    found = chance.normal(size=(ROWS, FEATURES)).astype(np.float32) * np.float32(10) ** chance.integers(-3, 4, FEATURES)
    found[:, ::3] = np.rint(found[:, ::3])
    found[chance.random(found.shape) < 0.125] = np.nan
    return np.ascontiguousarray(found, dtype=np.float32)


def trained(objective: str, **more: Any) -> xgb.Booster:
    seen, chance = vectors(1), np.random.default_rng(2)
    signal = np.nan_to_num(seen[:, 0]) + 3 * (np.nan_to_num(seen[:, 1]) > 0) + chance.gamma(1.0, 2.0, ROWS)
    target = (signal > 2).astype(np.float64) if objective == "binary:logistic" else np.maximum(np.round(signal), 0)
    parameters = {
        "objective": objective, "max_depth": 6, "eta": 0.1, "subsample": 0.8, "colsample_bytree": 0.6, "seed": 3,
        "nthread": 1, "tree_method": "hist",
    }  # fmt: skip
    return xgb.train(parameters | OBJECTIVES[objective] | more, xgb.DMatrix(seen, target, nthread=1), 40)


def bits(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)


@pytest.mark.parametrize("spelling", ["json", "ubj"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_margin_has_the_same_bits(objective: str, spelling: str) -> None:
    booster = trained(objective)
    raw = bytes(booster.save_raw(spelling))
    scorer = ReferenceScorer.read(raw)
    assert scorer.objective == objective
    for asked in (vectors(4), probing_rows(scorer, ROWS)):
        expected = booster.predict(xgb.DMatrix(asked, nthread=1), output_margin=True).reshape(ROWS, -1)
        found = scorer.margins(asked)
        assert (bits(found) == bits(expected)).all(), f"{(bits(found) != bits(expected)).mean():.1%} differ"
        assert (bits(scorer.margins(asked[17:18])) == bits(found[17:18])).all(), "alone as in a batch"
    assert np.isnan(vectors(4)).mean() > 0.1


@pytest.mark.parametrize("base", [0.5, 0.013, 0.9])
def test_a_given_base_score_goes_through_the_link(base: float) -> None:
    for objective in ("binary:logistic", "reg:tweedie", "reg:squarederror"):
        booster = trained(objective, base_score=base)
        expected = booster.inplace_predict(vectors(5), missing=np.nan, predict_type="margin").reshape(ROWS, -1)
        assert (bits(ReferenceScorer.read(bytes(booster.save_raw("ubj"))).margins(vectors(5))) == bits(expected)).all()


def test_our_reader_of_ubjson_reads_what_the_library_writes_as_json() -> None:
    booster = trained("reg:quantileerror")

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, list) else value

    ours, theirs = plain(read_ubjson(bytes(booster.save_raw("ubj")))), json.loads(booster.save_raw("json"))
    trees = [document["learner"]["gradient_booster"]["model"].pop("trees") for document in (ours, theirs)]
    assert ours == theirs
    for one, other in zip(*trees, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            if isinstance(other[name], list):
                np.testing.assert_array_equal(np.float32(one[name]), np.float32(other[name]))


@pytest.fixture(scope="module")
def artefact() -> bytes:
    """A model as the learner makes it."""
    learner = XgboostLearner(rows=8_000, rounds=30)
    return learner.train(steady_world(40)[0], last_day=LAST_DAY, seed=7, progress=lambda *_: None)


def test_an_artefact_of_the_learner_is_scored_the_same_by_both(artefact: bytes) -> None:
    found = rescore_self_test(artefact, probes=500)
    assert found.differently == 0
    assert found.predictions >= 2 * 500 * (len(QUANTILES) + 1), "all quantiles and the median, by both ways to ask"


def test_adding_the_base_last_is_found_out(artefact: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ReferenceScorer.margins

    def base_last(self: ReferenceScorer, vectors: Singles) -> Singles:
        without = ReferenceScorer(self.objective, self.features, np.zeros_like(self.base), self.trees)
        return right(without, vectors) + self.base

    monkeypatch.setattr(ReferenceScorer, "margins", base_last)
    assert rescore_self_test(artefact, probes=200).differently > 0


def test_the_gate_refuses_what_is_not_scored_the_same() -> None:
    good = Comparison(
        first_day=LAST_DAY, last_day=LAST_DAY + timedelta(days=6), series=9, loss_ratio=Decimal("0.9"),
        loss_ratio_upper=Decimal("0.95"), candidate_coverage_90=Decimal("0.9"), champion_coverage_90=Decimal("0.9"),
        candidate_loss=Decimal(1), champion_loss=Decimal(1), rescored=Rescored(predictions=100, differently=0),
    )  # fmt: skip
    assert promotion_gate(good).passed
    assert promotion_gate(good.model_copy(update={"rescored": None})).passed, "a record of before"
    refused = promotion_gate(good.model_copy(update={"rescored": Rescored(predictions=100, differently=1)}))
    assert not refused.passed
    assert "1 of 100 predictions differ" in refused.reasons[-1]


def test_a_comparison_carries_what_rescoring_found() -> None:
    found = XgboostLearner().compare(
        steady_world(40)[0], _before(7), _before(9), first_day=LAST_DAY - timedelta(days=6), last_day=LAST_DAY
    )  # fmt: skip
    assert found.rescored is not None
    assert found.rescored.differently == 0 < found.rescored.predictions


def _before(seed: int) -> bytes:
    learner = XgboostLearner(rows=4_000, rounds=10)
    return learner.train(
        steady_world(40)[0], last_day=LAST_DAY - timedelta(days=7), seed=seed, progress=lambda *_: None
    )  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"",
        lambda raw: raw + b"more",
        lambda raw: b"[" * 5_000,
        lambda raw: raw.replace(b"gbtree", b"gblinr"),
        lambda raw: raw.replace(b"reg:squarederror", b"reg:squaredwrong"),
    ],
)
def test_what_it_cannot_score_it_refuses(damage: Any) -> None:
    raw = bytes(trained("reg:squarederror").save_raw("ubj"))
    with pytest.raises(ModelUnusable):
        ReferenceScorer.read(damage(raw))


def test_a_tree_that_runs_in_a_circle_is_refused() -> None:
    document = json.loads(trained("reg:squarederror").save_raw("json"))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"][0] = tree["right_children"][0] = 0
    with pytest.raises(ModelUnusable, match="circle"):
        ReferenceScorer.read(json.dumps(document).encode()).margins(vectors(1))


def test_other_numbers_than_float32_are_refused() -> None:
    scorer = ReferenceScorer.read(bytes(trained("reg:squarederror").save_raw("ubj")))
    with pytest.raises(ValueError, match="float32"):
        scorer.margins(vectors(1).astype(np.float64))
    with pytest.raises(ValueError, match="float32"):
        scorer.margins(vectors(1)[:, :3])
