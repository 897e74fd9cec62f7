"""An outcome turns what happened into figures by the decision's own prices."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.identity import canonical
from workflows.domain.outcomes import Outcome, OutcomeFacts, measure


def facts(**changes: Any) -> OutcomeFacts:
    """Four days as forecast, without stock-out."""
    known: dict[str, Any] = {
        "decision_id": "B:A:1", "horizon_days": 4, "closed_at": datetime(2025, 3, 7, tzinfo=UTC), "demand_units": 40,
        "forecast_p10": "30", "forecast_p50": "40", "forecast_p90": "50", "days_out_of_stock": 0, "ordered_units": 42,
        "received_units": 42, "on_hand_units": 10, "shortage_per_unit": "2", "holding_per_unit_day": "0.01",
    }  # fmt: skip
    return OutcomeFacts.model_validate(known | changes)


def test_what_went_as_forecast_costs_its_holding() -> None:
    found = measure(facts())
    assert (found.forecast_error_units, found.within_interval, found.stocked_out) == (Decimal(0), True, False)
    assert found.cost == Decimal("0.4000")


def test_a_day_without_stock_costs_the_median_demand_that_nobody_saw() -> None:
    found = measure(facts(demand_units=20, days_out_of_stock=2, on_hand_units=-3))
    assert (found.forecast_error_units, found.within_interval, found.stocked_out) == (Decimal(-20), False, True)
    assert found.cost == Decimal(2 * 2 * 10), "stock that is not there costs no holding"


@pytest.mark.parametrize(("demand", "within"), [(29, False), (30, True), (50, True), (51, False)])
def test_the_interval_includes_its_ends(demand: int, within: bool) -> None:
    assert measure(facts(demand_units=demand)).within_interval is within


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 400), st.integers(0, 10**7), st.integers(0, 400), st.integers(-(10**7), 10**7),
    st.decimals(0, 10**7, places=3), st.decimals("0.01", 10**4, places=4), st.decimals(0, 10, places=6),
)  # fmt: skip
def test_any_facts_have_an_outcome_that_can_be_stored(
    days: int, demand: int, out: int, on_hand: int, median: Decimal, shortage: Decimal, holding: Decimal
) -> None:
    found = measure(
        facts(
            horizon_days=days, demand_units=demand, days_out_of_stock=out, on_hand_units=on_hand, forecast_p50=median,
            shortage_per_unit=shortage, holding_per_unit_day=holding,
        )
    )  # fmt: skip
    assert found.cost >= 0
    assert Outcome.model_validate_json(canonical(found)) == found
