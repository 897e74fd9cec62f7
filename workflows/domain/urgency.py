"""How urgent a task is: what a day of waiting costs, and what happens by itself and when, in words."""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from workflows.domain.approvals import TaskState
from workflows.domain.decisions import DecisionInputs
from workflows.domain.inbox import InboxRow

PENNY = Decimal("0.01")
SWANSON = Decimal("0.3"), Decimal("0.4"), Decimal("0.3")
"""Weights of the 10th, 50th and 90th percentile in the mean (Swanson's rule; Hurst, Brown and Swanson 2000)."""


def cost_of_waiting(inputs: DecisionInputs) -> Decimal:
    """Money per day: the margin of a mean day's demand x the risk of running out before the next chance to order.

    margin of a unit = `shortage_per_unit` (unit margin + goodwill); mean day's demand = (0.3 P10 + 0.4 P50 + 0.3 P90) /
    protection days, so that an item whose median is zero is not worth nothing; the probability is pi_0
    (`Scores.stockout_risk`), whose next chance is tomorrow's order. To two decimals, half up: a migration computes
    the same.
    """
    scores = inputs.scores
    quantiles = scores.demand_p10, scores.demand_p50, scores.demand_p90
    mean = sum((weight * units for weight, units in zip(SWANSON, quantiles, strict=True)), Decimal(0))
    daily = mean / max(1, scores.protection_days)
    return (inputs.shortage_per_unit * daily * scores.stockout_risk).quantize(PENNY, rounding=ROUND_HALF_UP)


def days_of_cover(inputs: DecisionInputs) -> Decimal | None:
    """How long the stock on hand lasts at the median demand, in days to a tenth; None where none is expected."""
    per_day = inputs.scores.demand_p50 / max(1, inputs.scores.protection_days)
    if not per_day:
        return None
    return (Decimal(max(0, inputs.position.on_hand_units)) / per_day).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)


def what_happens_next(row: InboxRow, clock: datetime | None, zone: str = "UTC") -> str:
    """What becomes of an open task that nobody answers, in words: "goes to the approvers at 14:00; expires, not
    ordered, on 3 Dec 17:00". Empty once it is answered.

    `clock` is the location's business clock (None: not known, then days are always named); `zone` is its time zone.
    """
    if row.state is not TaskState.OPEN:
        return ""
    place = ZoneInfo(zone)
    said = []
    if row.escalated:
        said.append("is with the approvers")
    elif row.escalate_at is not None:
        said.append(f"goes to the approvers {_when(row.escalate_at, clock, place)}")
    said.append(f"expires, not ordered, {_when(row.expire_at, clock, place)}")
    return "; ".join(said)


def _when(instant: datetime, clock: datetime | None, place: ZoneInfo) -> str:
    local = instant.astimezone(place)
    if clock is not None and instant <= clock:
        return "any moment now"
    if clock is not None and local.date() == clock.astimezone(place).date():
        return f"at {local:%H:%M}"
    return f"on {local.day} {local:%b} at {local:%H:%M}"
