"""The gate says who must agree to a proposal, and with which figures each rule fired: pure and total.

Science 3.3: hard rules first, then the economic one. What the limits are is in `policies`; what is ordered is decided
in `deciding`, which asks here for the service level to aim at and, of the finished proposal, for its tier.
"""

from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import NamedTuple

from workflows.domain.decisions import DecisionInputs, SupplyOption
from workflows.domain.identity import Payload, digest
from workflows.domain.limits import Autonomy, Limits, Place, ServiceAim, ServiceMeasure
from workflows.domain.offers import Stakes
from workflows.domain.policies import Policy, RiskTier, RuleCode, RuleFired
from workflows.domain.quantities import expected_cost


class Gated(Payload):
    """What the gate says of one proposal: its tier, and every rule that fired."""

    tier: RiskTier
    rules: tuple[RuleFired, ...]


def service_target(inputs: DecisionInputs, policy: Policy) -> Decimal:
    """Tau, the share of futures that one order should cover: what the policy aims at, else the economic target.

    A fill-rate target beta is turned into the tau of the smallest sampled quantity q that serves it,
    1 - E[(N - q)+] / E[demand] >= beta (science 2.3), over the protection days.
    """
    aim = service_aim(inputs, policy)
    if aim is None:
        return inputs.scores.target
    demand = mean_demand(inputs)
    if aim.measure is ServiceMeasure.CYCLE:
        return aim.target
    sample = inputs.scores.requirement_units
    allowed, short = (1 - aim.target) * demand * len(sample), 0
    # From the largest requirement down: what is short at a quantity is a running sum, because the sample is sorted.
    for above, rank in enumerate(range(len(sample) - 1, 0, -1), start=1):
        short += above * (sample[rank] - sample[rank - 1])
        if short > allowed:
            # Rounded down, so that the order statistic at this share is the one of this rank and not of the next.
            return (Decimal(rank + 1) / len(sample)).quantize(Decimal("0.000001"), rounding=ROUND_DOWN)
    return Decimal(1) / len(sample)


def service_aim(inputs: DecisionInputs, policy: Policy) -> ServiceAim | None:
    """What the policy says how sure an order should be; None where it leaves that to the costs."""
    # Asked several times for each need: only overrides make one place differ from another.
    aim = policy.limits_for(_place(inputs)).service if policy.overrides else policy.service
    if aim is not None and aim.measure is ServiceMeasure.FILL and mean_demand(inputs) == 0:
        return None
    return aim


def mean_demand(inputs: DecisionInputs) -> Decimal:
    """Mean demand over the protection days from its three quantiles, in units: Swanson's rule 0.3, 0.4, 0.3 (Hurst,
    Brown and Swanson 2000), because the mean itself is not recorded and a median may be 0 where demand is not."""
    scores = inputs.scores
    return Decimal("0.3") * (scores.demand_p10 + scores.demand_p90) + Decimal("0.4") * scores.demand_p50


def gate(
    inputs: DecisionInputs,
    policy: Policy,
    option: SupplyOption,
    *,
    units: int,
    value: Decimal,
    cost: Decimal,
    holding: Decimal,
    stakes: Stakes | None = None,
) -> Gated:
    """Who must agree to `units` bought by `option` for `value`.

    `cost` is the expected cost with these units and `holding` what keeping one unit costs until the next order.
    `stakes` are the order's figures, for the rule that weighs a person's time.
    """
    order = _Order(inputs, policy.limits_for(_place(inputs, option)), option, units, value)
    rules = [*_of_value(order), *_of_economy(order, cost, holding), *_of_history(order), *_of_change(order)]
    rules += _of_attention(order, policy, stakes)
    rules += _of_autonomy(order, policy, asked=bool(rules))
    # What a rule says keeps its place among the others whatever fires: the order of the codes.
    rules.sort(key=lambda rule: _ORDER[rule.code])
    if any(rule.code in _NOBODY for rule in rules):
        return Gated(tier=RiskTier.BLOCKED, rules=tuple(rules))
    return Gated(tier=RiskTier.REVIEW if rules else RiskTier.AUTO, rules=tuple(rules))


_ORDER = {code: place for place, code in enumerate(RuleCode)}
_NOBODY = frozenset({RuleCode.VALUE_ABOVE_ANY_LIMIT, RuleCode.SUGGESTION_ONLY})
"""Rules that leave nobody to ask."""


class _Order(NamedTuple):
    """What the rules look at."""

    inputs: DecisionInputs
    limits: Limits
    option: SupplyOption
    units: int
    value: Decimal


def _place(inputs: DecisionInputs, option: SupplyOption | None = None) -> Place:
    supplier = option.supplier.supplier if option else ""
    return Place(inputs.item.item, inputs.item.category, supplier, inputs.position.location)


def _of_value(order: _Order) -> Iterator[RuleFired]:
    limits, value, currency = order.limits, order.value, order.inputs.currency
    if refusal := limits.above_everybody(value, currency):
        yield _fired(RuleCode.VALUE_ABOVE_ANY_LIMIT, refusal)
    if value > limits.auto_value_limit:
        detail = f"{value:.2f} {currency} is above the limit of {limits.auto_value_limit:.2f}"
        yield _fired(RuleCode.VALUE_ABOVE_LIMIT, detail + limits.scope_of("auto_value_limit"))
    if two := limits.needs_two(value, currency, new_supplier=not order.option.ordered_before):
        yield _fired(RuleCode.NEEDS_TWO_SIGNATURES, two)


def _of_economy(order: _Order, cost: Decimal, holding: Decimal) -> Iterator[RuleFired]:
    """The economic rules. At L4 they do not ask: what is left to a person there is a sample, and the hard rules."""
    inputs, limits, scores = order.inputs, order.limits, order.inputs.scores
    if limits.autonomy is Autonomy.L4:
        return
    lost = (scores.expected_lost_units * inputs.shortage_per_unit).quantize(Decimal("0.01"))
    if scores.stockout_risk_soon > limits.soon_risk_limit and lost > limits.soon_lost_value_limit:
        yield _fired(
            RuleCode.SOON_OUT_OF_STOCK,
            f"{percent(scores.stockout_risk_soon)} chance of running out before anything ordered now arrives; "
            f"{lost} {inputs.currency} of margin at stake",
        )
    avoidable = cost - expected_cost(scores.requirement_units, 0, Decimal(0), holding)
    if avoidable > limits.costly_if_wrong_limit:
        yield _fired(
            RuleCode.COSTLY_IF_WRONG,
            f"expected shortage and surplus still cost {avoidable:.2f} {inputs.currency} with this order",
        )


def _of_attention(order: _Order, policy: Policy, stakes: Stakes | None) -> Iterator[RuleFired]:
    """Science 3.3, the economic rule: a person is asked when the look is expected to save more than it costs."""
    attention = policy.attention
    if attention is None or stakes is None or order.limits.autonomy is Autonomy.L4:
        return
    benefit, price = attention.benefit(stakes), attention.price(stakes)
    if benefit > price:
        currency = order.inputs.currency
        detail = f"a look is expected to save {benefit:.2f} {currency} and costs {price:.2f} {currency}"
        yield _fired(RuleCode.WORTH_A_LOOK, detail)


def _of_history(order: _Order) -> Iterator[RuleFired]:
    """Existence conditions, and facts that are too old or too bad to go on alone."""
    inputs, limits, option = order.inputs, order.limits, order.option
    if limits.new_item_asks and not inputs.ordered_before:
        yield _fired(RuleCode.FIRST_ORDER_OF_ITEM, "this item was never ordered for this location")
    if limits.new_supplier_asks and not option.ordered_before:
        yield _fired(RuleCode.FIRST_ORDER_AT_SUPPLIER, f"nothing was ever ordered from {option.supplier.supplier}")
    if limits.little_history_asks and inputs.scores.novelty:
        yield _fired(RuleCode.LITTLE_HISTORY, "too little history: the forecast rests on similar items")
    stale_hours = (inputs.clock - inputs.data_through).total_seconds() / 3600
    if stale_hours > limits.stale_after_hours:
        detail = f"the newest fact is {stale_hours:.0f} hours old; {limits.stale_after_hours} are accepted"
        yield _fired(RuleCode.STALE_INPUTS, detail)
    if inputs.drift_alarms:
        detail = f"forecasts of the segment {inputs.scores.segment} are under alarm: {'; '.join(inputs.drift_alarms)}"
        yield _fired(RuleCode.DRIFT_ALARM, detail)
    refused_days = None if option.refused_at is None else (inputs.clock - option.refused_at).days
    if refused_days is not None and refused_days <= limits.refused_memory_days:
        detail = f"{option.supplier.supplier} refused an order {refused_days} days ago"
        yield _fired(RuleCode.SUPPLIER_REFUSED_LATELY, detail)
    if inputs.wanted_supplier is not None:
        terms = option.sourcing
        detail = f"at {terms.unit_cost:f} {inputs.currency} a unit, promised in {terms.lead_time_days} days"
        yield _fired(RuleCode.SUPPLIER_ASKED_FOR, f"a person asked for {terms.supplier} and no other: {detail}")


def _of_change(order: _Order) -> Iterator[RuleFired]:
    """The largest change that goes out without a person: of quantity, of cover and of price."""
    inputs, limits, option, units = order.inputs, order.limits, order.option, order.units
    usual = inputs.largest_receipt_units
    if usual is not None and units > limits.usual_quantity_factor * usual:
        detail = f"{units} units; the largest receipt of the last 13 weeks was {usual}"
        yield _fired(RuleCode.MORE_THAN_USUAL, detail)
    last, factor = option.last_units, limits.last_order_factor
    if factor is not None and last is not None and units > factor * last:
        detail = f"{units} units; {last} were ordered from {option.supplier.supplier} the last time"
        yield _fired(RuleCode.MORE_THAN_LAST_ORDER, detail)
    cap, demand = limits.cover_cap_days, mean_demand(inputs)
    if cap is not None and demand > 0:
        stock = max(0, inputs.position.available_units) + units
        cover = stock * max(1, inputs.scores.protection_days) / demand
        if cover > cap:
            yield _fired(RuleCode.COVER_TOO_LONG, f"{cover:.0f} days of demand would be covered; {cap} are the cap")
    paid, allowed = option.last_unit_cost, limits.price_deviation_limit
    if allowed is not None and paid is not None:
        price = option.sourcing.unit_cost
        if abs(price - paid) > allowed * paid:
            detail = f"{price:f} {inputs.currency} a unit; {paid:f} was paid to {option.supplier.supplier} last"
            yield _fired(RuleCode.PRICE_DEVIATES, f"{detail}, and {percent(allowed)} of deviation is accepted")


def _of_autonomy(order: _Order, policy: Policy, *, asked: bool) -> Iterator[RuleFired]:
    level, whom = order.limits.autonomy, order.limits.scope_of("autonomy")
    if refusal := order.limits.suggestion_only():
        yield _fired(RuleCode.SUGGESTION_ONLY, refusal)
    elif level is Autonomy.L2:
        yield _fired(RuleCode.EVERY_ORDER_REVIEWED, f"at autonomy L2{whom} a person approves each order")
    elif level is Autonomy.L4 and not asked and in_audit_sample(order.inputs.need.need_id, policy.audit_share):
        detail = f"picked for the audit sample: {percent(policy.audit_share)} of the orders at autonomy L4{whom}"
        yield _fired(RuleCode.AUDIT_SAMPLE, detail)


def in_audit_sample(decision_id: str, share: Decimal) -> bool:
    """Whether this decision is one of the share that is looked at: by the hash of its id, so always the same answer."""
    return int(digest(["audit sample", decision_id])[:12], 16) < share * 16**12


def _fired(code: RuleCode, detail: str) -> RuleFired:
    return RuleFired(code=code, detail=detail)


@lru_cache(maxsize=1 << 14)
def percent(share: Decimal) -> str:
    """A share in words, to a tenth of a per cent."""
    return f"{(share * 100).quantize(Decimal('0.1'), rounding=ROUND_HALF_EVEN).normalize():f} %"
