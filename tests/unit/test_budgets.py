"""Money goes first where it saves most; the shadow price says what one more unit of it would save."""

from decimal import Decimal
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.shop import decided
from workflows.domain.budgets import MOST_STEPS, Want, rank
from workflows.domain.decisions import Proposal
from workflows.domain.planning import budget
from workflows.domain.quantities import expected_cost


def want(key: str, *, sample: tuple[int, ...] = tuple(range(10)), cost: str = "1", **more: int) -> Want:
    terms = {"pack_units": 1, "first_units": 1, "most_units": 8} | more
    return Want(
        key=key, requirement=sample, shortage_per_unit=Decimal(2), holding_per_unit=Decimal("0.1"),
        unit_cost=Decimal(cost), **terms,
    )  # fmt: skip


def test_of_equal_needs_the_cheaper_one_is_bought_first() -> None:
    found = rank([want("a", cost="2"), want("b", cost="1")], Decimal(3))
    assert [(line.key, line.units, line.first_at) for line in found.lines] == [("b", 3, 1), ("a", 0, 0)]
    assert (found.spent, found.wanted) == (Decimal(3), Decimal(24))
    assert found.shadow_price is not None
    first = expected_cost(range(10), 3, Decimal(2), Decimal("0.1"))
    second = expected_cost(range(10), 4, Decimal(2), Decimal("0.1"))
    assert found.shadow_price == first - second


def test_enough_money_buys_all_and_has_no_shadow_price() -> None:
    found = rank([want("a"), want("b", cost="3")], Decimal(100))
    assert [line.units for line in found.lines] == [8, 8]
    assert (found.spent, found.shadow_price) == (Decimal(32), None)


def test_a_minimum_quantity_is_bought_at_once_or_not() -> None:
    found = rank([want("a", first_units=6, pack_units=2)], Decimal(5))
    assert [line.units for line in found.lines] == [0]
    assert [line.units for line in rank([want("a", first_units=6, pack_units=2)], Decimal(7)).lines] == [6]


def test_nothing_to_buy_and_nothing_to_spend() -> None:
    assert rank([], Decimal(5)).lines == ()
    assert rank([want("a")], Decimal(0)).spent == 0


def test_open_proposals_are_ranked_up_to_what_they_propose() -> None:
    several = [decided(daily=38, on_hand=96), decided(item="TEA", daily=6.5, on_hand=9, unit_cost="38", price="74")]
    all_of_it = budget(several, Decimal(10**9))
    for one in several:
        assert isinstance(one.decision.result, Proposal)
        (line,) = [line for line in all_of_it.lines if line.key == one.decision.decision_id]
        assert (line.units, line.money) == (one.decision.result.units, one.decision.result.value)
    half = budget(several, all_of_it.spent / 2)
    assert half.spent <= all_of_it.spent / 2
    assert half.shadow_price is not None
    assert half.shadow_price > 0


def test_a_large_line_is_bought_in_a_bounded_number_of_steps() -> None:
    found = rank([want("a", sample=tuple(range(0, 100_000, 1_000)), most_units=50_000)], Decimal(20_000))
    assert found.lines[0].units % (50_000 // MOST_STEPS) == 0
    assert found.lines[0].units == 20_000


SAMPLES = st.lists(st.integers(0, 9), min_size=1, max_size=8).map(lambda s: tuple(sorted(s)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SAMPLES, st.integers(1, 3)), min_size=1, max_size=3), st.integers(0, 14))
def test_unit_packs_of_equal_price_are_bought_optimally(lines: list[tuple[tuple[int, ...], int]], amount: int) -> None:
    """With packs of one price greedy is exact; it is compared with trying everything."""
    wants = [want(f"line {n}", sample=sample, most_units=4) for n, (sample, _) in enumerate(lines)]
    found = rank(wants, Decimal(amount))

    def cost(units: tuple[int, ...]) -> Decimal:
        return sum(
            (expected_cost(w.requirement, q, Decimal(2), Decimal("0.1")) for w, q in zip(wants, units, strict=True)),
            Decimal(0),
        )

    spent = min(int(amount), 4 * len(wants))
    best = min(cost(units) for units in product(range(5), repeat=len(wants)) if sum(units) == spent)
    bought = {line.key: line.units for line in found.lines}
    assert cost(tuple(bought[w.key] for w in wants)) == best
