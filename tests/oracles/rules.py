"""Ordering rules as order tables over every state of an instance: the engine's own, and the textbook's base stock."""

from decimal import Decimal
from itertools import product

import numpy as np

from activities.learning import risk
from activities.learning.ordering import EconomicsOfRows, TermsOfRows, order_quantities
from activities.learning.windows import Floats, Ints
from tests.oracles.programming import Instance
from workflows.domain.quantities import micro

ROUNDING = 1e-12
"""A probability this close to the target reaches it: sums of floats end a few bits off."""


def requirement_law(instance: Instance) -> Floats:
    """[*states, orders]: the probability that this order suffices in the period that it serves.

    Rules 2 to 4 by convolution: what is left when the order arrives is a law over stock, period by period.
    """
    arriving = _stock_at_arrival(instance)
    demand = np.arange(len(instance.law.mass))
    enough = instance.usable[:, None, None] + np.arange(instance.most_order + 1)[:, None] >= demand
    found: Floats = np.tensordot(arriving, enough @ instance.law.mass, axes=(-1, 0))
    return found


def _stock_at_arrival(instance: Instance) -> Floats:
    """[*states, stock]: law of the stock that the order finds when it arrives."""
    size = len(instance.usable)
    law = np.eye(size).reshape(size, *[1] * max(0, instance.lead - 1), size)
    if instance.lead == 0:
        return law
    law = law @ instance.leftover
    for arrival in range(instance.lead - 1):
        moved = np.zeros((*law.shape[: 1 + arrival], instance.most_order + 1, *law.shape[2 + arrival :]))
        for units in range(instance.most_order + 1):
            shift = np.zeros((size, size))
            np.add.at(shift, (np.arange(size), np.minimum(np.arange(size) + units, size - 1)), 1.0)
            moved[(slice(None),) * (1 + arrival) + (units,)] = (law @ shift).squeeze(1 + arrival)
        law = moved @ instance.leftover
    return law


def exact_fp3(enough: Floats, tau: float) -> Ints:
    """[*states]: the least order that suffices with probability tau (rule 5); `enough` from `requirement_law`."""
    reached = enough >= tau - ROUNDING
    found: Ints = np.where(reached.any(axis=-1), reached.argmax(axis=-1), enough.shape[-1] - 1)
    return found


def base_stock(instance: Instance, level: int) -> Ints:
    """[*states]: up to the level, counting all that is under way."""
    places = np.indices(instance.shape)
    position = instance.usable[places[0]] + places[1:].sum(axis=0)
    found: Ints = np.clip(level - position, 0, instance.most_order)
    return found


def newsvendor_level(instance: Instance) -> int:
    """The base stock that is optimal when unserved demand waits: the quantile p/(p+h) of lead-time demand."""
    law = np.array([1.0])
    for _ in range(instance.lead + 1):
        law = np.convolve(law, instance.law.mass)
    ratio = instance.shortage / (instance.shortage + instance.holding)
    return int(np.argmax(np.cumsum(law) >= ratio - ROUNDING))


def engine_orders(
    instance: Instance, futures: Ints, tau: Decimal | float, *, backlog: bool = False
) -> Ints:  # fmt: skip
    """[*states]: what the engine orders: `risk.project` over the futures, then `order_quantities`.

    `futures` is [periods of lead time + 1, scenarios] in units, the same for every state.
    """
    states = np.indices(instance.shape).reshape(len(instance.shape), -1)
    scenarios, rows = futures.shape[1], states.shape[1]
    arrivals = np.zeros((rows, instance.lead + 1, scenarios), dtype=np.int64)
    for period, units in enumerate(states[1:], start=1):
        arrivals[:, period] = units[:, None]
    projected = risk.project(
        np.broadcast_to(futures, (rows, *futures.shape)), arrivals, instance.usable[states[0]],
        np.full((rows, scenarios), instance.lead), np.ones(rows, dtype=np.int64), backlog=backlog,
    )  # fmt: skip

    def of_all(value: int) -> Ints:
        return np.full(rows, value, dtype=np.int64)

    def money(value: float) -> Ints:
        return of_all(micro(Decimal(repr(value))))

    found = order_quantities(
        projected.requirement, of_all(round(float(tau) * 10_000)),
        TermsOfRows(of_all(instance.minimum), of_all(instance.pack), of_all(instance.most_order)),
        EconomicsOfRows(money(instance.shortage), money(instance.holding), money(instance.order_cost)),
    )  # fmt: skip
    return found.reshape(instance.shape)


def every_future(demands: list[int], periods: int) -> Ints:
    """[periods, futures]: all futures of equally likely demands, so that the sample is the law itself."""
    return np.array(list(product(demands, repeat=periods)), dtype=np.int64).T


def stored_futures(instance: Instance, table: int) -> Ints:
    """[periods, N]: the law's N strata in the order of the stored permutations of that table (rule 1)."""
    levels = (np.arange(risk.SCENARIOS) + 0.5) / risk.SCENARIOS
    strata = instance.law.quantiles(levels)
    return strata[risk.permutations()[table, : instance.lead + 1]]
