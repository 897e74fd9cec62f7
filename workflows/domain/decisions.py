"""One need becomes one decision: a hold, or a proposal with a quantity, a supplier, a tier and every step in words.

`decide` is pure and total: the same inputs give the same decision on any machine, because everything here is integers
and decimals. The quantity rule is FP3 (projected requirement, order statistic of integers) with the cost comparison
of its neighbours; formulas and symbols are those of the science notes: N requirement sample, q quantity, p shortage
cost, h holding cost.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from workflows.domain.catalog import Item, Money, Sourcing, Supplier
from workflows.domain.identity import Digest, Instant, Payload, digest
from workflows.domain.needs import Need
from workflows.domain.policies import Policy, RiskTier, RuleCode, RuleFired
from workflows.domain.positions import Position
from workflows.domain.scores import Scores

CENT = Decimal("0.0001")


class HoldReason(StrEnum):
    """Why nothing is ordered."""

    COVERED = "covered"
    CHEAPER_TO_WAIT = "cheaper_to_wait"
    NO_DEMAND = "no_demand"


class WaterfallStep(Payload):
    """One step from the forecast to the quantity: the units after it, the rule, and what the step costs (expected)."""

    step: str
    units: int
    rule: str
    cost: Money = Decimal(0)


class SupplyOption(Payload):
    """One way to buy the item, with what the engine knows about the supplier."""

    sourcing: Sourcing
    supplier: Supplier
    ordered_before: bool = True
    refused_at: Instant | None = None


class DecisionInputs(Payload):
    """All that a decision may look at, recorded with it."""

    need: Need
    item: Item
    position: Position
    options: tuple[SupplyOption, ...]
    scores: Scores
    shortage_per_unit: Money
    holding_per_unit_day: Money
    ordered_before: bool = True
    largest_receipt_units: int | None = None
    """In the last 13 weeks; None when nothing was received."""
    data_through: Instant
    """Newest fact about this item and location, on the business clock."""
    clock: Instant
    currency: str = "EUR"


class Hold(Payload):
    """Nothing is ordered; the reason is recorded all the same ("why did you not order?")."""

    kind: Literal["hold"] = "hold"
    reason: HoldReason
    sentence: str
    waterfall: tuple[WaterfallStep, ...] = ()


class Proposal(Payload):
    """What should be ordered, from whom, and who must agree."""

    kind: Literal["proposal"] = "proposal"
    supplier: str
    units: int = Field(gt=0)
    unit_cost: Money
    value: Money
    currency: str
    tier: RiskTier
    rules: tuple[RuleFired, ...]
    waterfall: tuple[WaterfallStep, ...]
    sentence: str
    expected_cost: Money
    """EC(q*): expected shortage + holding cost with this order."""
    expected_cost_without: Money
    """EC(0): the same if nothing is ordered."""
    safety_units: int
    """q(tau) - q(1/2): what uncertainty adds."""


Verdictable = Annotated[Hold | Proposal, Field(discriminator="kind")]


class Decision(Payload):
    """One revision of one decision with the digests of everything it rests on. Its hash is what a person approves."""

    decision_id: str
    revision: int = Field(ge=1)
    decided_at: Instant
    """On the business clock."""
    result: Verdictable
    inputs_digest: Digest
    model_digest: Digest
    policy_digest: Digest

    @property
    def proposal_hash(self) -> str:
        """SHA-256 over the whole decision: change anything and every approval given for it is void."""
        return digest(self)


def expected_cost(requirement: Sequence[int], units: int, shortage: Decimal, holding: Decimal) -> Decimal:
    """EC(q) = p mean[(N-q)+] + h mean[(q-N)+], in money; piecewise linear and convex in q (science 2.2, rule 6)."""
    short = sum(n - units for n in requirement if n > units)
    over = sum(units - n for n in requirement if n < units)
    cost = (shortage * short + holding * over) / len(requirement)
    return cost.quantize(CENT, rounding=ROUND_HALF_EVEN)


def order_statistic(requirement: Sequence[int], probability: Decimal) -> int:
    """The smallest sampled requirement that at least this share of the sample does not exceed (rule 5)."""
    rank = max(1, ceil(probability * len(requirement)))
    return requirement[min(rank, len(requirement)) - 1]


def decide(inputs: DecisionInputs, policy: Policy) -> Hold | Proposal:
    """Order what tau of the futures need, rounded to what the supplier sells, unless waiting is cheaper."""
    scores, shortage, holding = inputs.scores, inputs.shortage_per_unit, inputs.holding_per_unit_day
    needed = order_statistic(scores.requirement_units, scores.target)
    steps = _need_steps(inputs, needed)
    allowed_risk = 1 - scores.target
    if scores.demand_p90 == 0 and needed <= 0:
        return Hold(
            reason=HoldReason.NO_DEMAND, sentence="No demand is expected, so nothing is ordered.", waterfall=steps
        )
    if needed <= 0 or scores.stockout_risk <= allowed_risk:
        sentence = (
            f"Stock suffices: the risk of running out before the next chance to order is "
            f"{_percent(scores.stockout_risk)}, "
            f"at most {_percent(allowed_risk)} is accepted."
        )
        return Hold(reason=HoldReason.COVERED, sentence=sentence, waterfall=steps)
    option = _preferred(inputs.options)
    if option is None:
        return _blocked(inputs, needed, steps)
    sourcing = option.sourcing
    units, rounding = _round(needed, sourcing, scores.requirement_units, shortage, holding)
    cost, without = (expected_cost(scores.requirement_units, q, shortage, holding) for q in (units, 0))
    if units == 0:
        sentence = (
            f"Waiting is cheaper: ordering at least {_smallest(sourcing)} units would cost more than the "
            f"{without:.2f} {inputs.currency} expected without an order."
        )
        return Hold(reason=HoldReason.CHEAPER_TO_WAIT, sentence=sentence, waterfall=(*steps, *rounding))
    value = (units * sourcing.unit_cost).quantize(CENT)
    rules = _rules(inputs, policy, option, units, value, cost)
    return Proposal(
        supplier=sourcing.supplier,
        units=units,
        unit_cost=sourcing.unit_cost,
        value=value,
        currency=inputs.currency,
        tier=RiskTier.REVIEW if rules else RiskTier.AUTO,
        rules=rules,
        waterfall=(*steps, *rounding),
        sentence=_sentence(inputs, option, units, value),
        expected_cost=cost,
        expected_cost_without=without,
        safety_units=max(0, needed - max(0, order_statistic(scores.requirement_units, Decimal("0.5")))),
    )


def _need_steps(inputs: DecisionInputs, needed: int) -> tuple[WaterfallStep, ...]:
    """From demand to the net requirement: the five numbers that a planner checks first."""
    scores, position = inputs.scores, inputs.position
    median = order_statistic(scores.requirement_units, Decimal("0.5"))
    return (
        WaterfallStep(
            step="demand", units=int(scores.demand_p50.to_integral_value()),
            rule=f"median demand over {scores.protection_days} days (lead time + review)",
        ),
        WaterfallStep(
            step="net of stock", units=median,
            rule=f"less {position.on_hand_units} on hand and {position.on_order_units} on order, "
            f"plus {position.reserved_units} reserved, projected day by day",
        ),
        WaterfallStep(
            step="safety", units=needed,
            rule=f"enough in {_percent(scores.target)} of the futures instead of half of them"
        ),
    )  # fmt: skip


def _smallest(sourcing: Sourcing) -> int:
    packs = max(1, ceil(sourcing.minimum_order_units / sourcing.pack_units))
    return packs * sourcing.pack_units


def _round(
    needed: int, sourcing: Sourcing, requirement: Sequence[int], shortage: Decimal, holding: Decimal
) -> tuple[int, tuple[WaterfallStep, ...]]:
    """Rule 7: the cheapest of 0 and the two admissible neighbours of what is needed."""

    def cost(units: int) -> Decimal:
        return expected_cost(requirement, units, shortage, holding)

    least = _smallest(sourcing)
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


def _preferred(options: Sequence[SupplyOption]) -> SupplyOption | None:
    usable = [option for option in options if not option.supplier.blocked]
    return min(usable, key=lambda o: (o.sourcing.rank, o.sourcing.unit_cost, o.sourcing.supplier), default=None)


def _blocked(inputs: DecisionInputs, needed: int, steps: tuple[WaterfallStep, ...]) -> Hold | Proposal:
    """Something is needed but nobody may be asked for it: recorded as blocked, so that it is seen, never ordered."""
    if not inputs.options:
        unit_cost, supplier, detail = Decimal(0), "none", "no supplier is known for this item and location"
    else:
        sourcing = inputs.options[0].sourcing
        unit_cost, supplier, detail = sourcing.unit_cost, sourcing.supplier, "every supplier of this item is blocked"
    requirement, shortage, holding = (
        inputs.scores.requirement_units,
        inputs.shortage_per_unit,
        inputs.holding_per_unit_day,
    )
    return Proposal(
        supplier=supplier, units=needed, unit_cost=unit_cost, value=(needed * unit_cost).quantize(CENT),
        currency=inputs.currency,
        tier=RiskTier.BLOCKED, rules=(RuleFired(code=RuleCode.NO_SUPPLIER, detail=detail),), waterfall=steps,
        sentence=f"{needed} units of {inputs.item.item} are needed at {inputs.position.location}, but {detail}.",
        expected_cost=expected_cost(requirement, needed, shortage, holding),
        expected_cost_without=expected_cost(requirement, 0, shortage, holding),
        safety_units=0,
    )  # fmt: skip


def _rules(
    inputs: DecisionInputs, policy: Policy, option: SupplyOption, units: int, value: Decimal, cost: Decimal
) -> tuple[RuleFired, ...]:
    """The gate: which rules ask for a person (science 3.3: hard rules, then the economic one)."""
    scores, currency = inputs.scores, inputs.currency
    lost = (scores.expected_lost_units * inputs.shortage_per_unit).quantize(Decimal("0.01"))
    unavoidable = expected_cost(
        [min(0, n) for n in scores.requirement_units], 0, Decimal(0), inputs.holding_per_unit_day
    )
    avoidable = cost - unavoidable
    usual = inputs.largest_receipt_units
    stale_hours = (inputs.clock - inputs.data_through).total_seconds() / 3600
    refused_days = _days_since(option.refused_at, inputs.clock)
    checks: tuple[tuple[bool, RuleCode, str], ...] = (
        (
            value > policy.auto_value_limit,
            RuleCode.VALUE_ABOVE_LIMIT,
            f"{value:.2f} {currency} is above the limit of {policy.auto_value_limit:.2f}",
        ),
        (
            scores.stockout_risk_soon > policy.soon_risk_limit and lost > policy.soon_lost_value_limit,
            RuleCode.SOON_OUT_OF_STOCK,
            f"{_percent(scores.stockout_risk_soon)} chance of running out before anything ordered now arrives; "
            f"{lost} {currency} of margin at stake",
        ),
        (not inputs.ordered_before, RuleCode.FIRST_ORDER_OF_ITEM, "this item was never ordered for this location"),
        (
            not option.ordered_before,
            RuleCode.FIRST_ORDER_AT_SUPPLIER,
            f"nothing was ever ordered from {option.supplier.supplier}",
        ),
        (
            usual is not None and units > policy.usual_quantity_factor * usual,
            RuleCode.MORE_THAN_USUAL,
            f"{units} units; the largest receipt of the last 13 weeks was {usual}",
        ),
        (scores.novelty, RuleCode.LITTLE_HISTORY, "too little history: the forecast rests on similar items"),
        (
            stale_hours > policy.stale_after_hours,
            RuleCode.STALE_INPUTS,
            f"the newest fact is {stale_hours:.0f} hours old; {policy.stale_after_hours} are accepted",
        ),
        (
            refused_days is not None and refused_days <= policy.refused_memory_days,
            RuleCode.SUPPLIER_REFUSED_LATELY,
            f"{option.supplier.supplier} refused an order {refused_days} days ago",
        ),
        (
            avoidable > policy.costly_if_wrong_limit,
            RuleCode.COSTLY_IF_WRONG,
            f"expected shortage and surplus still cost {avoidable:.2f} {currency} with this order",
        ),
    )
    return tuple(RuleFired(code=code, detail=detail) for fired, code, detail in checks if fired)


def _days_since(moment: datetime | None, clock: datetime) -> int | None:
    return None if moment is None else (clock - moment).days


def _percent(share: Decimal) -> str:
    return f"{(share * 100).quantize(Decimal('0.1'), rounding=ROUND_HALF_EVEN).normalize():f} %"


def _sentence(inputs: DecisionInputs, option: SupplyOption, units: int, value: Decimal) -> str:
    scores = inputs.scores
    return (
        f"Order {units} of {inputs.item.item} for {inputs.position.location} from {option.supplier.supplier} "
        f"for {value:.2f} {inputs.currency}, expected in {scores.lead_time_p50_days} days; without it there is a "
        f"{_percent(scores.stockout_risk)} chance of running out before the next chance to order."
    )
