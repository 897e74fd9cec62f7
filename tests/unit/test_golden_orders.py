"""Golden orders: the engine's rule against exact optima, on the instances that the literature publishes.

The optima come from dynamic programming over every state (tests/oracles). "True law" means that the rule is fed with
the exact law of the requirement by convolution: no sample, no forecast. "Stored permutations" means the engine's own N
strata of the true law, joined by its permutations, through `risk.project` and `order_quantities`: what is left then is
the price of N = 128 scenarios.
"""

from decimal import Decimal
from functools import cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from activities.learning import risk
from activities.learning.ordering import targets
from activities.learning.windows import Floats, Ints
from tests.oracles.laws import Law, equally_likely, geometric, poisson
from tests.oracles.programming import Instance, Optimum, average_cost, finite, optimum
from tests.oracles.rules import (
    base_stock,
    engine_orders,
    every_future,
    exact_fp3,
    newsvendor_level,
    requirement_law,
    stored_futures,
)
from workflows.domain.quantities import expected_cost, order_statistic


def geometric_to_40(mean: float) -> Law:
    """The Geometric rows of the science notes were computed with this: nothing above 40, the rest scaled to one."""
    mass = geometric(mean).mass[:41]
    return Law("geometric to 40", mass / mass.sum())


Case = tuple[str, int, int]
LAWS = {"poisson": (poisson(5), 32, 18), "geometric": (geometric(5), 80, 34), "to 40": (geometric_to_40(5), 64, 26)}
OPTIMA: dict[Case, float] = {
    ("poisson", 1, 4): 4.04, ("poisson", 1, 9): 5.44, ("poisson", 1, 19): 6.68,
    ("poisson", 2, 4): 4.40, ("poisson", 2, 9): 6.09, ("poisson", 2, 19): 7.66,
    ("to 40", 1, 4): 9.736, ("to 40", 1, 9): 14.34, ("to 40", 1, 19): 18.90,
    ("to 40", 2, 4): 10.16, ("to 40", 2, 9): 15.34, ("to 40", 2, 19): 20.58,
    ("geometric", 1, 4): 9.82, ("geometric", 1, 9): 14.51, ("geometric", 1, 19): 19.22,
    ("geometric", 2, 4): 10.24, ("geometric", 2, 9): 15.50, ("geometric", 2, 19): 20.89,
}  # fmt: skip
"""Law, lead time, p/h: least cost per period with h = 1, as published (to the digits that are published)."""
TABLE: dict[Case, tuple[float, float, float, float]] = {
    ("poisson", 1, 4): (0.74, 1.7, 3.0, 8.6), ("poisson", 1, 9): (0.88, 0.2, 2.0, 2.2),
    ("poisson", 1, 19): (0.94, 0.2, 0.8, 0.8), ("poisson", 2, 4): (0.72, 3.7, 5.5, 12.5),
    ("poisson", 2, 9): (0.86, 2.1, 3.7, 7.6), ("poisson", 2, 19): (0.94, 1.4, 2.3, 6.3),
    ("to 40", 1, 4): (0.76, 1.4, 2.3, 7.0), ("to 40", 1, 9): (0.88, 0.9, 1.5, 4.4),
    ("to 40", 1, 19): (0.94, 0.6, 0.9, 3.1), ("to 40", 2, 4): (0.74, 3.3, 4.6, 19.8),
    ("to 40", 2, 9): (0.86, 2.7, 3.1, 13.2), ("to 40", 2, 19): (0.92, 1.9, 1.9, 7.8),
}  # fmt: skip
"""Best tau, then the gap in per cent of tau = p/(p+h), of the best base stock and of the newsvendor base stock."""
CASES = sorted(OPTIMA)
TAUS = [round(0.5 + 0.02 * step, 2) for step in range(25)]


@cache
def solved(case: Case) -> tuple[Instance, Optimum, Floats]:
    name, lead, shortage = case
    law, most_usable, most_order = LAWS[name]
    instance = Instance(law, lead, float(shortage), 1.0, most_usable, most_order)
    return instance, optimum(instance), requirement_law(instance)


def gap(case: Case, orders: Ints) -> float:
    """How much more than the least cost these orders cost, in per cent."""
    instance, best, _ = solved(case)
    return 100 * (average_cost(instance, orders) / best.cost - 1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_published_optima_come_out(case: Case) -> None:
    instance, best, _ = solved(case)
    digits = 2 if OPTIMA[case] < 10 and case[0] != "to 40" else 3 if case == ("to 40", 1, 4) else 2
    assert best.cost == pytest.approx(OPTIMA[case], abs=0.51 * 10**-digits)
    assert best.error < 1e-9
    assert average_cost(instance, best.orders) == pytest.approx(best.cost, abs=2e-9), "two methods, one cost"
    assert best.orders.max() < instance.most_order, "the grid does not bind"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_with_the_best_tau_the_rule_is_within_half_a_per_cent_of_the_optimum(case: Case) -> None:
    enough = solved(case)[2]
    gaps = {tau: gap(case, exact_fp3(enough, tau)) for tau in TAUS}
    best = min(gaps, key=lambda tau: (gaps[tau], tau))
    assert -1e-7 < gaps[best] < 0.5
    if case in TABLE:
        assert best == TABLE[case][0]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tau_zero_comes_within_one_per_cent(case: Case) -> None:
    instance, _, enough = solved(case)
    shortage, holding = int(instance.shortage), int(instance.holding)
    tau = risk.target(Decimal(shortage), Decimal(holding), 1, lead_days=instance.lead)
    assert int(tau * 10_000) == targets(np.array([shortage]), np.array([holding]), np.array([instance.lead + 1]))[0]
    found = gap(case, exact_fp3(enough, float(tau)))
    assert found < 1.0
    assert found < gap(case, exact_fp3(enough, shortage / (shortage + holding))) + 0.8, (
        "the newsvendor's ratio is worse"
    )


def test_tau_zero_beats_the_newsvendor_ratio_over_the_table() -> None:
    """Changing the factors by a tenth either way costs more over these instances, or next to nothing less."""

    def mean_gap(*by_lead: float) -> float:
        return float(np.mean([
            gap(case, exact_fp3(solved(case)[2], 1 - by_lead[case[1] - 1] / (case[2] + 1)))
            for case in CASES if case[0] != "to 40"
        ]))  # fmt: skip

    at_one, later = (float(factor) for factor in risk.LOST_SALES_FACTORS[1:])
    here = mean_gap(at_one, later)
    assert here < 0.2
    assert mean_gap(1.0, 1.0) > 4 * here
    assert here < mean_gap(later, later), "one factor for both lead times is worse"
    assert all(mean_gap(at_one * scale, later * scale) > here for scale in (0.8, 0.9, 1.2, 1.35))


@pytest.mark.parametrize("shortage", [2, 4, 9, 19, 40])
@pytest.mark.parametrize("law", [poisson(2), geometric(3), equally_likely([0, 0, 0, 0, 0, 0, 8, 8])])
def test_an_order_that_arrives_at_once_is_the_newsvendors_and_nothing_costs_less(law: Law, shortage: int) -> None:
    instance = Instance(law, 0, float(shortage), 1.0, most_usable=2 * law.most + 1, most_order=law.most + 1)
    tau = risk.target(Decimal(shortage), Decimal(1), 1, lead_days=0)
    cost = average_cost(instance, exact_fp3(requirement_law(instance), float(tau)))
    assert cost == pytest.approx(optimum(instance).cost, rel=1e-8)


@pytest.mark.parametrize("case", sorted(TABLE), ids=str)
def test_the_other_columns_of_the_table_are_reproduced(case: Case) -> None:
    instance, _, enough = solved(case)
    ratio = instance.shortage / (instance.shortage + instance.holding)
    level = newsvendor_level(instance)
    best = min(gap(case, base_stock(instance, lower)) for lower in range(level - 8, level + 2))
    found = (gap(case, exact_fp3(enough, ratio)), best, gap(case, base_stock(instance, level)))
    assert found == pytest.approx(TABLE[case][1:], abs=0.25)


@pytest.mark.parametrize("case", [case for case in CASES if case[0] != "to 40"], ids=str)
def test_the_stored_permutations_cost_little_more_than_the_true_law(case: Case) -> None:
    instance, _, enough = solved(case)
    tau = min(TAUS, key=lambda one: gap(case, exact_fp3(enough, one)))
    found = [
        gap(case, engine_orders(instance, stored_futures(instance, table), tau)) for table in range(0, risk.TABLES, 3)
    ]
    # A row draws another table at every review, so the mean is what it pays; no table alone may be far off either.
    assert float(np.mean(found)) < 2.0
    assert max(found) < 6.0


@pytest.mark.parametrize("lead", [0, 1, 2])
@pytest.mark.parametrize("shortage", [4, 9, 19])
def test_with_backorders_the_rule_is_the_newsvendor_base_stock_exactly(lead: int, shortage: int) -> None:
    demands = [0, 1, 1, 2, 3, 3, 5, 8]
    instance = Instance(
        equally_likely(demands), lead, float(shortage), 1.0, most_usable=40, most_order=30, least_usable=-30
    )  # fmt: skip
    tau = targets(np.array([shortage]), np.array([1]), np.array([lead + 1]), backlog=True)[0] / 10_000
    level = newsvendor_level(instance)
    found = engine_orders(instance, every_future(demands, lead + 1), tau, backlog=True)
    assert found.tolist() == base_stock(instance, level).tolist()
    # And nothing is cheaper: dynamic programming orders the same from every state that matters, in the long run.
    law = np.array([1.0])
    for _ in range(lead + 1):
        law = np.convolve(law, instance.law.mass)
    if lead < 2:
        total = level - np.arange(len(law))
        newsvendor_cost = float((np.maximum(total, 0) + shortage * np.maximum(-total, 0)) @ law)
        assert average_cost(instance, found) == pytest.approx(newsvendor_cost, abs=1e-9)
        assert optimum(instance).cost == pytest.approx(newsvendor_cost, abs=1e-8)


def test_the_newsvendor_of_stockpyl_comes_out_of_our_own_sample_rule() -> None:
    """stockpyl's newsvendor_normal(holding_cost=.18, stockout_cost=.70, mean 50, sd 8): S = 56.604, cost 1.9976."""
    levels = (np.arange(40_000) + 0.5) / 40_000
    sample = [round(1000 * NormalDist(50, 8).inv_cdf(float(level))) for level in levels]
    ratio = Decimal("0.70") / Decimal("0.88")
    best = order_statistic(sample, ratio)
    assert best / 1000 == pytest.approx(56.604, abs=0.001)
    per_unit = [expected_cost(sample, best, Decimal("0.70"), Decimal("0.18")) / 1000]
    assert float(per_unit[0]) == pytest.approx(1.9976, abs=0.0005)
    around = [expected_cost(sample, best + step, Decimal("0.70"), Decimal("0.18")) for step in (-2000, -500, 0)]
    assert all(farther > nearer for farther, nearer in pairwise(around))


def test_the_finite_program_and_the_long_run_agree() -> None:
    instance, best, _ = solved(("poisson", 2, 4))
    value, _ = finite(instance, 400)
    later, orders = finite(instance, 401)
    assert float(later[0, 0] - value[0, 0]) == pytest.approx(best.cost, abs=1e-9)
    assert average_cost(instance, orders[0]) == pytest.approx(best.cost, abs=1e-9)
