"""Holidays, prices and outside numbers as columns: relative to their past, and blind to what was not known yet."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from activities.learning.cadence import MONTH, WEEK
from activities.learning.external import Calendar, driver_columns, relative, relative_price
from workflows.domain.drivers import DriverSeries
from workflows.domain.errors import InvalidInput

ENGLAND = Calendar("GB", "ENG")
CHRISTMAS = date(2025, 12, 25).toordinal()


def test_days_know_how_far_the_next_and_the_last_public_holiday_is() -> None:
    columns = ENGLAND.columns(CHRISTMAS - 2, 6)
    assert columns.tolist() == [[0, 0, 1, 1, 0, 0], [2, 1, 0, 0, 5, 4], [15, 15, 0, 0, 1, 2]]


def test_a_day_knows_the_same_whatever_stretch_it_is_asked_in() -> None:
    whole = ENGLAND.columns(CHRISTMAS - 400, 800)
    for begin in range(0, 790, 37):
        assert np.array_equal(ENGLAND.columns(CHRISTMAS - 400 + begin, 10), whole[:, begin : begin + 10])


def test_weeks_and_months_count_their_holidays() -> None:
    january = 2025 * 12
    assert ENGLAND.per_period(MONTH, january, 12).tolist() == [1, 0, 0, 2, 2, 0, 0, 1, 0, 0, 0, 2]
    weeks = ENGLAND.per_period(WEEK, CHRISTMAS // 7, 2)
    assert weeks.sum() == ENGLAND.flags(CHRISTMAS // 7 * 7, 14).sum() == 3
    assert Calendar("GB", "SCT").per_period(MONTH, january, 1).tolist() == [2], "Scotland keeps the second of January"


def test_a_place_that_the_calendar_does_not_know_is_said() -> None:
    with pytest.raises(InvalidInput, match="does not know the country 'XX'"):
        Calendar("XX").flags(CHRISTMAS, 1)
    with pytest.raises(InvalidInput, match=r"knows no 'BY' in GB; it has ENG"):
        Calendar("GB", "BY").flags(CHRISTMAS, 1)


def test_a_value_is_told_by_how_unusual_it_is_for_its_place() -> None:
    past = np.array([10.0, 14.0] * 10)
    values = np.concatenate([past, [16.0, np.nan, 1e9]])
    assert relative(values, 20)[20:].tolist() == pytest.approx([2.0, np.nan, 10.0], nan_ok=True)
    assert np.isnan(relative(values[:9], 5)).all(), "too little is known"
    assert relative(np.array([3.0] * 10 + [3.0, 4.0]), 10).tolist() == [0.0] * 11 + [10.0]


def test_a_price_is_told_relative_to_the_median_of_13_weeks_and_stays_until_another_one_is_known() -> None:
    prices = np.array([np.nan, 4.0, np.nan, np.nan, 2.0, np.nan, np.nan])
    found = relative_price(prices, 5)
    assert np.isnan(found[:2]).all()
    assert found[2:].tolist() == [1.0, 1.0, 0.5, 0.5, 0.5]
    assert np.isnan(relative_price(np.full(4, np.nan), 2)).all()


def test_columns_come_in_the_order_asked_and_see_nothing_that_was_not_known() -> None:
    first = date(2025, 11, 1)
    days = [Decimal(10 + n % 3) for n in range(40)]
    weather = DriverSeries(name="temperature", first_day=first, values=tuple(days), known_ahead=True)
    price = DriverSeries(name="price", first_day=first, values=tuple(days), known_ahead=False)
    origin = (first + timedelta(days=29)).toordinal()
    given: dict[str, Any] = {"origin": origin, "names": ("footfall", "price", "temperature"), "calendar": ENGLAND}
    columns = driver_columns(first.toordinal(), 40, drivers=(weather, price), **given)
    assert columns.shape == (6, 40)
    assert np.isnan(columns[3]).all(), "nobody gave footfall"
    assert not np.isnan(columns[5]).any(), "a forecast of the weather is known ahead"
    changed = price.model_copy(update={"values": (*days[:30], *[Decimal(99)] * 10)})
    again = driver_columns(first.toordinal(), 40, drivers=(weather, changed), **given)
    assert np.array_equal(again, columns, equal_nan=True), "prices of coming days are not known"
    nowhere = driver_columns(first.toordinal(), 40, origin=origin, names=(), drivers=(weather,))
    assert nowhere.shape == (3, 40)
    assert np.isnan(nowhere).all()
