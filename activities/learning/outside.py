"""What comes from outside: public holidays, prices and whatever else was given, one column of numbers per driver.

A feature looks at the target day as it was known at the origin, relative to the driver's own past, so that one model
serves every location; NaN where nothing is known. What is not known ahead is never looked at beyond the origin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from holidays import country_holidays, list_supported_countries

from activities.learning.cadence import DAY, Cadence
from workflows.domain.drivers import PRICE, DriverSeries
from workflows.domain.errors import InvalidInput
from workflows.domain.scores import ScoringRow

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DISTANCE_CAP_DAYS = 15
"""A holiday further away than this says nothing more."""
MIN_KNOWN = 8
"""With fewer known periods nobody knows what is usual for a driver."""
RELATIVE_CAP = 10.0
USUAL_PRICE = 1.0
"""Of whatever nobody told a price of: prices that never changed need not be carried around."""
HOLIDAYS = ("is_holiday", "days_to_holiday", "days_since_holiday")
_WORDS = {
    "is_holiday": "public holiday", "days_to_holiday": "days to the next public holiday",
    "days_since_holiday": "days since the last public holiday", PRICE: "price against the usual one",
}  # fmt: skip


def words_of(name: str) -> str:
    """What a planner reads."""
    return _WORDS.get(name, f"{name.replace('_', ' ')} against the usual")


@dataclass(frozen=True)
class Calendar:
    """Whose public holidays a location keeps: ISO country, and the subdivision as the `holidays` library names it."""

    country: str
    subdivision: str | None = None
    recorded: frozenset[int] | None = None
    """Ordinals of the holidays of all days that are asked for, when they are known from elsewhere."""

    def flags(self, first: int, days: int) -> Ints:
        """1 for each day from the ordinal `first` on that is a public holiday, else 0.

        Raises:
            InvalidInput: the library does not know the country or its subdivision.
        """
        begin, end = date.fromordinal(first), date.fromordinal(first + max(0, days - 1))
        ordinals = self.recorded
        if ordinals is None:
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


class LibraryCalendars:
    """Implements `domain.scores.Calendars` for rows of days, with the `holidays` library."""

    def holidays(self, row: ScoringRow) -> tuple[date, ...] | None:
        """See the port."""
        if row.country is None:
            return None
        first = row.last_day.toordinal() - DAY.lookback + 1 - DISTANCE_CAP_DAYS
        last = row.last_day.toordinal() + DAY.ahead + DISTANCE_CAP_DAYS
        begin, end = date.fromordinal(first), date.fromordinal(last)
        found = _holidays(row.country, row.subdivision, begin.year, end.year)
        return tuple(date.fromordinal(day) for day in sorted(found) if first <= day <= last)


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


@dataclass(frozen=True)
class Outside:
    """Drivers of many rows on aligned periods. Rows that share everything share one entry."""

    names: tuple[str, ...]
    values: npt.NDArray[np.float32]
    """[entries, names, periods], the ones ahead last; NaN where nothing is known."""
    known_ahead: tuple[bool, ...]
    """By name."""
    entry: Ints
    """[rows]: which entry is a row's."""

    def take(self, rows: Ints) -> "Outside":
        """These rows only."""
        return Outside(self.names, self.values, self.known_ahead, self.entry[rows])

    def cut(self, periods: int) -> "Outside":
        """The first periods only."""
        return Outside(self.names, self.values[:, :, :periods], self.known_ahead, self.entry)

    def window(self, end: int, cadence: Cadence, rows: Ints) -> "Outside":
        """What was known of these rows when the periods before column `end` of a panel were over: `lookback` of them,
        then `ahead`. (The values of a panel begin `lookback` periods before its column 0.)"""
        entries, entry = np.unique(self.entry[rows], return_inverse=True)
        values = self.values[entries, :, end : end + cadence.lookback + cadence.ahead]
        for column, ahead in enumerate(self.known_ahead):
            if not ahead:
                values[:, column, cadence.lookback :] = np.nan
        return Outside(self.names, values, self.known_ahead, entry.astype(np.int64))


def gathered(
    drivers: Sequence[Sequence[DriverSeries]], calendars: Sequence[Calendar | None], firsts: Sequence[int], days: int,
    origins: Sequence[int],
) -> Outside | None:  # fmt: skip
    """The drivers of rows (given row by row) on `days` days from each row's first ordinal on, as known at its origin;
    None where no row has any."""
    ahead = {one.name: one.known_ahead for row in drivers for one in row}
    kept = HOLIDAYS if any(calendars) else ()
    names = (*kept, *sorted(ahead))
    if not names:
        return None
    place = {name: column for column, name in enumerate(names)}
    # Series that rows share are one object; each is turned into numbers once.
    arrays: dict[tuple[int, int], npt.NDArray[np.float32]] = {}
    entries: dict[tuple[object, ...], int] = {}
    values: list[npt.NDArray[np.float32]] = []
    entry = np.zeros(len(drivers), dtype=np.int64)
    for row, (given, calendar, first, origin) in enumerate(zip(drivers, calendars, firsts, origins, strict=True)):
        key = (*(id(one) for one in given), calendar, first, origin)
        if key not in entries:
            entries[key] = len(values)
            table = np.full((len(names), days), np.nan, dtype=np.float32)
            if calendar is not None:
                table[: len(HOLIDAYS)] = calendar.columns(first, days)
            for one in given:
                found = arrays.get((id(one), first))
                if found is None:
                    found = arrays[id(one), first] = _dense(one, first, days, origin)
                table[place[one.name]] = found
            values.append(table)
        entry[row] = entries[key]
    known = tuple(ahead.get(name, True) for name in names)
    return Outside(names, np.stack(values), known, entry)


def _dense(series: DriverSeries, first: int, days: int, origin: int) -> npt.NDArray[np.float32]:
    found = np.full(days, np.nan, dtype=np.float32)
    begins = series.first_day.toordinal()
    last = first + days - 1 if series.known_ahead else min(first + days - 1, origin)
    for n, value in enumerate(series.values):
        if value is not None and first <= begins + n <= last:
            found[begins + n - first] = float(value)
    return found


def worth_learning(outside: Outside | None, periods: int) -> tuple[str, ...]:
    """The names of which at least `periods` periods are known somewhere: what is hardly known teaches nothing."""
    if outside is None:
        return ()
    counts = (~np.isnan(outside.values)).sum(axis=2).max(axis=0, initial=0)
    return tuple(name for name, count in zip(outside.names, counts, strict=True) if count >= periods)


def outside_columns(
    outside: Outside | None, names: Sequence[str], cadence: Cadence, rows: Ints, horizons: Ints
) -> dict[str, Floats]:
    """Each name's feature for every (row, periods ahead) pair; NaN for names that nothing is known of.

    Holidays: as they are on the target. Price: the last known one over the median of the last quarter, 1 where none is
    known. Others: how far the target's value is from the mean of the last year, in its standard deviations, at most
    `RELATIVE_CAP` of them.
    """
    found: Mapping[str, int] = {} if outside is None else {name: n for n, name in enumerate(outside.names)}
    result: dict[str, Floats] = {}
    for name in names:
        if outside is None or name not in found:
            result[name] = np.full(len(rows), USUAL_PRICE if name == PRICE else np.nan)
            continue
        values = outside.values[:, found[name]].astype(np.float64)
        at_target = values[outside.entry[rows], cadence.lookback - 1 + horizons]
        past = values[:, : cadence.lookback]
        if name in HOLIDAYS:
            result[name] = at_target
        elif name == PRICE:
            result[name] = np.array([_price(one[-cadence.quarter :]) for one in past])[outside.entry[rows]]
        else:
            usual = np.array([_usual(one[-cadence.season :]) for one in past])[outside.entry[rows]]
            away = np.clip((at_target - usual[:, 0]) / usual[:, 1], -RELATIVE_CAP, RELATIVE_CAP)
            result[name] = np.round(away, 6)
    return result


def _price(quarter: Floats) -> float:
    known = quarter[~np.isnan(quarter)]
    usual = float(np.median(known)) if len(known) else 0.0
    return round(min(float(known[-1]) / usual, RELATIVE_CAP), 6) if usual > 0 else USUAL_PRICE


def _usual(year: Floats) -> tuple[float, float]:
    """Mean and standard deviation, the latter never nothing: a change of what never varied is capped, not infinite."""
    known = year[~np.isnan(year)]
    if len(known) < MIN_KNOWN:
        return np.nan, np.nan
    return float(np.mean(known)), max(float(np.std(known)), 1e-6)
