"""Random small worlds: items whose demand is one of a few equally likely values, so that the law is a finite sample."""

from dataclasses import dataclass

import numpy as np

from activities.learning import risk
from activities.learning.engine_policy import Outlook, Parameters, cycle_periods
from activities.learning.engine_policy import orders as engine_orders
from activities.learning.risk import USUAL_SCALE
from activities.learning.windows import Ints
from tests.oracles.laws import equally_likely
from tests.oracles.playing import economics_of
from tests.oracles.programming import Instance
from tests.oracles.rules import every_future

LONGEST_CYCLE = 6


@dataclass(frozen=True)
class World:
    """An instance with the demands that its law is made of."""

    demands: tuple[int, ...]
    instance: Instance


def random_world(chance: np.random.Generator, *, terms: bool) -> World:
    """An item with lead time 0 to 2 and p/h from 2 to 40; with `terms` packs, a minimum and a fixed cost per order too.

    Eight equally likely demands, or three with terms, because an order may then last for several periods.
    """
    atoms, lead = (3, int(chance.integers(0, 2))) if terms else (8, int(chance.integers(0, 3)))
    mean = float(chance.uniform(0.5, 4.0))
    draw = [chance.poisson(mean, atoms), chance.geometric(1 / (1 + mean), atoms) - 1,
            chance.poisson(2.5 * mean, atoms) * (chance.random(atoms) < 0.4)][int(chance.integers(0, 3))]  # fmt: skip
    demands = np.minimum(draw, 8)
    # A demand that never varies costs nothing to meet, and no share of nothing is a gap.
    demands[0] += int(demands.min() == demands.max())
    most = int(demands.max()) * (lead + 1)
    pack, minimum, fixed = 1, 0, 0.0
    if terms:
        pack, minimum = int(chance.integers(1, 5)), int(chance.integers(0, 7))
        fixed = float(np.round(chance.choice([0.0, chance.uniform(0, 12)]), 2))
        most = int(demands.max()) * (lead + LONGEST_CYCLE) + pack + minimum
    shortage = float(np.round(np.exp(chance.uniform(np.log(2), np.log(40))), 2))
    instance = Instance(
        equally_likely(demands.tolist()), lead, shortage, 1.0, most_usable=2 * most + pack, most_order=most + pack,
        order_cost=fixed, pack=pack, minimum=minimum,
    )  # fmt: skip
    return World(tuple(sorted(demands.tolist())), instance)


@dataclass(frozen=True)
class Decisions:
    """What the engine's order rule says in every state of a world, fed with all futures of the true law."""

    world: World
    seen: Outlook

    @classmethod
    def of(cls, world: World) -> "Decisions":
        """Projects every state through every future, as the engine's policy does with its scenarios."""
        instance = world.instance
        states = np.indices(instance.shape).reshape(len(instance.shape), -1)
        rows = states.shape[1]
        economics = economics_of(instance, rows)
        mean = np.full(rows, instance.law.mean)
        cycle = np.minimum(cycle_periods(economics, mean, LONGEST_CYCLE + instance.lead), LONGEST_CYCLE)
        periods = instance.lead + int(cycle[0])
        futures = every_future(list(world.demands), periods)
        scenarios = futures.shape[1]
        arrivals = np.zeros((rows, periods, scenarios), dtype=np.int64)
        for period, units in enumerate(states[1:], start=1):
            arrivals[:, period] = units[:, None]
        projected = risk.project(
            np.broadcast_to(futures, (rows, *futures.shape)), arrivals, instance.usable[states[0]],
            np.full((rows, scenarios), instance.lead), cycle,
        )  # fmt: skip
        return cls(world, Outlook(("",) * rows, projected.requirement, projected.waiting, cycle))

    def orders(self, scale: int = USUAL_SCALE) -> Ints:
        """[*states]: the orders with so many hundredths of the documented factor, by the engine's own decision step."""
        instance = self.world.instance
        found = engine_orders(
            self.seen, economics_of(instance, len(self.seen.cycle)), Parameters(scale, {})
        )  # fmt: skip
        return found.reshape(instance.shape)
