"""What the engine's order rule costs above the least possible, and whether its simulator counts costs as the oracle."""

from dataclasses import dataclass, replace

import numpy as np

from activities.learning.risk import USUAL_SCALE
from tests.oracles.playing import play
from tests.oracles.programming import Instance, average_cost, finite, optimum
from tests.oracles.worlds import Decisions, World, random_world

SCALES = (15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 135, 150, 175, 200, 250, 300, 400)
"""Hundredths tried of the factor c of tau = 1 - c h/(p + h) where it is calibrated."""
PATHS, MOST_PERIODS = 4_096, 6
"""At most this many futures of at most this many periods are played."""


@dataclass(frozen=True)
class Gap:
    """One world: cost above the least possible, as a share of it, in the long run."""

    world: World
    usual: float
    """With the documented factors."""
    calibrated: float
    """With the best of `SCALES`."""


def gap_of(world: World) -> Gap:
    """Solves the world and evaluates the engine's rule in it, both exactly."""
    least = optimum(world.instance).cost
    decisions = Decisions.of(world)
    costs = {scale: average_cost(world.instance, decisions.orders(scale)) / least - 1 for scale in SCALES}
    return Gap(world, costs[USUAL_SCALE], min(costs.values()))


@dataclass(frozen=True)
class Agreement:
    """The largest differences between the oracle's and the simulator's expected total cost, relative to the cost."""

    rule: float
    """Following the engine's rule."""
    best: float
    """Following the optimal orders of each period."""
    paths: int
    """Futures played."""


def agreement_of(world: World, chance: np.random.Generator) -> Agreement:
    """Both ways to the same expected cost from a random state, over as many periods as `PATHS` allows."""
    instance = _roomy(world.instance)
    support = int((instance.law.mass > 0).sum())
    periods = max(2, min(MOST_PERIODS, int(np.log(PATHS) / np.log(support))))
    rule = Decisions.of(World(world.demands, instance)).orders()
    start = [int(one) for one in chance.integers(0, instance.law.most + 1, 1 + instance.lead)]
    best_value, best_orders = finite(instance, periods)
    rule_value, _ = finite(instance, periods, [rule] * periods)
    found, paths = [], 0
    for value, tables in ((rule_value, [rule] * periods), (best_value, best_orders)):
        expected = float(value[_place(instance, start)])
        played, run = play(instance, tables, start[0], start[1:])
        paths = len(run.left)
        found.append(abs(played - expected) / max(1.0, expected))
    return Agreement(found[0], found[1], paths)


def _roomy(instance: Instance) -> Instance:
    """The same with a grid that no path of these few periods can leave: what is cut off would be counted wrongly."""
    return replace(instance, most_usable=2 * instance.law.most + MOST_PERIODS * instance.most_order)


def _place(instance: Instance, start: list[int]) -> tuple[int, ...]:
    if instance.lead == 0:
        return (start[0],)
    return (start[0] + start[1], *start[2:])


def worlds(seed: int, count: int, *, terms: bool) -> list[World]:
    """That many random worlds; the same seed gives the same ones."""
    chance = np.random.Generator(np.random.PCG64(seed))
    return [random_world(chance, terms=terms) for _ in range(count)]
