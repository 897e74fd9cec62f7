"""Forecasts of a study's last periods from the ones before, by several methods, scored alike."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from activities.learning.contest import Bar, chosen
from activities.learning.engine_policy import ENGINE
from activities.learning.forecast_scores import LEVELS, SEASONAL_NAIVE, Forecasts, season_of, seasonal_naive
from activities.learning.prophet_baseline import PROPHET, prophet_forecast
from activities.learning.simulation import Watch
from activities.learning.study_panel import classes_of
from activities.learning.trial import Facts, facts_of, observed
from activities.learning.windows import Flags, Floats
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import Study

METHODS = (ENGINE, PROPHET, SEASONAL_NAIVE)

EngineForecast = Callable[[Floats, Facts, int, Watch | None], Floats]
"""From a history [rows, periods] (NaN: not observed), its facts and a horizon: [rows, horizon, levels 0.1 to 0.9]."""


def contest(
    study: Study, horizon: int, asked: Sequence[str], engine: EngineForecast | None, bar: Bar
) -> dict[str, Any]:
    """The result of `evaluate`, JSON-ready: each method's scores over the last `horizon` periods.

    Raises:
        InvalidInput: an unknown method, or no period before the horizon.
    """
    if not 1 <= horizon < study.periods:
        raise InvalidInput(
            f"a horizon of {horizon} leaves nothing to learn from: the study has {study.periods} periods"
        )
    known = METHODS if engine else tuple(name for name in METHODS if name != ENGINE)
    names, left_out = chosen(asked, known, len(study.series))
    demand, _ = observed(study)
    facts, history, actual = facts_of(study), demand[:, :-horizon], demand[:, -horizon:]
    classes = classes_of(history, facts)
    scores, of_class = {}, {str(name): _series(classes == name) for name in np.unique(classes)}
    for name in names:
        watch = partial(bar, name)
        begun = time.perf_counter()
        quantiles = _forecast(name, history, facts, horizon, engine, watch)
        seconds = round(time.perf_counter() - begun, 3)
        scores[name] = {**Forecasts(quantiles, actual, history, study.period).scores(), "seconds": seconds}
        for kind, told in of_class.items():
            mine = classes == kind
            found = Forecasts(quantiles[mine], actual[mine], history[mine], study.period).scores()
            told["methods"][name] = {score: found[score] for score in ("mase", "wql", "wape")}
    return {
        "study": {
            "series": len(study.series), "period": study.period.value, "history_periods": history.shape[1],
            "first_forecast": str(study.day(history.shape[1])), "season": season_of(study.period, history.shape[1]),
            "notes": dict(study.notes or {}),
        },
        "horizon": horizon, "levels": list(LEVELS), "methods": scores, "by_demand_class": of_class,
        "left_out": left_out,
    }  # fmt: skip


def _series(mine: Flags) -> dict[str, Any]:
    return {"series": int(mine.sum()), "methods": {}}


def _forecast(
    name: str, history: Floats, facts: Facts, horizon: int, engine: EngineForecast | None, watch: Watch
) -> Floats:
    if name == PROPHET:
        return prophet_forecast(history, facts.period, facts.first_day, horizon, LEVELS, watch)
    if name == ENGINE and engine:
        return engine(history, facts, horizon, watch)
    return seasonal_naive(history, facts.period, horizon)
