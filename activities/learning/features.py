"""Features are point-in-time: a function of one window and of how many days ahead one looks, and of nothing else.

A row's features do not depend on its neighbours, so scoring a row alone gives what scoring it in a batch gives. Sums
are of whole numbers and therefore exact; what needs a logarithm or a sine is rounded or tabulated, so that the last bit
of a mathematical library never decides.
"""

import hashlib
import json
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from activities.learning.windows import LOOKBACK_DAYS, Flags, Floats, Ints, Windows

FEATURES: tuple[tuple[str, str], ...] = (
    ("horizon", "days ahead"),
    ("weekday", "day of the week"),
    ("day_of_month", "day of the month"),
    ("annual_sin", "time of year (spring or autumn)"),
    ("annual_cos", "time of year (summer or winter)"),
    ("promotion", "promotion on the day"),
    ("promotion_share_28", "share of promotion days in the last 4 weeks"),
    ("promotion_mean", "sales on earlier promotion days"),
    ("log_scale", "usual daily sales"),
    ("last_day", "sales on the last day"),
    ("mean_7", "average of the last week"),
    ("mean_14", "average of the last 2 weeks"),
    ("mean_28", "average of the last 4 weeks"),
    ("mean_56", "average of the last 8 weeks"),
    ("mean_182", "average of the last half year"),
    ("mean_364", "average of the last year"),
    ("mean_56_plain", "average of the last 8 weeks without promotions"),
    ("median_28", "typical day of the last 4 weeks"),
    ("max_28", "best day of the last 4 weeks"),
    ("deviation_56", "spread of daily sales in the last 8 weeks"),
    ("zero_share_28", "share of days without a sale in the last 4 weeks"),
    ("zero_share_91", "share of days without a sale in the last quarter"),
    ("days_since_sale", "days since the last sale"),
    ("weekday_mean_4", "same weekday in the last 4 weeks"),
    ("weekday_mean_8", "same weekday in the last 8 weeks"),
    ("weekday_mean_26", "same weekday in the last half year"),
    ("year_ago_7", "same week last year"),
    ("year_ago_29", "same month last year"),
    ("growth", "last 4 weeks against the same weeks last year"),
    ("in_stock_share_28", "share of days in stock in the last 4 weeks"),
    ("age", "days since listing"),
    ("interval", "average days between sales"),
    ("size_variation", "variation of the size of sales"),
    ("category", "category"),
)
"""Name, and what a planner reads. Their order is the schema: changing it makes older models unreadable."""
NAMES = tuple(name for name, _ in FEATURES)
WORDS = tuple(words for _, words in FEATURES)
SCHEMA_SHA256 = hashlib.sha256(json.dumps({"names": NAMES, "lookback": LOOKBACK_DAYS}).encode()).hexdigest()
SCALE_RULE = "0.75 * mean of the last 91 observed days + 0.25 * mean of the last 364, at least 0.02 units a day"
SCALE_FLOOR = 0.02
HORIZON_DAYS = 60
"""The furthest horizon that is trained; days beyond it keep this horizon and their own calendar."""
CAPPED_DAYS = 730.0
EPOCH_WEEKDAY_SHIFT = 6  # ordinal 1 (0001-01-01) was a Monday: (ordinal + 6) % 7 == weekday

_ANNUAL = np.array(
    [[math.sin(2 * math.pi * d / 365.25), math.cos(2 * math.pi * d / 365.25)] for d in range(1462)], dtype=np.float32
)


class _Sums:
    """Running sums of the observed days, so that any stretch's mean is two subtractions."""

    def __init__(self, units: Floats, counted: Flags) -> None:
        zero = np.zeros((len(units), 1))
        self.total = np.concatenate([zero, np.cumsum(np.where(counted, units, 0.0), axis=1)], axis=1)
        self.count = np.concatenate([zero, np.cumsum(counted, axis=1, dtype=np.float64)], axis=1)

    def mean(self, days: int, before: int = 0) -> Floats:
        """Mean of the `days` that end `before` days before the origin; NaN when none was observed."""
        end = LOOKBACK_DAYS - before
        begin = max(0, end - days)
        return ratio(self.total[:, end] - self.total[:, begin], self.count[:, end] - self.count[:, begin])


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Element-wise quotient, NaN where the denominator is zero."""
    quotient: Floats = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def weekday(days: Ints) -> Ints:
    """0 = Monday, from ordinals."""
    return (days + EPOCH_WEEKDAY_SHIFT) % 7


def scale(windows: Windows) -> Floats:
    """Usual daily demand of each row in units (`SCALE_RULE`); what was never observed has the floor."""
    sums = _Sums(windows.units, ~np.isnan(windows.units))
    quarter, year = sums.mean(91), sums.mean(364)
    year = np.nan_to_num(year, nan=0.0)
    quarter = np.where(np.isnan(quarter), year, quarter)
    size: Floats = np.maximum(0.75 * quarter + 0.25 * year, SCALE_FLOOR)
    return size


def sale_days(windows: Windows) -> Ints:
    """Days with a sale in the window: below 8 a row is too thin for the global model."""
    found: Ints = np.count_nonzero(windows.units > 0, axis=1).astype(np.int64)
    return found


def intermittence(windows: Windows) -> tuple[Floats, Floats]:
    """ADI (observed days per day with a sale) and CV2 of the sizes of sales, last year; 365 and 0 without sales."""
    units = windows.units[:, -364:]
    sold = units > 0
    days, sales = np.count_nonzero(~np.isnan(units), axis=1), np.count_nonzero(sold, axis=1)
    sizes = np.where(sold, units, 0.0)
    mean = ratio(sizes.sum(axis=1), sales.astype(np.float64))
    square = ratio((sizes * sizes).sum(axis=1), sales.astype(np.float64))
    variation = np.nan_to_num(ratio(np.maximum(square - mean * mean, 0.0), np.nan_to_num(mean * mean)), nan=0.0)
    interval = np.where(sales > 0, days / np.maximum(sales, 1), 365.0)
    return interval, variation


def demand_class(windows: Windows) -> list[str]:
    """Smooth, erratic, intermittent or lumpy by the Syntetos-Boylan cut-offs (ADI 1.32, CV2 0.49)."""
    interval, variation = intermittence(windows)
    names = np.array([["smooth", "erratic"], ["intermittent", "lumpy"]])
    return [str(name) for name in names[(interval >= 1.32).astype(int), (variation >= 0.49).astype(int)]]


def features(windows: Windows, rows: Ints, horizons: Ints, categories: Mapping[str, int]) -> npt.NDArray[np.float32]:
    """One feature vector per (row, days ahead) pair; day 1 is the day after the origin.

    Demand is relative to the row's scale. A category that the mapping does not know has the code -1.
    """
    known = ~np.isnan(windows.units)
    per_row = _row_features(windows, known, categories)
    result = np.empty((len(rows), len(NAMES)), dtype=np.float32)
    place = {name: column for column, name in enumerate(NAMES)}
    for name, values in per_row.items():
        result[:, place[name]] = values[rows]
    target = windows.origin[rows] + horizons
    result[:, place["horizon"]] = np.minimum(horizons, HORIZON_DAYS)
    result[:, place["weekday"]] = weekday(target)
    month_day = target.astype("datetime64[D]") - np.int64(719163)  # 719163 is the ordinal of 1970-01-01
    result[:, place["day_of_month"]] = (month_day - month_day.astype("datetime64[M]")).astype(np.int64) + 1
    result[:, [place["annual_sin"], place["annual_cos"]]] = _ANNUAL[target % 1461]
    result[:, place["promotion"]] = windows.promoted[rows, LOOKBACK_DAYS - 1 + horizons]

    size = scale(windows)[rows]
    behind = (-horizons) % 7  # the newest day of the target's weekday lies this many days before the origin
    for weeks in (4, 8, 26):
        means = np.stack([_weekday_mean(windows.units, known, day, weeks) for day in range(7)], axis=1)
        result[:, place[f"weekday_mean_{weeks}"]] = means[rows, behind] / size
    sums = _Sums(windows.units, known)
    centre = LOOKBACK_DAYS - 1 + horizons - 364
    for half, name in ((3, "year_ago_7"), (14, "year_ago_29")):
        begin, end = np.clip(centre - half, 0, LOOKBACK_DAYS), np.clip(centre + half + 1, 0, LOOKBACK_DAYS)
        total = sums.total[rows, end] - sums.total[rows, begin]
        result[:, place[name]] = ratio(total, sums.count[rows, end] - sums.count[rows, begin]) / size
    return result


def _weekday_mean(units: Floats, known: Flags, behind: int, weeks: int) -> Floats:
    columns = LOOKBACK_DAYS - 1 - behind - 7 * np.arange(weeks)
    observed = known[:, columns]
    return ratio(np.where(observed, units[:, columns], 0.0).sum(axis=1), observed.sum(axis=1).astype(np.float64))


def _row_features(windows: Windows, known: Flags, categories: Mapping[str, int]) -> dict[str, Floats]:
    """Everything that does not depend on how far one looks ahead."""
    units, size = windows.units, scale(windows)
    past_promotion = windows.promoted[:, :LOOKBACK_DAYS]
    sums, plain = _Sums(units, known), _Sums(units, known & ~past_promotion)
    promoted = _Sums(units, known & past_promotion)
    squares, sold = _Sums(units * units, known), _Sums((units > 0).astype(np.float64), known)
    recent = np.sort(units[:, -28:], axis=1)  # NaN sorts last, so the observed days come first
    count = np.count_nonzero(known[:, -28:], axis=1)
    everywhere = np.arange(len(units))
    lower, upper = np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2
    interval, variation = intermittence(windows)
    ever = (units > 0).any(axis=1)
    since = np.where(ever, np.argmax((units > 0)[:, ::-1], axis=1), LOOKBACK_DAYS)
    mean_56 = sums.mean(56)
    spread = np.sqrt(np.maximum(squares.mean(56) - mean_56 * mean_56, 0.0))
    columns = {f"mean_{days}": sums.mean(days) / size for days in (7, 14, 28, 56, 182, 364)}
    return columns | {
        "promotion_share_28": past_promotion[:, -28:].mean(axis=1),
        "promotion_mean": promoted.mean(LOOKBACK_DAYS) / size,
        "log_scale": np.round(np.log(size) * 256) / 256,
        "last_day": units[:, -1] / size,
        "mean_56_plain": plain.mean(56) / size,
        "median_28": (recent[everywhere, lower] + recent[everywhere, upper]) / 2 / size,
        "max_28": recent[everywhere, np.maximum(count - 1, 0)] / size,
        "deviation_56": spread / size,
        "zero_share_28": 1 - sold.mean(28),
        "zero_share_91": 1 - sold.mean(91),
        "days_since_sale": since.astype(np.float64),
        "growth": ratio(sums.mean(28), np.nan_to_num(sums.mean(28, before=364), nan=0.0)),
        "in_stock_share_28": known[:, -28:].mean(axis=1),
        "age": np.minimum(windows.age_days, CAPPED_DAYS),
        "interval": interval,
        "size_variation": variation,
        "category": np.array([categories.get(name, -1) for name in windows.category], dtype=np.float64),
    }
