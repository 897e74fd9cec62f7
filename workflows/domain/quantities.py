"""Quantities: what a sample of requirements says an order should be, step by step, in integers and decimals.

Symbols and rules are those of the science notes: N requirement sample, q quantity, p shortage cost, h holding cost.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from math import ceil
from typing import Annotated

from pydantic import Field

from workflows.domain.catalog import Sourcing
from workflows.domain.identity import Payload

CENT = Decimal("0.0001")
Amount = Annotated[Decimal, Field(decimal_places=4)]
"""Money that was computed: of any size, because positions may be wrong by any amount and must still be decided."""


class WaterfallStep(Payload):
    """One step from the forecast to the quantity: the units after it, the rule, and what the step costs (expected)."""

    step: str
    units: int
    rule: str
    cost: Amount = Decimal(0)


def expected_cost(requirement: Sequence[int], units: int, shortage: Decimal, holding: Decimal) -> Decimal:
    """EC(q) = p mean[(N-q)+] + h mean[(q-N)+], in money; piecewise linear and convex in q (science 2.2, rule 6).

    `holding` is that of one review period. The fixed cost of an order is not in it yet.
    """
    short = sum(n - units for n in requirement if n > units)
    over = sum(units - n for n in requirement if n < units)
    cost = (shortage * short + holding * over) / len(requirement)
    return cost.quantize(CENT, rounding=ROUND_HALF_EVEN)


def order_statistic(requirement: Sequence[int], probability: Decimal) -> int:
    """The smallest sampled requirement that at least this share of the sample does not exceed (rule 5)."""
    rank = max(1, ceil(probability * len(requirement)))
    return requirement[min(rank, len(requirement)) - 1]


def smallest_order(sourcing: Sourcing) -> int:
    packs = max(1, ceil(sourcing.minimum_order_units / sourcing.pack_units))
    return packs * sourcing.pack_units


def round_to_supplier(
    needed: int, sourcing: Sourcing, requirement: Sequence[int], shortage: Decimal, holding: Decimal
) -> tuple[int, tuple[WaterfallStep, ...]]:
    """Rule 7: the cheapest of 0 and the two admissible neighbours of what is needed."""

    def cost(units: int) -> Decimal:
        return expected_cost(requirement, units, shortage, holding)

    least = smallest_order(sourcing)
    at_least = max(needed, least)
    down = max(least, at_least // sourcing.pack_units * sourcing.pack_units)
    up = max(least, -(-at_least // sourcing.pack_units) * sourcing.pack_units)
    chosen = min((0, down, up), key=lambda q: (cost(q), -q))
    steps = []
    if at_least != needed:
        rule = f"the supplier takes at least {sourcing.minimum_order_units} units, in packs of {sourcing.pack_units}"
        steps.append(WaterfallStep(step="minimum order", units=at_least, rule=rule, cost=cost(at_least) - cost(needed)))
    if chosen and chosen != at_least:
        direction = "up" if chosen > at_least else "down"
        rule = f"rounded {direction} to packs of {sourcing.pack_units}: the cheaper neighbour"
        steps.append(WaterfallStep(step="pack", units=chosen, rule=rule, cost=cost(chosen) - cost(at_least)))
    if chosen == 0:
        steps.append(
            WaterfallStep(step="wait", units=0, rule="ordering nothing now costs least", cost=cost(0) - cost(at_least))
        )
    return chosen, tuple(steps)
