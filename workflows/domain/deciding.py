"""`decide` turns one scored need into a hold or a proposal: pure and total, and it says why.

The same inputs give the same decision on any machine, because everything here is integers and decimals. The quantity
rule is FP3 (projected requirement, order statistic of integers) with the cost comparison of its neighbours.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from workflows.domain.decisions import DecisionInputs, Hold, HoldReason, Proposal, SupplyOption
from workflows.domain.policies import Policy, RiskTier, RuleCode, RuleFired
from workflows.domain.quantities import (
    CENT,
    WaterfallStep,
    expected_cost,
    order_statistic,
    round_to_supplier,
    smallest_order,
)


def decide(inputs: DecisionInputs, policy: Policy) -> Hold | Proposal:
    """Order what tau of the futures need, rounded to what the supplier sells, unless waiting is cheaper."""
    scores, shortage, holding = inputs.scores, inputs.shortage_per_unit, _holding_per_review(inputs)
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
    option = preferred(inputs.options)
    if option is None:
        return _blocked(inputs, needed, steps)
    sourcing = option.sourcing
    units, rounding = round_to_supplier(needed, sourcing, scores.requirement_units, shortage, holding)
    cost, without = (expected_cost(scores.requirement_units, q, shortage, holding) for q in (units, 0))
    if units == 0:
        sentence = (
            f"Waiting is cheaper: ordering at least {smallest_order(sourcing)} units would cost more than the "
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


def _holding_per_review(inputs: DecisionInputs) -> Decimal:
    """What keeping one unit costs until the next order of its kind: the period that tau is computed for too."""
    first = first_choice(inputs.options)
    return inputs.holding_per_unit_day * (first.sourcing.review_days if first else 1)


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


def preferred(options: Sequence[SupplyOption]) -> SupplyOption | None:
    """Whom to order from: the best rank, then the lowest price, among those that are not blocked."""
    return first_choice([option for option in options if not option.supplier.blocked])


def first_choice(options: Sequence[SupplyOption]) -> SupplyOption | None:
    """The same, blocked or not: whose conditions a forecast rests on when nobody can be ordered from."""
    return min(options, key=lambda o: (o.sourcing.rank, o.sourcing.unit_cost, o.sourcing.supplier), default=None)


def _blocked(inputs: DecisionInputs, needed: int, steps: tuple[WaterfallStep, ...]) -> Hold | Proposal:
    """Something is needed but nobody may be asked for it: recorded as blocked, so that it is seen, never ordered."""
    first = first_choice(inputs.options)
    if first is None:
        unit_cost, supplier, detail = Decimal(0), "none", "no supplier is known for this item and location"
    else:
        sourcing, detail = first.sourcing, "every supplier of this item is blocked"
        unit_cost, supplier = sourcing.unit_cost, sourcing.supplier
    requirement, shortage, holding = (
        inputs.scores.requirement_units,
        inputs.shortage_per_unit,
        _holding_per_review(inputs),
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


def _sentence(inputs: DecisionInputs, option: SupplyOption, units: int, value: Decimal) -> str:
    scores = inputs.scores
    return (
        f"Order {units} of {inputs.item.item} for {inputs.position.location} from {option.supplier.supplier} "
        f"for {value:.2f} {inputs.currency}, expected in {scores.lead_time_p50_days} days; without it there is a "
        f"{_percent(scores.stockout_risk)} chance of running out before the next chance to order."
    )


def _rules(
    inputs: DecisionInputs, policy: Policy, option: SupplyOption, units: int, value: Decimal, cost: Decimal
) -> tuple[RuleFired, ...]:
    """The gate: which rules ask for a person (science 3.3: hard rules, then the economic one)."""
    scores, currency = inputs.scores, inputs.currency
    lost = (scores.expected_lost_units * inputs.shortage_per_unit).quantize(Decimal("0.01"))
    unavoidable = expected_cost(
        [min(0, n) for n in scores.requirement_units], 0, Decimal(0), _holding_per_review(inputs)
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
