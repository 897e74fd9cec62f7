"""An empty shelf says at least how much was wanted: the rest is the item's own past, and no future."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from activities.learning.redistribution import BEYOND, redistributed

NAN = np.nan


def test_a_censored_period_is_the_mean_of_those_that_were_at_least_as_good() -> None:
    history = np.array([[2.0, 10.0, 6.0, 4.0, NAN, 5.0]])
    sold = np.array([[2.0, 10.0, 6.0, 4.0, 6.0, 5.0]])
    filled, guessed = redistributed(history, sold, recent=4)
    assert filled.tolist() == [[2, 10, 6, 4, 8, 5]]
    assert guessed.tolist() == [[False] * 4 + [True, False]]


def test_where_nothing_sold_more_a_quarter_more_was_wanted() -> None:
    filled, _ = redistributed(np.array([[1.0, NAN]]), np.array([[1.0, 8.0]]), recent=13)
    assert filled[0, 1] == 8 * BEYOND


def test_what_nobody_recorded_stays_missing() -> None:
    filled, guessed = redistributed(np.array([[1.0, NAN]]), np.array([[1.0, NAN]]), recent=13)
    assert np.isnan(filled[0, 1])
    assert not guessed.any()


@given(
    arrays.arrays(np.float64, (3, 12), elements=st.integers(0, 50).map(float)),
    arrays.arrays(np.bool_, (3, 12)),
    st.integers(1, 11),
)  # fmt: skip
def test_it_never_reads_less_than_was_sold_and_never_looks_ahead(
    sold: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    hidden: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    keep: int,
) -> None:
    history = np.where(hidden, NAN, sold)
    filled, guessed = redistributed(history, sold, recent=5)
    assert (filled >= sold).all()
    assert (guessed == hidden).all()
    np.testing.assert_array_equal(redistributed(history[:, :keep], sold[:, :keep], recent=5)[0], filled[:, :keep])


def test_it_takes_back_most_of_what_empty_shelves_make_demand_look_like() -> None:
    chance = np.random.default_rng(4)
    wanted = chance.poisson(10, (400, 80)).astype(float)
    stock = chance.integers(6, 18, wanted.shape)
    history = np.where(wanted >= stock, NAN, wanted)
    filled, _ = redistributed(history, np.minimum(wanted, stock), recent=13)
    left_out, read = np.nanmean(history[:, 13:]), filled[:, 13:].mean()
    assert left_out < 8.7
    assert abs(read - 10) < 0.35 * (10 - left_out)
