"""Replays a stretch twice, as it is and changed, with the engine's own order rule; the same question, the same answer.

Both replays are rows of one simulation and meet the same demand; they share their forecasts unless demand itself is
what changes, for then each world learns from its own.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from activities.learning.engine_policy import ENGINE, Parameters, orders, outlook, usual_parameters
from activities.learning.model_file import Model
from activities.learning.simulation import Policy, Run, View, simulate
from activities.learning.simulation_kpis import kpis, saving
from activities.learning.study_panel import panel_of
from activities.learning.training import train_panel
from activities.learning.trial import Economics, Trial, economics_of, trial_of
from activities.learning.windows import Flags, Floats, Ints
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import MISSING, Period, Study
from workflows.domain.what_if import Answer, Change, Figures, Lane, Question, Stretch, Watch, after, sentence

SEED = 1
TRAINING_ROWS, BOOSTER_ROUNDS = 12_000, 80
"""A fifth of production's training: an answer is waited for, and both replays forecast alike."""
HORIZON_DAYS = 28
TEN_THOUSAND = 10_000
WEEK = 7
FEW_SERIES = 30
"""With fewer, the interval is drawn over their weeks: over so few items it would say nothing."""
CENT, SHARE, TENTH = Decimal("0.01"), Decimal("0.0001"), Decimal("0.1")


def play(stretch: Stretch, question: Question, *, nthread: int = 1, watch: Watch | None = None) -> Answer:
    """The answer to one question about a stretch of days.

    Raises:
        InvalidInput: the stretch has no series, or a series lacks a term that a simulation needs.
    """
    if not stretch.study.series:
        raise InvalidInput("nothing matches the question")
    change = question.change
    trial = _as_it_is(stretch)
    lanes = [after(bought, change) for bought in stretch.bought]
    worlds = _both(trial, _changed(stretch, lanes, change, trial))
    model = train_panel(
        panel_of(trial.past, trial.facts), horizon=HORIZON_DAYS, seed=SEED, nthread=nthread, rows=TRAINING_ROWS,
        rounds=BOOSTER_ROUNDS, report=lambda *_: None,
    )  # fmt: skip
    believed = np.concatenate([trial.economics.lead, trial.economics.lead])
    if not change.slip_days:
        believed = worlds.economics.lead
    policy = _Worlds(
        model, aims=_aims(stretch, change), believed=believed, surprise=change.slip_days or 0,
        stopped=np.array([False] * len(trial) + [lane is None for lane in lanes]),
        shared=_known(stretch.study, trial) if change.demand is None else None,
    )  # fmt: skip
    run = simulate(worlds, lambda _: policy, watch)
    return _answer(stretch, question, run, sum(lane is None for lane in lanes))


def _as_it_is(stretch: Stretch) -> Trial:
    trial = trial_of(stretch.study)
    cover = np.array([bought.lanes[0].cover_days for bought in stretch.bought], dtype=np.int64)
    return replace(trial, economics=replace(trial.economics, cover=cover))


def _changed(stretch: Stretch, lanes: list[Lane | None], change: Change, trial: Trial) -> Trial:
    """The same rows on the changed terms, deliveries under way included; a row that nobody supplies keeps its own."""
    usable = [lane or bought.lanes[0] for lane, bought in zip(lanes, stretch.bought, strict=True)]
    series = tuple(
        replace(one, terms=lane.terms) for one, lane in zip(stretch.study.series, usable, strict=True)
    )  # fmt: skip
    economics = economics_of(replace(stretch.study, series=series))
    cover = np.array([lane.cover_days for lane in usable], dtype=np.int64)
    arrivals, demand = trial.arrivals, trial.demand
    if change.slip_days:
        late = np.zeros((len(trial), change.slip_days), dtype=np.int64)
        arrivals = np.concatenate([late, arrivals], axis=1)
    if change.demand is not None:
        demand = scaled(demand, float(change.demand))
    return replace(trial, economics=replace(economics, cover=cover), arrivals=arrivals, demand=demand)


def scaled(demand: Ints, factor: float) -> Ints:
    """[rows, periods] demand times a factor, in whole units: what is cut off one period comes with a later one, so
    that the running total is right to half a unit and single units grow too. Unknown periods stay unknown."""
    known = demand != MISSING
    total = np.floor(np.cumsum(np.where(known, demand, 0), axis=1) * factor + 0.5).astype(np.int64)
    each = np.diff(total, axis=1, prepend=0)
    return np.where(known, each, MISSING)


def _both(now: Trial, changed: Trial) -> Trial:
    """Both worlds as rows of one trial: first all as it is, then all changed."""
    rows = len(now)
    both = now.take(np.tile(np.arange(rows), 2))
    width = max(now.arrivals.shape[1], changed.arrivals.shape[1])
    arrivals = np.zeros((2 * rows, width), dtype=np.int64)
    arrivals[:rows, : now.arrivals.shape[1]] = now.arrivals
    arrivals[rows:, : changed.arrivals.shape[1]] = changed.arrivals
    one, other = now.economics, changed.economics
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("holding", "shortage", "order_cost", "lead", "minimum", "pack", "cover")
    }
    economics: Economics = replace(one, **joined)
    demand = np.concatenate([now.demand, changed.demand])
    return replace(both, economics=economics, demand=demand, arrivals=arrivals)


def _aims(stretch: Stretch, change: Change) -> Ints | None:
    """[both worlds' rows] tau in ten-thousandths where somebody sets it."""
    policy = [int((bought.aim or 0) * TEN_THOUSAND) for bought in stretch.bought]
    changed = policy if change.service is None else [int(change.service * TEN_THOUSAND)] * len(policy)
    aims = np.array([*policy, *changed], dtype=np.int64)
    return aims if aims.any() else None


def _known(study: Study, trial: Trial) -> Floats:
    """[rows, periods] the stretch's demand after what was known before it; NaN where it is not known."""
    demand = np.where(trial.demand == MISSING, np.nan, trial.demand.astype(np.float64))
    return np.concatenate([trial.past, demand], axis=1)


class _Worlds(Policy):
    """The engine in both worlds at once."""

    def __init__(
        self, model: Model, *, aims: Ints | None, believed: Ints, surprise: int, stopped: Flags, shared: Floats | None
    ) -> None:
        self._model = model
        self._aims = aims
        self._believed = believed
        """Lead times as they were known before anything changed."""
        self._surprise = surprise
        self._stopped = stopped
        self._shared = shared

    @property
    def name(self) -> str:
        """The engine's."""
        return ENGINE

    def order(self, view: View) -> Ints:
        """Lattice units for each row; none where nobody may be asked."""
        view = self._as_believed(view)
        if self._shared is None:
            seen = outlook(self._model, panel_of(view.history, view.facts), view)
        else:
            rows, known = len(self._shared), view.history.shape[1]
            facts = replace(
                view.facts, item=view.facts.item[:rows], location=view.facts.location[:rows],
                categories={name: values[:rows] for name, values in view.facts.categories.items()},
            )  # fmt: skip
            seen = outlook(self._model, panel_of(self._shared[:, :known], facts), view, copies=2)
        parameters: Parameters = replace(usual_parameters(view.economics), aims=self._aims)
        wanted = orders(seen, view.economics, parameters)
        return np.where(self._stopped, 0, wanted)

    def _as_believed(self, view: View) -> View:
        """Until the first delivery is overdue, nobody knows that they have become slow: neither those that would be
        ordered now nor those under way."""
        if not self._surprise:
            return view
        unaware = (view.economics.lead != self._believed) & (view.round <= self._believed)
        lead = np.where(unaware, self._believed, view.economics.lead)
        early = np.zeros_like(view.pipeline)
        early[:, : -self._surprise] = view.pipeline[:, self._surprise :]
        early[:, 0] += view.pipeline[:, : self._surprise].sum(axis=1)
        pipeline = np.where(unaware[:, None], early, view.pipeline)
        return replace(view, economics=replace(view.economics, lead=lead), pipeline=pipeline)


def _answer(stretch: Stretch, question: Question, run: Run, stopped: int) -> Answer:
    rows = len(run.trial) // 2
    now, changed = _of_rows(run, slice(0, rows)), _of_rows(run, slice(rows, 2 * rows))
    before, then = _figures(now), _figures(changed)
    costs, changed_costs = now.costs, changed.costs
    if rows < FEW_SERIES:
        costs, changed_costs = _by_week(costs), _by_week(changed_costs)
    found = saving(changed_costs.sum(axis=1), costs.sum(axis=1))
    total = float(now.costs.sum())
    _, known, rounds = stretch.study.schedule()
    masked = float((now.trial.demand == MISSING).mean())
    told = [f"{masked:.1%} of the days have no known demand and count nothing"] if masked else []
    if any(one.on_hand is None for one in stretch.study.series):
        told.append("stock at the start is not known everywhere: there it is the static reorder point's level")
    if stopped:
        told.append(f"{stopped} of {rows} have no other supplier and are not ordered at all")
    answer = Answer(
        question=question, currency=stretch.currency, series=rows, first_day=str(stretch.study.day(known)),
        last_day=str(Period.DAY.after(stretch.study.day(known), rounds - 1)), now=before, changed=then,
        difference=then.total_cost - before.total_cost,
        low=None if found.high is None else _decimal(-found.high * total, CENT),
        high=None if found.low is None else _decimal(-found.low * total, CENT),
        sentence="", notes=(*stretch.notes, *told),
    )  # fmt: skip
    return answer.model_copy(update={"sentence": sentence(answer)})


def _of_rows(run: Run, rows: slice) -> Run:
    each = ("left", "served", "unserved", "arrived", "ordered", "in_transit", "holding", "shortage", "ordering")
    trial = run.trial.take(np.arange(len(run.trial))[rows])
    return replace(run, trial=trial, **{name: getattr(run, name)[rows] for name in each})


def _by_week(costs: Floats) -> Floats:
    """[rows x weeks, days of a week]: each week of each row as a row of its own; the last days that fill no week join
    the last."""
    weeks = max(1, costs.shape[1] // WEEK)
    cut = [costs[:, week * WEEK : (week + 1) * WEEK if week + 1 < weeks else None] for week in range(weeks)]
    found: Floats = np.concatenate([part.sum(axis=1, keepdims=True) for part in cut])
    return found


def _figures(run: Run) -> Figures:
    told: dict[str, Any] = kpis(run)
    stock = float(np.maximum(run.left, 0).sum())
    parts = {name: _decimal(told[name], CENT) for name in ("holding_cost", "shortage_cost", "order_cost")}
    return Figures(
        **parts, total_cost=sum(parts.values(), Decimal(0)), fill_rate=_decimal(told["fill_rate"], SHARE),
        mean_stock_units=_decimal(stock / run.trial.rounds / run.trial.facts.scale, TENTH), orders=told["order_lines"],
    )  # fmt: skip


def _decimal(value: float, step: Decimal) -> Decimal:
    return Decimal(repr(value)).quantize(step)
