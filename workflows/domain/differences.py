"""What changed between the proposal that somebody looked at and the one that stands now, in words: pure and total."""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from workflows.domain.decisions import Decision, DecisionInputs, Hold, Proposal
from workflows.domain.identity import Payload


class Changed(StrEnum):
    """Which figure differs."""

    PROPOSAL = "proposal"
    """Whether anything is to be ordered at all."""
    UNITS = "units"
    VALUE = "value"
    SUPPLIER = "supplier"
    DEMAND = "demand"
    """Median demand a day."""
    RISK = "risk"
    """Probability of a stock-out before an order of now could arrive."""
    STOCK = "stock"
    ON_ORDER = "on_order"


class ProposalDifference(Payload):
    """One figure that is another now. `before` and `now` are what is compared, `words` say it to a person."""

    what: Changed
    before: str
    now: str
    words: str


def proposal_differences(
    before: Decision, before_inputs: DecisionInputs, now: Decision, now_inputs: DecisionInputs
) -> tuple[ProposalDifference, ...]:
    """What `now` says otherwise than `before`, what a person decides on first; empty when nothing that is shown moved.

    Both are revisions of one decision. Demand is the median over the protection days, a day; shares are rounded to
    whole per cent, so a difference that would be shown as the same figure is none.
    """
    return (*_of_results(before.result, now.result), *_of_inputs(before_inputs, now_inputs))


def _of_results(before: Hold | Proposal, now: Hold | Proposal) -> Iterator[ProposalDifference]:
    if isinstance(now, Hold):
        if isinstance(before, Proposal):
            yield _told(Changed.PROPOSAL, "order", "hold", f"nothing should be ordered any more: {now.sentence}")
        return
    if isinstance(before, Hold):
        yield _told(Changed.PROPOSAL, "hold", "order", f"{_count(now.units)} should be ordered now")
        return
    if before.units != now.units:
        words = f"the order {_moved(now.units > before.units)} from {_count(before.units)} to {_count(now.units)}"
        yield _told(Changed.UNITS, before.units, now.units, words)
    was, becomes = _money(before.value), _money(now.value)
    if was != becomes:
        if before.currency == now.currency:
            words = f"its value {_moved(now.value > before.value)} from {was} to {becomes} {now.currency}"
        else:
            words = f"its value is {becomes} {now.currency} now, before it was {was} {before.currency}"
        yield _told(Changed.VALUE, f"{was} {before.currency}", f"{becomes} {now.currency}", words)
    if before.supplier != now.supplier:
        words = f"the supplier is {now.supplier} now, not {before.supplier}"
        yield _told(Changed.SUPPLIER, before.supplier, now.supplier, words)


def _of_inputs(before: DecisionInputs, now: DecisionInputs) -> Iterator[ProposalDifference]:
    was, becomes = _demand_a_day(before), _demand_a_day(now)
    if was != becomes:
        yield _told(Changed.DEMAND, was, becomes, f"demand forecast {_by(was, becomes)}")
    old, new = _percent(before.scores.stockout_risk), _percent(now.scores.stockout_risk)
    if old != new:
        words = f"risk of running out {_moved(new > old)} from {old} % to {new} %"
        yield _told(Changed.RISK, f"{old} %", f"{new} %", words)
    yield from _of_stock(Changed.STOCK, "stock on hand", before.position.on_hand_units, now.position.on_hand_units)
    yield from _of_stock(Changed.ON_ORDER, "on order", before.position.on_order_units, now.position.on_order_units)


def _of_stock(what: Changed, name: str, was: int, becomes: int) -> Iterator[ProposalDifference]:
    if was != becomes:
        words = f"{name} {_moved(becomes > was)} from {was:,} to {_count(becomes)}"
        yield _told(what, was, becomes, words)


def _demand_a_day(inputs: DecisionInputs) -> Decimal:
    """Median demand a day, to a hundredth of a unit."""
    per_day = inputs.scores.demand_p50 / max(1, inputs.scores.protection_days)
    return per_day.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def _by(was: Decimal, becomes: Decimal) -> str:
    """How much it moved: by per cent, or from what to what where a share says nothing."""
    share = _percent(abs(becomes - was) / was) if was else 0
    moved = _moved(becomes > was)
    if share and share < 1000:
        return f"{moved} {share} %"
    return f"{moved} from {was:f} to {becomes:f} a day"


def _moved(up: bool) -> str:
    return "rose" if up else "fell"


def _percent(share: Decimal) -> int:
    return int((share * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _money(value: Decimal) -> str:
    return f"{value:,.2f}"


def _count(units: int) -> str:
    return f"{units:,} unit" + ("" if units == 1 else "s")


def _told(what: Changed, before: object, now: object, words: str) -> ProposalDifference:
    return ProposalDifference(what=what, before=str(before), now=str(now), words=words)
