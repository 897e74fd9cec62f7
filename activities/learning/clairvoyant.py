"""The least cost with all demand known: what no policy can beat, so that a gap to it means something.

Exact where orders are free (no order cost, no pack, no minimum): each unit is ordered to arrive in the period that
wants it, if it still can. Exact as well where they are not, by a dynamic programme over the stock of each row (the
problem of Wagner and Whitin 1958 with lost sales or backlog, whole packs and minimum orders), as long as a row's demand
has at most `MOST_STATES` lattice units (or multiples of what divides all of the row's quantities). Beyond that the
programme plans in coarser units, rounded up, and its cost lies a fraction of a percent above the least.

With a target fill rate the plan is the one of least holding and ordering cost that leaves nothing unserved that could
be served: where orders are free that costs no more than any lower target would, elsewhere it may.
"""

import math

import numpy as np

from activities.learning.simulation import View
from activities.learning.trial import Trial
from activities.learning.windows import Floats, Ints
from workflows.domain.studies import MISSING, Unmet

CLAIRVOYANT = "clairvoyant"
MOST_STATES = 50_000


class Clairvoyant:
    """Places the orders of the least-cost plan. It alone is built from the trial itself, future and all."""

    name = CLAIRVOYANT

    def __init__(self, trial: Trial) -> None:
        self._plan = plan(trial)

    def order(self, view: View) -> Ints:
        """What the plan says for this review."""
        return self._plan[:, view.round]


def plan(trial: Trial) -> Ints:
    """[rows, rounds]: what to order at each review."""
    orders = just_in_time(trial)
    for row in np.flatnonzero(~trial.economics.free):
        orders[row] = _Row(trial, int(row)).plan()
    return orders


def _known(trial: Trial) -> Ints:
    return np.where(trial.demand == MISSING, 0, trial.demand)


def _arrivals(trial: Trial) -> Ints:
    """[rows, rounds]: what was under way at the first review, by the round in which it becomes usable."""
    arrivals = np.zeros_like(trial.demand)
    reach = min(trial.arrivals.shape[1], trial.rounds)
    arrivals[:, :reach] = trial.arrivals[:, :reach]
    return arrivals


def just_in_time(trial: Trial) -> Ints:
    """Orders that bring exactly what each period lacks, from the first that an order can reach."""
    demand, arrivals, lead = _known(trial), _arrivals(trial), trial.economics.lead
    orders = np.zeros_like(demand)
    stock = trial.on_hand.copy()
    rows = np.arange(len(trial))
    for t in range(trial.rounds):
        stock = stock + arrivals[:, t]
        reached = rows[lead <= t]
        lacking = np.maximum(demand[reached, t] - stock[reached], 0)
        orders[reached, t - lead[reached]] = lacking
        stock[reached] += lacking
        stock = stock - demand[:, t]
        if trial.economics.unmet is Unmet.LOST:
            stock = np.maximum(stock, 0)
    return orders


class _Row:
    """One row's dynamic programme, in states of `unit` lattice units."""

    def __init__(self, trial: Trial, row: int) -> None:
        economics = trial.economics
        demand, arrivals, stock = _known(trial)[row], _arrivals(trial)[row], int(trial.on_hand[row])
        minimum, pack = int(economics.minimum[row]), int(economics.pack[row])
        self._backlog, self._lead = economics.unmet is Unmet.BACKLOG, int(economics.lead[row])
        self._unit = _unit_of(demand, arrivals, stock, minimum, pack)
        counts = trial.demand[row] != MISSING
        self._setup = float(economics.order_cost[row])
        self._holding = counts * float(economics.holding[row]) * self._unit
        self._shortage = counts * float(economics.shortage[row]) * self._unit
        if economics.target_fill_rate is not None:
            # Dearer than any way of serving the unit, so that nothing is left unserved to save an order.
            rounds = trial.rounds + 1
            self._shortage += counts * (self._setup + self._holding.max(initial=0.0) * (minimum + pack) * rounds)
        # What a coarse unit rounds, it rounds towards ordering enough.
        self._demand, self._arrivals, self._stock = (
            -(-demand // self._unit),
            arrivals // self._unit,
            stock // self._unit,
        )
        # In states, so that what is ordered is whole packs however coarse a state is.
        self._pack = pack // math.gcd(pack, self._unit)
        self._least = -(-max(minimum, pack) // (self._unit * self._pack)) * self._pack
        self._low = min(0, self._stock) - int(self._demand.sum()) if self._backlog else 0

    def plan(self) -> Ints:
        """The orders by review: backwards for the costs, forwards for the orders."""
        rounds = len(self._demand)
        to_come = np.cumsum(self._demand[::-1])[::-1]
        costs: list[Floats] = [np.zeros(0)] * rounds
        later: Floats | None = None
        for t in range(rounds - 1, -1, -1):
            # Stock beyond all demand to come and one order serves nobody: cost is linear from there on.
            costs[t] = self._cost(t, int(to_come[t]) + self._least + self._pack, later)
            later = self._reviewed(t, costs[t])
        return self._forward(costs)

    def _cost(self, t: int, top: int, later: Floats | None) -> Floats:
        """Least cost of periods t and on, by the stock usable in t (from `low` to `top`)."""
        left = np.arange(self._low, top + 1) - self._demand[t]
        cost = self._holding[t] * np.maximum(left, 0) + self._shortage[t] * np.maximum(-left, 0)
        if later is None:
            return np.asarray(cost, dtype=np.float64)
        after = left if self._backlog else np.maximum(left, 0)
        # Nothing reaches a stock below `low`; the states from which it would are reached by nothing either.
        return np.asarray(cost + later[np.maximum(after - self._low, 0)], dtype=np.float64)

    def _reviewed(self, t: int, cost: Floats) -> Floats:
        """Least cost of periods t and on, by the stock before what arrives in t, if the best is ordered to arrive."""
        usable = np.arange(len(cost)) + int(self._arrivals[t])
        over = np.maximum(usable - (len(cost) - 1), 0)
        best = cost[np.minimum(usable, len(cost) - 1)] + over * self._holding[t:].sum()
        if t >= self._lead:
            filled = np.full(len(cost) + int(self._arrivals[t]) + self._least, np.inf)
            filled[: len(cost)] = self._from_here_up(cost)
            best = np.minimum(best, self._setup + filled[usable + self._least])
        return np.asarray(best, dtype=np.float64)

    def _from_here_up(self, cost: Floats) -> Floats:
        """The least of cost[y], cost[y + pack], cost[y + 2 pack], ... for each y."""
        padded = np.full(-(-len(cost) // self._pack) * self._pack, np.inf)
        padded[: len(cost)] = cost
        columns = padded.reshape(-1, self._pack)[::-1]
        least = np.minimum.accumulate(columns, axis=0)[::-1].ravel()[: len(cost)]
        return np.asarray(least, dtype=np.float64)

    def _forward(self, costs: list[Floats]) -> Ints:
        orders = np.zeros(len(self._demand), dtype=np.int64)
        stock = self._stock
        for t, cost in enumerate(costs):
            stock += int(self._arrivals[t])
            here = stock - self._low  # beyond the last state there is stock for all demand, and nothing to choose
            choices = cost[here + self._least :: self._pack] if t >= self._lead else cost[:0]
            if len(choices) and self._setup + choices.min() < cost[here]:
                bought = self._least + int(choices.argmin()) * self._pack
                orders[t - self._lead] = bought * self._unit
                stock += bought
            stock -= int(self._demand[t])
            stock = stock if self._backlog else max(0, stock)
        return orders


def _unit_of(demand: Ints, arrivals: Ints, stock: int, minimum: int, pack: int) -> int:
    """Lattice units to a state: what divides every quantity of the row, or more where that is too fine."""
    unit = math.gcd(*demand.tolist(), *arrivals.tolist(), stock, pack, minimum if minimum > 1 else 0) or 1
    span = (int(demand.sum()) + abs(min(stock, 0)) + pack + minimum) // unit
    return unit if span <= MOST_STATES else unit * math.ceil(span / MOST_STATES)
