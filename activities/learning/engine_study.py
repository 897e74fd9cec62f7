"""The engine on a study: its forecasts for `evaluate`, and its policy for `simulate`."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from activities.learning.demand import MILLI, QUANTILES
from activities.learning.engine_policy import EnginePolicy
from activities.learning.forecast_scores import LEVELS
from activities.learning.forecasting import forecast
from activities.learning.model_file import Model
from activities.learning.rehearsing import Report
from activities.learning.simulation import View, Watch
from activities.learning.study_panel import panel_of
from activities.learning.training import train_panel
from activities.learning.trial import Facts
from activities.learning.tuning import prepared
from activities.learning.windows import Floats, Panel

SEED = 1
ROWS_AT_ONCE = 512
MOST_THREADS = 4


def engine_policy(view: View, watch: Watch | None) -> tuple[EnginePolicy, Mapping[str, Any]]:
    """The engine as it stands at the first review, and what it chose on which validation stretch."""
    tuned = prepared(view, seed=SEED, nthread=threads(), report=_reported(watch))
    return tuned.policy, tuned.document


def engine_forecast(history: Floats, facts: Facts, horizon: int, watch: Watch | None) -> Floats:
    """[rows, horizon, levels 0.1 to 0.9] in lattice units, from a history [rows, periods] (NaN: not observed).

    Whole lattice units: demand comes in them, so that is where its quantiles are.
    """
    panel = panel_of(history, facts)
    reach = min(horizon, panel.cadence.ahead)
    model = train_panel(panel, horizon=reach, seed=SEED, nthread=threads(), report=_reported(watch))
    found = forecasts(model, panel, reach, watch)
    if horizon > reach:
        # Nobody plans stock that far; what is said of the last projected period goes on.
        found = np.concatenate([found, np.repeat(found[:, -1:], horizon - reach, axis=1)], axis=1)
    return found


def forecasts(model: Model, panel: Panel, horizon: int, watch: Watch | None) -> Floats:
    """[rows, horizon, levels 0.1 to 0.9] in whole units, of every row of the panel from its last period on."""
    count = len(panel.keys)
    found = np.empty((count, horizon, len(LEVELS)))
    for begin in range(0, count, ROWS_AT_ONCE):
        rows = np.arange(begin, min(begin + ROWS_AT_ONCE, count))
        said = forecast(model, panel.windows(panel.last, rows), np.full(len(rows), horizon, dtype=np.int64))
        found[rows] = np.rint(at_levels(said.knots / MILLI))
        if watch:
            watch(int(rows[-1]) + 1, count)
    return found


def at_levels(quantiles: Floats) -> Floats:
    """The published levels, linear between the engine's own."""
    own = np.array(QUANTILES)
    above = np.searchsorted(own, np.array(LEVELS) - 1e-9)
    below = np.maximum(above - 1, 0)
    gap = own[above] - own[below]
    way = np.where(gap > 0, (np.array(LEVELS) - own[below]) / np.where(gap > 0, gap, 1), 0.0)
    found: Floats = quantiles[..., below] * (1 - way) + quantiles[..., above] * way
    return found


def threads() -> int:
    """Threads for XGBoost: those of the machine, few enough that they do not wait for each other; what OMP_NUM_THREADS
    says where it is set. On a machine that others keep busy 1 is faster than all, and the model is the same."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    wanted = int(told) if told.isdecimal() and int(told) > 0 else os.cpu_count() or 1
    return min(MOST_THREADS, wanted)


def _reported(watch: Watch | None) -> Report:
    return lambda _, done, total: watch(done, total) if watch else None
