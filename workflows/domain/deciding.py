"""`decide` turns one scored need into a hold or a proposal: pure and total, and it says why.

The same inputs give the same decision on any machine, because everything here is integers and decimals. The quantity
rule is FP3 (projected requirement, order statistic of integers) with the cost comparison of its neighbours; the
supplier is chosen in `supplying`, the fixed cost of the order is shared in `joining`, and `gate` says who must agree.
"""

from decimal import Decimal

from workflows.domain import first_rule
from workflows.domain.decisions import FIRST_RULE, RULE, DecisionInputs, Hold, HoldReason, Proposal, SupplyOption
from workflows.domain.drafting import HALF, Draft, draft
from workflows.domain.errors import InvalidInput
from workflows.domain.gate import gate, percent
from workflows.domain.offers import JointOrder
from workflows.domain.policies import Policy, RiskTier, RuleCode, RuleFired
from workflows.domain.quantities import (
    CENT,
    Quantity,
    SupplyTerms,
    WaterfallStep,
    expected_cost,
    order_statistic,
)
from workflows.domain.stakes import stakes
from workflows.domain.supplying import first_choice, preferred

__all__ = ["decide", "first_choice", "preferred"]


def decide(inputs: DecisionInputs, policy: Policy) -> Hold | Proposal:
    """Order what tau of the futures need, rounded to what the supplier sells, unless waiting is cheaper.

    Inputs are decided by the rule that they name, so a past decision comes out as it did.

    Raises:
        InvalidInput: they name a rule that this version does not know.
    """
    if inputs.rule == FIRST_RULE:
        return first_rule.decide(inputs, policy)
    if inputs.rule != RULE:
        raise InvalidInput(f"decided by rule {inputs.rule}, and this version knows {FIRST_RULE} to {RULE}: upgrade it")
    joint = inputs.joint
    found = draft(inputs, policy, shared=joint is not None)
    if found.hold:
        return _hold(found, *found.hold)
    if found.option is None:
        return _blocked(found)
    quantity = found.quantity
    if joint is not None:
        refusal = _refused(joint, inputs.currency)
        if refusal:
            return _hold(found, *refusal, joint=joint)
        quantity = _topped_up(found, found.option, joint)
    return _proposal(found, found.option, quantity, policy, joint)


def _proposal(
    found: Draft, option: SupplyOption, quantity: Quantity, policy: Policy, joint: JointOrder | None
) -> Proposal:
    inputs, units, sourcing = found.inputs, quantity.units, option.sourcing
    value = (units * sourcing.unit_cost).quantize(CENT)
    share = joint.share if joint else Decimal(0)
    at_stake = stakes(inputs, found.target, found.accepted, found.holding, quantity, share=share)
    gated = gate(
        inputs, policy, option,
        units=units, value=value, cost=quantity.expected_cost, holding=found.holding, stakes=at_stake,
    )  # fmt: skip
    steps = (*found.steps, *_trigger(found, joint), *_supplier(found), *quantity.waterfall)
    median = max(0, order_statistic(inputs.scores.requirement_units, HALF))
    return Proposal(
        supplier=sourcing.supplier, units=units, unit_cost=sourcing.unit_cost, value=value, currency=inputs.currency,
        tier=gated.tier, rules=gated.rules, waterfall=steps, sentence=_sentence(inputs, option, units, value),
        expected_cost=quantity.expected_cost, expected_cost_without=quantity.expected_cost_without,
        safety_units=max(0, quantity.needed - median), choice=found.choice, stakes=at_stake,
    )  # fmt: skip


def _hold(found: Draft, reason: HoldReason, sentence: str, joint: JointOrder | None = None) -> Hold:
    """Nothing is ordered. What is at stake is what is at stake without an order."""
    nothing = found.quantity.model_copy(
        update={"units": 0, "expected_cost": found.quantity.expected_cost_without,
                "expected_cost_one_pack_less": None, "expected_cost_one_pack_more": None}
    )  # fmt: skip
    steps = (*found.steps, *found.quantity.waterfall) if reason is HoldReason.CHEAPER_TO_WAIT else found.steps
    if joint is not None:
        stop = WaterfallStep(step="economic trigger", units=0, rule=sentence, cost=found.gain)
        steps = (*found.steps, *_supplier(found), *found.quantity.waterfall, stop)
    return Hold(
        reason=reason, sentence=sentence, waterfall=steps,
        stakes=stakes(found.inputs, found.target, found.accepted, found.holding, nothing),
    )  # fmt: skip


def _refused(joint: JointOrder, currency: str) -> tuple[HoldReason, str] | None:
    """Why the order that this line would join does not go out."""
    lines = "one line" if joint.lines == 1 else f"{joint.lines} lines"
    if not joint.large_enough:
        return HoldReason.BELOW_MINIMUM_VALUE, (
            f"{joint.supplier} takes no order below {joint.minimum_value:.2f} {currency}: {lines} come to "
            f"{joint.value:.2f} {currency}, and more would be more than is needed."
        )
    if not joint.pays:
        return HoldReason.CHEAPER_TO_WAIT, (
            f"Waiting is cheaper: {lines} for {joint.supplier} would save {joint.gain:.2f} {currency}, and one order "
            f"costs {joint.order_cost:.2f} {currency}."
        )
    return None


def _trigger(found: Draft, joint: JointOrder | None) -> tuple[WaterfallStep, ...]:
    if joint is None:
        return ()
    currency = found.inputs.currency
    rule = f"ordering saves {found.gain:.2f} {currency}"
    if joint.order_cost:
        together = f"; {joint.lines} lines together save {joint.gain:.2f} {currency}" if joint.lines > 1 else ""
        rule += f"{together}, one order costs {joint.order_cost:.2f} {currency}, and this is its share"
    else:
        rule += "; no fixed cost is counted again for an order that goes out anyway"
    return (WaterfallStep(step="economic trigger", units=found.quantity.needed, rule=rule, cost=joint.share),)


def _supplier(found: Draft) -> tuple[WaterfallStep, ...]:
    """Why this one: only where there was a choice."""
    choice, currency = found.choice, found.inputs.currency
    if choice is None or len(choice.offers) < 2:
        return ()
    best, second = choice.offers[:2]
    if choice.by_rank:
        rule = f"{best.supplier} is ranked first, and the policy orders by rank"
    else:
        rule = f"{best.supplier} costs {second.total - best.total:.2f} {currency} less than {second.supplier}, all told"
        if choice.flips_at is not None:
            rule += f"; at {choice.flips_at:.2f} {currency} a unit it would be {second.supplier}"
    cost = best.premium + best.unreliability
    return (WaterfallStep(step="supplier", units=found.quantity.needed, rule=rule, cost=cost),)


def _topped_up(found: Draft, option: SupplyOption, joint: JointOrder) -> Quantity:
    """The quantity with what was added so that the order reaches the supplier's minimum value."""
    before = found.quantity
    if not joint.top_up_units:
        return before
    units, terms = before.units + joint.top_up_units, SupplyTerms.of(option.sourcing)

    def cost(q: int) -> Decimal:
        inputs = found.inputs
        return expected_cost(inputs.scores.requirement_units, q, inputs.shortage_per_unit, found.holding)

    rule = f"the order must reach {joint.minimum_value:.2f} {found.inputs.currency}: these packs cost least of all"
    step = WaterfallStep(step="joint order", units=units, rule=rule, cost=cost(units) - before.expected_cost)
    return before.model_copy(
        update={
            "units": units, "waterfall": (*before.waterfall, step), "expected_cost": cost(units),
            "expected_cost_one_pack_less": cost(units - terms.pack_units),
            "expected_cost_one_pack_more": cost(units + terms.pack_units),
        }
    )  # fmt: skip


def _blocked(found: Draft) -> Proposal:
    """Something is needed but nobody may be asked for it: recorded as blocked, so that it is seen, never ordered."""
    inputs, needed = found.inputs, found.quantity.needed
    first = first_choice(inputs.options)
    if first is None:
        unit_cost, supplier, detail = Decimal(0), "none", "no supplier is known for this item and location"
    else:
        sourcing, detail = first.sourcing, "every supplier of this item is blocked"
        unit_cost, supplier = sourcing.unit_cost, sourcing.supplier
    cost, without = (
        expected_cost(inputs.scores.requirement_units, q, inputs.shortage_per_unit, found.holding) for q in (needed, 0)
    )
    return Proposal(
        supplier=supplier, units=needed, unit_cost=unit_cost, value=(needed * unit_cost).quantize(CENT),
        currency=inputs.currency,
        tier=RiskTier.BLOCKED, rules=(RuleFired(code=RuleCode.NO_SUPPLIER, detail=detail),), waterfall=found.steps,
        sentence=f"{needed} units of {inputs.item.item} are needed at {inputs.position.location}, but {detail}.",
        expected_cost=cost, expected_cost_without=without, safety_units=0,
    )  # fmt: skip


def _sentence(inputs: DecisionInputs, option: SupplyOption, units: int, value: Decimal) -> str:
    scores = inputs.scores
    return (
        f"Order {units} of {inputs.item.item} for {inputs.position.location} from {option.supplier.supplier} "
        f"for {value:.2f} {inputs.currency}, expected in {scores.lead_time_p50_days} days; without it there is a "
        f"{percent(scores.stockout_risk)} chance of running out before the next chance to order."
    )
