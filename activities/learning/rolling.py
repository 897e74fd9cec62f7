"""Sums over stretches of observed periods: a row's figures never depend on the rows beside it."""

import numpy as np

from activities.learning.windows import Flags, Floats, Ints, Windows


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Element-wise quotient, NaN where the denominator is zero."""
    quotient: Floats = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


class Sums:
    """Running sums of the observed periods, so that any stretch's mean is two subtractions."""

    def __init__(self, units: Floats, counted: Flags) -> None:
        zero = np.zeros((len(units), 1))
        self.total = np.concatenate([zero, np.cumsum(np.where(counted, units, 0.0), axis=1)], axis=1)
        self.count = np.concatenate([zero, np.cumsum(counted, axis=1, dtype=np.float64)], axis=1)
        self._end = units.shape[1]

    def mean(self, periods: int, before: int = 0) -> Floats:
        """Mean of the `periods` that end `before` periods before the origin; NaN when none was observed."""
        end = max(0, self._end - before)
        begin = max(0, end - periods)
        return ratio(self.total[:, end] - self.total[:, begin], self.count[:, end] - self.count[:, begin])

    def between(self, rows: Ints, begin: Ints, end: Ints) -> Floats:
        """Mean of columns begin..end-1 of each of these rows; what lies outside is not observed."""
        low, high = np.clip(begin, 0, self._end), np.clip(end, 0, self._end)
        total = self.total[rows, high] - self.total[rows, low]
        return ratio(total, self.count[rows, high] - self.count[rows, low])


def newest_mean(units: Floats, counted: Flags, periods: int) -> Floats:
    """Mean of what is counted of the newest `periods`; NaN where nothing is. What `Sums.mean` says, for who asks once:
    sums of whole numbers are exact in any order."""
    newest, known = units[:, -periods:], counted[:, -periods:]
    total = np.where(known, newest, 0.0).sum(axis=1)
    return ratio(total, np.count_nonzero(known, axis=1).astype(np.float64))


def smoothed(units: Floats, known: Flags, share: float) -> Floats:
    """Exponential smooth over the observed periods, the newest weighing `share`; NaN when none was observed."""
    level = np.zeros(len(units))
    weight = np.zeros(len(units))
    keep = 1 - share
    # Period by period, each a stretch of memory. What was not observed has a NaN that `where` leaves out.
    seen_of, added_of = np.ascontiguousarray(known.T), np.ascontiguousarray((share * units).T)
    for seen, added in zip(seen_of, added_of, strict=True):
        np.add(keep * level, added, out=level, where=seen)
        np.add(keep * weight, share, out=weight, where=seen)
    return ratio(level, weight)


def order_statistics(units: Floats, shares: tuple[float, ...]) -> list[Floats]:
    """Empirical quantiles (linear between order statistics) of the observed columns of each row; NaN without any."""
    ordered = np.sort(units, axis=1)  # NaN sorts last, so the observed periods come first
    count = np.count_nonzero(~np.isnan(units), axis=1)
    rows = np.arange(len(units))
    found = []
    for share in shares:
        place = np.maximum(count - 1, 0) * share
        low = place.astype(np.int64)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        way = place - low
        below = ordered[rows, low]
        found.append(below + (ordered[rows, high] - below) * way)
    return found


def intermittence(windows: Windows) -> tuple[Floats, Floats]:
    """ADI (observed periods per period with a sale) and CV2 of the sizes of sales, last year; a year and 0 without."""
    units = windows.units[:, -windows.cadence.season :]
    sold = units > 0
    periods, sales = np.count_nonzero(~np.isnan(units), axis=1), np.count_nonzero(sold, axis=1)
    sizes = np.where(sold, units, 0.0)
    mean = ratio(sizes.sum(axis=1), sales.astype(np.float64))
    square = ratio((sizes * sizes).sum(axis=1), sales.astype(np.float64))
    variation = np.nan_to_num(ratio(np.maximum(square - mean * mean, 0.0), np.nan_to_num(mean * mean)), nan=0.0)
    interval = np.where(sales > 0, periods / np.maximum(sales, 1), float(windows.cadence.season + 1))
    return interval, variation


def demand_class(windows: Windows) -> list[str]:
    """Smooth, erratic, intermittent or lumpy by the Syntetos-Boylan cut-offs (ADI 1.32, CV2 0.49)."""
    interval, variation = intermittence(windows)
    names = np.array([["smooth", "erratic"], ["intermittent", "lumpy"]])
    return [str(name) for name in names[(interval >= 1.32).astype(int), (variation >= 0.49).astype(int)]]
