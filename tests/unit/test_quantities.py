"""Quantities follow the sample of requirements: order statistics of integers, and never a dearer neighbour."""

from decimal import Decimal
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.catalog import Sourcing
from workflows.domain.quantities import expected_cost, order_statistic, round_to_supplier, smallest_order

SAMPLES = st.lists(st.integers(-500, 500), min_size=1, max_size=60).map(sorted)
COSTS = st.decimals("0.01", "50", places=2)
SOURCINGS = st.builds(
    Sourcing, item=st.just("A"), location=st.just("B"), supplier=st.just("C"), unit_cost=COSTS,
    pack_units=st.integers(1, 40), minimum_order_units=st.integers(0, 200), lead_time_days=st.just(3),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(SAMPLES, st.decimals("0.01", "0.99", places=2))
def test_an_order_statistic_is_the_smallest_that_suffices_often_enough(sample: list[int], share: Decimal) -> None:
    found = order_statistic(sample, share)
    assert found in sample
    assert sum(n <= found for n in sample) >= ceil(share * len(sample))
    assert sum(n < found for n in sample) < share * len(sample)


def test_order_statistics_by_hand() -> None:
    sample = list(range(1, 11))
    assert [order_statistic(sample, Decimal(p)) for p in ("0", "0.05", "0.1", "0.11", "0.5", "0.95", "1")] == [
        1, 1, 1, 2, 5, 10, 10,
    ]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(SAMPLES, COSTS, COSTS, st.integers(-100, 400))
def test_expected_cost_is_convex(sample: list[int], shortage: Decimal, holding: Decimal, units: int) -> None:
    left, middle, right = (expected_cost(sample, q, shortage, holding) for q in (units - 1, units, units + 1))
    assert left + right >= 2 * middle - Decimal("0.0003"), "but for rounding to the last place"
    assert middle >= 0


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 600), SOURCINGS, SAMPLES, COSTS, COSTS)
def test_what_is_ordered_is_what_the_supplier_sells_and_no_neighbour_is_cheaper(
    needed: int, sourcing: Sourcing, sample: list[int], shortage: Decimal, holding: Decimal
) -> None:
    chosen, steps = round_to_supplier(needed, sourcing, sample, shortage, holding)
    pack, least = sourcing.pack_units, smallest_order(sourcing)
    assert least % pack == 0
    assert least >= max(1, sourcing.minimum_order_units)
    assert chosen == 0 or (chosen % pack == 0 and chosen >= least)
    neighbours = {0, max(least, needed // pack * pack), max(least, -(-needed // pack) * pack)}
    cheapest = min(expected_cost(sample, q, shortage, holding) for q in neighbours)
    assert expected_cost(sample, chosen, shortage, holding) == cheapest
    assert not steps or steps[-1].units == chosen, "the waterfall ends at the quantity"
    if not steps:
        assert chosen == needed
