"""Shifts put right what is wrong, leave alone what is right, and never disturb the order of the quantiles."""

import numpy as np
import pytest
from scipy.stats import norm, poisson  # type: ignore[import-untyped]

from activities.learning.conformal import FAR, NEAR, HeldOut, fit_shifts, groups_of, loss, move, shifts_of
from activities.learning.demand import QUANTILES
from activities.learning.windows import Floats

LEVELS = np.array(QUANTILES)
HORIZON = 60
COUNT = 6_000


def held(quantiles: Floats, actual: Floats, size: Floats, *, second: bool | None = None) -> HeldOut:
    """Near and far periods in turn; the second half is the part that judges, unless told."""
    place = np.arange(len(actual))
    later = place >= len(actual) // 2 if second is None else np.full(len(actual), second)
    return HeldOut(
        quantiles, np.zeros(len(actual), dtype=np.int64), actual, size, np.where(place % 2 == 0, 3, 30), later
    )


def gaussian(seed: int, *, spread: float) -> HeldOut:
    """Demand around ten times the row's scale, and forecasts whose spread is `spread` times the true one."""
    chance = np.random.default_rng(seed)
    size = chance.uniform(5, 40, COUNT)
    actual = np.rint(size * (10 + chance.standard_normal(COUNT)))
    return held(size[:, None] * (10 + spread * norm.ppf(LEVELS))[None, :], actual, size)


@pytest.mark.parametrize("spread", [0.4, 2.0])
def test_a_planted_miscalibration_is_put_right(spread: float) -> None:
    shifts = fit_shifts(gaussian(1, spread=spread), HORIZON)
    assert set(shifts) == {NEAR, FAR}
    fresh = gaussian(2, spread=spread)
    before = np.abs((fresh.actual[:, None] <= fresh.quantiles).mean(axis=0) - LEVELS).max()
    rows = np.array([shifts[NEAR if near else FAR] for near in groups_of(fresh.ahead, HORIZON)[0]])
    moved = move(fresh.quantiles, rows, fresh.scale, fresh.no_sale)
    after = np.abs((fresh.actual[:, None] <= moved).mean(axis=0) - LEVELS).max()
    assert before > 0.1
    assert after < 0.03
    assert loss(fresh.actual, moved) < loss(fresh.actual, fresh.quantiles)


def test_a_calibrated_segment_is_left_alone() -> None:
    assert fit_shifts(gaussian(3, spread=1.0), HORIZON) == {}


def test_few_observations_teach_nothing() -> None:
    plain = gaussian(1, spread=0.4)
    assert fit_shifts(plain.take(np.arange(COUNT) % 12 == 0), HORIZON) == {}


def test_what_helped_in_the_first_part_only_is_not_kept() -> None:
    wrong, right = gaussian(1, spread=0.4), gaussian(2, spread=1.0)
    mixed = HeldOut(
        *(
            np.where((wrong.second[:, None] if one.ndim == 2 else wrong.second), two, one)
            for one, two in (
                (wrong.quantiles, right.quantiles), (wrong.no_sale, right.no_sale), (wrong.actual, right.actual),
                (wrong.scale, right.scale), (wrong.ahead, right.ahead), (wrong.second, right.second),
            )
        )
    )  # fmt: skip
    assert fit_shifts(mixed, HORIZON) == {}


def test_true_laws_of_whole_numbers_need_no_shift() -> None:
    """An observation counts as spread over its own unit; else the pile at zero would look like wrong quantiles."""
    chance = np.random.default_rng(4)
    mean = 12.0
    cells = poisson.cdf(np.arange(-1, 60), mean)
    spread = np.interp(LEVELS, cells, np.arange(60 + 1) - 0.5)
    actual = chance.poisson(mean, COUNT).astype(np.float64)
    found = shifts_of(held(np.tile(spread, (COUNT, 1)), actual, np.full(COUNT, mean)))
    assert np.abs(found[1:-1]).max() < 40  # thousandths of the scale: under half a unit


def test_moving_keeps_order_and_the_chance_of_no_sale() -> None:
    chance = np.random.default_rng(5)
    quantiles = np.sort(chance.uniform(0, 9, (200, 12)), axis=1)
    shifts = chance.integers(-3_000, 3_000, (200, 12))
    silent = np.where(np.arange(200) % 2 == 0, 0, 450)
    moved = move(quantiles, shifts, np.full(200, 2.0), silent)
    assert (np.diff(moved, axis=1) >= 0).all()
    assert moved.min() >= 0
    told = moved[silent == 450]
    assert (told[:, LEVELS <= 0.45] == 0).all()
    assert (told[:, LEVELS > 0.45] >= 0.5).all()


def test_the_same_hold_out_gives_the_same_shifts() -> None:
    assert fit_shifts(gaussian(1, spread=0.4), HORIZON) == fit_shifts(gaussian(1, spread=0.4), HORIZON)
