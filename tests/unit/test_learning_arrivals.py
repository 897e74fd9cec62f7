"""Arrivals: a supplier's word is worth what its words have been worth, and what comes short comes short."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.learning import risk
from activities.learning.arrivals import arrival_law, arrivals_of, broken_words_ppm, delivered_scenarios
from tests.unit.learning_world import row, series
from workflows.domain.scores import LeadTimes, OpenReceipt


def receipt(**more: Any) -> OpenReceipt:
    return OpenReceipt.model_validate({"units": 10, "ordered_days_ago": 4} | more)


def shares(found: OpenReceipt, seen: LeadTimes, late_ppm: int | None = None) -> dict[int, float]:
    weights = arrival_law(found, seen, late_ppm).weights
    return {int(day): float(weights[day] / weights.sum()) for day in np.flatnonzero(weights)}


def test_a_named_day_is_believed_where_nothing_speaks_against_it() -> None:
    found = shares(receipt(expected_in_days=2), LeadTimes(promised_days=9))
    assert found == {2: 1.0}


def test_a_day_that_has_passed_is_no_word_any_more() -> None:
    found = shares(receipt(expected_in_days=-1), LeadTimes(promised_days=9))
    assert found == {5: pytest.approx(1.0)}


def test_an_unreliable_supplier_is_late_as_often_and_as_far_as_it_was() -> None:
    seen = LeadTimes(lane_days=(7,) * 80, promised_days=7, slips=(0,) * 45 + (6,) * 45)
    assert broken_words_ppm(receipt(expected_in_days=3), seen) == pytest.approx(450_000, abs=1)
    found = shares(receipt(expected_in_days=3), seen)
    assert found[3] == pytest.approx(0.55, abs=1e-6)
    assert found[9] == pytest.approx(0.45 * 45 / 55, abs=1e-6)
    assert found[4] == pytest.approx(0.45 * 10 / 55, abs=1e-6), "where little is known of how late: a day"


def test_a_revised_day_is_judged_by_revised_days() -> None:
    seen = LeadTimes(lane_days=(7,) * 80, promised_days=7, slips=(6,) * 90, revised_slips=(0,) * 90)
    assert shares(receipt(expected_in_days=3, revised=True), seen) == {3: pytest.approx(1.0)}
    assert shares(receipt(expected_in_days=3), seen)[3] == pytest.approx(0.1, abs=1e-6)


def test_a_supplier_whose_named_days_were_never_tested_is_doubted_as_its_promises_deserve() -> None:
    keeps = LeadTimes(lane_days=(5,) * 90, promised_days=5)
    breaks = LeadTimes(lane_days=(5,) * 45 + (8,) * 45, promised_days=5)
    assert shares(receipt(expected_in_days=1), keeps) == {1: 1.0}
    assert shares(receipt(expected_in_days=1), breaks)[4] == pytest.approx(0.45, abs=0.01)


def test_what_is_late_already_comes_as_the_later_ones_came() -> None:
    seen = LeadTimes(lane_days=(7,) * 80, promised_days=7, slips=(0,) * 40 + (2,) * 40 + (6,) * 40)
    found = shares(receipt(ordered_days_ago=10, expected_in_days=-3), seen)
    assert found[3] == pytest.approx(40 / 50, abs=1e-6)


def test_a_better_probability_is_taken_when_there_is_one() -> None:
    seen = LeadTimes(lane_days=(7,) * 80, promised_days=7, slips=(0,) * 90)
    assert shares(receipt(expected_in_days=3), seen, 250_000)[3] == pytest.approx(0.75, abs=1e-6)
    asked = receipt(expected_in_days=3, late_risk=Decimal("0.4"))
    assert shares(asked, seen, 250_000)[3] == pytest.approx(0.6, abs=1e-6)


def test_a_shipment_that_has_left_needs_only_its_transport() -> None:
    """Total and transport are dependent here: who takes long to ship sends by air. A convolution would not see it."""
    seen = LeadTimes(
        lane_days=(8,) * 60, supplier_days=(8,) * 60, promised_days=8,
        lane_transport_days=(1,) * 60, supplier_transport_days=(1,) * 60,
    )  # fmt: skip
    waits = shares(receipt(ordered_days_ago=2), seen)
    assert waits == {6: pytest.approx(1.0)}
    left = shares(receipt(ordered_days_ago=2, shipped_days_ago=0), seen)
    assert left[1] > 0.9


def test_short_deliveries_multiply_what_is_expected() -> None:
    seen = LeadTimes(promised_days=3, delivered_permille=(1000,) * 40 + (500,) * 50)
    units = delivered_scenarios(receipt(units=100), seen, 100)
    assert sorted(set(units.tolist())) == [50, 100]
    assert (units == 50).mean() == pytest.approx(0.5)
    assert set(delivered_scenarios(receipt(units=100, shipped_days_ago=1), seen, 100).tolist()) == {100}
    assert set(delivered_scenarios(receipt(units=100), LeadTimes(promised_days=3), 100).tolist()) == {100}


def test_arrivals_bring_each_unit_once_in_every_future() -> None:
    seen = LeadTimes(lane_days=(3, 5, 9) * 20, promised_days=3, slips=(0, 0, 4) * 20)
    found = row(series("x", [1, 2]), lead_times=seen).model_copy(
        update={"open_receipts": (receipt(expected_in_days=1), receipt(units=7), receipt(units=3, expected_in_days=6))}
    )
    arrivals = arrivals_of([found, found], risk.permutations()[[1, 2]], 60)
    assert arrivals.shape == (2, 60, risk.SCENARIOS)
    assert (arrivals.sum(axis=1) == 20).all()
    late = arrivals[:, :2].sum(axis=1) < 10
    assert 0.2 < late.mean() < 0.45, "in a third of the futures the named day is missed"
    assert (arrivals[0] != arrivals[1]).any(), "each row has its own futures"


@given(
    st.integers(0, 150), st.one_of(st.none(), st.integers(-200, 200)), st.one_of(st.none(), st.integers(0, 150)),
    st.lists(st.integers(-20, 130), max_size=12), st.lists(st.integers(0, 130), max_size=12), st.integers(0, 150),
    st.booleans(),
)  # fmt: skip
def test_any_receipt_has_a_law(
    age: int, expected: int | None, shipped: int | None, slips: list[int], days: list[int], promised: int, revised: bool
) -> None:
    seen = LeadTimes(
        lane_days=tuple(days), supplier_transport_days=tuple(days), promised_days=promised, slips=tuple(slips),
        revised_slips=tuple(slips),
    )  # fmt: skip
    found = receipt(ordered_days_ago=age, expected_in_days=expected, shipped_days_ago=shipped, revised=revised)
    law = arrival_law(found, seen)
    assert law.weights.min() >= 0
    assert 0 < law.weights.sum() < 2**40, "small enough for the exact products of the scenarios"
    first = 0 if expected is not None and expected >= 0 else 1
    assert law.scenarios(128).min() >= first


def test_without_a_named_day_the_law_is_weighed_by_the_probability_of_lateness() -> None:
    seen = LeadTimes(lane_days=(5,) * 40 + (9,) * 40, supplier_days=(5,) * 40 + (9,) * 40, promised_days=5)
    plain, asked = shares(receipt(ordered_days_ago=2), seen), shares(receipt(ordered_days_ago=2), seen, 100_000)
    assert sum(share for day, share in plain.items() if day > 3) == pytest.approx(0.45, abs=0.06)
    assert sum(share for day, share in asked.items() if day > 3) == pytest.approx(0.1, abs=1e-6)
    assert set(plain) == set(asked)
