"""The gate says who must agree to a proposal, and with which figures each rule fired: pure and total.

Science 3.3: hard rules first, then the economic one. What the limits are is in `policies`; what is ordered is decided
in `deciding`, which asks here for the service level to aim at and, of the finished proposal, for its tier.
"""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from workflows.domain.decisions import DecisionInputs, SupplyOption
from workflows.domain.identity import Payload
from workflows.domain.policies import Policy, RiskTier, RuleCode, RuleFired
from workflows.domain.quantities import expected_cost


class Gated(Payload):
    """What the gate says of one proposal: its tier, and every rule that fired."""

    tier: RiskTier
    rules: tuple[RuleFired, ...]


def service_target(inputs: DecisionInputs, policy: Policy) -> Decimal:
    """Tau, the share of futures that one order should cover."""
    return inputs.scores.target


def gate(
    inputs: DecisionInputs,
    policy: Policy,
    option: SupplyOption,
    *,
    units: int,
    value: Decimal,
    cost: Decimal,
    holding: Decimal,
) -> Gated:
    """Who must agree to `units` bought by `option` for `value`.

    `cost` is the expected cost with these units and `holding` what keeping one unit costs until the next order.
    """
    rules = _fired(inputs, policy, option, units, value, cost, holding)
    return Gated(tier=RiskTier.REVIEW if rules else RiskTier.AUTO, rules=rules)


def percent(share: Decimal) -> str:
    """A share in words, to a tenth of a per cent."""
    return f"{(share * 100).quantize(Decimal('0.1'), rounding=ROUND_HALF_EVEN).normalize():f} %"


def _fired(
    inputs: DecisionInputs,
    policy: Policy,
    option: SupplyOption,
    units: int,
    value: Decimal,
    cost: Decimal,
    holding: Decimal,
) -> tuple[RuleFired, ...]:
    scores, currency = inputs.scores, inputs.currency
    lost = (scores.expected_lost_units * inputs.shortage_per_unit).quantize(Decimal("0.01"))
    unavoidable = expected_cost([min(0, n) for n in scores.requirement_units], 0, Decimal(0), holding)
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
            f"{percent(scores.stockout_risk_soon)} chance of running out before anything ordered now arrives; "
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
