"""Reports add up exactly, whatever was stated, split or reconciled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.learning.demand import QUANTILES
from activities.learning.hierarchy import COMPANY, Hierarchy, apportioned, expected_milli, reconciled

SHARES = st.lists(st.floats(0, 1e12) | st.integers(0, 9).map(float), min_size=1, max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.integers(-(10**15), 10**15), SHARES)
def test_the_parts_of_a_whole_number_are_whole_and_add_up_to_it(total: int, shares: list[float]) -> None:
    parts = apportioned(total, shares)
    assert sum(parts) == total
    assert all(part * total >= 0 for part in parts)


def test_each_part_is_its_share_rounded_up_or_down() -> None:
    assert apportioned(10, [1, 1, 1]) == [4, 3, 3]
    assert apportioned(-10, [1, 1, 1]) == [-4, -3, -3]
    assert apportioned(7, [0, 0]) == [4, 3], "nobody has a share: all have the same"
    assert apportioned(1000, [0.5, 0.25, 0.25]) == [500, 250, 250]
    for bad in ([], [-1.0], [float("nan")]):
        with pytest.raises(ValueError, match="shares"):
            apportioned(1, bad)


def shop() -> Hierarchy:
    """Four leaves: two categories, two locations."""
    return Hierarchy.of({"category": ["toys", "toys", "food", "food"], "location": ["A", "B", "A", "B"]})


def test_every_total_is_the_sum_of_its_leaves() -> None:
    leaves = np.array([[1, 10], [2, 20], [3, 30], [4, 40]])
    sums = {node: values.tolist() for node, values in shop().sums(leaves).items()}
    assert sums == {
        COMPANY: [10, 100], "category:toys": [3, 30], "location:A": [4, 40], "location:B": [6, 60],
        "category:food": [7, 70],
    }  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 10**9), min_size=3, max_size=3), min_size=4, max_size=4),
    st.lists(st.integers(0, 10**10), min_size=3, max_size=3), st.floats(1e-3, 1e9),
)  # fmt: skip
def test_reconciled_leaves_are_whole_not_negative_and_every_level_agrees(
    rows: list[list[int]], company: list[int], spread: float
) -> None:
    leaves, hierarchy = np.array(rows, dtype=np.int64), shop()
    found = reconciled(hierarchy, leaves, {COMPANY: np.array(company)}, np.ones(4), {COMPANY: spread})
    assert found.dtype == np.int64
    assert (found >= 0).all()
    sums = hierarchy.sums(found)
    for level in ("category", "location"):
        parts = sum(values for node, values in sums.items() if node.startswith(level))
        assert np.array_equal(parts, sums[COMPANY])


def test_who_is_surer_moves_the_other() -> None:
    leaves, hierarchy = np.full((4, 1), 1_000), shop()
    sure = reconciled(hierarchy, leaves, {COMPANY: np.array([8_000])}, np.ones(4), {COMPANY: 1e-9})
    unsure = reconciled(hierarchy, leaves, {COMPANY: np.array([8_000])}, np.ones(4), {COMPANY: 1e12})
    between = reconciled(hierarchy, leaves, {COMPANY: np.array([8_000])}, np.ones(4), {COMPANY: 4.0})
    assert [found.ravel().tolist() for found in (sure, unsure, between)] == [[2_000] * 4, [1_000] * 4, [1_500] * 4]
    leaning = reconciled(
        hierarchy, leaves, {"category:toys": np.array([4_000])}, np.array([1, 3, 1, 1]), {"category:toys": 1e-9}
    )
    assert leaning.ravel().tolist() == [1_500, 2_500, 1_000, 1_000], "the less certain leaf gives way"
    with pytest.raises(ValueError, match="there is no region:X"):
        reconciled(hierarchy, leaves, {"region:X": np.array([1])}, np.ones(4), {"region:X": 1.0})
    with pytest.raises(ValueError, match="variances"):
        reconciled(hierarchy, leaves, {COMPANY: np.array([1])}, np.zeros(4), {COMPANY: 1.0})


def test_reconciling_is_least_squares() -> None:
    """Against the textbook form (S' W^-1 S)^-1 S' W^-1 y with all forecasts stacked."""
    rng, hierarchy = np.random.default_rng(5), shop()
    leaves = rng.integers(50_000, 90_000, (4, 2))
    nodes = [COMPANY, "category:toys", "location:B"]
    stated = {node: hierarchy.sums(leaves)[node] + rng.integers(-20_000, 20_000, 2) for node in nodes}
    variances, stated_variances = rng.uniform(1, 5, 4), dict(zip(nodes, rng.uniform(1, 9, 3), strict=True))
    summing = np.concatenate([np.eye(4), hierarchy.rows(nodes)])
    weights = np.diag(1 / np.array([*variances, *(stated_variances[node] for node in nodes)]))
    stacked = np.concatenate([leaves, np.stack([stated[node] for node in nodes])])
    textbook = np.linalg.solve(summing.T @ weights @ summing, summing.T @ weights @ stacked)
    found = reconciled(hierarchy, leaves, stated, variances, stated_variances)
    assert np.abs(found - textbook).max() <= 1.0


def test_means_of_quantiles_add_up_where_medians_do_not() -> None:
    even = np.round(np.array(QUANTILES) * 1_000).astype(np.int64)
    assert abs(int(expected_milli(even)) - 500) <= 2, "uniform on 0 to 1 unit"
    slow = np.where(np.array(QUANTILES) > 0.75, 1_000, 0)
    assert 200 <= int(expected_milli(slow)) <= 300, "a unit every fourth day, whose median is zero"
    assert expected_milli(np.zeros((3, 5, len(QUANTILES)), dtype=np.int64)).tolist() == [[0] * 5] * 3
