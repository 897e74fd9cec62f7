"""Policies to be measured against: what ERP order points and planning textbooks do, done well and without tuning."""

from collections.abc import Callable

import numpy as np

from activities.learning.order_points import ERP_SIGMAS, static_level
from activities.learning.simulation import Policy, View
from activities.learning.windows import Floats, Ints
from workflows.domain.studies import Period

STATIC_REORDER_POINT, MOVING_AVERAGE = "static_reorder_point", "moving_average"
AVERAGED = {Period.DAY: 28, Period.WEEK: 13, Period.MONTH: 12}
"""Periods of the moving average."""
SEASON = {Period.DAY: 7, Period.WEEK: 52, Period.MONTH: 12}
SEASONS_NEEDED = 2
"""With fewer whole seasons of history, what looks seasonal is mostly trend and noise: no factors then."""
FACTOR_RANGE = 0.2, 5.0


class StaticReorderPoint:
    """Orders up to a level that was computed at the first review and is kept, as a number typed into an ERP is."""

    name = STATIC_REORDER_POINT

    def __init__(self, view: View, sigmas: float = ERP_SIGMAS) -> None:
        self._level = static_level(view.history, view.economics.lead, view.facts.period, sigmas)

    def order(self, view: View) -> Ints:
        """What is missing to the level, in whole packs."""
        return view.economics.admissible(self._level - view.position)


class MovingAverage:
    """Orders up to lead time + 2 periods of a seasonal moving average, computed anew at each review.

    The season is multiplicative and shared by all rows: total demand by place in the season over its mean, from whole
    seasons of history. Each row's level is the mean of its last observed, deseasonalised periods.
    """

    name = MOVING_AVERAGE

    def __init__(self, view: View) -> None:
        self._period = view.facts.period
        self._first = view.facts.first_day

    def order(self, view: View) -> Ints:
        """What is missing to the demand expected up to the period after next at which an order arrives."""
        known = view.history.shape[1]
        ahead = view.economics.lead + 2
        places = self._places(known + int(ahead.max(initial=2)))
        factor = season_factors(view.history, places[:known], SEASON[self._period])
        window = slice(max(0, known - AVERAGED[self._period]), known)
        level = _mean(view.history[:, window] / factor[places[window]][None, :])
        expected = np.concatenate([[0.0], np.cumsum(factor[places[known:]])])
        return view.economics.admissible(np.round(level * expected[ahead]) - view.position)

    def _places(self, periods: int) -> Ints:
        """Each period's place in the season: weekday, week of the year or month."""
        days = [self._period.after(self._first, number) for number in range(periods)]
        if self._period is Period.DAY:
            return np.array([day.weekday() for day in days], dtype=np.int64)
        if self._period is Period.MONTH:
            return np.array([day.month - 1 for day in days], dtype=np.int64)
        # A 53rd week joins the 52nd: a place that comes every five or six years has no factor of its own.
        return np.array([min(day.isocalendar().week, 52) - 1 for day in days], dtype=np.int64)


def season_factors(history: Floats, places: Ints, season: int) -> Floats:
    """A factor for each place of the season, mean 1 over the places seen; all 1 with less than two seasons."""
    factors = np.ones(season)
    whole = history.shape[1] // season * season
    if whole < SEASONS_NEEDED * season:
        return factors
    totals = _mean(history[:, -whole:].T)  # by period: a mean over rows, so that rows missing do not look like a low
    here = places[-whole:]
    seen = np.bincount(here, minlength=season)
    means = np.bincount(here, weights=totals, minlength=season) / np.maximum(seen, 1)
    overall = float(totals.mean())
    if overall <= 0:
        return factors
    return np.where(seen > 0, np.clip(means / overall, *FACTOR_RANGE), 1.0)


def _mean(values: Floats) -> Floats:
    """Of each row's numbers; 0 where it has none."""
    seen = ~np.isnan(values)
    mean: Floats = np.where(seen, values, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return mean


BASELINES: dict[str, Callable[[View], Policy]] = {
    STATIC_REORDER_POINT: StaticReorderPoint,
    MOVING_AVERAGE: MovingAverage,
}
"""Those that need nothing but numpy; Prophet and the clairvoyant have modules of their own."""
