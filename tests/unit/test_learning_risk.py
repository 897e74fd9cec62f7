"""The order rule on small worlds whose answer is known."""

import hashlib
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.learning import risk
from activities.learning.demand import MILLI, QUANTILES, to_milli
from activities.learning.windows import Ints

N = risk.SCENARIOS


def poisson_quantiles(mean: float) -> list[int]:
    found, running, count = [], 0.0, 0
    mass = math.exp(-mean)
    for level in QUANTILES:
        while running + mass < level:
            running += mass
            count += 1
            mass *= mean / count
        found.append(count)
    return found


def constant(*daily: int) -> Ints:
    """[1, days, N] demand or arrivals that are the same in every scenario."""
    return np.repeat(np.array(daily, dtype=np.int64)[None, :, None], N, axis=2)


def project(demand: Ints, arrivals: Ints, stock: int, lead: int, review: int = 1) -> risk.Projection:
    return risk.project(
        demand, arrivals, np.array([stock]), np.full((1, N), lead, dtype=np.int64), np.array([review])
    )  # fmt: skip


def test_the_permutations_are_data_and_never_change() -> None:
    tables = risk.permutations()
    assert (np.sort(tables, axis=2) == np.arange(N)).all()
    pinned = "431f73d1e43a322703256f1c441768602d257223995d06c63228de6e40c2a5c4"
    # The last column came later; what decisions were recorded with before is pinned without it.
    for found, pin in (
        (tables[:, :-1], pinned),
        (tables, "12e3f72fa70cb87d2a015983241b650e32e4da2a9be5d5ab522332f191c67c97"),
    ):
        raw = np.ascontiguousarray(found.astype("<u1")).tobytes()
        assert hashlib.sha256(raw).hexdigest() == pin, "recorded decisions would not replay"


@pytest.mark.parametrize("hundredths", [5, 30, 80])
def test_correlated_periods_are_permutations_that_hang_together(hundredths: int) -> None:
    joined = risk.correlated(hundredths)
    assert (np.sort(joined, axis=2) == np.arange(N)).all()
    pairs = [np.corrcoef(joined[table, day], joined[table, day + 7])[0, 1] for table in range(16) for day in range(40)]
    assert np.mean(pairs) == pytest.approx(hundredths / 100, abs=0.04)
    assert (risk.correlated(0) == risk.permutations()[:, : risk.PERIODS]).all()


def test_days_are_joined_without_correlation() -> None:
    days = risk.permutations()[:, :30].reshape(-1, N)
    correlations = np.asarray(np.corrcoef(days))[np.triu_indices(len(days), 1)]
    assert abs(float(correlations.mean())) < 0.005
    assert float(np.abs(correlations).max()) < 0.45


@pytest.mark.parametrize(
    ("lead_days", "expected"),
    [(0, ("0.8", "0.9", "0.95")), (1, ("0.76", "0.88", "0.94")), (2, ("0.73", "0.865", "0.9325")),
     (9, ("0.73", "0.865", "0.9325"))],
)  # fmt: skip
def test_tau_zero_follows_the_documented_factors(lead_days: int, expected: tuple[str, ...]) -> None:
    found = [risk.target(Decimal(p), Decimal(1), 1, lead_days=lead_days) for p in (4, 9, 19)]
    assert found == [Decimal(tau) for tau in expected]


def test_tau_zero_stays_within_its_limits() -> None:
    assert risk.target(Decimal(0), Decimal(0), 1, lead_days=0) == Decimal("0.5")
    assert risk.target(Decimal(0), Decimal(1), 1, lead_days=2) == Decimal("0.5")
    assert risk.target(Decimal(1000), Decimal("0.01"), 1, lead_days=2) == Decimal("0.995")


def test_a_longer_cover_counts_as_a_longer_lead_time_and_a_scale_multiplies_the_factor() -> None:
    assert risk.target(Decimal(17), Decimal(1), 3, lead_days=0) == Decimal("0.7975")  # 1 - 1.35 * 3 / 20
    assert risk.target(Decimal(9), Decimal(1), 1, lead_days=2, scale=120) == Decimal("0.838")


def test_strata_are_the_quantiles_of_the_law() -> None:
    knots = to_milli(np.array(poisson_quantiles(5), dtype=np.float64))
    strata = risk.strata_units(knots)
    assert (np.diff(strata) >= 0).all()
    assert float(strata.mean()) == pytest.approx(5, abs=0.25)
    for level, knot in zip(QUANTILES, poisson_quantiles(5), strict=True):
        nearest = strata[min(int(level * N), N - 1)]
        assert abs(int(nearest) - knot) <= 1 + knot // 4


def test_the_last_bit_of_a_float_decides_nothing() -> None:
    values = np.random.default_rng(1).uniform(0, 40, (200, 12))
    values[:50] = np.round(values[:50])
    values.sort(axis=1)
    nudged = [np.nextafter(values, np.inf), np.nextafter(values, -np.inf)]
    expected = risk.strata_units(to_milli(values))
    for one in nudged:
        np.testing.assert_array_equal(risk.strata_units(to_milli(np.maximum(one, 0))), expected)


@pytest.mark.parametrize("stock", [0, 4, 8, 15])
def test_poisson_demand_with_one_day_of_lead_time_gives_the_requirement_of_exact_convolution(stock: int) -> None:
    mass = [math.exp(-5) * 5**k / math.factorial(k) for k in range(40)]
    # N = D1 - (stock - D0)+
    law: dict[int, float] = {}
    for first, p in enumerate(mass):
        for second, q in enumerate(mass):
            need = second - max(stock - first, 0)
            law[need] = law.get(need, 0) + p * q
    knots = to_milli(np.array(poisson_quantiles(5), dtype=np.float64))[None, None, :].repeat(2, axis=1)
    samples = []
    for table in risk.permutations():
        demand = risk.demand_scenarios(knots, table[None, :2])
        found = project(demand, np.zeros_like(demand), stock, lead=1).requirement[0]
        samples.append(found)
    for tau in (Decimal("0.5"), Decimal("0.73"), Decimal("0.865"), Decimal("0.95")):
        running, exact = 0.0, 0
        for exact in sorted(law):
            running += law[exact]
            if running >= tau:
                break
        orders = [int(np.sort(sample)[risk.place_of(tau, N)]) for sample in samples]
        # Within one unit: P(D <= 7) = .8666 lies so close to .865 that twelve knots cannot tell 7 from 8.
        assert float(np.mean(orders)) == pytest.approx(exact, abs=1.0)
        assert max(abs(order - exact) for order in orders) <= 2


def test_an_order_placed_now_arrives_in_the_period_that_the_rule_says() -> None:
    """One unit a day is wanted, one unit is there, lead time 2: usable from day 2, days 0 and 1 live on stock."""
    demand, nothing = constant(1, 1, 1, 1), constant(0, 0, 0, 0)
    first = project(demand, nothing, stock=1, lead=2)
    assert set(first.requirement[0].tolist()) == {1}, "day 2 is the first day the order serves, and it serves one unit"
    assert first.short_before.all(), "day 1 has nothing to sell, and no order can help it"
    enough = project(demand, nothing, stock=2, lead=2)
    assert not enough.short_before.any()
    assert set(enough.requirement[0].tolist()) == {1}
    assert set(project(demand, nothing, stock=3, lead=2).requirement[0].tolist()) == {0}
    assert set(project(demand, nothing, stock=3, lead=2, review=2).requirement[0].tolist()) == {1}
    assert set(project(demand, nothing, stock=3, lead=2, review=2).waiting[0].tolist()) == {0}
    assert set(project(demand, nothing, stock=0, lead=0).requirement[0].tolist()) == {1}


def test_one_unit_on_order_helps_from_its_day_on_and_not_before() -> None:
    demand = constant(1, 1, 1)
    early, late, after = constant(0, 1, 0), constant(0, 0, 1), constant(1, 0, 0)
    assert not project(demand, early, stock=1, lead=2).short_before.any()
    assert project(demand, late, stock=1, lead=2).short_before.all()
    assert set(project(demand, late, stock=1, lead=2).requirement[0].tolist()) == {0}
    assert set(project(demand, after, stock=1, lead=2).requirement[0].tolist()) == {1}


def test_unserved_demand_is_lost_and_owed_to_nobody() -> None:
    found = project(constant(50, 50, 3), constant(0, 0, 0), stock=10, lead=2)
    assert set(found.requirement[0].tolist()) == {3}


def test_what_no_order_can_save_is_all_that_is_missed_before_the_lead_time() -> None:
    projected = project(constant(5, 5, 5, 5, 5), constant(0, 4, 0, 0, 0), stock=3, lead=4)
    assert set(projected.lost_before[0].tolist()) == {2 + 1 + 5 + 5}, (
        "three from stock, four that arrive, the rest lost"
    )


def test_units_promised_beyond_stock_are_served_by_arrivals_first() -> None:
    found = project(constant(5, 5, 3), constant(0, 6, 0), stock=-4, lead=2)
    # 6 arrive, 4 were promised, 2 are left for the 5 that are wanted.
    assert set(found.requirement[0].tolist()) == {3}
    assert set(project(constant(5, 5, 3), constant(0, 0, 0), stock=-4, lead=2).requirement[0].tolist()) == {7}


def test_the_worst_day_of_the_review_counts_and_a_late_receipt_does_not_hide_it() -> None:
    found = project(constant(0, 4, 4, 1), constant(0, 0, 0, 20), stock=0, lead=1, review=3)
    assert set(found.requirement[0].tolist()) == {8}


def test_days_beyond_lead_time_and_review_do_not_matter() -> None:
    short = project(constant(2, 3, 4), constant(0, 0, 0), stock=1, lead=1, review=2)
    long = project(constant(2, 3, 4, 99), constant(0, 0, 0, 7), stock=1, lead=1, review=2)
    np.testing.assert_array_equal(short.requirement, long.requirement)


def test_an_order_statistic_is_one_of_the_numbers() -> None:
    assert risk.place_of(Decimal("0.5"), N) == 63
    assert risk.place_of(Decimal("0.995"), N) == 127
    assert risk.place_of(Decimal(0), N) == 0


def test_absurd_forecasts_stay_whole_numbers() -> None:
    knots = to_milli(np.array([0, 0, 1e300, np.nan, np.inf, 1, 1, 1, 1, 1, 1, 1.0]))
    assert knots.max() == 50_000_000_000 * MILLI
    assert risk.strata_units(np.sort(knots)).min() >= 0


LEVELS = [Fraction(0), *(Fraction(str(level)) for level in QUANTILES), Fraction(1)]


def drawn(knots: list[int], no_sale: int, scenario: int) -> int:
    """Units of one scenario by the law itself, in exact fractions: what arrays of any kind must come to."""
    ends = [knots[0] * 10 // 13, *knots, knots[-1] * 13 // 10]
    level, silent = Fraction(2 * scenario + 1, 2 * N), Fraction(no_sale, risk.PERMILLE)
    knot = max(n for n, below in enumerate(LEVELS[:-1]) if below <= level)
    way = (level - LEVELS[knot]) / (LEVELS[knot + 1] - LEVELS[knot])
    units = math.floor((ends[knot] + (ends[knot + 1] - ends[knot]) * way) / MILLI + Fraction(1, 2))
    if not no_sale:
        return units
    above = next((n for n, one in enumerate(LEVELS) if one > silent), len(LEVELS) - 1)
    if level <= silent:
        return 0
    if level >= LEVELS[above]:
        return max(units, 1)
    size = max(ends[above], MILLI // 2)
    way = (level - silent) / (LEVELS[above] - silent)
    return math.floor((MILLI // 2 + (size - MILLI // 2) * way) / MILLI + Fraction(1, 2))


@given(
    largest=st.sampled_from([3, 2_000, 10**6, risk.SMALL_MILLI, 5 * 10**13]), no_sale=st.integers(0, 1000),
    data=st.data(),
)  # fmt: skip
def test_units_are_those_of_the_law_whether_floats_or_whole_numbers_divide(
    largest: int, no_sale: int, data: st.DataObject
) -> None:
    knots = sorted(data.draw(st.lists(st.integers(0, largest), min_size=len(QUANTILES), max_size=len(QUANTILES))))
    units = risk.strata_units(np.array([knots]), np.array([no_sale]))
    assert units.tolist() == [[drawn(knots, no_sale, scenario) for scenario in range(N)]]


def test_the_largest_units_that_floats_divide_are_exact() -> None:
    for last in range(risk.SMALL_MILLI * 10 // 13 - 40, risk.SMALL_MILLI * 10 // 13 + 40):
        knots = [last] * len(QUANTILES)
        assert risk.strata_units(np.array([knots]))[0].tolist() == [drawn(knots, 0, scenario) for scenario in range(N)]


@given(
    bits=st.sampled_from([3, 12, 24, 29, 31, 40]), lead=st.integers(0, 4), review=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_projection_in_32_bits_is_that_in_64(bits: int, lead: int, review: int, seed: int) -> None:
    die = np.random.default_rng(seed)
    demand, arrivals = die.integers(0, 2**bits, (2, 3, 8, N)) * die.integers(0, 2, (2, 3, 8, N))
    stock = die.integers(-(2**bits), 2**bits, 3)
    leads, reviews = np.minimum(die.integers(0, 5, (3, N)), lead), np.full(3, review)
    wide = risk.project(demand, arrivals, stock, leads, reviews)
    small = risk.project(*risk.narrowed(demand, arrivals, stock), leads, reviews)
    for name in ("requirement", "waiting", "short_before", "lost_before"):
        np.testing.assert_array_equal(getattr(small, name), getattr(wide, name))
