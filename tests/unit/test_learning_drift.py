"""Planted drift is found within the stated number of cycles; without it, false alarms stay within their bounds."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb

import numpy as np
import pytest

from activities.learning.distributions import binomial_tail, chi2_critical
from activities.learning.drift import (
    Reading,
    adwin,
    calibration_error,
    categories,
    coverage,
    cusum,
    kolmogorov_smirnov,
    page_hinkley,
    pit_chi2,
    promised_against_realised,
    psi,
    share_shift,
    tracking_signal,
)
from activities.learning.windows import Floats

rng = np.random.default_rng(61)


@pytest.mark.parametrize(
    ("freedom", "level", "value"),
    [(1, 0.99, 6.634897), (2, 0.5, 1.386294), (9, 0.99, 21.665994), (9, 0.999, 27.877165), (40, 0.99, 63.690740)],
)
def test_critical_values_are_those_of_the_tables(freedom: int, level: float, value: float) -> None:
    assert chi2_critical(freedom, level) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("least", "trials", "p"), [(0, 5, 0.2), (3, 9, 0.5), (9, 9, 0.1), (320, 500, 0.6), (2, 90, 0.5)]
)
def test_binomial_tails_are_exact(least: int, trials: int, p: float) -> None:
    exact = sum(
        comb(trials, k) * Fraction(p) ** k * (1 - Fraction(p)) ** (trials - k) for k in range(least, trials + 1)
    )
    assert binomial_tail(least, trials, p) == pytest.approx(float(exact), rel=1e-9)


# Samples.


def false_alarms(test: Callable[[Floats, Floats], Reading], draw: Callable[[int], Floats], n: int, m: int) -> float:
    runs = 400
    return sum(test(draw(n), draw(m)).alarm for _ in range(runs)) / runs


@pytest.mark.parametrize(("n", "m"), [(60, 60), (500, 200), (5_000, 5_000)])
def test_psi_alarms_seldom_whatever_the_sample_size(n: int, m: int) -> None:
    assert false_alarms(psi, lambda size: rng.gamma(2, 5, size), n, m) <= 0.03
    counts = false_alarms(psi, lambda size: rng.poisson(1.5, size).astype(float), n, m)
    assert counts <= 0.03


def test_psi_finds_a_shift_a_lost_column_and_nothing_in_equal_samples() -> None:
    before = rng.normal(0, 1, 1_000)
    assert psi(before, rng.normal(0.7, 1, 400)).alarm
    lost = rng.normal(0, 1, 400)
    lost[:150] = np.nan
    assert psi(before, lost).alarm
    assert psi(before, before).value == pytest.approx(0)
    tiny = psi(rng.normal(0, 1, 30_000), rng.normal(0.05, 1, 30_000))
    assert not tiny.alarm, "significant, but too small to matter"


def test_psi_is_the_textbooks_sum() -> None:
    before, after = np.array([0.0] * 50 + [1.0] * 50), np.array([0.0] * 20 + [1.0] * 80)
    assert psi(before, after, bins=2).value == pytest.approx(
        (0.8 - 0.5) * np.log(0.8 / 0.5) + (0.2 - 0.5) * np.log(0.2 / 0.5)
    )


def test_kolmogorov_smirnov_keeps_its_level_and_is_the_largest_distance() -> None:
    assert false_alarms(kolmogorov_smirnov, lambda size: rng.normal(0, 1, size), 200, 150) <= 0.025
    before, after = rng.normal(0, 1, 300), rng.normal(0.5, 1, 200)
    found = kolmogorov_smirnov(before, after)
    assert found.alarm
    distances = [abs((before <= at).mean() - (after <= at).mean()) for at in (*before, *after)]
    assert found.value == pytest.approx(max(distances))


def test_categories_keep_their_level_and_show_a_shift() -> None:
    def draw(size: int, shares: Sequence[float] = (0.6, 0.3, 0.08, 0.02)) -> list[str]:
        return list(rng.choice(["xgboost", "intermittent", "cold", "odd"], size, p=shares))

    assert sum(categories(draw(400), draw(200)).alarm for _ in range(400)) / 400 <= 0.03
    assert categories(draw(400), draw(200, (0.4, 0.5, 0.08, 0.02))).alarm


# Cycles.


def found_after(
    test: Callable[[Sequence[float]], Reading], calm: Sequence[float], drift: Sequence[float]
) -> int | None:
    """Cycles of drift until the first alarm; None when there is none. An alarm before the drift fails the test."""
    assert not test(calm).alarm
    for cycles in range(1, len(drift) + 1):
        if test([*calm, *drift[:cycles]]).alarm:
            return cycles
    return None


def alarmed(test: Callable[[Sequence[float]], Reading], cycles: int, runs: int) -> float:
    """Share of runs that alarm at the end of some cycle without any drift."""
    drawn = [list(standard(cycles)) for _ in range(runs)]
    return sum(any(test(run[:k]).alarm for k in range(14, cycles + 1)) for run in drawn) / runs


def standard(cycles: int) -> Floats:
    return rng.normal(0, 1, cycles)


@pytest.mark.parametrize(("test", "within", "at_most"), [(page_hinkley, 40, 0.06), (cusum, 25, 0.25)])
def test_a_shift_of_the_errors_is_found_soon_and_seldom_for_nothing(
    test: Callable[[Sequence[float]], Reading], within: int, at_most: float
) -> None:
    """Without drift: share of runs of 60 cycles with any alarm (ARL0 of at least 52 is asked for, and beaten)."""
    assert alarmed(test, 60, 150) <= at_most
    for sign in (1, -1):
        delays: list[int | None] = []
        while len(delays) < 20:
            calm = standard(40)
            if not test(list(calm)).alarm:
                delays.append(found_after(test, list(calm), list(sign * 1.2 + standard(60))))
        found = [delay for delay in delays if delay is not None]
        assert len(found) == len(delays)
        assert np.median(found) <= within


def test_adwin_keeps_one_window_where_nothing_changes_and_cuts_where_it_does() -> None:
    even = [rng.random(300) for _ in range(60)]
    assert sum(adwin(list(run)).alarm for run in even) <= 1
    found = found_after(adwin, list(rng.random(200)), list(rng.beta(5, 1, 120)))
    assert found is not None
    assert 10 < found < 100
    with pytest.raises(ValueError, match="from 0 to 1"):
        adwin([0.2, 1.2])


def test_adwin_keeps_what_came_after_the_change() -> None:
    found = adwin([0.2] * 100 + [0.8] * 100)
    assert found.alarm
    assert 60 <= found.value <= 100, "the oldest leave until what stays is alike, as far as anybody can tell"


def test_the_tracking_signal_wants_size_and_one_sign() -> None:
    assert tracking_signal([2.0] * 6).alarm
    assert not tracking_signal([9.0] * 5).alarm
    assert not tracking_signal([5, 5, 5, 5, 5, -1]).alarm
    assert tracking_signal([0.0] * 8).value == 0
    runs = [standard(12) for _ in range(2_000)]
    assert sum(tracking_signal(list(run)).alarm for run in runs) / len(runs) < 0.04


# Calibration.


def test_coverage_of_whole_units_is_not_blamed_for_ties() -> None:
    sales = rng.poisson(0.4, 400)
    assert not coverage(int((sales <= 0).sum()), int((sales < 0).sum()), 400, 0.5).alarm, "67 % are zero, and must be"


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_coverage_alarms_on_narrow_and_on_wide_intervals_and_hardly_else(level: float) -> None:
    def read(truth: float) -> Reading:
        inside = int((rng.random(600) < truth).sum())
        return coverage(inside, inside, 600, level)

    assert sum(read(level).alarm for _ in range(1_000)) <= 6
    assert sum(read(level - 0.12).alarm for _ in range(50)) >= 48
    if level < 0.9:
        assert sum(read(level + 0.12).alarm for _ in range(50)) >= 48


LEVELS = [0.1, 0.25, 0.5, 0.75, 0.9]


def pit(values: Floats, quantiles: Sequence[float] = LEVELS) -> Reading:
    """Of values against what they should have been; quantiles of an even law by default."""
    high, low = (
        [int(each) for each in (compare(values[:, None], quantiles)).sum(axis=0)]
        for compare in (np.less_equal, np.less)
    )
    return pit_chi2(high, low, len(values), LEVELS)


def test_pit_is_even_until_it_is_not() -> None:
    assert sum(pit(rng.random(300)).alarm for _ in range(1_000)) <= 6
    assert pit(rng.beta(2, 2, 400)).alarm, "too wide"
    assert pit(rng.beta(0.5, 0.5, 300)).alarm, "too narrow"
    assert pit(rng.beta(2, 1, 200)).alarm, "too low"


@pytest.mark.parametrize("mean", [0.3, 2.0, 12.0])
def test_pit_of_whole_units_is_not_blamed_for_ties(mean: float) -> None:
    quantiles = [float(each) for each in np.quantile(rng.poisson(mean, 200_000), LEVELS)]
    assert sum(pit(rng.poisson(mean, 400).astype(float), quantiles).alarm for _ in range(300)) <= 2
    assert pit(rng.poisson(mean * 3, 400).astype(float), quantiles).alarm


@pytest.mark.parametrize("size", [100, 2_000])
def test_calibration_error_allows_for_chance_at_any_size(size: int) -> None:
    def read(shift: float) -> Reading:
        p = rng.uniform(0, 0.8, size)
        return calibration_error(p, (rng.random(size) < p + shift).astype(float))

    assert sum(read(0).alarm for _ in range(300)) <= 3
    assert sum(read(0.2).alarm for _ in range(40)) >= (15 if size == 100 else 40)


# Decisions.


def test_promised_risks_are_held_against_what_came() -> None:
    def read(factor: float) -> Reading:
        p = rng.uniform(0, 0.3, 500)
        return promised_against_realised(p, (rng.random(500) < p * factor).astype(float))

    assert sum(read(1).alarm for _ in range(1_000)) <= 10
    assert all(read(1.8).alarm for _ in range(20))
    assert read(1.8).value > 0 > read(0.3).value


def test_a_share_that_jumps_is_seen_and_chance_is_not() -> None:
    def read(now: float) -> Reading:
        return share_shift(int(rng.binomial(400, 0.1)), 400, int(rng.binomial(200, now)), 200)

    assert sum(read(0.1).alarm for _ in range(1_000)) <= 8
    assert all(read(0.3).alarm for _ in range(20))
    assert not share_shift(0, 0, 3, 9).alarm
    assert not share_shift(200, 20_000, 400, 20_000).alarm, "significant, but one point"
