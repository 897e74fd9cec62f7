"""The chance of no sale is what it is said to be, and what is sold keeps its sizes."""

import numpy as np
import pytest

from activities.learning import risk
from activities.learning.demand import QUANTILES, to_milli
from activities.learning.occurrence import first_sale, no_sale_permille, train_occurrence, with_occurrence
from activities.learning.windows import Floats

N = risk.SCENARIOS


def lumpy(no_sale: float) -> Floats:
    """Quantiles of an item that sells nothing with `no_sale`, else about 1 + an exponential number of mean 11."""
    given = (np.array(QUANTILES) - no_sale) / (1 - no_sale)
    return np.where(given > 0, 1 - 11 * np.log(np.maximum(1 - given, 1e-9)), 0.0)[None, :]


def silent_share(knots: Floats, no_sale: int) -> float:
    """Share of the scenarios in which nothing is sold."""
    units = risk.strata_units(to_milli(knots), np.array([no_sale]))
    return float((units == 0).mean())


@pytest.mark.parametrize("permille", [120, 620, 730, 850, 930, 985])
def test_scenarios_sell_nothing_as_often_as_is_said(permille: int) -> None:
    knots = with_occurrence(lumpy(0.8), np.array([permille]))
    assert silent_share(knots, permille) == pytest.approx(permille / 1000, abs=1 / N)
    assert (np.diff(risk.strata_units(to_milli(knots), np.array([permille]))) >= 0).all()


def test_a_line_between_knots_alone_would_sell_too_early() -> None:
    knots = lumpy(0.85)
    assert silent_share(knots, 0) < 0.83
    assert silent_share(with_occurrence(knots, np.array([850])), 850) == pytest.approx(0.85, abs=1 / N)


def test_sizes_given_a_sale_stay() -> None:
    knots = lumpy(0.5)
    implied = float(first_sale(knots)[0])
    same = with_occurrence(knots, np.array([round(implied * 1000)]))
    sold = np.array(QUANTILES) > implied
    np.testing.assert_allclose(same[0, sold], knots[0, sold], rtol=0.03, atol=0.1)
    rarer = with_occurrence(knots, np.array([750]))
    # Half as many sales of the same sizes: the 0.95 quantile is the former 0.9 one.
    assert rarer[0, QUANTILES.index(0.95)] == pytest.approx(knots[0, QUANTILES.index(0.9)], rel=0.1)


def test_edges_stay_sane() -> None:
    knots = np.array([[0.0] * 12, [9.0] * 12, list(range(12))], dtype=np.float64)
    for permille in (0, 1, 500, 999, 1000):
        silent = np.full(3, permille)
        found = with_occurrence(knots, silent)
        assert np.isfinite(found).all()
        assert (np.diff(found, axis=1) >= 0).all()
        units = risk.strata_units(to_milli(found), silent)
        assert (np.diff(units, axis=1) >= 0).all()
        assert (units[1:] <= 12 * 1.3).all()
    assert (with_occurrence(knots, np.full(3, 1000)) == 0).all()


def test_the_booster_learns_how_often_something_is_sold_and_says_the_same_each_time() -> None:
    chance = np.random.default_rng(3)
    rate = chance.uniform(0.05, 0.95, 8_000)
    vectors = np.stack([rate, chance.random(8_000)], axis=1).astype(np.float32)
    targets = np.where(chance.random(8_000) < rate, 7.0, 0.0)
    first, again = (train_occurrence(vectors, targets, np.ones(8_000), seed=1, nthread=1) for _ in range(2))
    found = no_sale_permille(first, vectors)
    assert (found == no_sale_permille(again, vectors)).all()
    assert float(np.abs(found / 1000 - (1 - rate)).mean()) < 0.04
