"""A cadence says what a period is, and which stretches of periods matter: days, weeks and months share all other code.

A period is a whole number: the ordinal of a day, the number of a week since 0001-01-01, or year * 12 + month - 1.
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Cadence:
    """Lengths are in periods of the cadence."""

    name: str
    """`day`, `week` or `month`."""
    cycle: int
    """The short cycle within which periods differ: 7 weekdays; 1 where there is none."""
    season: int
    """A year, as a multiple of the cycle."""
    quarter: int
    """A quarter of a year."""
    lookback: int
    """What a window holds: a year, and enough to compare this year's growth with."""
    ahead: int
    """The furthest period that is ever projected."""
    panel: int
    """Older demand is not learned from."""
    horizon: int
    """The furthest horizon that is trained for unless somebody asks for another."""
    lags: tuple[int, ...]
    spans: tuple[int, ...]
    """Stretches whose means are features, ascending."""
    short: int
    """About a month: the stretch of the typical, the best and the empty periods."""
    middle: int
    """About two months: the stretch of spread and of plain means."""
    narrow: int
    wide: int
    """Half widths of the same time last year."""
    min_age: int
    """A series teaches the global model from this age on."""
    step: int
    """Origins of a comparison roll by this many periods."""

    def period(self, day: date) -> int:
        """The number of the period that contains the day."""
        if self.name == "month":
            return day.year * 12 + day.month - 1
        return day.toordinal() // 7 if self.name == "week" else day.toordinal()

    def first_day(self, period: int) -> date:
        """The period's first day."""
        if self.name == "month":
            return date(period // 12, period % 12 + 1, 1)
        return date.fromordinal(period * 7 if self.name == "week" else period)

    def last_day(self, period: int) -> date:
        """The period's last day."""
        return date.fromordinal(self.first_day(period + 1).toordinal() - 1)


DAY = Cadence(
    "day", cycle=7, season=364, quarter=91, lookback=400, ahead=160, panel=1_100, horizon=60, lags=(1,),
    spans=(7, 14, 28, 56, 182, 364), short=28, middle=56, narrow=3, wide=14, min_age=28, step=7,
)  # fmt: skip
WEEK = Cadence(
    "week", cycle=1, season=52, quarter=13, lookback=112, ahead=60, panel=265, horizon=20, lags=(1, 2, 3, 4, 5, 6),
    spans=(2, 4, 8, 13, 26, 52), short=8, middle=13, narrow=1, wide=3, min_age=6, step=2,
)  # fmt: skip
MONTH = Cadence(
    "month", cycle=1, season=12, quarter=3, lookback=40, ahead=36, panel=120, horizon=12, lags=(1, 2, 3, 4, 5, 6),
    spans=(2, 3, 6, 9, 12, 24), short=6, middle=9, narrow=0, wide=1, min_age=4, step=2,
)  # fmt: skip
CADENCES = {cadence.name: cadence for cadence in (DAY, WEEK, MONTH)}
