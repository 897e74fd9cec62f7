"""A candidate replaces the champion only when it is better, surely not worse, and honest about its intervals."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.models import Comparison, CostComparison, TrainingPlan, promotion_gate

RATIOS = st.decimals("0.5", "1.5", places=4)
COVERAGES = st.decimals(0, 1, places=4)


def comparison(
    ratio: str | Decimal = "0.95", upper: str | Decimal = "1.00", candidate: str | Decimal = "0.90",
    champion: str | Decimal = "0.90",
) -> Comparison:  # fmt: skip
    """The newest unseen stretch."""
    return Comparison(
        first_day=date(2025, 3, 1), last_day=date(2025, 3, 7), series=30, loss_ratio=Decimal(ratio),
        loss_ratio_upper=Decimal(upper), candidate_coverage_90=Decimal(candidate),
        champion_coverage_90=Decimal(champion), candidate_loss=Decimal(1), champion_loss=Decimal(1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given_comparison", "passed"),
    [
        (comparison(), True),
        (comparison("0.9999"), True),
        (comparison("1"), False),
        (comparison(upper="1.02"), True),
        (comparison(upper="1.0201"), False),
        (comparison(candidate="0.85"), True),
        (comparison(candidate="0.95"), True),
        (comparison(candidate="0.8499"), False),
        (comparison(candidate="0.9501"), False),
        (comparison(candidate="0.80", champion="0.80"), True),
        (comparison(candidate="0.80", champion="0.81"), False),
        (comparison(candidate="0.99", champion="0.80"), True),
    ],
)
def test_the_gate(given_comparison: Comparison, passed: bool) -> None:
    result = promotion_gate(given_comparison)
    assert result.passed is passed
    assert len(result.reasons) == 3
    assert result.passed == all(reason.startswith("ok: ") for reason in result.reasons)


@settings(max_examples=60, deadline=None)
@given(RATIOS, RATIOS, COVERAGES, COVERAGES)
def test_nothing_that_is_worse_overall_passes(
    ratio: Decimal, upper: Decimal, candidate: Decimal, champion: Decimal
) -> None:
    result = promotion_gate(comparison(ratio, upper, candidate, champion))
    assert not (result.passed and ratio >= 1)
    assert not (result.passed and upper > Decimal("1.02"))


@pytest.mark.parametrize(
    ("ratio", "lower", "upper", "passed"),
    [
        ("0.98", "0.95", "1.01", True),
        ("0.98", "0.95", "0.99", True),
        ("0.98", "0.90", "1.0101", True),  # not to be told apart
        ("1.004", "0.99", "1.02", True),
        ("1.02", "1.0001", "1.04", False),
        ("1", "1", "1", True),
    ],
)
def test_orders_must_not_be_surely_dearer(ratio: str, lower: str, upper: str, passed: bool) -> None:
    costs = CostComparison(
        series=300, days=7, ratio=Decimal(ratio), ratio_lower=Decimal(lower), ratio_upper=Decimal(upper),
        candidate_cost=Decimal(1), champion_cost=Decimal(1),
    )  # fmt: skip
    found = promotion_gate(comparison().model_copy(update={"costs": costs}))
    assert found.passed is passed
    assert len(found.reasons) == 4
    assert f"cost of orders {ratio}" in found.reasons[3]


def test_a_plan_without_data_ends_the_round() -> None:
    assert TrainingPlan().nothing_new
