"""Drivers say in a planner's words what moved a forecast, and by how many units over the days an order must cover."""

from collections.abc import Sequence

import numpy as np

from activities.learning.cadence import DAY
from activities.learning.cold_start import posterior
from activities.learning.demand import contributions
from activities.learning.features import columns, features, scale
from activities.learning.forecasting import BLEND, COLD_START, PROPHET, XGBOOST, Forecast, Vectors
from activities.learning.model_file import Model
from activities.learning.windows import Floats, Ints, Windows
from workflows.domain.scores import Driver, units

NAMES = tuple(name for name, _ in columns(DAY))
SHOWN = 6
EXPLAINED_DAYS = 14
"""Longer stretches are explained by this many evenly spaced days, each standing for its neighbours."""
IN_UNITS = frozenset(
    name for name in NAMES
    if name.startswith(("mean_", "lag_", "smooth_", "year_", "weekday_mean_")) and name != "smooth_sold"
) | {"promotion_mean", "median", "max", "deviation", "two_years_ago"}  # fmt: skip
SHARES = frozenset(name for name in NAMES if "share" in name)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def drivers_of(
    model: Model, windows: Windows, said: Forecast, periods: Ints, vectors: Vectors | None = None
) -> list[tuple[Driver, ...]]:
    """Per row the largest shares of its median forecast over its first `periods` days.

    `vectors` are the features of at least those days, for who has them already.
    """
    boosted = [n for n, name in enumerate(said.forecaster) if name in (XGBOOST, BLEND)]
    by_booster = dict(zip(boosted, _of_booster(model, windows, boosted, periods, vectors), strict=True))
    listed = []
    for n, (forecaster, days) in enumerate(zip(said.forecaster, periods.tolist(), strict=True)):
        if n in by_booster:
            found = by_booster[n]
        else:
            window = windows.take(slice(n, n + 1))
            if forecaster == COLD_START:
                found = _of_prior(model, window, days)
            elif forecaster == PROPHET:
                found = _of_season(model, window, said.segment[n], days)
            else:
                found = _of_own_past(window, days)
        found = [driver for driver in found if driver.effect_units]
        listed.append(tuple(sorted(found, key=lambda driver: (-abs(driver.effect_units), driver.feature))[:SHOWN]))
    return listed


def _of_booster(
    model: Model, windows: Windows, rows: Sequence[int], periods: Ints, vectors: Vectors | None
) -> list[list[Driver]]:
    """Those of these rows: one pass of the trees for all of them."""
    if not rows:
        return []
    lengths = periods[rows].tolist()
    ahead = [np.unique(np.linspace(1, days, min(days, EXPLAINED_DAYS)).round().astype(np.int64)) for days in lengths]
    of_row = np.repeat(np.array(rows), [len(days) for days in ahead])
    every = np.concatenate(ahead)
    if vectors is None:
        asked = features(windows, of_row, every, model.context)
    else:
        asked = vectors.values[np.searchsorted(vectors.rows, of_row) + every - 1]
    sizes = scale(windows)
    listed = columns(DAY, model.manifest.drivers)
    assert model.median is not None  # noqa: S101 - the booster spoke, so its median is there
    shares = contributions(model.median, asked)[:, :-1]
    found, begin = [], 0
    for row, days, some in zip(rows, lengths, ahead, strict=True):
        part = slice(begin, begin + len(some))
        begin += len(some)
        size, window = float(sizes[row]), windows.take(slice(row, row + 1))
        effects = shares[part].sum(axis=0) * size * (days / len(some))
        found.append([
            Driver(feature=words, value=_value(name, asked[part, column], size, window), effect_units=units(effect))
            for column, ((name, words), effect) in enumerate(zip(listed, effects, strict=True))
        ])  # fmt: skip
    return found


def _value(name: str, seen: np.ndarray[tuple[int, ...], np.dtype[np.float32]], size: float, window: Windows) -> str:
    known = seen[~np.isnan(seen)].astype(np.float64)
    if len(known) == 0:
        return "unknown"
    low, high = float(known.min()), float(known.max())
    if name == "category":
        return window.category[0]
    if name == "weekday":
        return WEEKDAYS[int(low)] if low == high else "several days"
    if name == "promotion":
        return f"{int(known.sum())} of {len(seen)} days"
    if name == "log_scale":
        return f"{size:.2f} units a day"
    if name in IN_UNITS:
        return f"{float(known.mean()) * size:.2f} units"
    if name in SHARES:
        return f"{100 * float(known.mean()):.0f} %"
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _of_season(model: Model, window: Windows, segment: str, days: int) -> list[Driver]:
    profile = model.profiles[segment]
    rows, ahead = np.zeros(days, dtype=np.int64), np.arange(1, days + 1)
    expected = profile.expected(window, rows, ahead)
    promoted = window.promoted[0, DAY.lookback : DAY.lookback + days]
    plain: Floats = np.where(promoted, expected / profile.lift, expected)
    index = profile.index[window.origin[0] + ahead - profile.first]
    level = float((plain / index).mean())
    return [
        Driver(feature="usual daily sales", value=f"{level:.2f} units a day", effect_units=units(level * days)),
        Driver(
            feature="season of similar items", value=f"{100 * float(index.mean()):.0f} % of usual",
            effect_units=units(float(plain.sum()) - level * days),
        ),
        Driver(
            feature="promotion on the day", value=f"{int(promoted.sum())} of {days} days",
            effect_units=units(float(expected.sum() - plain.sum())),
        ),
    ]  # fmt: skip


def _of_own_past(window: Windows, days: int) -> list[Driver]:
    level = float(scale(window)[0])
    return [Driver(feature="its own last year", value=f"{level:.2f} units a day", effect_units=units(level * days))]


def _of_prior(model: Model, window: Windows, days: int) -> list[Driver]:
    shape, exposure, chosen = posterior(model.priors, window)
    usual = chosen[0].shape / chosen[0].periods
    learned = float(shape[0] / exposure[0]) - usual
    seen = int(np.count_nonzero(~np.isnan(window.units[0])))
    return [
        Driver(
            feature="usual sales of the category", value=f"{usual:.2f} units a day", effect_units=units(usual * days)
        ),
        Driver(feature="the item's own few days", value=f"{seen} days", effect_units=units(learned * days)),
    ]
