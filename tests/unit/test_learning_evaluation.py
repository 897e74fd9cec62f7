"""Losses on cases that can be done by hand."""

import numpy as np
import pytest

from activities.learning.evaluation import (
    by_series,
    coverage,
    loss_ratio,
    pinball,
    ratio_upper,
    weighted_quantile_loss,
)


def test_pinball_charges_short_by_the_level_and_long_by_the_rest() -> None:
    found = pinball(np.array([10.0, 10.0]), np.array([[8.0], [12.0]]), levels=(0.9,))
    np.testing.assert_allclose(found, [1.8, 0.2])


def test_weighted_quantile_loss_is_relative_to_demand() -> None:
    assert weighted_quantile_loss(np.array([10.0]), np.array([[8.0]]), levels=(0.5,)) == pytest.approx(0.2)
    assert weighted_quantile_loss(np.zeros(1), np.ones((1, 1)), levels=(0.5,)) == float("inf")


def test_coverage_counts_what_lies_at_or_below() -> None:
    assert coverage(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 4.0])) == pytest.approx(2 / 3)
    assert coverage(np.zeros(0), np.zeros(0)) == 0


def test_sums_per_series() -> None:
    assert by_series(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 2]), 3).tolist() == [1, 0, 6]


def test_the_bootstrap_is_paired_and_repeats_itself() -> None:
    champion = np.random.default_rng(1).gamma(1.0, 100.0, 300)
    candidate = champion * 0.97
    assert loss_ratio(candidate, champion) == pytest.approx(0.97)
    assert ratio_upper(candidate, champion) == pytest.approx(0.97), "paired: a constant ratio has no spread"
    noisy = champion * np.random.default_rng(2).normal(0.97, 0.3, 300)
    assert ratio_upper(noisy, champion) == ratio_upper(noisy, champion)
    assert ratio_upper(noisy, champion) > loss_ratio(noisy, champion)


def test_no_loss_at_all_is_a_draw() -> None:
    assert loss_ratio(np.zeros(3), np.zeros(3)) == 1
    assert ratio_upper(np.zeros(3), np.zeros(3)) == 1
