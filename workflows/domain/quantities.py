"""Quantities: what a sample of requirements says an order should be, step by step, in integers and decimals.

Symbols and rules are those of the science notes: N requirement sample, q quantity, p shortage cost, h holding cost, K
cost of one more order. Costs are compared as whole micro-money over the whole sample, so nothing is rounded before it
is compared; `activities.learning.ordering` does the same for many rows at once, to the same unit.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from math import ceil
from typing import Annotated, Self

from pydantic import AfterValidator, Field

from workflows.domain.catalog import Sourcing
from workflows.domain.identity import Payload, made

CENT = Decimal("0.0001")
THOUSAND = 1_000
MICRO = 1_000_000
"""Parts of a unit of money in which costs are compared."""
Amount = Annotated[Decimal, Field(decimal_places=4)]
"""Money that was computed: of any size, because positions may be wrong by any amount and must still be decided."""


@lru_cache(maxsize=4_096)
def micro(amount: Decimal) -> int:
    """Money as whole millionths, half to even: the one place where a price is rounded before it is used."""
    return int((amount * MICRO).to_integral_value(rounding=ROUND_HALF_EVEN))


def _on_lattice(amount: Decimal) -> Decimal:
    return Decimal(f"{micro(amount)}E-6")


Price = Annotated[Decimal, Field(ge=0), AfterValidator(_on_lattice)]
"""Money per unit or per order, on the lattice of millionths."""


class Economics(Payload):
    """What a quantity is weighed by, in money: rule 6 and the fixed cost of rule 7."""

    shortage_per_unit: Price
    """p: what one unit costs that is wanted and not there."""
    holding_per_unit: Price
    """h: what keeping one unit costs for one review period."""
    order_cost: Price = Decimal(0)
    """K: what one more order (or one more line of an order) costs, whatever its size."""


class SupplyTerms(Payload):
    """The quantities that can be ordered at all: none, or whole packs from the minimum up to the cap."""

    minimum_units: int = Field(default=0, ge=0)
    pack_units: int = Field(default=1, ge=1)
    cap_units: int | None = Field(default=None, ge=0)
    """No more than this, when something (room, cover, shelf life) limits it."""

    @classmethod
    def of(cls, sourcing: Sourcing, cap_units: int | None = None) -> Self:
        """What this supplier asks of one line."""
        return made(cls, {
            "minimum_units": sourcing.minimum_order_units, "pack_units": sourcing.pack_units, "cap_units": cap_units,
        })  # fmt: skip

    @property
    def smallest(self) -> int:
        """The least that can be ordered, when anything is."""
        return max(1, -(-self.minimum_units // self.pack_units)) * self.pack_units

    def neighbours(self, needed: int) -> tuple[int, ...]:
        """What can be ordered next to `needed` from below and from above, and 0; 0 alone when the cap forbids all."""
        down = max(self.smallest, needed // self.pack_units * self.pack_units)
        up = max(self.smallest, -(-needed // self.pack_units) * self.pack_units)
        if self.cap_units is not None:
            most = self.cap_units // self.pack_units * self.pack_units
            if most < self.smallest:
                return (0,)
            down, up = min(down, most), min(up, most)
        return (0, down, up)


class WaterfallStep(Payload):
    """One step from the forecast to the quantity: the units after it, the rule, and what the step costs (expected)."""

    step: str
    units: int
    rule: str
    cost: Amount = Decimal(0)


class Quantity(Payload):
    """How much to order, and what it is expected to cost beside its alternatives (science 2.2, rules 5 to 8)."""

    needed: int
    """q0: what the share tau of the futures needs at most, before anything else is asked; never negative."""
    units: int
    """q*: what is ordered."""
    waterfall: tuple[WaterfallStep, ...] = ()
    """From `needed` to `units`; no step where nothing changed it."""
    expected_cost: Amount
    """EC(q*) + K when something is ordered."""
    expected_cost_without: Amount
    """EC(0)."""
    expected_cost_one_pack_less: Amount | None = None
    """EC(q* - pack) + K; None when that cannot be ordered."""
    expected_cost_one_pack_more: Amount | None = None


def short_and_over(requirement: Sequence[int], units: int) -> tuple[int, int]:
    """(N - q)+ and (q - N)+, each summed over the sample. `requirement` is ascending."""
    # Two sums of slices, because this is asked many times for each decision.
    within = bisect_right(requirement, units)
    short = sum(requirement[within:]) - units * (len(requirement) - within)
    return short, units * within - sum(requirement[:within])


def _whole_cost(requirement: Sequence[int], units: int, economics: Economics) -> int:
    """EC(q) + K 1{q > 0}, times the sample's size, in millionths: exact. `requirement` is ascending."""
    short, over = short_and_over(requirement, units)
    fixed = micro(economics.order_cost) * len(requirement) if units > 0 else 0
    return micro(economics.shortage_per_unit) * short + micro(economics.holding_per_unit) * over + fixed


def _money(whole: int, sample: int) -> Decimal:
    """A whole cost as money with four decimals, half to even; the one rounding, and only of what is shown."""
    cents, rest = divmod(whole, sample * 100)
    if 2 * rest > sample * 100 or (2 * rest == sample * 100 and cents % 2):
        cents += 1
    return Decimal(f"{cents}E-4")


def expected_cost(requirement: Sequence[int], units: int, shortage: Decimal, holding: Decimal) -> Decimal:
    """EC(q) = p mean[(N-q)+] + h mean[(q-N)+], in money; piecewise linear and convex in q (science 2.2, rule 6).

    `requirement` is ascending; `holding` is that of one review period. The fixed cost of an order is not in it.
    """
    short, over = short_and_over(requirement, units)
    return _money(micro(shortage) * short + micro(holding) * over, len(requirement))


def worth_waiting(short: Decimal, units: int, shortage: Decimal, holding: Decimal) -> bool:
    """Whether `units` are better ordered at the next chance than now: exact, in millionths of money.

    Waiting loses p `short` and keeps h (q - `short`), which an order of now would have to hold, so it is worth it while
    (p + h) `short` < h q. `short` is E[(N)+], N being the requirement until an order of the next chance could help;
    `holding` is that of one unit between the two chances. (One step of looking ahead: from there on both ways
    have the same stock but for what was lost; the fixed cost falls due either way.)
    """
    lost = int(short * THOUSAND)
    both = micro(shortage) + micro(holding)
    return lost == 0 or both * lost < micro(holding) * units * THOUSAND


def order_statistic(requirement: Sequence[int], probability: Decimal) -> int:
    """The smallest sampled requirement that at least this share of the sample does not exceed (rule 5).

    `requirement` is ascending.
    """
    return requirement[_place(probability, len(requirement))]


@lru_cache(maxsize=1 << 14)
def _place(probability: Decimal, count: int) -> int:
    return min(max(1, ceil(probability * count)), count) - 1


def smallest_order(sourcing: Sourcing) -> int:
    """The least that this supplier sells of it."""
    return SupplyTerms.of(sourcing).smallest


def choose_quantity(
    requirement: Sequence[int], target: Decimal, terms: SupplyTerms, economics: Economics
) -> Quantity:  # fmt: skip
    """Rules 5 to 7: the order statistic, then the cheapest of its two admissible neighbours and 0, priced.

    `requirement` is ascending, in units; `target` is tau. Costs are compared exactly; of equally cheap quantities the
    larger one is taken.
    """
    if isinstance(requirement, tuple):
        return _chosen(requirement, target, terms, economics)
    return _choose(requirement, target, terms, economics)


@lru_cache(maxsize=4_096)
def _chosen(
    requirement: tuple[int, ...], target: Decimal, terms: SupplyTerms, economics: Economics
) -> Quantity:  # fmt: skip
    """`_choose`, once for each question: offers are compared, orders joined and decisions made by the same answers."""
    return _choose(requirement, target, terms, economics)


def _choose(requirement: Sequence[int], target: Decimal, terms: SupplyTerms, economics: Economics) -> Quantity:
    needed = max(0, order_statistic(requirement, target))
    units, steps = round_to_supplier(needed, requirement, terms, economics) if needed else (0, ())
    chosen, more = _whole_cost(requirement, units, economics), units + terms.pack_units

    def at(other: int) -> Decimal | None:
        if units == 0 or other not in terms.neighbours(other):
            return None
        return _money(_whole_cost(requirement, other, economics), len(requirement))

    return Quantity(
        needed=needed, units=units, waterfall=steps, expected_cost=_money(chosen, len(requirement)),
        expected_cost_without=_money(_whole_cost(requirement, 0, economics), len(requirement)),
        expected_cost_one_pack_less=at(units - terms.pack_units) if units > terms.pack_units else None,
        expected_cost_one_pack_more=at(more),
    )  # fmt: skip


def round_to_supplier(
    needed: int, requirement: Sequence[int], terms: SupplyTerms, economics: Economics
) -> tuple[int, tuple[WaterfallStep, ...]]:
    """Rule 7 for a positive need: the cheapest of 0 and the two admissible neighbours, and each step there with its
    price: the difference in expected cost, the fixed cost counted where an order is made or saved."""
    chosen = min(terms.neighbours(needed), key=lambda q: (_whole_cost(requirement, q, economics), -q))

    def cost(units: int) -> Decimal:
        return expected_cost(requirement, units, economics.shortage_per_unit, economics.holding_per_unit)

    steps: list[WaterfallStep] = []
    before = needed

    def step(name: str, units: int, rule: str, extra: Decimal = Decimal(0)) -> None:
        nonlocal before
        steps.append(WaterfallStep(step=name, units=units, rule=rule, cost=cost(units) - cost(before) + extra))
        before = units

    fixed = _money(micro(economics.order_cost), 1)
    if fixed:
        step("order cost", needed, "what one more order costs, whatever its size", fixed)
    if terms.smallest > needed:
        rule = f"the supplier takes at least {terms.minimum_units} units, in packs of {terms.pack_units}"
        step("minimum order", terms.smallest, rule)
    if terms.cap_units is not None and before > terms.cap_units:
        step("cap", terms.cap_units, f"at most {terms.cap_units} units may be ordered")
    if chosen and chosen != before:
        direction = "up" if chosen > before else "down"
        why = "the cap" if terms.cap_units is not None and terms.cap_units == before else "the cheaper neighbour"
        step("pack", chosen, f"rounded {direction} to packs of {terms.pack_units}: {why}")
    if chosen == 0:
        step("wait", 0, "ordering nothing now costs least", -fixed)
    return chosen, tuple(steps)
