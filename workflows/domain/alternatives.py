"""Alternatives to a decision, from its recorded inputs alone: other quantities, what each is expected to cost and risk.

"Order now" gives the recorded figures exactly, because it is computed as they were. All costs look as far as one order
lasts (lead time + review), so they can be compared; tomorrow's chance is another question (`Stakes`).
"""

from bisect import bisect_right
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import NamedTuple

from workflows.domain.decisions import FIRST_RULE, Decision, DecisionInputs, Hold, Proposal, SupplyOption
from workflows.domain.drafting import draft
from workflows.domain.gate import Gated, gate, mean_demand
from workflows.domain.identity import Payload
from workflows.domain.limits import Place
from workflows.domain.policies import Policy
from workflows.domain.quantities import CENT, Amount, Quantity, SupplyTerms, expected_cost, order_statistic
from workflows.domain.scores import Probability
from workflows.domain.stakes import stakes
from workflows.domain.supplying import as_seen_from, first_choice, preferred

SHARE, TENTH = Decimal("0.0001"), Decimal("0.1")


class Course(StrEnum):
    """What somebody might do instead."""

    WAIT = "wait"
    """Order nothing until the next review."""
    HALF = "half"
    PACK_LESS = "pack_less"
    NOW = "now"
    """What was decided: for a hold the least that can be ordered."""
    PACK_MORE = "pack_more"
    HALF_MORE = "half_more"
    ASKED = "asked"
    """A quantity that somebody asks about."""


class Alternative(Payload):
    """One quantity and what is expected of it, in money and units, until the order after it arrives."""

    course: Course
    units: int
    value: Amount
    """Units x unit cost: money that leaves, not a cost while the units can still be sold."""
    expected_cost: Amount
    """Expected shortage and surplus, with the fixed cost of an order where this order bears all of it."""
    difference: Amount
    """Beyond the expected cost of the decision; negative where it would be cheaper."""
    stockout_risk: Probability
    """The share of the futures in which these units do not last until the next review's order arrives."""
    short_units: Decimal
    """Mean of the units asked for in vain."""
    left_units: Decimal
    """Mean of the units left over."""
    cover_days: Decimal | None = None
    """Days that stock, what is on order and these units last at mean demand; None where no demand is expected."""


class Weighing(NamedTuple):
    """What quantities are weighed by: the recorded figures as they look from the supplier in question."""

    inputs: DecisionInputs
    option: SupplyOption | None
    holding: Decimal
    """Of one unit until the next order of its kind."""
    fixed: Decimal
    """Cost of the order itself where this line bears all of it."""
    target: Decimal
    accepted: Decimal
    share: Decimal
    """What the line bears of an order that it shares."""

    @property
    def terms(self) -> SupplyTerms:
        """What can be ordered at all."""
        return SupplyTerms.of(self.option.sourcing) if self.option else SupplyTerms()

    def cost(self, units: int) -> Decimal:
        """EC(units), with the fixed cost where something is ordered."""
        sample, shortage = self.inputs.scores.requirement_units, self.inputs.shortage_per_unit
        if self.inputs.rule == FIRST_RULE:  # it rounded nothing before it weighed
            short = sum(n - units for n in sample if n > units)
            over = sum(units - n for n in sample if n < units)
            exact = (shortage * short + self.holding * over) / len(sample)
            return exact.quantize(CENT, rounding=ROUND_HALF_EVEN)
        return expected_cost(sample, units, shortage, self.holding) + (self.fixed if units else Decimal(0))


def weigh(inputs: DecisionInputs, policy: Policy, supplier: str | None = None) -> Weighing:
    """The weights of a decision made on these inputs under this policy.

    `supplier` is the one that a proposal names; None takes the one that would be asked.
    """
    if inputs.rule == FIRST_RULE:
        first = first_choice(inputs.options)
        holding = inputs.holding_per_unit_day * (first.sourcing.review_days if first else 1)
        allowed = 1 - inputs.scores.target
        return Weighing(
            inputs, preferred(inputs.options), holding, Decimal(0), inputs.scores.target, allowed, Decimal(0)
        )
    found = draft(inputs, policy, shared=inputs.joint is not None)
    option = found.option
    named = next((one for one in inputs.options if one.sourcing.supplier == supplier), option) if supplier else option
    seen = as_seen_from(inputs, named) if named else found.inputs
    alone = inputs.joint is None and named is not None and not named.company_lines
    fixed = named.supplier.cost_per_order if alone and named else Decimal(0)
    share = inputs.joint.share if inputs.joint else Decimal(0)
    return Weighing(seen, named, found.holding, fixed, found.target, found.accepted, share)


def alternatives(decision: Decision, inputs: DecisionInputs, policy: Policy) -> tuple[Alternative, ...]:
    """The decision beside waiting, less and more, from nothing to the most; quantities that nobody sells are left out.

    `policy` is the one that the decision names. Of a hold, the least that could have been ordered is shown beside it.
    """
    result = decision.result
    weighing = weigh(inputs, policy, result.supplier if isinstance(result, Proposal) else None)
    terms = weighing.terms
    chosen = result.units if isinstance(result, Proposal) else 0
    wanted: dict[int, Course] = {0: Course.WAIT}
    if isinstance(result, Hold):
        if weighing.option:
            wanted[terms.smallest] = Course.NOW
            wanted.setdefault(terms.smallest + terms.pack_units, Course.PACK_MORE)
    else:
        pack = terms.pack_units
        wanted[chosen] = Course.NOW
        half = max(terms.smallest, chosen // 2 // pack * pack)
        more = -(-chosen * 3 // 2 // pack) * pack
        for units, course in (
            (chosen - pack, Course.PACK_LESS), (chosen + pack, Course.PACK_MORE), (half, Course.HALF),
            (more, Course.HALF_MORE),
        ):  # fmt: skip
            if units >= terms.smallest and (units < chosen) is (course in (Course.PACK_LESS, Course.HALF)):
                wanted.setdefault(units, course)
    base = weighing.cost(chosen)
    return tuple(_alternative(weighing, units, wanted[units], base) for units in sorted(wanted))


class Recomputed(Payload):
    """What becomes of a proposal with another quantity: what is expected of it, and which rules would ask."""

    proposed: Alternative
    asked: Alternative
    gated: Gated
    """By the policy that was given, with these units."""
    remarks: tuple[str, ...] = ()
    """Why the supplier may not sell exactly this, in words."""
    needs_two: str | None = None
    """Why two people must sign; None where one is enough."""
    above_everybody: str | None = None
    """Why nobody may release it; None where somebody may."""


def recompute(proposal: Proposal, inputs: DecisionInputs, decided_by: Policy, policy: Policy, units: int) -> Recomputed:
    """The proposal with `units` instead. Weights are those of the policy that it was `decided_by`; who must agree is
    what `policy`, the one in force, says.

    Raises:
        ValueError: `units` is not positive, or nobody can be asked for the item.
    """
    weighing = weigh(inputs, decided_by, proposal.supplier)
    option = weighing.option
    if units <= 0 or option is None:
        raise ValueError("a quantity above zero from a supplier that can be asked")
    base = weighing.cost(proposal.units)
    asked = _alternative(weighing, units, Course.ASKED, base)
    seen = weighing.inputs
    quantity = Quantity(
        needed=max(0, order_statistic(seen.scores.requirement_units, weighing.target)), units=units,
        expected_cost=asked.expected_cost, expected_cost_without=weighing.cost(0),
    )  # fmt: skip
    at_stake = stakes(seen, weighing.target, weighing.accepted, weighing.holding, quantity, share=weighing.share)
    gated = gate(
        seen, policy, option, units=units, value=asked.value, cost=asked.expected_cost, holding=weighing.holding,
        stakes=at_stake,
    )  # fmt: skip
    place = inputs.item.item, inputs.item.category, option.supplier.supplier, inputs.position.location
    limits = policy.limits_for(Place(*place))
    return Recomputed(
        proposed=_alternative(weighing, proposal.units, Course.NOW, base), asked=asked, gated=gated,
        remarks=_remarks(weighing.terms, units),
        needs_two=limits.needs_two(asked.value, inputs.currency, new_supplier=not option.ordered_before),
        above_everybody=limits.above_everybody(asked.value, inputs.currency),
    )  # fmt: skip


def _alternative(weighing: Weighing, units: int, course: Course, base: Decimal) -> Alternative:
    inputs, option = weighing.inputs, weighing.option
    sample = inputs.scores.requirement_units
    within = bisect_right(sample, units)
    short = sum(sample[within:]) - units * (len(sample) - within)
    left = units * within - sum(sample[:within])
    cost, unit_cost = weighing.cost(units), option.sourcing.unit_cost if option else Decimal(0)
    return Alternative(
        course=course, units=units, value=(units * unit_cost).quantize(CENT), expected_cost=cost,
        difference=cost - base, stockout_risk=_share(len(sample) - within, len(sample)),
        short_units=(Decimal(short) / len(sample)).quantize(TENTH, rounding=ROUND_HALF_EVEN),
        left_units=(Decimal(left) / len(sample)).quantize(TENTH, rounding=ROUND_HALF_EVEN),
        cover_days=_cover(inputs, units),
    )  # fmt: skip


def _cover(inputs: DecisionInputs, units: int) -> Decimal | None:
    demand = mean_demand(inputs)
    if demand <= 0:
        return None
    stock = max(0, inputs.position.available_units) + units
    days = stock * max(1, inputs.scores.protection_days) / demand
    return days.quantize(TENTH, rounding=ROUND_HALF_EVEN)


def _share(part: int, whole: int) -> Decimal:
    return (Decimal(part) / whole).quantize(SHARE, rounding=ROUND_HALF_EVEN)


def _remarks(terms: SupplyTerms, units: int) -> tuple[str, ...]:
    said = []
    if units < terms.minimum_units:
        said.append(f"the supplier takes at least {terms.minimum_units} units")
    if units % terms.pack_units:
        down = units // terms.pack_units * terms.pack_units
        near = f"{down} or {down + terms.pack_units}" if down else str(terms.pack_units)
        said.append(f"the supplier sells packs of {terms.pack_units}: {near} units")
    return tuple(said)
