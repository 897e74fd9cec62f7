"""A draft is what one need would order by itself: supplier and quantity, before company and consent are asked for.

Nothing is decided here about the fixed cost of an order, because lines share it; see `joining`.
"""

from decimal import Decimal
from typing import NamedTuple

from workflows.domain.decisions import DecisionInputs, HoldReason, SupplyOption
from workflows.domain.gate import percent, service_aim, service_target
from workflows.domain.identity import made
from workflows.domain.offers import SupplierChoice
from workflows.domain.policies import Policy
from workflows.domain.quantities import (
    Economics,
    Quantity,
    SupplyTerms,
    WaterfallStep,
    choose_quantity,
    order_statistic,
    smallest_order,
    worth_waiting,
)
from workflows.domain.supplying import choose, first_choice, holding_per_cover

HALF, SHARE = Decimal("0.5"), Decimal("0.0001")
NO_DEMAND = "No demand is expected, so nothing is ordered."
COVERED = (
    "Stock suffices: the risk of running out before the next chance to order is {risk}, at most {accepted} is accepted."
)


class Draft(NamedTuple):
    """One need on its own. `hold` says why nothing is ordered; without it `option` is None if nobody may be asked."""

    inputs: DecisionInputs
    """As they look from the option."""
    target: Decimal
    accepted: Decimal
    """The risk of running out before the next chance to order up to which nothing is ordered."""
    holding: Decimal
    """Of one unit until the next order of its kind."""
    steps: tuple[WaterfallStep, ...]
    quantity: Quantity
    option: SupplyOption | None = None
    choice: SupplierChoice | None = None
    hold: tuple[HoldReason, str] | None = None

    @property
    def gain(self) -> Decimal:
        """EC(0) - EC(q*): what ordering is expected to save."""
        return self.quantity.expected_cost_without - self.quantity.expected_cost

    @property
    def orders(self) -> bool:
        """Whether it would order something from somebody."""
        return self.hold is None and self.option is not None


def draft(inputs: DecisionInputs, policy: Policy, *, shared: bool = False) -> Draft:
    """What this need would order. Unless the fixed cost of the order is `shared`, it bears all of it."""
    chosen = choose(inputs, policy)
    option = chosen.option if chosen else None
    inputs = chosen.inputs if chosen else inputs
    order_cost = Decimal(0) if shared or option is None or option.company_lines else option.supplier.cost_per_order
    scores, target = inputs.scores, service_target(inputs, policy)
    holding = holding_per_cover(inputs, option or first_choice(inputs.options))
    economics = Economics(
        shortage_per_unit=inputs.shortage_per_unit, holding_per_unit=holding, order_cost=order_cost
    )  # fmt: skip
    terms = SupplyTerms.of(option.sourcing) if option else SupplyTerms()
    quantity = choose_quantity(scores.requirement_units, target, terms, economics)
    needed = order_statistic(scores.requirement_units, target)
    waits, accepted = _waiting(inputs, policy, target, quantity.units)
    found = Draft(
        inputs, target, accepted, holding, need_steps(inputs, needed, target), quantity, option,
        chosen.choice if chosen else None,
    )  # fmt: skip
    if scores.demand_p90 == 0 and needed <= 0:
        return found._replace(hold=(HoldReason.NO_DEMAND, NO_DEMAND))
    if needed <= 0 or waits:
        sentence = COVERED.format(risk=percent(scores.stockout_risk), accepted=percent(accepted))
        return found._replace(hold=(HoldReason.COVERED, sentence))
    if option and quantity.units == 0:
        sentence = (
            f"Waiting is cheaper: ordering at least {smallest_order(option.sourcing)} units would cost more than the "
            f"{quantity.expected_cost_without:.2f} {inputs.currency} expected without an order."
        )
        return found._replace(hold=(HoldReason.CHEAPER_TO_WAIT, sentence))
    return found


def _waiting(inputs: DecisionInputs, policy: Policy, target: Decimal, units: int) -> tuple[bool, Decimal]:
    """Whether `units` are better ordered at the next chance, which is tomorrow's, and the risk up to which they are.

    Unless the policy says how sure an order should be, costs decide: what waiting is expected to lose against what
    keeping the units a day longer costs. The accepted risk is then the one at which both are equal if the futures that
    run short miss as much as they do now. (Scores from before that was recorded are judged by 1 - target, and so is
    what is too dear to be ordered at all: there it only tells whether anything is missing.)
    """
    scores, shortage, holding = inputs.scores, inputs.shortage_per_unit, inputs.holding_per_unit_day
    short = scores.waiting_short_units
    if short is None or units == 0 or service_aim(inputs, policy) is not None:
        return scores.stockout_risk <= 1 - target, 1 - target
    if short == 0 or shortage + holding == 0:
        return worth_waiting(short, units, shortage, holding), 1 - target
    accepted = scores.stockout_risk * holding * units / ((shortage + holding) * short)
    return worth_waiting(short, units, shortage, holding), min(Decimal(1), accepted).quantize(SHARE)


def need_steps(inputs: DecisionInputs, needed: int, target: Decimal) -> tuple[WaterfallStep, ...]:
    """From demand to the net requirement: the numbers that a planner checks first."""
    scores, position = inputs.scores, inputs.position
    return (
        _step(
            "demand", int(scores.demand_p50.to_integral_value()),
            f"median demand over {scores.protection_days} days (lead time + review)",
        ),
        _step(
            "net of stock", order_statistic(scores.requirement_units, HALF),
            f"less {position.on_hand_units} on hand and {position.on_order_units} on order, "
            f"plus {position.reserved_units} reserved, projected day by day",
        ),
        _step("safety", needed, f"enough in {percent(target)} of the futures instead of half of them"),
    )  # fmt: skip


def _step(step: str, units: int, rule: str) -> WaterfallStep:
    return made(WaterfallStep, {"step": step, "units": units, "rule": rule, "cost": Decimal(0)})
