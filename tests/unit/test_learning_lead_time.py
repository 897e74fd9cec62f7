"""Lead times: exact weights, shrunk to what is known, and what an open order still owes in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.learning.lead_time import LEAD_CAP_DAYS, LeadTimeLaw, arrival_days, lead_time_law
from workflows.domain.scores import LeadTimes, OpenReceipt

DAYS = st.integers(min_value=-3, max_value=400)


def law(lane: tuple[int, ...] = (), supplier: tuple[int, ...] = (), promised: int = 7) -> LeadTimeLaw:
    return lead_time_law(LeadTimes(lane_days=lane, supplier_days=supplier, promised_days=promised))


def share(found: LeadTimeLaw, days: int) -> float:
    return float(found.weights[days] / found.weights.sum())


def test_without_any_delivery_the_promise_holds() -> None:
    assert law().scenarios(128).tolist() == [7] * 128


def test_a_lane_is_shrunk_to_its_supplier_and_the_supplier_to_the_promise() -> None:
    found = law(lane=(3,) * 10, supplier=(5,) * 30, promised=7)
    assert share(found, 3) == pytest.approx(10 / 20)
    assert share(found, 5) == pytest.approx(10 / 20 * 30 / 40)
    assert share(found, 7) == pytest.approx(10 / 20 * 10 / 40)


def test_quantiles_and_scenarios_agree() -> None:
    found = law(lane=tuple(range(1, 41)), supplier=tuple(range(1, 41)), promised=20)
    scenarios = found.scenarios(1000)
    assert found.quantile(500) == scenarios[499] == 20
    assert found.quantile(950) == scenarios[949]


def test_an_open_order_is_late_only_by_what_is_still_possible() -> None:
    found = law(lane=(3,) * 20 + (10,) * 20, supplier=(), promised=3)
    assert set(found.residual(0).scenarios(128).tolist()) == {3, 10}
    assert set(found.residual(5).scenarios(128).tolist()) == {5}
    overdue = found.residual(30).scenarios(128)
    assert set(overdue.tolist()) == {3, 10}, "an order older than any seen is expected as if ordered today"


def test_a_dated_receipt_is_believed_while_its_date_lies_ahead() -> None:
    found = law(promised=9)
    dated = OpenReceipt(units=1, ordered_days_ago=4, expected_in_days=2)
    assert set(arrival_days(dated, found, 128).tolist()) == {2}
    passed = OpenReceipt(units=1, ordered_days_ago=4, expected_in_days=-1)
    assert set(arrival_days(passed, found, 128).tolist()) == {5}


@given(st.lists(DAYS, max_size=20), st.lists(DAYS, max_size=20), DAYS, st.integers(0, 300))
def test_any_history_gives_a_law(lane: list[int], supplier: list[int], promised: int, elapsed: int) -> None:
    found = law(tuple(lane), tuple(supplier), promised)
    for one in (found, found.residual(elapsed)):
        scenarios = one.scenarios(128)
        assert (np.diff(scenarios) >= 0).all()
        assert scenarios.min() >= 0
        assert scenarios.max() <= LEAD_CAP_DAYS
    assert found.residual(elapsed).scenarios(128).min() >= 1
