"""Many rows at once are ordered to the unit as each alone: the arrays and the domain state one rule."""

import time
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.learning import ordering, risk
from activities.learning.windows import Ints
from workflows.domain.quantities import Economics, SupplyTerms, choose_quantity, expected_cost, micro, worth_waiting

Row = tuple[list[int], int, SupplyTerms, Economics]
UNITS = st.one_of(st.integers(-60, 120), st.integers(-(10**9), 10**9))
PRICES = st.one_of(
    st.decimals("0", "9", places=2), st.decimals("0", "50", places=6), st.decimals("0", "100000000000", places=4)
)
TERMS = st.builds(
    SupplyTerms,
    minimum_units=st.integers(0, 300),
    pack_units=st.integers(1, 60),
    cap_units=st.one_of(st.none(), st.integers(0, 400)),
)
ECONOMICS = st.builds(Economics, shortage_per_unit=PRICES, holding_per_unit=PRICES, order_cost=PRICES)


@st.composite
def batches(draw: st.DrawFn) -> list[Row]:
    sample = draw(st.sampled_from([1, 2, 7, 16, 128]))
    samples = st.lists(UNITS, min_size=sample, max_size=sample)
    return draw(st.lists(st.tuples(samples, st.integers(0, 10_000), TERMS, ECONOMICS), min_size=1, max_size=12))


def arrays(rows: list[Row]) -> tuple[Ints, Ints, ordering.TermsOfRows, ordering.EconomicsOfRows]:
    terms, economics = [row[2] for row in rows], [row[3] for row in rows]

    def of(values: list[int]) -> Ints:
        return np.array(values, dtype=np.int64)

    return (
        np.array([row[0] for row in rows], dtype=np.int64),
        of([row[1] for row in rows]),
        ordering.TermsOfRows(
            of([one.minimum_units for one in terms]),
            of([one.pack_units for one in terms]),
            of([ordering.UNCAPPED if one.cap_units is None else one.cap_units for one in terms]),
        ),
        ordering.EconomicsOfRows(
            of([micro(one.shortage_per_unit) for one in economics]),
            of([micro(one.holding_per_unit) for one in economics]),
            of([micro(one.order_cost) for one in economics]),
        ),
    )


@settings(max_examples=300, deadline=None)
@given(batches())
def test_a_batch_orders_what_each_row_orders_alone(rows: list[Row]) -> None:
    found = ordering.order_quantities(*arrays(rows))
    alone = [
        choose_quantity(sorted(sample), Decimal(tau) / 10_000, terms, economics).units
        for sample, tau, terms, economics in rows
    ]
    assert found.tolist() == alone


@settings(max_examples=60, deadline=None)
@given(batches())
def test_where_a_row_stands_in_which_chunk_changes_nothing(rows: list[Row]) -> None:
    expected = ordering.order_quantities(*arrays(rows * 3))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ordering, "AT_ONCE_BYTES", 8 * len(rows[0][0]) * 2)
        assert ordering.order_quantities(*arrays(rows * 3)).tolist() == expected.tolist()
    assert expected.tolist() == expected[: len(rows)].tolist() * 3


@settings(max_examples=200, deadline=None)
@given(
    st.decimals("0", "900", places=4),
    st.decimals("0", "90", places=6),
    st.integers(1, 40),
    st.integers(0, 4),
    st.integers(75, 135),
)
def test_targets_of_rows_are_the_target_of_each(
    shortage: Decimal, holding: Decimal, review_days: int, lead_days: int, scale: int
) -> None:  # fmt: skip
    expected = risk.target(shortage, holding, review_days, lead_days=lead_days, scale=scale)
    found = ordering.targets(
        np.array([micro(shortage)]), np.array([micro(holding * review_days)]), np.array([lead_days + review_days]),
        scale=np.array([scale]),
    )  # fmt: skip
    assert Decimal(int(found[0])) / 10_000 == expected


def test_targets_of_the_documented_table() -> None:
    shortage, holding = np.array([4, 9, 19, 0, 1]), np.array([1, 1, 1, 0, 0])
    later, at_once = np.full(5, 3), np.ones(5, dtype=np.int64)
    assert ordering.targets(shortage, holding, later).tolist() == [7300, 8650, 9325, 5000, 9950]
    assert ordering.targets(shortage, holding, later, backlog=True).tolist() == [8000, 9000, 9500, 5000, 9950]
    assert ordering.targets(shortage, holding, at_once).tolist() == [8000, 9000, 9500, 5000, 9950]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(-20, 30), min_size=128, max_size=128),
    st.integers(0, 200),
    st.decimals("0", "90", places=4),
    st.decimals("0", "9", places=6),
)
def test_waiting_is_worth_it_for_rows_as_for_each(
    missing: list[int], units: int, shortage: Decimal, holding: Decimal
) -> None:  # fmt: skip
    short = ordering.short_if_waiting(np.array([missing]))
    prices = ordering.EconomicsOfRows(*(np.array([micro(one)]) for one in (shortage, holding, Decimal(0))))
    expected = worth_waiting(Decimal(int(short[0])) / 1000, units, shortage, holding)
    assert ordering.worth_waiting(short, np.array([units]), prices).tolist() == [expected]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-20, 30), min_size=8, max_size=8),
    st.integers(0, 30),
    st.decimals("0.1", "90", places=1),
    st.decimals("0.1", "9", places=1),
)
def test_waiting_is_worth_it_when_one_period_without_the_units_costs_less_than_one_with_them(
    missing: list[int], extra: int, shortage: Decimal, holding: Decimal
) -> None:  # fmt: skip
    """Eight futures: all sums are exact in thousandths. Units that no future can want more of, as after rule 5."""
    units = max(0, *missing) + extra
    with_them, without = (expected_cost(sorted(missing), q, shortage, holding) for q in (units, 0))
    short = Decimal(sum(max(0, n) for n in missing)) / 8
    if short:
        assert worth_waiting(short, units, shortage, holding) == (without < with_them)
    else:
        assert worth_waiting(short, units, shortage, holding)


def test_no_rows_are_no_orders() -> None:
    nothing = np.zeros(0, np.int64)
    prices = ordering.EconomicsOfRows(nothing, nothing, nothing)
    found = ordering.order_quantities(np.zeros((0, 128), np.int64), nothing, ordering.TermsOfRows.free(0), prices)
    assert found.shape == (0,)


def test_an_assortment_is_ordered_in_seconds() -> None:
    rows, scenarios = 20_000, 128
    chance = np.random.default_rng(1)
    sample = chance.poisson(20, (rows, scenarios)) - 10
    terms = ordering.TermsOfRows(np.full(rows, 5), chance.integers(1, 12, rows), np.full(rows, ordering.UNCAPPED))
    prices = ordering.EconomicsOfRows(np.full(rows, 10**6), np.full(rows, 2 * 10**5), np.full(rows, 10**6))
    tau = chance.integers(5_000, 9_950, rows)
    begun = time.thread_time()  # whoever else works on the machine does not count
    ordering.order_quantities(sample, tau, terms, prices)
    assert time.thread_time() - begun < 2, "20,000 rows take a tenth of a second"


def test_money_beyond_sixty_four_bits_is_still_compared_exactly() -> None:
    chance = np.random.default_rng(2)
    rows: list[Row] = []
    for _ in range(60):
        sample = [int(one) for one in chance.integers(10**8, 10**9, 4)]
        dear, cheap, fixed = (Decimal(int(one)) for one in chance.integers(1, 10**11, 3))
        economics = Economics(shortage_per_unit=dear, holding_per_unit=cheap, order_cost=fixed)
        rows.append((sample, 5_000, SupplyTerms(pack_units=int(chance.integers(1, 10**9))), economics))
    alone = [choose_quantity(sorted(row[0]), Decimal("0.5"), row[2], row[3]).units for row in rows]
    assert ordering.order_quantities(*arrays(rows)).tolist() == alone
    assert 0 in alone
    assert len(set(alone)) > 10
