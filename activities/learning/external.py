"""Drivers from outside as columns of numbers: public holidays, prices and whatever else was given, day by day.

A column says what is known of each day at the origin, NaN where nothing is. Values are relative to the driver's own
past, so that one model serves every location. What was not known ahead is not looked at beyond the origin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from holidays import country_holidays, list_supported_countries

from activities.learning.cadence import Cadence
from activities.learning.windows import Floats, Ints
from workflows.domain.drivers import PRICE, DriverSeries
from workflows.domain.errors import InvalidInput

DISTANCE_CAP_DAYS = 15
"""A holiday further away than this says nothing more."""
MEDIAN_DAYS = 91
"""13 weeks: what a price is compared with."""
BASE_DAYS = 364
"""The past that says what is usual for a driver."""
MIN_KNOWN_DAYS = 8
"""With fewer known days nobody knows what is usual for a driver."""
RELATIVE_CAP = 10.0
HOLIDAY_COLUMNS = ("is_holiday", "days_to_holiday", "days_since_holiday")


@dataclass(frozen=True)
class Calendar:
    """Whose public holidays a location keeps: ISO country, and the subdivision as the `holidays` library names it."""

    country: str
    subdivision: str | None = None

    def flags(self, first: int, days: int) -> Ints:
        """1 for each day from the ordinal `first` on that is a public holiday, else 0.

        Raises:
            InvalidInput: the library does not know the country or its subdivision.
        """
        begin, end = date.fromordinal(first), date.fromordinal(first + max(0, days - 1))
        ordinals = _holidays(self.country, self.subdivision, begin.year, end.year)
        return np.fromiter((first + n in ordinals for n in range(days)), dtype=np.int64, count=days)

    def columns(self, first: int, days: int) -> Floats:
        """[3, days] in the order of `HOLIDAY_COLUMNS`: whether the day is one, days to the next and since the last
        (0 on the day itself), both at most `DISTANCE_CAP_DAYS`."""
        cap = DISTANCE_CAP_DAYS
        flags = self.flags(first - cap, days + 2 * cap) > 0
        since = np.full(len(flags), cap, dtype=np.int64)
        until = since.copy()
        for n in range(len(flags)):
            since[n] = 0 if flags[n] else min(cap, since[n - 1] + 1 if n else cap)
            back = len(flags) - 1 - n
            until[back] = 0 if flags[back] else min(cap, until[back + 1] + 1 if n else cap)
        inside = slice(cap, cap + days)
        found: Floats = np.stack([flags[inside], until[inside], since[inside]]).astype(np.float64)
        return found

    def per_period(self, cadence: Cadence, first: int, periods: int) -> Ints:
        """Public holidays in each of `periods` periods (days, weeks, months) from the period `first` on."""
        begin = cadence.first_day(first).toordinal()
        starts = np.array([cadence.first_day(first + n).toordinal() - begin for n in range(periods + 1)])
        running = np.concatenate([[0], np.cumsum(self.flags(begin, int(starts[-1])))])
        counted: Ints = (running[starts[1:]] - running[starts[:-1]]).astype(np.int64)
        return counted


@lru_cache(maxsize=256)
def _holidays(country: str, subdivision: str | None, first_year: int, last_year: int) -> frozenset[int]:
    known = list_supported_countries(include_aliases=True)
    if country not in known:
        raise InvalidInput(f"the calendar of public holidays does not know the country {country!r}")
    if subdivision is not None and subdivision not in known[country]:
        some = ", ".join(known[country][:20]) or "none"
        raise InvalidInput(f"the calendar of public holidays knows no {subdivision!r} in {country}; it has {some}")
    found = country_holidays(country, subdiv=subdivision, years=range(first_year, last_year + 1))
    return frozenset(day.toordinal() for day in found)


def dense(series: DriverSeries, first: int, days: int, origin: int) -> Floats:
    """The driver's values on `days` days from the ordinal `first` on, as known at the end of the day `origin`."""
    found = np.full(days, np.nan)
    begins = series.first_day.toordinal()
    last = first + days - 1 if series.known_ahead else min(first + days - 1, origin)
    for n, value in enumerate(series.values):
        day = begins + n
        if value is not None and first <= day <= last:
            found[day - first] = float(value)
    return found


def relative(values: Floats, known: int) -> Floats:
    """How far each value is from the mean of the past `BASE_DAYS`, in its standard deviations, capped.

    `known`: the number of leading days that are past. NaN everywhere where fewer than `MIN_KNOWN_DAYS` are known; 0
    where the past never varied and the value is the usual one.
    """
    past = values[max(0, known - BASE_DAYS) : known]
    past = past[~np.isnan(past)]
    if len(past) < MIN_KNOWN_DAYS:
        return np.full(len(values), np.nan)
    spread = float(np.std(past))
    away = values - float(np.mean(past))
    scaled = away / spread if spread > 0 else np.sign(away) * RELATIVE_CAP
    capped: Floats = np.clip(np.round(scaled, 6), -RELATIVE_CAP, RELATIVE_CAP)
    return capped


def relative_price(prices: Floats, known: int) -> Floats:
    """Each day's price over the median price of the 13 weeks before it, at most of what is past; a price stays until
    another one is known. NaN before the first price.

    `known`: the number of leading days that are past. A planned price of a coming day is compared with the last median.
    """
    if np.isnan(prices).all():
        return prices.copy()
    places = np.maximum.accumulate(np.where(np.isnan(prices), -1, np.arange(len(prices))))
    carried = np.where(places >= 0, prices[np.maximum(places, 0)], np.nan)
    found = np.full(len(prices), np.nan)
    for n in range(len(prices)):
        end = min(n, known)
        past = carried[max(0, end - MEDIAN_DAYS) : end]
        past = past[~np.isnan(past)]
        if len(past) and not np.isnan(carried[n]):
            usual = float(np.median(past))
            found[n] = np.clip(carried[n] / usual, 0.0, RELATIVE_CAP) if usual > 0 else 1.0
    return found


def driver_columns(
    first: int, days: int, *, origin: int, names: Sequence[str], drivers: Sequence[DriverSeries],
    calendar: Calendar | None = None,
) -> Floats:  # fmt: skip
    """[3 + names, days]: the holiday columns, then one column per name in the order given.

    Args:
        first: ordinal of the first day; days: how many, those after `origin` included.
        origin: ordinal of the last day whose demand is known.
        names: the drivers that the model knows; a series under another name is left out, a name without one is NaN.
        calendar: None: the holiday columns are NaN.
    """
    known = min(max(0, origin - first + 1), days)
    by_name = {series.name: series for series in drivers}
    columns = np.full((len(HOLIDAY_COLUMNS) + len(names), days), np.nan)
    if calendar is not None:
        columns[: len(HOLIDAY_COLUMNS)] = calendar.columns(first, days)
    for place, name in enumerate(names, start=len(HOLIDAY_COLUMNS)):
        series = by_name.get(name)
        if series is not None:
            values = dense(series, first, days, origin)
            columns[place] = relative_price(values, known) if name == PRICE else relative(values, known)
    return columns
