"""Tuning chooses how sure orders should be, per segment, by simulating the newest known stretch: before the test.

One scalar per segment (science 2.2: tau calibrated by the simulator). Costs are concentrated in few series, so a choice
must beat the usual one by more than its own noise.
"""

from collections.abc import Callable, Mapping, Sequence
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
from activities.learning.forecasting import (
    BLEND,
    COLD_START,
    EMPIRICAL,
    PROPHET,
    RECENT,
    THIN,
    XGBOOST,
    segments_of,
)
from activities.learning.model_file import Model
from activities.learning.simulation import Run, View, rehearsal, simulate
from activities.learning.study_panel import last_day, panel_of
from activities.learning.training import MIN_JUDGED_PERIODS, train_panel
from activities.learning.windows import Flags, Floats, Ints
from workflows.domain.studies import MISSING, Period

FACTORS = (100, 110, 120, 135, 150, 165, 180)
"""Tried values of c in tau = 1 - c h/(p + h), in hundredths: a narrow band around the constant, because one stretch's
bias is not the next one's."""
SHRINKAGE = 0.5
"""Half of the way from the usual factor to the best one is gone: a step as small as science 2.2 asks for."""
FILL_COSTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.5, 9.0, 13.0, 19.0, 28.0, 40.0, 60.0, 90.0, 150.0)
"""Tried costs of a unit short, in units of holding, where a fill rate is asked for."""
VALIDATED = {Period.DAY: 56, Period.WEEK: 20, Period.MONTH: 9}
"""Rounds of the validation stretch, if a quarter of the history allows."""
MIN_ACTED = 4
"""Rounds of the stretch that the orders themselves must reach."""
MIN_SERIES = 30
"""A segment with fewer series follows the choice for all."""
SIGNIFICANT = 1.5
"""Standard errors of the paired difference by which a choice must be better than the one it replaces."""
WORTHWHILE = 0.02
"""Share of the cost that another forecaster must save: a smaller difference is noise (science 5)."""
BLOCK = 4
"""Periods of a block: costs of neighbouring periods move together (science 4.3)."""

OWN_PAST = (EMPIRICAL, RECENT, COLD_START)
"""Forecasters that need no booster."""

Report = Callable[[str, int, int], None]


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
        rehearsed = _Rehearsed(trial, view, rounds, report)
        speakers = _speakers(rehearsed, usual)
        rehearsed = replace(rehearsed, model=spoken_for(trial, speakers))
        chosen, notes = _chosen(rehearsed, usual)
    model = train_panel(panel, horizon=horizon, seed=seed, nthread=nthread, report=report)
    model = spoken_for(model, speakers)
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


@dataclass(frozen=True)
class _Rehearsed:
    """The newest known stretch, ready to be played with a model that has not seen it."""

    model: Model
    view: View
    rounds: int
    report: Report

    def play(self, tried: Sequence[Parameters]) -> Run:
        """All parameters beside each other, on copies of the rows that share their forecasts."""
        trial = rehearsal(self.view, self.rounds)
        trial = trial.take(np.tile(np.arange(len(trial)), len(tried)))
        return simulate(
            trial, lambda _: _Alternatives(self.model, self.view, tried),
            lambda done, of: self.report("choosing", done, of),
        )  # fmt: skip

    def acted(self, copies: int) -> Flags:
        """[rows, rounds]: what is ordered reaches the shelves only after the lead time; before, all are the same."""
        return np.arange(self.rounds)[None, :] > np.tile(self.view.economics.lead, copies)[:, None]

    def costs(self, tried: Sequence[Parameters]) -> Floats:
        """[parameters, series, rounds]."""
        run = self.play(tried)
        costs: Floats = np.where(self.acted(len(tried)), run.costs, 0.0)
        return costs.reshape(len(tried), len(self.view), self.rounds)

    def segments(self) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        """Each row's segment at the start of the stretch."""
        known = self.view.history.shape[1] - self.rounds
        panel = panel_of(self.view.history[:, :known], self.view.facts, self.view.sold[:, :known])
        return np.array(segments_of(panel.windows(panel.last), self.model.segment_names), dtype=np.str_)


class _Alternatives:
    """The forecasts see the whole known history, as every copy's own would but for what its empty shelves hid."""

    name = ENGINE

    def __init__(self, model: Model, view: View, tried: Sequence[Parameters]) -> None:
        self._model = model
        self._view = view
        self._tried = tried

    def order(self, view: View) -> Ints:
        known, facts = view.history.shape[1], self._view.facts
        panel = panel_of(self._view.history[:, :known], facts, self._view.sold[:, :known])
        seen = outlook(self._model, panel, replace(view, facts=facts), copies=len(self._tried))
        return orders_of_copies(seen, view.economics, self._tried)


def spoken_for(model: Model, speakers: Mapping[str, str]) -> Model:
    """The model with these forecasters speaking for these segments."""
    scores = tuple(
        score.model_copy(update={"chosen": speakers.get(score.segment, score.chosen)})
        for score in model.manifest.segments
    )
    return replace(model, manifest=model.manifest.model_copy(update={"segments": scores}))


def _speakers(rehearsed: _Rehearsed, usual: Parameters) -> dict[str, str]:
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
        best = _better(stacked, 0, worthwhile=WORTHWHILE)
        if best:
            found[str(segment)] = offered[best - 1]
    return found


def _chosen(rehearsed: _Rehearsed, usual: Parameters) -> tuple[Parameters, dict[str, Any]]:
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
    factors = sorted({*FACTORS, usual.usual})
    costs = rehearsed.costs([replace(usual, usual=factor) for factor in factors])
    overall = _better(costs, factors.index(usual.usual))
    segments, by_segment = rehearsed.segments(), {}
    for name in sorted(set(segments)):
        mine = segments == name
        if mine.sum() >= MIN_SERIES:
            best = _better(costs[:, mine], overall)
            if best != overall:
                by_segment[str(name)] = _shrunk(factors[best], usual.usual)
    totals = costs.sum(axis=(1, 2))
    notes["cost_by_factor"] = {
        str(factor / 100): round(float(cost), 2) for factor, cost in zip(factors, totals, strict=True)
    }
    return Parameters(_shrunk(factors[overall], usual.usual), by_segment), notes


def _shrunk(factor: int, usual: int) -> int:
    return round(usual + (factor - usual) * SHRINKAGE)


def _better(costs: Floats, start: int, *, worthwhile: float = 0.0) -> int:
    """The cheapest alternative [alternatives, series, rounds], if it beats `start` by more than its noise; else that.

    The noise of a sum over series and blocks of time that both hang together (Cameron, Gelbach & Miller 2011).
    """
    best = int(costs.sum(axis=(1, 2)).argmin())
    gain = costs[start] - costs[best]
    blocks = np.stack(
        [gain[:, begin : begin + BLOCK].sum(axis=1) for begin in range(0, gain.shape[1], BLOCK)], axis=1
    )  # fmt: skip
    centred = blocks - blocks.mean()
    variance = (centred.sum(axis=1) ** 2).sum() + (centred.sum(axis=0) ** 2).sum() - (centred**2).sum()
    enough = max(SIGNIFICANT * float(np.sqrt(max(variance, 0.0))), worthwhile * float(costs[start].sum()))
    return best if float(gain.sum()) > enough else start


def _fill_rates(run: Run, acted: Flags, copies: int) -> list[float]:
    counted = acted & (run.trial.demand != MISSING)
    lost = np.where(counted, run.unserved, 0).sum(axis=1).reshape(copies, -1).sum(axis=1)
    wanted = np.where(counted, run.trial.demand, 0).sum(axis=1).reshape(copies, -1).sum(axis=1)
    return [float(1 - short / max(1, all_)) for short, all_ in zip(lost, wanted, strict=True)]
