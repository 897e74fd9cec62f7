"""`decide` turns one scored need into a hold or a proposal: pure and total, and it says why.

The same inputs give the same decision on any machine, because everything here is integers and decimals. The quantity
rule is FP3 (projected requirement, order statistic of integers) with the cost comparison of its neighbours.
"""

from collections.abc import Sequence
from decimal import Decimal

from workflows.domain.decisions import DecisionInputs, Hold, HoldReason, Proposal, SupplyOption
from workflows.domain.gate import gate, percent, service_target
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
    target = service_target(inputs, policy)
    needed = order_statistic(scores.requirement_units, target)
    steps = _need_steps(inputs, needed, target)
    allowed_risk = 1 - target
    if scores.demand_p90 == 0 and needed <= 0:
        return Hold(
            reason=HoldReason.NO_DEMAND, sentence="No demand is expected, so nothing is ordered.", waterfall=steps
        )
    if needed <= 0 or scores.stockout_risk <= allowed_risk:
        sentence = (
            f"Stock suffices: the risk of running out before the next chance to order is "
            f"{percent(scores.stockout_risk)}, "
            f"at most {percent(allowed_risk)} is accepted."
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
    gated = gate(inputs, policy, option, units=units, value=value, cost=cost, holding=holding)
    return Proposal(
        supplier=sourcing.supplier,
        units=units,
        unit_cost=sourcing.unit_cost,
        value=value,
        currency=inputs.currency,
        tier=gated.tier,
        rules=gated.rules,
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


def _need_steps(inputs: DecisionInputs, needed: int, target: Decimal) -> tuple[WaterfallStep, ...]:
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
            rule=f"enough in {percent(target)} of the futures instead of half of them"
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
        f"{percent(scores.stockout_risk)} chance of running out before the next chance to order."
    )
