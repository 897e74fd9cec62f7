"""Quantities follow the sample of requirements: order statistics of integers, and never a dearer neighbour."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.catalog import Sourcing
from workflows.domain.quantities import (
    Economics,
    SupplyTerms,
    choose_quantity,
    expected_cost,
    order_statistic,
    round_to_supplier,
    smallest_order,
)

SAMPLES = st.lists(st.integers(-500, 500), min_size=1, max_size=60).map(sorted)
COSTS = st.decimals("0.01", "50", places=2)
SOURCINGS = st.builds(
    Sourcing, item=st.just("A"), location=st.just("B"), supplier=st.just("C"), unit_cost=COSTS,
    pack_units=st.integers(1, 40), minimum_order_units=st.integers(0, 200), lead_time_days=st.just(3),
)  # fmt: skip
SHARES = st.decimals("0", "1", places=4)
TERMS = st.builds(
    SupplyTerms, minimum_units=st.integers(0, 200), pack_units=st.integers(1, 40), cap_units=st.integers(0, 1200)
)
PRICES = st.decimals("0", "50", places=6)
ECONOMICS = st.builds(
    Economics, shortage_per_unit=PRICES, holding_per_unit=PRICES, order_cost=st.decimals("0", "300", places=4)
)


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
    economics = Economics(shortage_per_unit=shortage, holding_per_unit=holding)
    chosen, steps = round_to_supplier(needed, sample, SupplyTerms.of(sourcing), economics)
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


@settings(max_examples=200, deadline=None)
@given(SAMPLES, SHARES, TERMS, ECONOMICS)
def test_the_chosen_quantity_is_the_cheapest_exactly_and_its_steps_add_up(
    sample: list[int], share: Decimal, terms: SupplyTerms, economics: Economics
) -> None:
    found = choose_quantity(sample, share, terms, economics)

    def exact(units: int) -> Fraction:
        p, h, k = (Fraction(one) for one in (
            economics.shortage_per_unit, economics.holding_per_unit, economics.order_cost))  # fmt: skip
        cost = sum((p * max(n - units, 0) + h * max(units - n, 0) for n in sample), Fraction(0)) / len(sample)
        return cost + (k if units else 0)

    assert found.needed == max(0, order_statistic(sample, share))
    if found.needed == 0:
        assert (found.units, found.waterfall) == (0, ())
    else:
        admissible = [q for q in range(0, 1300) if q == 0 or (
            q % terms.pack_units == 0 and q >= terms.minimum_units and q <= (terms.cap_units or 0))]  # fmt: skip
        below = max((q for q in admissible if q <= found.needed), default=0)
        above = min((q for q in admissible if q >= found.needed), default=admissible[-1])
        nearest = admissible[1] if below == 0 and len(admissible) > 1 else below
        assert found.units == min((0, nearest, above), key=lambda q: (exact(q), -q))
    assert abs(Fraction(found.expected_cost) - exact(found.units)) <= Fraction(1, 20_000)
    assert abs(Fraction(found.expected_cost_without) - exact(0)) <= Fraction(1, 20_000)
    start = exact(found.needed) - (Fraction(economics.order_cost) if found.needed else 0)
    priced = sum(Fraction(step.cost) for step in found.waterfall)
    assert abs(start + priced - exact(found.units)) <= Fraction(len(found.waterfall) + 1, 10_000)


def test_costs_are_compared_before_they_are_rounded() -> None:
    """2 and 0 differ by a millionth a unit; as shown, with four decimals, they cost the same."""
    terms = SupplyTerms(pack_units=2)
    sample = [1] * 50
    dear, cheap = Decimal("0.000011"), Decimal("0.00001")
    waits = choose_quantity(sample, Decimal("0.9"), terms, Economics(shortage_per_unit=cheap, holding_per_unit=dear))
    orders = choose_quantity(sample, Decimal("0.9"), terms, Economics(shortage_per_unit=dear, holding_per_unit=cheap))
    assert (waits.units, orders.units) == (0, 2)
    assert waits.expected_cost == orders.expected_cost == Decimal("0.0000")
    equal = Economics(shortage_per_unit=cheap, holding_per_unit=cheap)
    assert choose_quantity(sample, Decimal("0.9"), terms, equal).units == 2, "of equally cheap ones the larger"


def test_a_fixed_cost_makes_small_orders_wait() -> None:
    sample = [3] * 10

    def ordered(order_cost: str) -> int:
        economics = Economics(shortage_per_unit="1", holding_per_unit="0.1", order_cost=order_cost)  # type: ignore[arg-type]
        return choose_quantity(sample, Decimal("0.9"), SupplyTerms(), economics).units

    assert [ordered(k) for k in ("0", "2.99", "3", "3.000001")] == [3, 3, 3, 0]


def test_neither_minimum_nor_pack_can_pass_the_cap() -> None:
    assert SupplyTerms(minimum_units=10, pack_units=4, cap_units=11).neighbours(5) == (0,)
    assert SupplyTerms(minimum_units=10, pack_units=4, cap_units=13).neighbours(50) == (0, 12, 12)
    assert SupplyTerms(pack_units=4, cap_units=13).neighbours(7) == (0, 4, 8)
