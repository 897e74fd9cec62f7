"""Every possible future of a small world as rows of the engine's simulator: the mean cost is exact, not sampled."""

from collections.abc import Sequence
from datetime import date
from itertools import product

import numpy as np

from activities.learning.simulation import Run, View, simulate
from activities.learning.trial import Economics, Facts, Trial
from activities.learning.windows import Floats, Ints
from tests.oracles.programming import Instance
from workflows.domain.studies import Period, Unmet


class OrderTables:
    """A policy of the simulator that looks its orders up: one table over the instance's states per period."""

    name = "order tables"

    def __init__(self, instance: Instance, tables: Sequence[Ints]) -> None:
        self._instance = instance
        self._tables = tables

    def order(self, view: View) -> Ints:
        """What the round's table says of each row's state."""
        lead = self._instance.lead
        usable = view.on_hand + (view.pipeline[:, 0] if lead else 0)
        place = usable - self._instance.least_usable
        if int(place.min()) < 0 or int(place.max()) >= len(self._instance.usable):
            raise IndexError("the simulator left the grid, so no table says what to order")
        later = [view.pipeline[:, arrival] for arrival in range(1, lead)]
        orders: Ints = self._tables[view.round][(place, *later)].astype(np.int64)
        return orders


def economics_of(instance: Instance, rows: int) -> Economics:
    """The instance's terms for that many equal rows of the simulator."""
    each, whole = np.ones(rows), np.ones(rows, dtype=np.int64)
    return Economics(
        holding=each * instance.holding, shortage=each * instance.shortage, order_cost=each * instance.order_cost,
        lead=whole * instance.lead, minimum=whole * max(1, instance.minimum), pack=whole * instance.pack,
        unmet=Unmet.BACKLOG if instance.least_usable < 0 else Unmet.LOST,
    )  # fmt: skip


def every_path(instance: Instance, periods: int) -> tuple[Ints, Floats]:
    """Demand [paths, periods] of every path that can happen, and how probable each is."""
    possible = np.flatnonzero(instance.law.mass)
    paths = np.array(list(product(possible.tolist(), repeat=periods)), dtype=np.int64)
    return paths, instance.law.mass[paths].prod(axis=1)


def play(instance: Instance, tables: Sequence[Ints], on_hand: int, arrivals: Sequence[int]) -> tuple[float, Run]:
    """The expected total cost of as many periods as there are tables, by the engine's simulator; and what it did."""
    demand, probable = every_path(instance, len(tables))
    rows = len(demand)
    nobody = ("",) * rows
    trial = Trial(
        economics=economics_of(instance, rows), past=np.zeros((rows, 1)), demand=demand,
        on_hand=np.full(rows, on_hand, dtype=np.int64),
        arrivals=np.tile(np.array(arrivals, dtype=np.int64), (rows, 1)).reshape(rows, len(arrivals)),
        facts=Facts(nobody, nobody, {}, Period.WEEK, date(2024, 1, 1), 1),
    )  # fmt: skip
    run = simulate(trial, lambda _: OrderTables(instance, tables))
    return float(probable @ run.costs.sum(axis=1)), run
