"""The first rule of decision, kept as it was: what it decided comes out the same whenever it is made again.

It knows one supplier (the best-ranked that is not blocked), no fixed cost of an order, and the limits of the whole
company alone. Nothing new is decided by it, and nothing about it is ever changed; `deciding` has the rule of today.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from workflows.domain.decisions import DecisionInputs, Hold, HoldReason, Proposal, SupplyOption
from workflows.domain.policies import Policy, RiskTier, RuleCode, RuleFired
from workflows.domain.quantities import CENT, WaterfallStep, order_statistic, smallest_order

HALF = Decimal("0.5")


def decide(inputs: DecisionInputs, policy: Policy) -> Hold | Proposal:
    """What the first rule says of these inputs."""
    scores, holding = inputs.scores, _holding(inputs)
    needed = order_statistic(scores.requirement_units, scores.target)
    steps = _need_steps(inputs, needed)
    allowed = 1 - scores.target
    if scores.demand_p90 == 0 and needed <= 0:
        sentence = "No demand is expected, so nothing is ordered."
        return Hold(reason=HoldReason.NO_DEMAND, sentence=sentence, waterfall=steps)
    if needed <= 0 or scores.stockout_risk <= allowed:
        sentence = (
            f"Stock suffices: the risk of running out before the next chance to order is "
            f"{_percent(scores.stockout_risk)}, at most {_percent(allowed)} is accepted."
        )
        return Hold(reason=HoldReason.COVERED, sentence=sentence, waterfall=steps)
    option = _first([one for one in inputs.options if not one.supplier.blocked])
    if option is None:
        return _blocked(inputs, needed, steps)
    units, rounding = _rounded(inputs, option, needed)
    cost, without = (_cost(inputs, q, holding) for q in (units, 0))
    if units == 0:
        sentence = (
            f"Waiting is cheaper: ordering at least {smallest_order(option.sourcing)} units would cost more than the "
            f"{without:.2f} {inputs.currency} expected without an order."
        )
        return Hold(reason=HoldReason.CHEAPER_TO_WAIT, sentence=sentence, waterfall=(*steps, *rounding))
    value = (units * option.sourcing.unit_cost).quantize(CENT)
    rules = _rules(inputs, policy, option, units, value, cost)
    return Proposal(
        supplier=option.sourcing.supplier, units=units, unit_cost=option.sourcing.unit_cost, value=value,
        currency=inputs.currency, tier=RiskTier.REVIEW if rules else RiskTier.AUTO, rules=rules,
        waterfall=(*steps, *rounding), sentence=_sentence(inputs, option, units, value),
        expected_cost=cost, expected_cost_without=without,
        safety_units=max(0, needed - max(0, order_statistic(scores.requirement_units, HALF))),
    )  # fmt: skip


def _first(options: Sequence[SupplyOption]) -> SupplyOption | None:
    """The best rank, then the lowest price."""
    return min(options, key=lambda o: (o.sourcing.rank, o.sourcing.unit_cost, o.sourcing.supplier), default=None)


def _holding(inputs: DecisionInputs) -> Decimal:
    """Of one unit until the next review of the first choice, blocked or not."""
    first = _first(inputs.options)
    return inputs.holding_per_unit_day * (first.sourcing.review_days if first else 1)


def _cost(inputs: DecisionInputs, units: int, holding: Decimal) -> Decimal:
    requirement = inputs.scores.requirement_units
    short = sum(n - units for n in requirement if n > units)
    over = sum(units - n for n in requirement if n < units)
    cost = (inputs.shortage_per_unit * short + holding * over) / len(requirement)
    return cost.quantize(CENT, rounding=ROUND_HALF_EVEN)


def _rounded(inputs: DecisionInputs, option: SupplyOption, needed: int) -> tuple[int, tuple[WaterfallStep, ...]]:
    """The cheapest of 0 and the two admissible neighbours of what is needed; costs are compared as they are shown."""
    sourcing, least, holding = option.sourcing, smallest_order(option.sourcing), _holding(inputs)

    def cost(units: int) -> Decimal:
        return _cost(inputs, units, holding)

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
        rule = "ordering nothing now costs least"
        steps.append(WaterfallStep(step="wait", units=0, rule=rule, cost=cost(0) - cost(at_least)))
    return chosen, tuple(steps)


def _need_steps(inputs: DecisionInputs, needed: int) -> tuple[WaterfallStep, ...]:
    scores, position = inputs.scores, inputs.position
    demand = f"median demand over {scores.protection_days} days (lead time + review)"
    stock = (
        f"less {position.on_hand_units} on hand and {position.on_order_units} on order, "
        f"plus {position.reserved_units} reserved, projected day by day"
    )
    safety = f"enough in {_percent(scores.target)} of the futures instead of half of them"
    return (
        WaterfallStep(step="demand", units=int(scores.demand_p50.to_integral_value()), rule=demand),
        WaterfallStep(step="net of stock", units=order_statistic(scores.requirement_units, HALF), rule=stock),
        WaterfallStep(step="safety", units=needed, rule=safety),
    )


def _blocked(inputs: DecisionInputs, needed: int, steps: tuple[WaterfallStep, ...]) -> Proposal:
    first, holding = _first(inputs.options), _holding(inputs)
    if first is None:
        unit_cost, supplier, detail = Decimal(0), "none", "no supplier is known for this item and location"
    else:
        unit_cost, supplier = first.sourcing.unit_cost, first.sourcing.supplier
        detail = "every supplier of this item is blocked"
    return Proposal(
        supplier=supplier, units=needed, unit_cost=unit_cost, value=(needed * unit_cost).quantize(CENT),
        currency=inputs.currency, tier=RiskTier.BLOCKED,
        rules=(RuleFired(code=RuleCode.NO_SUPPLIER, detail=detail),), waterfall=steps,
        sentence=f"{needed} units of {inputs.item.item} are needed at {inputs.position.location}, but {detail}.",
        expected_cost=_cost(inputs, needed, holding), expected_cost_without=_cost(inputs, 0, holding), safety_units=0,
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
    scores, currency, supplier = inputs.scores, inputs.currency, option.supplier.supplier
    lost = (scores.expected_lost_units * inputs.shortage_per_unit).quantize(Decimal("0.01"))
    surplus = -sum(min(0, n) for n in scores.requirement_units)
    unavoidable = _holding(inputs) * surplus / len(scores.requirement_units)
    avoidable = cost - unavoidable.quantize(CENT, rounding=ROUND_HALF_EVEN)
    usual = inputs.largest_receipt_units
    stale_hours = (inputs.clock - inputs.data_through).total_seconds() / 3600
    refused_days = None if option.refused_at is None else (inputs.clock - option.refused_at).days
    checks = (
        (value > policy.auto_value_limit, RuleCode.VALUE_ABOVE_LIMIT,
         f"{value:.2f} {currency} is above the limit of {policy.auto_value_limit:.2f}"),
        (scores.stockout_risk_soon > policy.soon_risk_limit and lost > policy.soon_lost_value_limit,
         RuleCode.SOON_OUT_OF_STOCK,
         f"{_percent(scores.stockout_risk_soon)} chance of running out before anything ordered now arrives; "
         f"{lost} {currency} of margin at stake"),
        (not inputs.ordered_before, RuleCode.FIRST_ORDER_OF_ITEM, "this item was never ordered for this location"),
        (not option.ordered_before, RuleCode.FIRST_ORDER_AT_SUPPLIER, f"nothing was ever ordered from {supplier}"),
        (usual is not None and units > policy.usual_quantity_factor * usual, RuleCode.MORE_THAN_USUAL,
         f"{units} units; the largest receipt of the last 13 weeks was {usual}"),
        (scores.novelty, RuleCode.LITTLE_HISTORY, "too little history: the forecast rests on similar items"),
        (stale_hours > policy.stale_after_hours, RuleCode.STALE_INPUTS,
         f"the newest fact is {stale_hours:.0f} hours old; {policy.stale_after_hours} are accepted"),
        (refused_days is not None and refused_days <= policy.refused_memory_days, RuleCode.SUPPLIER_REFUSED_LATELY,
         f"{supplier} refused an order {refused_days} days ago"),
        (avoidable > policy.costly_if_wrong_limit, RuleCode.COSTLY_IF_WRONG,
         f"expected shortage and surplus still cost {avoidable:.2f} {currency} with this order"),
    )  # fmt: skip
    return tuple(RuleFired(code=code, detail=detail) for fired, code, detail in checks if fired)


def _percent(share: Decimal) -> str:
    return f"{(share * 100).quantize(Decimal('0.1'), rounding=ROUND_HALF_EVEN).normalize():f} %"
