"""Dynamic programming over every state of one item: the least possible cost, and the exact cost of any ordering rule.

A state is what is known at a review: `usable`, the units that can be sold next period (stock and what arrives at its
start), and the later arrivals one by one. With no lead time the order itself is usable next period. The order of events
is that of the simulator: review, arrivals, demand, costs. Orders are arrays over the grid of states.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from activities.learning.windows import Flags, Floats, Ints
from tests.oracles.laws import Law

Shape = tuple[int, ...]
STEP = 0.9
"""Of the way to the new values: a chain that goes round in a circle converges then, too (Schweitzer 1971)."""


@dataclass(frozen=True)
class Instance:
    """One item whose law of demand, costs and terms are known."""

    law: Law
    lead: int
    """An order placed at the end of period t is usable from the start of t + lead + 1."""
    shortage: float
    holding: float
    most_usable: int
    """The grid ends here; nobody may get further, or what would be beyond counts as this much."""
    most_order: int
    order_cost: float = 0.0
    pack: int = 1
    minimum: int = 0
    least_usable: int = 0
    """Negative under backlog; 0 means that unserved demand is lost."""

    @cached_property
    def usable(self) -> Ints:
        """Each place of the grid in units."""
        return np.arange(self.least_usable, self.most_usable + 1)

    @cached_property
    def shape(self) -> Shape:
        """The grid of states: usable, then what arrives one, two, ... periods later."""
        return (len(self.usable), *[self.most_order + 1] * max(0, self.lead - 1))

    @cached_property
    def admissible(self) -> Ints:
        """What may be ordered."""
        every = np.arange(self.most_order + 1)
        found: Ints = every[(every == 0) | ((every % self.pack == 0) & (every >= self.minimum))]
        return found

    @cached_property
    def leftover(self) -> Floats:
        """[usable, left]: probability of what is left at the end of the period."""
        size = len(self.usable)
        result = np.zeros((size, size))
        for demand, mass in enumerate(self.law.mass):
            result[np.arange(size), np.maximum(np.arange(size) - demand, 0)] += mass
        return result

    @cached_property
    def period_cost(self) -> Floats:
        """[usable]: expected holding and shortage cost of the next period."""
        gap = self.usable[:, None] - np.arange(len(self.law.mass))
        cost: Floats = (self.holding * np.maximum(gap, 0) + self.shortage * np.maximum(-gap, 0)) @ self.law.mass
        return cost

    def beyond(self, value: Floats) -> Floats:
        """Expected cost from the next review on, given the value of its states.

        With lead time [usable, next arrival, later arrivals ...], the newest order last; without [usable].
        """
        if self.lead == 0:
            return self.leftover @ value
        reached = np.minimum(
            np.arange(len(self.usable))[:, None] + np.arange(self.most_order + 1), len(self.usable) - 1
        )  # fmt: skip
        return np.tensordot(self.leftover, value[reached], axes=(1, 0))

    def priced(self, value: Floats) -> Floats:
        """[*states, orders]: the cost of each admissible order in each state and all that follows; others infinite."""
        fixed = np.full(self.most_order + 1, np.inf)
        fixed[self.admissible] = np.where(self.admissible > 0, self.order_cost, 0.0)
        beyond = self.beyond(value)
        if self.lead == 0:
            after = self.period_cost + beyond
            reached = np.arange(len(self.usable))[:, None] + np.arange(self.most_order + 1)
            return np.asarray(after[np.minimum(reached, len(self.usable) - 1)] + fixed)
        spread = self.period_cost.reshape(-1, *[1] * (beyond.ndim - 1))
        return np.asarray(spread + beyond + fixed)


@dataclass(frozen=True)
class Optimum:
    """The least cost there is, and orders that reach it."""

    cost: float
    """Per period, in the long run."""
    orders: Ints
    error: float
    """The true least cost is within this much."""


def optimum(instance: Instance, tolerance: float = 1e-9, sweeps: int = 12) -> Optimum:
    """Least long-run cost per period: value iteration, with some rounds of each policy between improvements.

    The increments of an improving round bound the least cost from both sides (Odoni 1969), so the error is certain.
    """
    value = np.zeros(instance.shape)
    for _ in range(10_000):
        priced = instance.priced(value)
        orders = priced.argmin(axis=-1)
        better = np.take_along_axis(priced, orders[..., None], axis=-1)[..., 0]
        increments = better - value
        if float(np.ptp(increments)) < tolerance:
            middle = float(increments.max() + increments.min()) / 2
            return Optimum(middle, orders, float(np.ptp(increments)) / 2)
        value = value + STEP * increments
        follow = Following(instance, orders)
        for _ in range(sweeps):
            value = value + STEP * (follow.cost + follow.expected(value) - value)
        value -= value.flat[0]
    raise ArithmeticError(f"value iteration does not converge: still {float(np.ptp(increments))} apart")


class Following:
    """What happens when these orders are always followed."""

    def __init__(self, instance: Instance, orders: Ints) -> None:
        """`orders` has one admissible order per state."""
        self._instance = instance
        places = np.indices(instance.shape)
        usable = places[0] + orders if instance.lead == 0 else places[0]
        self._usable = np.minimum(usable, len(instance.usable) - 1)
        coming = [*places[1:], orders] if instance.lead else [np.zeros_like(orders)]
        self._next, self._later = coming[0], coming[1:]
        self.cost: Floats = instance.period_cost[self._usable] + np.where(orders > 0, instance.order_cost, 0.0)

    @cached_property
    def successors(self) -> Ints:
        """[states, demands]: the flat index of the state that each demand leads to."""
        demands = np.arange(len(self._instance.law.mass))
        left = np.maximum(self._usable.ravel()[:, None] - demands, 0) + self._next.ravel()[:, None]
        index: Ints = np.minimum(left, len(self._instance.usable) - 1)
        for one in self._later:
            index = index * (self._instance.most_order + 1) + one.ravel()[:, None]
        return index

    def expected(self, value: Floats) -> Floats:
        """[*states]: the mean value of the state at the next review."""
        found: Floats = (value.ravel()[self.successors] @ self._instance.law.mass).reshape(self._instance.shape)
        return found


def average_cost(instance: Instance, orders: Ints) -> float:
    """The long-run cost per period of following these orders from an empty shelf: exact, from the chain's equations.

    Only states that can be reached matter; gain and relative values solve v = c - g + P v with v = 0 at the start.
    """
    follow = Following(instance, orders)
    start = int(np.ravel_multi_index((-instance.least_usable, *[0] * (len(instance.shape) - 1)), instance.shape))
    reached: Flags = np.zeros(orders.size, dtype=np.bool_)
    reached[start], fresh = True, np.array([start])
    possible = instance.law.mass > 0
    while len(fresh):
        found = np.unique(follow.successors[fresh][:, possible])
        fresh = found[~reached[found]]
        reached[fresh] = True
    states = np.flatnonzero(reached)
    place = np.zeros(orders.size, dtype=np.int64)
    place[states] = np.arange(len(states))
    matrix = np.eye(len(states))
    rows = np.repeat(np.arange(len(states)), len(possible))
    moves = np.tile(instance.law.mass, len(states))
    np.subtract.at(matrix, (rows, place[follow.successors[states]].ravel()), moves)
    # The start's relative value is 0, so its column is free for the gain.
    matrix[:, place[start]] = 1.0
    return float(np.linalg.solve(matrix, follow.cost.ravel()[states])[place[start]])


def finite(instance: Instance, periods: int, orders: list[Ints] | None = None) -> tuple[Floats, list[Ints]]:
    """Expected total cost of that many periods from every state, and the orders by period; least cost if none given."""
    value, taken = np.zeros(instance.shape), []
    for period in reversed(range(periods)):
        priced = instance.priced(value)
        chosen = priced.argmin(axis=-1) if orders is None else orders[period]
        value = np.take_along_axis(priced, chosen[..., None], axis=-1)[..., 0]
        taken.append(chosen)
    return value, taken[::-1]
