"""Drivers say in a planner's words what moved a forecast, and by how many units over the days an order must cover."""

import numpy as np

from activities.learning.cadence import DAY
from activities.learning.cold_start import posterior
from activities.learning.demand import contributions
from activities.learning.features import columns, features, scale
from activities.learning.forecasting import BLEND, COLD_START, PROPHET, XGBOOST
from activities.learning.model_file import Model
from activities.learning.windows import Floats, Windows
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


def drivers_of(model: Model, window: Windows, forecaster: str, segment: str, days: int) -> tuple[Driver, ...]:
    """The largest shares of the median forecast over the first `days` days of the one row in `window`."""
    if forecaster == COLD_START:
        found = _of_prior(model, window, days)
    elif forecaster == PROPHET:
        found = _of_season(model, window, segment, days)
    elif forecaster in (XGBOOST, BLEND):
        found = _of_booster(model, window, days)
    else:
        found = _of_own_past(window, days)
    found = [driver for driver in found if driver.effect_units]
    return tuple(sorted(found, key=lambda driver: (-abs(driver.effect_units), driver.feature))[:SHOWN])


def _of_booster(model: Model, window: Windows, days: int) -> list[Driver]:
    ahead = np.unique(np.linspace(1, days, min(days, EXPLAINED_DAYS)).round().astype(np.int64))
    vectors = features(window, np.zeros(len(ahead), dtype=np.int64), ahead, model.context)
    size = float(scale(window)[0])
    listed = columns(DAY, model.manifest.drivers)
    assert model.median is not None  # noqa: S101 - the booster spoke, so its median is there
    effects = contributions(model.median, vectors)[:, :-1].sum(axis=0) * size * (days / len(ahead))
    return [
        Driver(feature=words, value=_value(name, vectors[:, column], size, window), effect_units=units(effect))
        for column, ((name, words), effect) in enumerate(zip(listed, effects, strict=True))
    ]


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
