"""A contest plays one study with several policies, each on the same futures, and says what each came to."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from activities.learning.baselines import BASELINES, STATIC_REORDER_POINT
from activities.learning.clairvoyant import CLAIRVOYANT, Clairvoyant
from activities.learning.engine_policy import ENGINE, EnginePolicy
from activities.learning.exchange import exchange
from activities.learning.prophet_baseline import PROPHET, ProphetPolicy
from activities.learning.simulation import Policy, Run, View, Watch, simulate
from activities.learning.simulation_kpis import gap_closed, kpis, saving
from activities.learning.study_panel import classes_of
from activities.learning.trial import Trial, trial_of
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import Study

POLICIES = (ENGINE, *BASELINES, PROPHET, CLAIRVOYANT)
PROPHET_UP_TO = 10_000
"""Series; with more, Prophet would take hours, and plays only if it is asked for."""

Bar = Callable[[str, int, int], None]
"""Told of what, how much is done, and of how much."""
EngineMaker = Callable[[View, Watch | None], tuple[EnginePolicy, Mapping[str, Any]]]
"""Builds the engine's policy from what is known at the first review; also says, JSON-ready, which parameters it chose
on which validation stretch."""


def chosen(asked: Sequence[str], known: Sequence[str], series: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """The names to run, in the order of `known`, and why others are left out; all when none is asked for.

    Raises:
        InvalidInput: a name is not known.
    """
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise InvalidInput(f"{unknown[0]} is none of {', '.join(known)}")
    if asked:
        return tuple(name for name in known if name in asked), {}
    if series > PROPHET_UP_TO and PROPHET in known:
        why = f"{series} series would take it hours; ask for it by name to run it"
        return tuple(name for name in known if name != PROPHET), {PROPHET: why}
    return tuple(known), {}


def play(
    study: Study, asked: Sequence[str], engine: EngineMaker | None, bar: Bar, *, exchanged: bool = False
) -> dict[str, Any]:
    """The result of `simulate`, JSON-ready: what each policy came to, and how they compare.

    With `exchanged` also what a fill rate takes in stock, ours and the static order point's; the engine must play.

    Raises:
        InvalidInput: an unknown policy, or rules or terms that do not suffice for a simulation.
    """
    known = POLICIES if engine else tuple(name for name in POLICIES if name != ENGINE)
    names, left_out = chosen(asked, known, len(study.series))
    if exchanged and ENGINE not in names:
        raise InvalidInput(f"the exchange is the {ENGINE}'s: let it play")
    trial = trial_of(study)
    parameters: dict[str, Any] = {}
    ready: list[EnginePolicy] = []
    makers = {name: _maker(name, trial, engine, parameters, ready, bar) for name in names}
    runs = {name: simulate(trial, maker, partial(bar, name)) for name, maker in makers.items()}
    told = {"engine_parameters": parameters} if ENGINE in runs else {}
    traded = {"exchange": exchange(trial, ready[0], bar)} if exchanged else {}
    return {
        "study": _described(study, trial),
        "policies": {name: kpis(run) for name, run in runs.items()},
        **told, "by_demand_class": _by_class(trial, runs), **traded, "savings": savings(runs),
        "gap_closed": _gaps(runs), "left_out": left_out,
    }  # fmt: skip


def _maker(
    name: str, trial: Trial, engine: EngineMaker | None, parameters: dict[str, Any], ready: list[EnginePolicy], bar: Bar
) -> Callable[[View], Policy]:
    if name == ENGINE and engine:
        return partial(_of_engine, engine, parameters, ready, partial(bar, f"{ENGINE}: learning"))
    if name == CLAIRVOYANT:
        return lambda _: Clairvoyant(trial)
    if name == PROPHET:
        return lambda view: ProphetPolicy(view, partial(bar, f"{PROPHET}: series fitted"))
    return BASELINES[name]


def _of_engine(
    engine: EngineMaker, parameters: dict[str, Any], ready: list[EnginePolicy], watch: Watch, view: View
) -> EnginePolicy:
    policy, said = engine(view, watch)
    parameters.update(said)
    ready.append(copy(policy))  # as it stands now: a long trial trains it anew
    return policy


def savings(runs: Mapping[str, Run]) -> dict[str, dict[str, dict[str, float | None]]]:
    """For each policy and each other that it could replace: the share of cost saved with its 95 % interval.

    Paired bootstrap over series. Nobody replaces the clairvoyant, nor is replaced by it.
    """
    costs = {name: run.costs.sum(axis=1) for name, run in runs.items() if name != CLAIRVOYANT}
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for name in [ENGINE] if ENGINE in costs else costs:
        others = [other for other in costs if other != name]
        found[name] = {other: saving(costs[name], costs[other]).document() for other in others}
    return found


def _by_class(trial: Trial, runs: Mapping[str, Run]) -> dict[str, dict[str, Any]]:
    """Each demand class at the first review: its series, and what each policy came to on them."""
    classes = classes_of(trial.past, trial.facts)
    return {
        str(name): {
            "series": int((classes == name).sum()),
            "total_cost": {policy: round(float(run.costs[classes == name].sum()), 6) for policy, run in runs.items()},
        }
        for name in np.unique(classes)
    }


def _gaps(runs: Mapping[str, Run]) -> dict[str, float | None]:
    """Of what the static order point costs more than the clairvoyant, the share that each policy avoids."""
    total = {name: float(run.costs.sum()) for name, run in runs.items()}
    if not {STATIC_REORDER_POINT, CLAIRVOYANT} <= total.keys():
        return {}
    base, least = total[STATIC_REORDER_POINT], total[CLAIRVOYANT]
    return {name: gap_closed(cost, base, least) for name, cost in total.items()}


def _described(study: Study, trial: Trial) -> dict[str, Any]:
    rules, known, rounds = study.schedule()
    return {
        "series": len(trial), "period": study.period.value, "unmet": rules.unmet.value, "start": str(rules.start),
        "rounds": rounds, "known_periods": known, "target_fill_rate": rules.target_fill_rate,
        "lattice_units_per_unit": study.scale, "notes": dict(study.notes or {}),
    }  # fmt: skip
