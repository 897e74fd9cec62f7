"""How much customers want in the demo world: one law for the recorded past and for the days that are played."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from connectors.feeds.chance import dice, poisson
from workflows.domain.feeds import RecordedDemand

HISTORY_DAYS = 500
PROMOTION_EVERY_DAYS = 70
PROMOTION_DAYS = 7
PROMOTION_SHARE = 0.45
PROMOTION_UPLIFT = 1.9
PROMOTION_PRICE = Decimal("0.85")
MEAN_HANDFUL = 1.4
"""Units of an average intermittent sale."""
MEAN_LUMP = 12.0
"""Units of an average lumpy sale, which may be one unit or fifty."""
EMPTY_SHELVES_EVERY_DAYS = 125
"""In each such stretch of the past a series may once have run out of stock."""
EMPTY_SHELVES_SHARE = 0.3

WEEKDAYS = {
    "weekend": (0.80, 0.80, 0.85, 0.95, 1.25, 1.45, 0.90),
    "office": (1.25, 1.20, 1.15, 1.15, 1.05, 0.70, 0.50),
    "even": (1.0, 1.0, 1.0, 1.0, 1.05, 1.05, 0.90),
}
"""Demand by weekday, Monday first; each sums to 7."""


class Pattern(StrEnum):
    """The classic four shapes of demand, and articles without a past."""

    SMOOTH = "smooth"
    ERRATIC = "erratic"
    INTERMITTENT = "intermittent"
    LUMPY = "lumpy"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Series:
    """The demand of one item at one location. `daily_units` is its mean over a plain year."""

    item: str
    location: str
    pattern: Pattern
    daily_units: float
    week: str
    yearly_swing: float
    """0.3: thirty percent above the mean at the peak, as much below it half a year later."""
    peak_day: int
    """Day of the year."""
    sold_since: date

    def level(self, day: date, *, promotion: bool) -> float:
        """Demand of the day relative to a plain day: weekday, season, promotion."""
        if day < self.sold_since:
            return 0.0
        turn = 2 * math.pi * (day.timetuple().tm_yday - self.peak_day) / 365.25
        season = 1 + self.yearly_swing * math.cos(turn)
        return WEEKDAYS[self.week][day.weekday()] * season * (PROMOTION_UPLIFT if promotion else 1.0)

    def wanted(self, day: date, roll: random.Random, *, promotion: bool) -> int:
        """Units that customers would buy that day, were there enough."""
        mean = self.daily_units * self.level(day, promotion=promotion)
        if self.pattern is Pattern.ERRATIC:
            return poisson(mean * roll.gammavariate(1.3, 1 / 1.3), roll)
        if self.pattern is Pattern.INTERMITTENT:
            return _visit(mean, MEAN_HANDFUL, MEAN_HANDFUL, roll)
        if self.pattern is Pattern.LUMPY:
            return _visit(mean, MEAN_LUMP, 1 + (MEAN_LUMP - 1) * roll.expovariate(1.0), roll)
        return poisson(mean, roll)


def _visit(mean: float, usual_units: float, units: float, roll: random.Random) -> int:
    """At most one customer a day, as often as makes the mean come out; takes about `units`."""
    return 1 + poisson(units - 1, roll) if roll.random() < mean / usual_units else 0


def promotion_days(seed: int, item: str, since: date, until: date) -> frozenset[date]:
    """The days (inclusive) on which the item is on promotion, everywhere: known in advance, about one in twenty."""
    days: set[date] = set()
    for stretch in range(since.toordinal() // PROMOTION_EVERY_DAYS, until.toordinal() // PROMOTION_EVERY_DAYS + 1):
        roll = dice(seed, "promotion", item, stretch)
        if roll.random() < PROMOTION_SHARE:
            starts = stretch * PROMOTION_EVERY_DAYS + roll.randrange(PROMOTION_EVERY_DAYS - PROMOTION_DAYS)
            days.update(date.fromordinal(starts + offset) for offset in range(PROMOTION_DAYS))
    return frozenset(day for day in days if since <= day <= until)


def past(seed: int, series: Series, promoted: frozenset[date], first_day: date) -> Iterator[RecordedDemand]:
    """The series' recorded days: sales, promotions, and days on which the shelf was empty."""
    roll = dice(seed, "past", series.location, series.item)
    day = max(series.sold_since, first_day - timedelta(days=HISTORY_DAYS))
    empty = _empty_days(seed, series, first_day)
    while day < first_day:
        promotion = day in promoted
        in_stock = day not in empty
        units = series.wanted(day, roll, promotion=promotion) if in_stock else 0
        if units or promotion or not in_stock:
            yield RecordedDemand(
                item=series.item, location=series.location, day=day, units=units, in_stock=in_stock, promotion=promotion
            )
        day += timedelta(days=1)


def _empty_days(seed: int, series: Series, first_day: date) -> set[date]:
    found: set[date] = set()
    for stretch in range(HISTORY_DAYS // EMPTY_SHELVES_EVERY_DAYS):
        roll = dice(seed, "empty", series.location, series.item, stretch)
        if roll.random() < EMPTY_SHELVES_SHARE:
            until = first_day - timedelta(days=stretch * EMPTY_SHELVES_EVERY_DAYS + roll.randrange(3, 115))
            found.update(until - timedelta(days=back) for back in range(roll.randint(2, 7)))
    return found
