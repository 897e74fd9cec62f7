"""What is at stake, by hand: the last safe order time, the worst futures, and when a look is worth its price."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_deciding import inputs, option
from workflows.domain.attention import Attention
from workflows.domain.deciding import decide
from workflows.domain.decisions import Hold, Proposal
from workflows.domain.policies import Policy, RiskTier, RuleCode
from workflows.domain.quantities import expected_cost
from workflows.domain.stakes import cvar, last_safe_order_time

ALLOWED = Decimal("0.05")


@pytest.mark.parametrize(
    ("risks", "day", "or_later"),
    [
        (("0.30",), 3, False),
        (("0.00", "0.05", "0.06"), 5, False),
        (("0.00", "0.01"), 5, True),
    ],
)
def test_the_last_safe_order_time_is_the_last_cutoff_within_the_target(
    risks: tuple[str, ...], day: int, or_later: bool
) -> None:
    seen = inputs(waiting_risk=risks)
    assert last_safe_order_time(seen, ALLOWED) == (datetime(2025, 3, day, 6, tzinfo=UTC), or_later)


def test_without_risks_nothing_is_said() -> None:
    assert last_safe_order_time(inputs(), ALLOWED) == (None, False)


def test_the_worst_twentieth_is_cut_exactly() -> None:
    assert cvar(tuple(range(1, 101)), 0, Decimal(1), Decimal(0)) == Decimal(98), "of 96 to 100"
    assert cvar((0, 10), 0, Decimal(2), Decimal(0)) == Decimal(20), "half of a future is its loss"
    losses = tuple(range(1, 31))
    assert cvar(losses, 0, Decimal(1), Decimal(0)) == ((30 + Decimal("14.5")) / Decimal("1.5")).quantize(
        Decimal("1E-4")
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-50, 90), min_size=1, max_size=50), st.integers(0, 60))
def test_the_worst_is_never_better_than_the_mean(sample: list[int], units: int) -> None:
    shortage, holding = Decimal("1.50"), Decimal("0.25")
    sample.sort()
    mean, found = expected_cost(sample, units, shortage, holding), cvar(sample, units, shortage, holding)
    assert found >= mean - Decimal("0.0002")
    losses = sorted((max(shortage * (n - units), holding * (units - n)) for n in sample * 20), reverse=True)
    worst = sum(losses[: len(sample)], Decimal(0)) / len(sample)
    assert found == worst.quantize(Decimal("1E-4")), "20 copies have no fractions"


def test_a_proposal_says_what_hangs_on_it() -> None:
    found = decide(inputs(waiting_risk=("0.30",), lost_before_units="0.5"), Policy())
    assert isinstance(found, Proposal)
    stakes = found.stakes
    assert stakes is not None
    assert (stakes.cost_with, stakes.cost_without) == (found.expected_cost, found.expected_cost_without)
    costs = [expected_cost(range(-54, 46), units, Decimal("1.00"), Decimal("0.01")) for units in (36, 42, 48)]
    assert [stakes.cost_pack_less, stakes.cost_with, stakes.cost_pack_more] == costs
    assert (stakes.expected_lost_value, stakes.unavoidable_lost_value) == (Decimal(2), Decimal("0.5"))
    assert stakes.late_already, "a risk of 10 % until anything arrives is more than 5 %"
    assert stakes.order_by == datetime(2025, 3, 3, 6, tzinfo=UTC)
    surplus = Decimal(sum(max(0, 42 - n) for n in range(-54, 46))) / 100
    assert stakes.overstock_days == (surplus / 10).quantize(Decimal("0.1")), "10 units a day"


def test_a_hold_says_until_when_it_may_wait() -> None:
    found = decide(inputs(stockout_risk="0.01", waiting_risk=("0.01", "0.02", "0.40")), Policy())
    assert isinstance(found, Hold)
    assert found.stakes is not None
    assert found.stakes.order_by == datetime(2025, 3, 5, 6, tzinfo=UTC)
    assert found.stakes.cost_with == found.stakes.cost_without


def test_an_order_is_due_when_its_risk_is_no_longer_worth_taking() -> None:
    """42 units cost 0.42 a day to keep; half a unit missed in 1 % of the futures, and so on: accepted are 41.6 %."""
    found = decide(
        inputs(stockout_risk="0.01", waiting_short_units="0.010", waiting_risk=("0.01", "0.41", "0.42")), Policy()
    )
    assert isinstance(found, Hold)
    assert found.stakes is not None
    assert found.stakes.order_by == datetime(2025, 3, 5, 6, tzinfo=UTC)


def test_a_person_is_asked_when_the_look_saves_more_than_it_costs() -> None:
    """Avoidable cost of this proposal: a rare future of 5,000 units, 1 in 100, at 1.00 a unit: about 50."""
    rare: dict[str, Any] = {"sample": (*range(-54, 45), 5_000), "expected_lost_units": "2"}
    quiet = decide(inputs(**rare), Policy())
    assert isinstance(quiet, Proposal)
    assert quiet.tier is RiskTier.AUTO, "the rule is off unless the policy has it"
    asking = Policy(attention=Attention())
    found = decide(inputs(**rare), asking)
    assert [rule.code for rule in found.rules] == [RuleCode.WORTH_A_LOOK]  # type: ignore[union-attr]
    dear = Policy(attention=Attention(minutes=60))
    assert decide(inputs(**rare), dear).rules == ()  # type: ignore[union-attr]
    slipping = inputs(**(rare | {"expected_lost_units": "90"}))
    assert decide(slipping, asking).rules == (), "waiting for the answer would cost more"  # type: ignore[union-attr]


def test_the_price_of_a_look_is_two_minutes_and_the_margin_that_slips() -> None:
    attention = Attention()
    assert attention.review_cost.quantize(Decimal("0.01")) == Decimal("1.33")
    found = decide(inputs(option(), expected_lost_units="10", lost_before_units="4"), Policy())
    assert found.stakes is not None
    assert attention.price(found.stakes) == attention.review_cost + 3
