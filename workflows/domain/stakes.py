"""The figures that say how much hangs on a decision: last safe order time, money at risk, worst futures, surplus."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from workflows.domain.decisions import DecisionInputs
from workflows.domain.identity import Instant, made
from workflows.domain.offers import Stakes
from workflows.domain.orders import order_cycle
from workflows.domain.quantities import CENT, Quantity, expected_cost, short_and_over

TAIL = 5, 100
"""The worst twentieth of the futures."""
TENTH = Decimal("0.1")


def stakes(
    inputs: DecisionInputs, target: Decimal, accepted: Decimal, holding: Decimal, quantity: Quantity, *,
    share: Decimal = Decimal(0),
) -> Stakes:  # fmt: skip
    """The figures of `quantity`, an order that bears no fixed cost of its own; `share` is what it bears of the joint
    one. `accepted` is the risk of waiting up to which nothing is ordered, `holding` that of one unit until the next
    order of its kind."""
    scores, shortage = inputs.scores, inputs.shortage_per_unit
    sample, units, allowed = scores.requirement_units, quantity.units, 1 - target
    order_by, open_end = last_safe_order_time(inputs, accepted)
    surplus = Decimal(short_and_over(sample, units)[1]) / len(sample)
    per_day = scores.demand_p50 / max(1, scores.protection_days)
    return made(Stakes, {
        "order_by": order_by, "order_by_or_later": open_end, "late_already": scores.stockout_risk_soon > allowed,
        "expected_lost_value": _money(shortage * scores.expected_lost_units),
        "unavoidable_lost_value": _money(shortage * scores.lost_before_units),
        "cost_without": quantity.expected_cost_without, "cost_with": quantity.expected_cost,
        "cost_pack_less": quantity.expected_cost_one_pack_less, "cost_pack_more": quantity.expected_cost_one_pack_more,
        "cost_unavoidable": expected_cost(sample, 0, Decimal(0), holding),
        "cvar_95": cvar(sample, units, shortage, holding),
        "overstock_days": (surplus / per_day).quantize(TENTH, rounding=ROUND_HALF_EVEN) if per_day else Decimal(0),
        "order_cost_share": share,
    })  # fmt: skip


def last_safe_order_time(inputs: DecisionInputs, allowed: Decimal) -> tuple[Instant | None, bool]:
    """The cutoff of the latest order cycle that keeps the risk within `allowed`, and whether it may be later still.

    The risk of ordering d days later is `Scores.waiting_risk`; where already one day is too risky, it is the next
    cutoff. None when the scores do not say.
    """
    risks = inputs.scores.waiting_risk
    if not risks:
        return None, False
    days = next((later for later, risk in enumerate(risks) if risk > allowed), len(risks))
    return _cutoff(inputs.clock, days), days == len(risks)


@lru_cache(maxsize=1_024)
def _cutoff(clock: datetime, days: int) -> datetime:
    return order_cycle(clock + timedelta(days=days))[1]


def cvar(sample: Sequence[int], units: int, shortage: Decimal, holding: Decimal) -> Decimal:
    """CVaR_95: the mean loss in the worst 5 % of the futures; where that cuts a future in two, its part counts.

    `sample` is ascending, in whole units; `shortage` and `holding` are money per unit; the loss of a future n is
    shortage (n - q)+ + holding (q - n)+ (Rockafellar and Uryasev 2000, for a finite sample).
    """
    part, whole = TAIL
    full, rest = divmod(len(sample) * part, whole)
    worst = _worst(sample, units, shortage, holding, full + (rest > 0))
    total = sum(worst[:full], Decimal(0)) * whole + (worst[full] * rest if rest else 0)
    return _money(total / (len(sample) * part))


def _worst(sample: Sequence[int], units: int, shortage: Decimal, holding: Decimal, count: int) -> list[Decimal]:
    """The `count` largest losses, the largest first: they are at the ends of the ascending sample."""
    above = sample[max(count, len(sample) - count) :]
    losses = [
        shortage * (n - units) if n > units else holding * (units - n) for n in (*sample[:count], *reversed(above))
    ]  # fmt: skip
    return sorted(losses, reverse=True)[:count]


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)
