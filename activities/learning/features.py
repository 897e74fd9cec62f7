"""Features are point-in-time: a function of one window, of the model's context and of how far ahead one looks.

A row's features do not depend on its neighbours, so scoring a row alone gives what scoring it in a batch gives. Sums
of whole numbers are exact; what needs a logarithm or a sine is rounded or tabulated, so that the last bit of a
mathematical library never decides.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from activities.learning.cadence import Cadence
from activities.learning.outside import outside_columns, words_of
from activities.learning.pool import Pools
from activities.learning.rolling import Sums, intermittence, newest_mean, order_statistics, ratio, smoothed
from activities.learning.windows import Flags, Floats, Ints, Windows

MAX_GROUPS = 4
"""Group columns that become features: the category first, then whatever else the rows belong to."""
SCALE_RULE = "0.75 * mean of the last observed quarter + 0.25 * mean of the last year, at least 0.02 units a period"
SCALE_FLOOR = 0.02
AGE_CAP_YEARS = 2
EPOCH_WEEKDAY_SHIFT = 6  # ordinal 1 (0001-01-01) was a Monday: (ordinal + 6) % 7 == weekday

_ANNUAL = np.array(
    [[math.sin(2 * math.pi * d / 365.25), math.cos(2 * math.pi * d / 365.25)] for d in range(1462)], dtype=np.float32
)


def columns(cadence: Cadence, drivers: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """Name, and what a planner reads. Their order is the schema: changing it makes older models unreadable.

    `drivers`: those that a model learned from come last, so that one without any has the schema it always had.
    """
    period, by_week = cadence.name, cadence.cycle > 1
    sales = f"{period}ly" if period != "day" else "daily"
    listed: list[tuple[str, str]] = [
        ("horizon", f"{period}s ahead"),
        ("annual_sin", "time of year (spring or autumn)"),
        ("annual_cos", "time of year (summer or winter)"),
        ("promotion", f"promotion on the {period}"),
        ("promotion_share", f"share of promotion {period}s in the last {cadence.short} {period}s"),
        ("promotion_mean", f"sales on earlier promotion {period}s"),
        ("log_scale", f"usual {sales} sales"),
        *((f"lag_{lag}", f"sales {lag} {period}s back" if lag > 1 else f"sales of the last {period}")
          for lag in cadence.lags),
        *((f"mean_{span}", f"average of the last {span} {period}s") for span in cadence.spans),
        ("mean_plain", f"average of the last {cadence.middle} {period}s without promotions"),
        ("smooth_fast", "level that follows quickly"),
        ("smooth_slow", "level that follows slowly"),
        ("smooth_sold", f"share of {period}s with a sale, newest first"),
        ("median", f"typical {period} of the last {cadence.short} {period}s"),
        ("max", f"best {period} of the last {cadence.short} {period}s"),
        ("year_q25", f"quiet {period} of the last year"),
        ("year_q50", f"typical {period} of the last year"),
        ("year_q75", f"good {period} of the last year"),
        ("year_q90", f"top {period} of the last year"),
        ("deviation", f"spread of {sales} sales in the last {cadence.middle} {period}s"),
        ("zero_share", f"share of {period}s without a sale in the last {cadence.short} {period}s"),
        ("zero_share_season", f"share of {period}s without a sale in the last year"),
        ("since_sale", f"{period}s since the last sale"),
        ("year_ago_narrow", "same time last year"),
        ("year_ago_wide", "around the same time last year"),
        ("two_years_ago", "around the same time two years ago"),
        ("pool_year_ago", "season of similar items last year"),
        ("growth", f"last {cadence.short} {period}s against the same {period}s last year"),
        ("in_stock_share", f"share of {period}s in stock in the last {cadence.short} {period}s"),
        ("age", f"{period}s since listing"),
        ("interval", f"average {period}s between sales"),
        ("size_variation", "variation of the size of sales"),
        ("category", "category"),
        *((f"group_{number}", "group") for number in range(2, MAX_GROUPS + 1)),
    ]  # fmt: skip
    if by_week:
        listed += [
            ("weekday", "day of the week"),
            ("day_of_month", "day of the month"),
            *((f"weekday_mean_{weeks}", f"same weekday in the last {weeks} weeks") for weeks in (4, 8, 26)),
        ]
    return tuple(listed + [(f"outside_{name}", words_of(name)) for name in drivers])


def names(cadence: Cadence, drivers: Sequence[str] = ()) -> tuple[str, ...]:
    """The features of a cadence, in order."""
    return tuple(name for name, _ in columns(cadence, drivers))


def schema_sha256(cadence: Cadence, drivers: Sequence[str] = ()) -> str:
    """What a model's features must equal to be used."""
    schema = {"names": names(cadence, drivers), "lookback": cadence.lookback}
    return hashlib.sha256(json.dumps(schema).encode()).hexdigest()


@dataclass(frozen=True)
class Context:
    """What a model knows beyond one row's window."""

    codes: tuple[Mapping[str, int], ...] = ()
    """Per group column: name to code; what it does not know has the code -1."""
    pools: Pools = field(default_factory=Pools)
    drivers: tuple[str, ...] = ()
    """What it learned from outside."""


def codes_of(groups: tuple[tuple[str, ...], ...]) -> tuple[dict[str, int], ...]:
    """The codes of every group column, in the order of the names."""
    wide = max((len(row) for row in groups), default=0)
    return tuple(
        {name: code for code, name in enumerate(sorted({row[column] for row in groups if len(row) > column}))}
        for column in range(min(wide, MAX_GROUPS))
    )


def weekday(days: Ints) -> Ints:
    """0 = Monday, from ordinals."""
    return (days + EPOCH_WEEKDAY_SHIFT) % 7


def scale(windows: Windows) -> Floats:
    """Usual demand of each row in units per period (`SCALE_RULE`); what was never observed has the floor."""
    known = ~np.isnan(windows.units)
    quarter = newest_mean(windows.units, known, windows.cadence.quarter)
    year = newest_mean(windows.units, known, windows.cadence.season)
    year = np.nan_to_num(year, nan=0.0)
    quarter = np.where(np.isnan(quarter), year, quarter)
    size: Floats = np.maximum(0.75 * quarter + 0.25 * year, SCALE_FLOOR)
    return size


def sale_periods(windows: Windows) -> Ints:
    """Periods with a sale in the window: below 8 a row is too thin for the global model."""
    found: Ints = np.count_nonzero(windows.units > 0, axis=1).astype(np.int64)
    return found


def features(windows: Windows, rows: Ints, horizons: Ints, context: Context) -> npt.NDArray[np.float32]:
    """One feature vector per (row, periods ahead) pair; 1 is the period after the origin.

    Demand is relative to the row's scale.
    """
    cadence = windows.cadence
    known = ~np.isnan(windows.units)
    size = scale(windows)
    sums = Sums(windows.units, known)
    place = {name: column for column, name in enumerate(names(cadence, context.drivers))}
    result = np.empty((len(rows), len(place)), dtype=np.float32)
    for name, values in _row_features(windows, known, size, sums, context).items():
        result[:, place[name]] = values[rows]
    target = windows.origin[rows] + horizons
    result[:, place["horizon"]] = np.minimum(horizons, cadence.horizon)
    result[:, [place["annual_sin"], place["annual_cos"]]] = _annual(cadence, target)
    result[:, place["promotion"]] = windows.promoted[rows, cadence.lookback - 1 + horizons]
    of_row = size[rows]
    centre = cadence.lookback - 1 + horizons - cadence.season
    for half, name in ((cadence.narrow, "year_ago_narrow"), (cadence.wide, "year_ago_wide")):
        result[:, place[name]] = sums.between(rows, centre - half, centre + half + 1) / of_row
    before = centre - cadence.season
    result[:, place["two_years_ago"]] = sums.between(rows, before - cadence.wide, before + cadence.wide + 1) / of_row
    result[:, place["pool_year_ago"]] = context.pools.year_ago(
        cadence, windows.groups, rows, windows.origin[rows], target
    )
    if cadence.cycle > 1:
        _by_weekday(windows, known, rows, horizons, of_row, result, place)
    for name, values in outside_columns(windows.outside, context.drivers, cadence, rows, horizons).items():
        result[:, place[f"outside_{name}"]] = values
    return result


def _annual(cadence: Cadence, target: Ints) -> npt.NDArray[np.float32]:
    if cadence.name == "month":
        day = (target % 12 * 365.25 / 12 + 15).astype(np.int64)
    else:
        day = target * (7 if cadence.name == "week" else 1)
    found: npt.NDArray[np.float32] = _ANNUAL[day % 1461]
    return found


def _by_weekday(
    windows: Windows, known: Flags, rows: Ints, horizons: Ints, size: Floats, result: npt.NDArray[np.float32],
    place: Mapping[str, int],
) -> None:  # fmt: skip
    target = windows.origin[rows] + horizons
    result[:, place["weekday"]] = weekday(target)
    month_day = target.astype("datetime64[D]") - np.int64(719163)  # 719163 is the ordinal of 1970-01-01
    result[:, place["day_of_month"]] = (month_day - month_day.astype("datetime64[M]")).astype(np.int64) + 1
    behind = (-horizons) % 7  # the newest day of the target's weekday lies this many days before the origin
    for weeks in (4, 8, 26):
        means = np.stack([_weekday_mean(windows.units, known, day, weeks) for day in range(7)], axis=1)
        result[:, place[f"weekday_mean_{weeks}"]] = means[rows, behind] / size


def _weekday_mean(units: Floats, known: Flags, behind: int, weeks: int) -> Floats:
    found = units.shape[1] - 1 - behind - 7 * np.arange(weeks)
    observed = known[:, found]
    return ratio(np.where(observed, units[:, found], 0.0).sum(axis=1), observed.sum(axis=1).astype(np.float64))


def _row_features(windows: Windows, known: Flags, size: Floats, sums: Sums, context: Context) -> dict[str, Floats]:
    """Everything that does not depend on how far one looks ahead."""
    cadence, units = windows.cadence, windows.units
    past_promotion = windows.promoted[:, : cadence.lookback]
    short, middle, season = cadence.short, cadence.middle, cadence.season
    # Squares of absurd units add up to more than a float keeps: running sums, as models were taught by.
    sold, squares = (units > 0).astype(np.float64), Sums(units * units, known)
    interval, variation = intermittence(windows)
    ever = (units > 0).any(axis=1)
    since = np.where(ever, np.argmax((units > 0)[:, ::-1], axis=1), cadence.lookback)
    mean = sums.mean(middle)
    spread = np.sqrt(np.maximum(squares.mean(middle) - mean * mean, 0.0))
    quarter = slice(-cadence.quarter * 2 if cadence.cycle > 1 else -season, None)
    recent, counted = units[:, quarter], known[:, quarter]
    typical, best = order_statistics(units[:, -short:], (0.5, 1.0))
    year = order_statistics(units[:, -season:], (0.25, 0.5, 0.75, 0.9))
    coded = [
        np.array([codes.get(row[column], -1) if len(row) > column else -1 for row in windows.groups], dtype=np.float64)
        for column, codes in enumerate(context.codes)
    ]
    coded += [np.full(len(units), -1.0)] * (MAX_GROUPS - len(coded))
    found = {f"mean_{span}": sums.mean(span) / size for span in cadence.spans}
    found |= {f"lag_{lag}": units[:, -lag] / size for lag in cadence.lags}
    found |= {f"year_q{share}": values / size for share, values in zip((25, 50, 75, 90), year, strict=True)}
    found |= {f"group_{number}": coded[number - 1] for number in range(2, MAX_GROUPS + 1)}
    return found | {
        "promotion_share": past_promotion[:, -short:].mean(axis=1),
        "promotion_mean": newest_mean(units, known & past_promotion, cadence.lookback) / size,
        "log_scale": np.round(np.log(size) * 256) / 256,
        "mean_plain": newest_mean(units, known & ~past_promotion, middle) / size,
        "smooth_fast": smoothed(recent, counted, 0.3) / size,
        "smooth_slow": smoothed(recent, counted, 0.1) / size,
        "smooth_sold": smoothed((recent > 0).astype(np.float64), counted, 0.1),
        "median": typical / size,
        "max": best / size,
        "deviation": spread / size,
        "zero_share": 1 - newest_mean(sold, known, short),
        "zero_share_season": 1 - newest_mean(sold, known, season),
        "since_sale": since.astype(np.float64),
        "growth": ratio(sums.mean(short), np.nan_to_num(sums.mean(short, before=season), nan=0.0)),
        "in_stock_share": known[:, -short:].mean(axis=1),
        "age": np.minimum(windows.age, AGE_CAP_YEARS * season).astype(np.float64),
        "interval": interval,
        "size_variation": variation,
        "category": coded[0],
    }
