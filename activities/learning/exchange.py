"""The exchange says what a fill rate takes in stock: the engine's curve over many prices of a shortage, and the static
order point's over many sigmas, on the same futures from the same first stock.

A single run compares two policies at two fill rates at once. Curves compare stock at one fill rate, and fill rate at
one stock, where neither side may buy one figure with the other.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from activities.learning.baselines import StaticReorderPoint
from activities.learning.engine_policy import ENGINE, EnginePolicy, Parameters, orders_of_copies
from activities.learning.exchange_curve import Curve, compared, curve_of
from activities.learning.order_points import ERP_SIGMAS
from activities.learning.simulation import View, Watch, simulate
from activities.learning.trial import Facts, Trial
from activities.learning.windows import Flags, Ints

SHORTAGE_PRICES = (1.0, 2.5, 4.0, 6.0, 9.0, 14.0, 22.0, 35.0, 60.0, 110.0, 250.0, 700.0, 3_000.0)
"""Costs of a unit short in units of holding, for every row alike: the engine's curve."""
SIGMAS = (-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, ERP_SIGMAS, 2.0, 2.5, 3.0, 4.0)
"""The static order point's curve; `ERP_SIGMAS` is the baseline itself."""
ROWS_AT_ONCE = 60_000
"""Rows of all alternatives that are played together: bounds memory."""

Bar = Callable[[str, int, int], None]


class Alternatives:
    """The engine with several parameters at once: each block of rows has parameters and stock of its own.

    Forecasts are made once, from what the first block could observe, and shared. The first block is therefore exactly
    the engine with its parameters; a block with less stock is forecast from what the first block's shelves showed.
    """

    name = ENGINE

    def __init__(self, engine: EnginePolicy, facts: Facts, tried: Sequence[Parameters]) -> None:
        self._engine = copy(engine)  # a long trial trains it anew, and others begin where it began
        self._facts = facts
        self._tried = tried

    def order(self, view: View) -> Ints:
        """Lattice units for each row of each block."""
        seen = self._engine.outlook(replace(view, facts=self._facts), copies=len(self._tried))
        return orders_of_copies(seen, view.economics, self._tried)


class Idle:
    """Never orders: the stock that is left then is nobody's merit and nobody's fault."""

    name = "idle"

    def order(self, view: View) -> Ints:
        """Nothing."""
        return np.zeros(len(view), dtype=np.int64)


def exchange(trial: Trial, engine: EnginePolicy, bar: Bar) -> dict[str, Any]:
    """Both curves and how they compare, JSON-ready; `engine` is as it stands at the first review, and stays so.

    `whole`: all rounds, from the trial's first stock. `acted`: of those, the rounds that an order of this trial can
    reach; what is on the shelf before is the same for everybody. `started_empty`: the acted rounds of the same trial
    begun with empty shelves and nothing under way, so that every unit in stock was ordered by the policy itself.
    `without_orders`: what stock and fill rate come to where nobody orders anything.
    """
    acted = np.arange(trial.rounds)[None, :] >= trial.economics.lead[:, None]
    masks = {"whole": np.ones_like(acted), "acted": acted}
    ours, theirs = _engine(trial, engine, masks, partial(bar, "exchange")), _static(trial, masks)
    empty = replace(trial, on_hand=np.zeros_like(trial.on_hand), arrivals=np.zeros_like(trial.arrivals))
    masks_of_empty = {"started_empty": acted}
    begun = _engine(empty, engine, masks_of_empty, partial(bar, "exchange from empty shelves"))
    idle = simulate(trial, lambda _: Idle())
    return {
        "acted_share_of_rounds": float(acted.mean()) if acted.size else 0.0,
        **{name: compared(ours[name], theirs[name], ERP_SIGMAS) for name in masks},
        "started_empty": compared(begun["started_empty"], _static(empty, masks_of_empty)["started_empty"], ERP_SIGMAS),
        "without_orders": {name: curve_of(idle, (None,), mask).points()[0] for name, mask in masks.items()},
    }  # fmt: skip


def _engine(trial: Trial, engine: EnginePolicy, masks: Mapping[str, Flags], watch: Watch) -> dict[str, Curve]:
    """The engine as it is (its setting is None), then at each price of a shortage."""
    count = len(trial)
    at_once = max(1, ROWS_AT_ONCE // max(1, count) - 1)
    batches = [SHORTAGE_PRICES[begin : begin + at_once] for begin in range(0, len(SHORTAGE_PRICES), at_once)]
    found: dict[str, list[Curve]] = {name: [] for name in masks}
    for number, batch in enumerate(batches):
        # Every batch begins with the engine as it is, for its forecasts are the ones that are shared.
        tried = [engine.parameters, *(replace(engine.parameters, shortage_per_holding=price) for price in batch)]
        alternatives = Alternatives(engine, trial.facts, tried)
        before, of = number * trial.rounds, len(batches) * trial.rounds
        run = simulate(
            trial.take(np.tile(np.arange(count), len(tried))), partial(_as_it_is, alternatives),
            partial(_further, watch, before, of),
        )  # fmt: skip
        for name, mask in masks.items():
            curve = curve_of(run, (None, *batch), mask)
            found[name].append(curve.take(slice(1, None)) if number else curve)
    return {name: Curve.joined(curves) for name, curves in found.items()}


def _as_it_is(alternatives: Alternatives, _: View) -> Alternatives:
    return alternatives


def _further(watch: Watch, before: int, of: int, done: int, _: int) -> None:
    watch(before + done, of)


def _static(trial: Trial, masks: Mapping[str, Flags]) -> dict[str, Curve]:
    runs = [simulate(trial, partial(StaticReorderPoint, sigmas=sigmas)) for sigmas in SIGMAS]
    return {
        name: Curve.joined([curve_of(run, (sigmas,), mask) for run, sigmas in zip(runs, SIGMAS, strict=True)])
        for name, mask in masks.items()
    }
