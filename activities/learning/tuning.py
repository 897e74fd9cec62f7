"""Tuning chooses who speaks and how sure orders should be, per segment, on the newest known stretch before the test."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from activities.learning.engine_policy import EnginePolicy, Parameters, spoken_for, usual_parameters
from activities.learning.forecasting import (
    BLEND,
    COLD_START,
    EMPIRICAL,
    PROPHET,
    RECENT,
    THIN,
    XGBOOST,
)
from activities.learning.rehearsing import MIN_SERIES, Rehearsed, Report, better, chosen_scales
from activities.learning.risk import LOST_SALES_FACTORS
from activities.learning.simulation import Run, View
from activities.learning.study_panel import last_day, panel_of
from activities.learning.training import MIN_JUDGED_PERIODS, train_panel
from activities.learning.windows import Flags
from workflows.domain.studies import MISSING, Period

FILL_COSTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.5, 9.0, 13.0, 19.0, 28.0, 40.0, 60.0, 90.0, 150.0)
"""Tried costs of a unit short, in units of holding, where a fill rate is asked for."""
VALIDATED = {Period.DAY: 56, Period.WEEK: 20, Period.MONTH: 9}
"""Rounds of the validation stretch, if a quarter of the history allows."""
MIN_ACTED = 4
"""Rounds of the stretch that the orders themselves must reach."""
WORTHWHILE = 0.02
"""Share of the cost that another forecaster must save: a smaller difference is noise (science 5)."""
OWN_PAST = (EMPIRICAL, RECENT, COLD_START)
"""Forecasters that need no booster."""


@dataclass(frozen=True)
class Tuned:
    """A policy ready for its first review, and what was chosen for it."""

    policy: EnginePolicy
    document: dict[str, Any] = field(default_factory=dict)


def prepared(view: View, *, seed: int, nthread: int, report: Report) -> Tuned:
    """The engine as it would stand at this review: parameters from the newest known stretch, trained on all of it."""
    panel = panel_of(view.history, view.facts, view.sold)
    horizon = int(min(panel.cadence.ahead, max(panel.cadence.short, int(view.economics.lead.max(initial=0)) + 2)))
    usual = usual_parameters(view.economics)
    rounds = _validated_rounds(view)
    chosen, notes, speakers = usual, dict[str, Any](validation=None), dict[str, str]()
    if rounds:
        known = panel.through(panel.last - rounds)
        trial = train_panel(known, horizon=horizon, seed=seed, nthread=nthread, report=_named(report, "tuning"))
        rehearsed = Rehearsed(trial, view, rounds, report)
        speakers = _speakers(rehearsed, usual)
        rehearsed = replace(rehearsed, model=spoken_for(trial, speakers))
        chosen, notes = _chosen(rehearsed, usual)
    model = train_panel(panel, horizon=horizon, seed=seed, nthread=nthread, report=report)
    policy = EnginePolicy(model, chosen, seed=seed, nthread=nthread, speakers=speakers)
    model = spoken_for(model, speakers)
    document = notes | {
        "usual_tau_factors": [float(factor) for factor in LOST_SALES_FACTORS],
        "tau_scale": chosen.scale / 100,
        "tau_scale_by_segment": {name: scale / 100 for name, scale in sorted(chosen.by_segment.items())},
        "shortage_per_holding": chosen.shortage_per_holding,
        "forecaster_by_segment": {score.segment: score.chosen for score in model.manifest.segments},
        "correlation_by_segment": {name: value / 100 for name, value in sorted(model.correlations.items())},
        "trained_through": str(last_day(view.facts, view.history.shape[1])),
        "training_rows": model.manifest.rows,
        "seed": seed,
    }
    return Tuned(policy, document)


def _named(report: Report, prefix: str) -> Report:
    return lambda what, done, total: report(f"{prefix}: {what}", done, total)


def _validated_rounds(view: View) -> int:
    """0 where the history is too short to keep a stretch of it back."""
    periods = view.history.shape[1]
    reach = int(np.quantile(view.economics.lead, 0.9)) + 1
    wanted = max(VALIDATED[view.facts.period], reach + 2 * MIN_ACTED)
    rounds = min(wanted, periods // 4 if reach < VALIDATED[view.facts.period] // 2 else periods // 3)
    enough = rounds >= reach + MIN_ACTED and periods - rounds >= MIN_JUDGED_PERIODS[view.facts.period.value]
    return rounds if enough else 0


def _speakers(rehearsed: Rehearsed, usual: Parameters) -> dict[str, str]:
    """Per segment the forecaster whose orders cost least on the stretch, where that is not the backtest's choice.

    A segment that Prophet won keeps it: its season is more than one stretch shows.
    """
    model, segments = rehearsed.model, rehearsed.segments()
    judged = {score.segment: score.chosen for score in model.manifest.segments}
    names = [name for name in (XGBOOST, BLEND, EMPIRICAL, RECENT, COLD_START) if model.booster or name in OWN_PAST]
    costs = {}
    for name in ("", *names):
        forced = {segment: name for segment in judged if name and (name != COLD_START or segment == THIN)}
        costs[name] = replace(rehearsed, model=spoken_for(model, forced)).costs([usual])[0]
    found = {}
    for segment in sorted(set(segments)):
        mine = segments == segment
        if mine.sum() < MIN_SERIES or judged.get(str(segment)) in (None, PROPHET):
            continue
        offered = [name for name in names if name != COLD_START or segment == THIN]
        stacked = np.stack([costs[name][mine] for name in ("", *offered)])
        best = better(stacked, 0, worthwhile=WORTHWHILE)
        if best:
            found[str(segment)] = offered[best - 1]
    return found


def _chosen(rehearsed: Rehearsed, usual: Parameters) -> tuple[Parameters, dict[str, Any]]:
    view = rehearsed.view
    known = view.history.shape[1] - rehearsed.rounds
    notes: dict[str, Any] = {
        "validation": {
            "first_day": str(view.facts.period.after(view.facts.first_day, known)), "rounds": rehearsed.rounds,
            "last_day": str(last_day(view.facts, view.history.shape[1])),
        }
    }  # fmt: skip
    if view.economics.target_fill_rate is not None:
        aimed = [replace(usual, shortage_per_holding=cost) for cost in FILL_COSTS]
        rates = _fill_rates(rehearsed.play(aimed), rehearsed.acted(len(aimed)), len(aimed))
        notes["fill_rate_by_cost"] = {str(cost): round(rate, 4) for cost, rate in zip(FILL_COSTS, rates, strict=True)}
        reached = (number for number, rate in enumerate(rates) if rate >= view.economics.target_fill_rate)
        return aimed[next(reached, len(aimed) - 1)], notes
    chosen, costs = chosen_scales(rehearsed, usual)
    notes["cost_by_tau_scale"] = {str(scale / 100): round(cost, 2) for scale, cost in costs.items()}
    return chosen, notes


def _fill_rates(run: Run, acted: Flags, copies: int) -> list[float]:
    counted = acted & (run.trial.demand != MISSING)
    lost = np.where(counted, run.unserved, 0).sum(axis=1).reshape(copies, -1).sum(axis=1)
    wanted = np.where(counted, run.trial.demand, 0).sum(axis=1).reshape(copies, -1).sum(axis=1)
    return [float(1 - short / max(1, all_)) for short, all_ in zip(lost, wanted, strict=True)]
