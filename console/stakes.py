"""What is at stake with a decision, in words: when to order at the latest, and the money that hangs on it."""

from datetime import datetime
from typing import NamedTuple

from console.formats import money, number
from workflows.domain.offers import Stakes


class Stake(NamedTuple):
    """One figure: what it is called, what it says and what that means. An instant is shown as one."""

    title: str
    meaning: str
    figure: str = ""
    instant: datetime | None = None


def stakes_in_words(stakes: Stakes, currency: str) -> tuple[Stake, ...]:
    """The figures that a planner weighs, the most urgent first."""
    shown = [
        *_order_by(stakes),
        Stake(
            "Expected loss if nothing is ordered",
            f"margin, until an order placed tomorrow could help; {money(stakes.unavoidable_lost_value, currency)} "
            "of it no order placed now can save",
            money(stakes.expected_lost_value, currency),
        ),
        Stake(
            "Expected cost",
            f"shortage and surplus until the next order; {money(stakes.cost_without, currency)} without an order, "
            f"{money(stakes.cost_unavoidable, currency)} with any",
            money(stakes.cost_with, currency),
        ),
    ]
    for title, cost in (("One pack less", stakes.cost_pack_less), ("One pack more", stakes.cost_pack_more)):
        if cost is not None:
            shown.append(Stake(title, "expected cost with that quantity instead", money(cost, currency)))
    return (
        *shown,
        Stake("Worst 5 % of the futures", "mean loss in them (CVaR 95)", money(stakes.cvar_95, currency)),
        Stake("Overstock", "days of demand that are expected to be left over", number(stakes.overstock_days, 1)),
    )


def _order_by(stakes: Stakes) -> list[Stake]:
    if stakes.order_by is None:
        return []
    if stakes.late_already:
        meaning = "the next cutoff: even an order placed now leaves more risk before it arrives than is accepted"
    elif stakes.order_by_or_later:
        meaning = "or later: the risk stays within the target as far as was looked"
    else:
        meaning = "the last cutoff that keeps the risk of running out within the target"
    return [Stake("Order by", meaning, instant=stakes.order_by)]
