"""An item's own past, repeated: its quantiles, its weekday, its newest weeks first."""

import numpy as np
import pytest

from activities.learning.cadence import DAY, MONTH
from activities.learning.demand import MEDIAN, QUANTILES
from activities.learning.empirical import empirical_quantiles
from tests.unit.test_learning_cadence import panel


def quantiles(units: list[float], half_life: int | None = None, ahead: int = 1) -> list[float]:
    made = panel(MONTH, np.array([units]), 24_300)
    found = empirical_quantiles(made.windows(made.last), np.zeros(1, np.int64), np.array([ahead]), half_life=half_life)
    return [float(value) for value in found[0]]


def test_its_quantiles_are_those_of_the_last_year() -> None:
    found = quantiles([99.0] * 5 + [float(value) for value in range(1, 13)])
    assert found[MEDIAN] == 6.5
    assert found == sorted(found)
    assert found[-1] == 12  # nothing beyond what was seen: the tail is stretched where futures are made


def test_newer_periods_weigh_more_when_asked() -> None:
    units = [2.0] * 8 + [20.0] * 4
    assert quantiles(units)[MEDIAN] == 2
    assert quantiles(units, half_life=2)[MEDIAN] == 20


@pytest.mark.parametrize("units", [[np.nan] * 6, [0.0] * 6, [np.nan, 5.0]])
def test_odd_histories_have_sane_quantiles(units: list[float]) -> None:
    found = quantiles(units)
    assert len(found) == len(QUANTILES)
    assert all(np.isfinite(found))
    assert all(value in (0.0, 5.0) for value in found)


def test_a_weekday_keeps_its_share() -> None:
    weekly = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 10.0, 0.0] * 30)[None, :]
    made = panel(DAY, weekly, 739_000)
    ahead = np.arange(1, 8)
    found = empirical_quantiles(made.windows(made.last), np.zeros(7, np.int64), ahead, half_life=None)[:, MEDIAN]
    assert found[5] > 5 * found[0] > 0
    assert found[6] < 0.2
