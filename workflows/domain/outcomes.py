"""An outcome is what demand, stock and cost turned out to be over a decision's horizon."""

from decimal import Decimal

from workflows.domain.identity import Instant, Payload


class OutcomeFacts(Payload):
    """What happened between a decision and the end of its horizon."""

    decision_id: str
    horizon_days: int
    closed_at: Instant
    demand_units: int
    forecast_p10: Decimal
    forecast_p50: Decimal
    forecast_p90: Decimal
    days_out_of_stock: int
    ordered_units: int
    received_units: int
    on_hand_units: int
    shortage_per_unit: Decimal
    holding_per_unit_day: Decimal


class Outcome(Payload):
    """The facts and what they amount to. Cost = holding of the closing stock over the horizon + forecast demand not
    served while out of stock, both from the decision's own prices."""

    facts: OutcomeFacts
    forecast_error_units: Decimal
    within_interval: bool
    stocked_out: bool
    cost: Decimal


def measure(facts: OutcomeFacts) -> Outcome:
    """Turn what happened into figures. Days without stock hide demand, so they are charged at the median forecast."""
    per_day = facts.forecast_p50 / max(1, facts.horizon_days)
    shortage = facts.shortage_per_unit * per_day * facts.days_out_of_stock
    holding = facts.holding_per_unit_day * max(0, facts.on_hand_units) * facts.horizon_days
    return Outcome(
        facts=facts,
        forecast_error_units=facts.demand_units - facts.forecast_p50,
        within_interval=facts.forecast_p10 <= facts.demand_units <= facts.forecast_p90,
        stocked_out=facts.days_out_of_stock > 0,
        cost=(shortage + holding).quantize(Decimal("0.0001")),
    )
