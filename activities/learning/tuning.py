"""Tuning chooses how sure orders should be, per segment, by simulating the newest known stretch: before the test.

One scalar per segment (science 2.2: tau calibrated by the simulator). Costs are concentrated in few series, so a choice
must beat the usual one by more than its own noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from activities.learning.engine_policy import (
    ENGINE,
    EnginePolicy,
    Parameters,
    orders_of_copies,
    outlook,
    usual_parameters,
)
from activities.learning.forecasting import segments_of
from activities.learning.model_file import Model
from activities.learning.simulation import Run, View, rehearsal, simulate
from activities.learning.study_panel import last_day, panel_of
from activities.learning.training import MIN_JUDGED_PERIODS, train_panel
from activities.learning.trial import Trial
from activities.learning.windows import Floats, Ints
from workflows.domain.studies import MISSING, Period

FACTORS = (60, 80, 100, 120, 135, 150, 175, 200, 240, 290)
"""Tried values of c in tau = 1 - c h/(p + h), in hundredths."""
FILL_COSTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.5, 9.0, 13.0, 19.0, 28.0, 40.0, 60.0, 90.0, 150.0)
"""Tried costs of a unit short, in units of holding, where a fill rate is asked for."""
VALIDATED = {Period.DAY: 56, Period.WEEK: 20, Period.MONTH: 9}
"""Rounds of the validation stretch, if a quarter of the history allows."""
MIN_ACTED = 4
"""Rounds of the stretch that the orders themselves must reach."""
MIN_SERIES = 30
"""A segment with fewer series follows the choice for all."""
SIGNIFICANT = 1.0
"""Standard errors of the paired difference by which a choice must be better than the one it replaces."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Tuned:
    """A policy ready for its first review, and what was chosen for it."""

    policy: EnginePolicy
    document: dict[str, Any] = field(default_factory=dict)


def prepared(view: View, *, seed: int, nthread: int, report: Report) -> Tuned:
    """The engine as it would stand at this review: parameters from the newest known stretch, trained on all of it."""
    panel = panel_of(view.history, view.facts)
    horizon = int(min(panel.cadence.ahead, max(panel.cadence.short, int(view.economics.lead.max(initial=0)) + 2)))
    usual = usual_parameters(view.economics)
    rounds = _validated_rounds(view)
    chosen, notes = usual, {"validation": None}
    if rounds:
        known = panel.through(panel.last - rounds)
        trial_model = train_panel(known, horizon=horizon, seed=seed, nthread=nthread, report=_named(report, "tuning"))
        chosen, notes = _chosen(trial_model, view, rounds, usual, report)
    model = train_panel(panel, horizon=horizon, seed=seed, nthread=nthread, report=report)
    document = notes | {
        "usual_factor": usual.usual / 100,
        "factor": chosen.usual / 100,
        "factor_by_segment": {name: factor / 100 for name, factor in sorted(chosen.by_segment.items())},
        "shortage_per_holding": chosen.shortage_per_holding,
        "forecaster_by_segment": {score.segment: score.chosen for score in model.manifest.segments},
        "correlation_by_segment": {name: value / 100 for name, value in sorted(model.correlations.items())},
        "trained_through": str(last_day(view.facts, view.history.shape[1])),
        "training_rows": model.manifest.rows,
        "seed": seed,
    }
    return Tuned(EnginePolicy(model, chosen, seed=seed, nthread=nthread), document)


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


class _Alternatives:
    """One policy for many copies of the rows, each copy with parameters of its own; forecasts are shared.

    The forecasts see the whole known history, as every copy's own would but for what its own empty shelves hid.
    """

    name = ENGINE

    def __init__(self, model: Model, view: View, tried: list[Parameters]) -> None:
        self._model = model
        self._view = view
        self._tried = tried

    def order(self, view: View) -> Ints:
        known = view.history.shape[1]
        facts = self._view.facts
        panel = panel_of(self._view.history[:, :known], facts)
        seen = outlook(self._model, panel, replace(view, facts=facts), copies=len(self._tried))
        return orders_of_copies(seen, view.economics, self._tried)


def _chosen(
    model: Model, view: View, rounds: int, usual: Parameters, report: Report
) -> tuple[Parameters, dict[str, Any]]:
    fill = view.economics.target_fill_rate
    if fill is None:
        tried = [replace(usual, usual=factor) for factor in sorted({*FACTORS, usual.usual})]
    else:
        tried = [replace(usual, shortage_per_holding=cost) for cost in FILL_COSTS]
    trial = _copied(rehearsal(view, rounds), len(tried))
    run = simulate(
        trial, lambda _: _Alternatives(model, view, tried), lambda done, of: report("choosing", done, of)
    )  # fmt: skip
    count = len(view)
    # What was ordered reaches the shelves only after the lead time; until then all alternatives are the same.
    acted = np.arange(rounds)[None, :] > np.tile(view.economics.lead, len(tried))[:, None]
    known = view.history.shape[1] - rounds
    notes: dict[str, Any] = {
        "validation": {
            "first_day": str(view.facts.period.after(view.facts.first_day, known)), "rounds": rounds,
            "last_day": str(last_day(view.facts, view.history.shape[1])),
        }
    }  # fmt: skip
    if fill is not None:
        best = _cheapest_fill(run, acted, len(tried), fill)
        notes["fill_rate_by_cost"] = {
            str(cost): round(rate, 4)
            for cost, rate in zip(FILL_COSTS, _fill_rates(run, acted, len(tried)), strict=True)
        }
        return tried[best], notes
    costs = np.where(acted, run.costs, 0.0).sum(axis=1).reshape(len(tried), count)
    segments = np.array(segments_at(model, view, rounds))
    factors = [parameters.usual for parameters in tried]
    start = factors.index(usual.usual)
    overall = _better(costs, start)
    by_segment = {}
    for name in sorted(set(segments)):
        mine = segments == name
        if mine.sum() >= MIN_SERIES:
            best = _better(costs[:, mine], overall)
            if best != overall:
                by_segment[str(name)] = factors[best]
    notes["cost_by_factor"] = {
        str(factor / 100): round(float(cost.sum()), 2) for factor, cost in zip(factors, costs, strict=True)
    }
    return Parameters(factors[overall], by_segment), notes


def _better(costs: Floats, start: int) -> int:
    """The cheapest alternative [alternatives, series], if it beats `start` by more than its noise; else `start`."""
    best = int(costs.sum(axis=1).argmin())
    gain = costs[start] - costs[best]
    noise = float(gain.std()) * np.sqrt(len(gain))
    return best if float(gain.sum()) > SIGNIFICANT * noise else start


def _fill_rates(run: Run, acted: np.ndarray[Any, np.dtype[np.bool_]], copies: int) -> list[float]:
    counted = acted & (run.trial.demand != MISSING)
    lost = np.where(counted, run.unserved, 0).sum(axis=1).reshape(copies, -1).sum(axis=1)
    wanted = np.where(counted, run.trial.demand, 0).sum(axis=1).reshape(copies, -1).sum(axis=1)
    return [float(1 - short / max(1, all_)) for short, all_ in zip(lost, wanted, strict=True)]


def _cheapest_fill(run: Run, acted: np.ndarray[Any, np.dtype[np.bool_]], copies: int, fill: float) -> int:
    """The cheapest cost of a shortage that reaches the fill rate; the dearest where none does."""
    rates = _fill_rates(run, acted, copies)
    return next((number for number, rate in enumerate(rates) if rate >= fill), copies - 1)


def segments_at(model: Model, view: View, rounds: int) -> list[str]:
    """Each row's segment at the start of the validation stretch."""
    panel = panel_of(view.history[:, : view.history.shape[1] - rounds], view.facts)
    return segments_of(panel.windows(panel.last), model.segment_names)


def _copied(trial: Trial, copies: int) -> Trial:
    """The same rows several times, as rows of their own."""
    return trial.take(np.tile(np.arange(len(trial)), copies))
