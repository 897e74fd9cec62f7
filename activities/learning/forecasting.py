"""One forecaster speaks for each row: its category's prior, its segment's season, or the global model.

Scoring, comparison and backtest all ask here, so what is judged is what decides.
"""

from dataclasses import dataclass

import numpy as np

from activities.learning.cold_start import ColdForecast, cold_forecast
from activities.learning.demand import QUANTILES, quantile_ratios, to_milli
from activities.learning.features import demand_class, features, sale_days, scale
from activities.learning.model_file import Model
from activities.learning.sampling import MIN_SALE_DAYS
from activities.learning.windows import Ints, Windows

XGBOOST, PROPHET, COLD_START = "xgboost", "prophet", "cold_start"


@dataclass(frozen=True)
class Forecast:
    """Quantiles of every row's coming days; rows whose forecaster is the prior carry their law too."""

    forecaster: tuple[str, ...]
    segment: tuple[str, ...]
    knots: Ints
    """Thousandths of a unit [rows, days, quantiles]; days beyond a row's own horizon are zero."""
    cold_rows: Ints
    cold: ColdForecast | None


def segments_of(windows: Windows, known: frozenset[str]) -> list[str]:
    """Demand class and category where training met enough of them, else the demand class alone."""
    named = [
        (kind, f"{kind}/{category}")
        for kind, category in zip(demand_class(windows), windows.category, strict=True)
    ]  # fmt: skip
    return [full if full in known else kind for kind, full in named]


def forecast(model: Model, windows: Windows, horizon: Ints) -> Forecast:
    """`horizon` is the number of days wanted of each row (at least 1)."""
    longest = int(horizon.max(initial=1))
    segments = segments_of(windows, model.segment_names)
    cold = sale_days(windows) < MIN_SALE_DAYS
    chosen = np.array([COLD_START if is_cold else XGBOOST for is_cold in cold], dtype=object)
    for name, profile in model.profiles.items():
        in_segment = np.array([segment == name for segment in segments], dtype=np.bool_)
        # Each row's own horizon: whether a season covers a row must not depend on its neighbours.
        chosen[~cold & in_segment & profile.covers(windows, horizon)] = PROPHET
    knots = np.zeros((len(windows), longest, len(QUANTILES)), dtype=np.int64)
    _by_booster(model, windows, np.flatnonzero(chosen == XGBOOST), horizon, knots)
    for name, profile in model.profiles.items():
        rows = np.array([i for i in np.flatnonzero(chosen == PROPHET) if segments[i] == name], dtype=np.int64)
        if len(rows):
            pairs, ahead = _pairs(horizon[rows])
            knots[rows[pairs], ahead - 1] = profile.knots(windows.take(rows), pairs, ahead)
    cold_rows = np.flatnonzero(cold)
    law = cold_forecast(model.priors, windows.take(cold_rows)) if len(cold_rows) else None
    if law is not None:
        knots[cold_rows] = law.knots(longest)
    return Forecast(tuple(str(name) for name in chosen), tuple(segments), knots, cold_rows, law)


def _pairs(horizon: Ints) -> tuple[Ints, Ints]:
    """(row, days ahead) for every wanted day of every row."""
    rows = np.repeat(np.arange(len(horizon)), horizon)
    starts = np.repeat(np.cumsum(horizon) - horizon, horizon)
    return rows, np.arange(len(rows)) - starts + 1


def _by_booster(model: Model, windows: Windows, rows: Ints, horizon: Ints, knots: Ints) -> None:
    if len(rows) == 0:
        return
    own = windows.take(rows)
    pairs, ahead = _pairs(horizon[rows])
    ratios = quantile_ratios(model.booster, features(own, pairs, ahead, model.manifest.categories))
    knots[rows[pairs], ahead - 1] = to_milli(ratios * scale(own)[pairs][:, None])
