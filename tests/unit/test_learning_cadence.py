"""Days, weeks and months share all code: a period is a whole number, and its calendar is the real one."""

from datetime import date, timedelta

import numpy as np
import pytest

from activities.learning.cadence import CADENCES, DAY, MONTH, WEEK, Cadence
from activities.learning.features import Context, features, names
from activities.learning.windows import Panel


def panel(cadence: Cadence, units: np.ndarray[tuple[int, int], np.dtype[np.float64]], last: int) -> Panel:
    """A panel that ends with the period `last`; NaN before the first observation is not yet listed."""
    first = last - units.shape[1] + 1
    seen = ~np.isnan(units)
    promoted = np.zeros((len(units), units.shape[1] + cadence.ahead), dtype=np.bool_)
    groups = tuple(("all", "here") for _ in units)
    return Panel(
        cadence, units, promoted, first, first + seen.argmax(axis=1), groups, tuple(map(str, range(len(units))))
    )


@pytest.mark.parametrize("cadence", CADENCES.values(), ids=lambda cadence: cadence.name)
def test_every_day_of_a_period_has_its_number_and_periods_follow_each_other(cadence: Cadence) -> None:
    for day in (date(2024, 2, 29), date(2025, 12, 31), date(2026, 1, 1)):
        period = cadence.period(day)
        first, last = cadence.first_day(period), cadence.last_day(period)
        assert first <= day <= last
        assert cadence.period(first) == cadence.period(last) == period
        assert cadence.period(last + timedelta(days=1)) == period + 1


@pytest.mark.parametrize("cadence", [WEEK, MONTH], ids=["week", "month"])
def test_the_same_time_last_year_is_found_where_it_lies(cadence: Cadence) -> None:
    units = np.zeros((1, cadence.season + 10))
    units[0, -cadence.season] = 40  # a season before the first period ahead
    made = panel(cadence, units, cadence.period(date(2025, 6, 2)))
    found = features(made.windows(made.last), np.zeros(2, np.int64), np.array([1, cadence.narrow + 5]), Context())
    around = found[:, names(cadence).index("year_ago_narrow")]
    assert around[0] > 0
    assert around[1] == 0


def test_a_window_before_the_panel_is_missing_not_zero() -> None:
    made = panel(MONTH, np.arange(1.0, 9.0)[None, :], 24_300)
    window = made.windows(made.first + 2)
    assert np.isnan(window.units[0, :-3]).all()
    assert window.units[0, -3:].tolist() == [1, 2, 3]


def test_what_is_only_taken_to_have_been_wanted_is_looked_at_and_never_aimed_at() -> None:
    units = np.array([[3.0, 9.0, 4.0]])
    plain = panel(DAY, units, 739_000)
    guessed = Panel(
        plain.cadence, plain.units, plain.promoted, plain.first, plain.listed, plain.groups, plain.keys,
        np.array([[False, True, False]]),
    )  # fmt: skip
    rows, periods = np.zeros(3, np.int64), plain.first + np.arange(3)
    np.testing.assert_array_equal(plain.targets(rows, periods), [3, 9, 4])
    np.testing.assert_array_equal(guessed.targets(rows, periods), [3, np.nan, 4])
    assert guessed.windows(guessed.last).units[0, -2] == 9
    assert guessed.through(guessed.last - 1).guessed is not None
