"""Lead times: whole-number weights, shrunk to what is known, and open orders counted for what they say."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.learning.lead_time import (
    LEAD_CAP_DAYS,
    WHOLE,
    LeadTimeLaw,
    counts,
    lead_time_law,
    survival_law,
    transport_law,
)
from connectors.feeds.suppliers import PARTNERS
from connectors.feeds.world import DemoWorld
from connectors.postgres.lead_times import PARTS, parts
from workflows.domain.scores import LeadTimes

DAYS = st.integers(min_value=-3, max_value=400)
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def law(lane: tuple[int, ...] = (), supplier: tuple[int, ...] = (), promised: int = 7, **more: object) -> LeadTimeLaw:
    facts = {"lane_days": lane, "supplier_days": supplier, "promised_days": promised, **more}
    return lead_time_law(LeadTimes.model_validate(facts))


def share(found: LeadTimeLaw, days: int) -> float:
    return float(found.weights[days] / found.weights.sum())


def test_without_any_delivery_the_promise_holds() -> None:
    assert law().scenarios(128).tolist() == [7] * 128


def test_a_lane_is_shrunk_to_its_supplier_and_the_supplier_to_the_promise() -> None:
    found = law(lane=(3,) * 10, supplier=(5,) * 30, promised=7)
    assert share(found, 3) == pytest.approx(10 / 20, abs=1e-6)
    assert share(found, 5) == pytest.approx(10 / 20 * 30 / 40, abs=1e-6)
    assert share(found, 7) == pytest.approx(10 / 20 * 10 / 40, abs=1e-6)


def test_a_supplier_without_history_misses_its_promise_as_the_others_miss_theirs() -> None:
    found = law(promised=5, everyone_slips=(0,) * 20 + (4,) * 10)
    assert share(found, 9) == pytest.approx(10 / 40, abs=1e-6)
    assert share(found, 5) == pytest.approx(30 / 40, abs=1e-6)


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


def test_orders_in_flight_are_redistributed_to_what_took_longer() -> None:
    """Kaplan and Meier by hand: deliveries after 2, 5 and 5 days, and one order that waits since 3 days."""
    almost_nothing = LeadTimeLaw(counts((5,)))  # ten deliveries beside billions of them
    found = survival_law(counts((2, 5, 5)) * WHOLE, counts((3,)) * WHOLE, almost_nothing)
    assert share(found, 2) == pytest.approx(1 / 4, abs=1e-5)
    assert share(found, 5) == pytest.approx(3 / 4, abs=1e-5), "the waiting order's weight went to the longer ones"


def test_a_lane_that_stopped_delivering_is_not_judged_by_its_quick_deliveries_only() -> None:
    quick = law(lane=(2, 3) * 20, supplier=(2, 3) * 20, promised=3)
    stuck = law(
        lane=(2, 3) * 20, supplier=(2, 3) * 20, promised=3, lane_waiting=(25,) * 10, supplier_waiting=(25,) * 10
    )
    assert quick.beyond(25) == 0
    assert stuck.beyond(25) / stuck.weights.sum() == pytest.approx(0.2, abs=0.03), "ten of sixty are still not here"
    assert stuck.quantile(950) > 25
    fresh = law(lane=(2, 3) * 20, supplier=(2, 3) * 20, promised=3, lane_waiting=(0, 0), supplier_waiting=(0, 0))
    assert share(fresh, 3) == pytest.approx(share(quick, 3), abs=1e-6), "an order of today says nothing yet"


def test_censored_learning_finds_the_true_law_where_ignoring_open_orders_does_not() -> None:
    """Orders of the last fortnight, seen today: the slow ones are still open."""
    chance = np.random.default_rng(4)
    lead = chance.choice([2, 12], 3_000, p=[0.5, 0.5])
    age = chance.integers(0, 14, 3_000)
    here = lead <= age
    arrived, waiting = tuple(int(x) for x in lead[here]), tuple(int(x) for x in age[~here])
    naive = law(supplier=arrived, promised=2)
    fair = law(supplier=arrived, supplier_waiting=waiting, promised=2)
    assert share(naive, 2) > 0.8
    assert share(fair, 2) == pytest.approx(0.5, abs=0.04)
    assert share(fair, 12) == pytest.approx(0.5, abs=0.04)


def test_the_transport_is_learned_apart_from_what_the_supplier_takes() -> None:
    assert transport_law(LeadTimes(promised_days=9)) is None
    found = transport_law(LeadTimes(promised_days=9, supplier_transport_days=(2,) * 40, lane_transport_days=(1,) * 10))
    assert found is not None
    assert share(found, 1) == pytest.approx(0.5, abs=1e-6)
    assert share(found, 2) == pytest.approx(0.5, abs=1e-6)


@given(
    st.lists(DAYS, max_size=20), st.lists(DAYS, max_size=20), st.lists(DAYS, max_size=20), DAYS, st.integers(0, 300)
)  # fmt: skip
def test_any_history_gives_a_law(
    lane: list[int], supplier: list[int], waiting: list[int], promised: int, elapsed: int
) -> None:
    found = law(
        tuple(lane), tuple(supplier), promised, lane_waiting=tuple(waiting), supplier_waiting=tuple(waiting),
        everyone_slips=tuple(waiting),
    )  # fmt: skip
    assert found.weights.sum() == WHOLE
    assert found.weights.min() >= 0
    for one in (found, found.residual(elapsed)):
        scenarios = one.scenarios(128)
        assert (np.diff(scenarios) >= 0).all()
        assert scenarios.min() >= 0
        assert scenarios.max() <= LEAD_CAP_DAYS
    assert found.residual(elapsed).scenarios(128).min() >= 1


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_quantiles_come_true_on_the_demo_world(seed: int) -> None:
    """As learned from the past deliveries of a lane, against the suppliers' true ways; randomised PIT, exactly."""
    first_day = date(2025, 3, 3)
    world = DemoWorld(seed=seed, items=400, days=28, first_day=first_day)
    orders: dict[tuple[str, str], dict[date, dict[date, int]]] = {}
    for receipt in world.recorded_receipts():
        days = orders.setdefault((receipt.supplier, receipt.location), {}).setdefault(receipt.ordered_on, {})
        days[receipt.received_on] = days.get(receipt.received_on, 0) + receipt.units
    # Orders of the last fortnight would need their open ones beside them; the file holds only what arrived.
    settled = first_day - timedelta(days=30)
    lanes = {
        lane: tuple(
            (day - on).days
            for on, came in found.items()
            if on < settled
            for day in parts(list(came), list(came.values()))
        )
        for lane, found in orders.items()
    }
    covered: dict[float, list[float]] = {level: [] for level in LEVELS}
    for partner in PARTNERS:
        truth = np.zeros(LEAD_CAP_DAYS + 1)
        for usual in partner.lead_days:
            truth[usual] += (1 - partner.late_probability) / len(partner.lead_days)
            truth[usual + partner.late_extra_days] += partner.late_probability / len(partner.lead_days)
        mine = [lane for lane in lanes if lane[0] == partner.code]
        supplier = tuple(days for lane in mine for days in lanes[lane])
        for lane in mine:
            found = law(lanes[lane], supplier, partner.promised_days, parts_per_order=PARTS)
            share_of = found.weights / found.weights.sum()
            below = np.cumsum(share_of) - share_of
            for level in LEVELS:
                hit = np.clip((level - below) / np.where(share_of > 0, share_of, 1), 0, 1)
                hit[share_of == 0] = (below < level)[share_of == 0]
                covered[level].append(float((truth * hit).sum()))
    for level, found_shares in covered.items():
        assert np.mean(found_shares) == pytest.approx(level, abs=0.02), f"the {level} quantile of all lanes together"


def test_an_order_told_in_parts_weighs_no_more_than_one() -> None:
    whole = law(lane=(3,) * 10, supplier=(5,) * 30, lane_waiting=(4,) * 2)
    told = law(lane=(3,) * 40, supplier=(5,) * 120, lane_waiting=(4,) * 2, parts_per_order=4)
    np.testing.assert_allclose(told.weights, whole.weights, atol=200)
