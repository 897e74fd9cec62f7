"""What is sold by now moves what is still to come, exactly, and better calibrated than taking it off the forecast."""

from collections.abc import Callable
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.learning.intraday import remaining_today
from activities.learning.windows import Floats, Ints

N = 128
DAYS = 1_200
rng = np.random.default_rng(20250303)
Draw = Callable[[int], Ints]
Thin = Callable[[Ints, float], Ints]


def rest_of(demand: list[int], sold: int, elapsed: int, clump: int = 250) -> list[int]:
    rest = remaining_today(np.array([demand]), np.array([sold]), np.array([elapsed]), np.array([clump]))
    return [int(units) for units in rest[0]]


def test_before_the_day_begins_all_of_it_is_to_come() -> None:
    assert rest_of([0, 3, 9, 30], 0, 0) == [0, 3, 9, 30]


def test_where_nobody_knows_the_time_of_day_what_was_sold_is_taken_off() -> None:
    assert rest_of([0, 3, 9, 30], 5, -1) == [0, 0, 4, 25]


def test_when_the_day_is_over_nothing_is_to_come() -> None:
    assert rest_of([0, 3, 9, 30], 5, 1000) == [0, 0, 0, 0]


def test_the_weights_are_those_of_the_textbook() -> None:
    """Two possible days; nearly no clumping, so the law is nearly binomial: the odds are 3:1 for the larger day."""
    small, large = comb(8, 6) * 0.5**8, comb(16, 6) * 0.5**16
    expected = N * large / (small + large)
    rest = rest_of([8] * (N // 2) + [16] * (N // 2), 6, 500, clump=15)
    assert set(rest) == {2, 10}
    assert rest.count(10) == pytest.approx(expected, abs=3)


def test_a_day_far_above_its_forecast_goes_on_far_above_it() -> None:
    forecast = list(range(N // 4, 3 * N // 4)) * 2  # 32..95
    usual, busy = (np.mean(rest_of(forecast, sold, 500, clump=50)) for sold in (32, 300))
    assert 25 < usual < 40
    assert 150 < busy < 700


def test_a_sale_of_what_was_never_forecast_goes_on_at_the_rate_that_was_seen() -> None:
    assert np.mean(rest_of([0] * N, 10, 500)) == pytest.approx(10, abs=0.2)


def test_sales_before_the_day_begins_are_taken_as_a_sign() -> None:
    assert np.mean(rest_of([10] * 64 + [40] * 64, 5, 0)) > np.mean(rest_of([10] * 64 + [40] * 64, 5, 500))


@settings(max_examples=60, deadline=None)
@given(
    demand=st.lists(st.integers(0, 1_000_000), min_size=4, max_size=N),
    sold=st.integers(0, 2_000_000),
    elapsed=st.integers(-1, 1_000),
    clump=st.integers(0, 1_000),
)
def test_any_day_has_a_rest_that_keeps_the_ranks(demand: list[int], sold: int, elapsed: int, clump: int) -> None:
    rest = rest_of(demand, sold, elapsed, clump)
    assert min(rest) >= 0
    in_order = [rest[k] for k in np.argsort(np.array(demand), kind="stable")]
    assert in_order == sorted(in_order), "a bigger day has no smaller rest"
    assert rest == rest_of(demand, sold, elapsed, clump), "no die is rolled"


@settings(max_examples=40, deadline=None)
@given(demand=st.lists(st.integers(0, 300), min_size=16, max_size=N), elapsed=st.integers(20, 900))
def test_more_sold_never_means_a_smaller_day(demand: list[int], elapsed: int) -> None:
    """Where sales hardly clump: a single large basket may well have been all of the day."""
    totals = [np.mean(rest_of(demand, sold, elapsed, clump=50)) + sold for sold in range(0, 40, 4)]
    assert all(later >= earlier - 0.5 for earlier, later in pairwise(totals))


def test_a_row_is_scored_alone_as_in_a_batch() -> None:
    demand = np.sort(rng.poisson(9, (20, N)), axis=1)
    sold, elapsed = rng.integers(0, 20, 20), rng.integers(-1, 1_001, 20)
    together = remaining_today(demand, sold, elapsed)
    alone = [remaining_today(demand[k : k + 1], sold[k : k + 1], elapsed[k : k + 1])[0] for k in range(20)]
    assert (together == np.stack(alone)).all()


# Calibration, where the truth is known: the law of the day is right, and the only question is what the morning tells.


def single_units(days: Ints, share: float) -> Ints:
    """Customers take one unit each."""
    return rng.binomial(days, share)


def baskets(days: Ints, share: float) -> Ints:
    """One or two large baskets a day."""
    sold = np.zeros_like(days)
    for day, units in enumerate(days):
        left = int(units)
        while left:
            basket = min(left, max(1, round(left * rng.uniform(0.35, 1.1))))
            left -= basket
            sold[day] += basket * (rng.random() < share)
    return sold


WORLDS: dict[str, tuple[Draw, Thin, int]] = {
    "steady": (lambda days: rng.poisson(8, days), single_units, 15),
    "erratic": (lambda days: rng.poisson(rng.gamma(2, 5, days)), single_units, 15),
    "erratic, clumping not known": (lambda days: rng.poisson(rng.gamma(2, 5, days)), single_units, 250),
    "erratic in baskets": (lambda days: rng.poisson(rng.gamma(2, 5, days)), baskets, 700),
    "lumpy": (
        lambda days: np.where(rng.random(days) < 0.2, 1 + rng.poisson(rng.exponential(11, days)), 0),
        single_units, 15,
    ),
}  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_rest_is_better_calibrated_than_the_forecast_less_the_sales(world: str, share: float) -> None:
    draw, thin, clump = WORLDS[world]
    many = np.sort(draw(200_000))
    demand = np.repeat(many[((np.arange(N) + 0.5) / N * len(many)).astype(int)][None], DAYS, axis=0).astype(np.int64)
    days = draw(DAYS).astype(np.int64)
    sold = thin(days, share)
    to_come = days - sold
    known = np.full(DAYS, round(share * 1000))
    rest = remaining_today(demand, sold, known, np.full(DAYS, clump))
    naive = remaining_today(demand, sold, np.full(DAYS, -1))
    assert pinball(rest, to_come) < pinball(naive, to_come)
    assert abs(rest.mean() - to_come.mean()) < max(0.4, abs(naive.mean() - to_come.mean()))
    if clump != 250:  # what is taken for more clumped than it is comes out too wide, never too narrow
        assert miscalibration(rest, to_come) < 0.06
    else:
        assert coverage(rest, to_come, 0.95) > 0.94


def quantile(scenarios: Ints, level: float) -> Ints:
    return np.sort(scenarios, axis=1)[:, int(np.ceil(level * N)) - 1]


def pinball(scenarios: Ints, truth: Ints) -> float:
    losses = []
    for level in (0.1, 0.25, 0.5, 0.75, 0.9, 0.95):
        error = truth - quantile(scenarios, level)
        losses.append(np.maximum(level * error, (level - 1) * error).mean())
    return float(np.mean(losses))


def coverage(scenarios: Ints, truth: Ints, level: float) -> float:
    return float((truth <= quantile(scenarios, level)).mean())


def miscalibration(scenarios: Ints, truth: Ints) -> float:
    """Kolmogorov's distance of the randomised PIT from even."""
    below = (scenarios < truth[:, None]).mean(axis=1)
    pit: Floats = np.sort(below + rng.random(len(truth)) * (scenarios == truth[:, None]).mean(axis=1))
    return float(np.abs(pit - (np.arange(len(pit)) + 0.5) / len(pit)).max())
