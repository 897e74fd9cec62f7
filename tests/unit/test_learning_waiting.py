"""The risk of waiting, on futures that can be counted by hand: it equals the projection's own, and never falls."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest

from activities.learning import risk
from activities.learning.scored import SHARES
from activities.learning.waiting import MOST_DAYS, waiting_counts
from activities.learning.windows import Ints

N = risk.SCENARIOS
NEVER = [Decimal(1)]


def futures(*daily: int, low: bool = False) -> Ints:
    """[1, days, N]: the same demand in all futures, or none in the first half of them."""
    found = np.repeat(np.array(daily, dtype=np.int64)[None, :, None], N, axis=2)
    if low:
        found[:, :, : N // 2] = 0
    return found


def waiting_risk(
    demand: Ints, arrivals: Ints, missing: Ints, lead_days: Ints, horizon: Ints, allowed: Sequence[Decimal]
) -> list[tuple[Decimal, ...]]:
    """The counts as the probabilities that a decision is told."""
    counts = waiting_counts(demand, arrivals, missing, lead_days, horizon, allowed)
    return [tuple(SHARES[count] for count in of_row) for of_row in counts]


def risks(demand: Ints, stock: int, lead: int, *, allowed: list[Decimal] | None = None) -> tuple[Decimal, ...]:
    arrivals, leads = np.zeros_like(demand), np.full((1, N), lead, dtype=np.int64)
    one = risk.project(demand, arrivals, np.array([stock]), leads, np.array([1]))
    horizon = np.array([demand.shape[1]])
    return waiting_risk(demand, arrivals, one.waiting, leads, horizon, allowed or NEVER)[0]


def test_stock_for_five_days_and_a_lead_time_of_two_bears_three_days_of_waiting() -> None:
    found = risks(futures(*[10] * 12), stock=50, lead=2)
    assert list(map(float, found[:5])) == [0, 0, 0, 1, 1], "an order of day 3 arrives on day 5, when nothing is left"
    assert len(found) == 10, "as far as the row's own horizon reaches"


def test_it_ends_with_the_first_risk_that_is_not_accepted() -> None:
    found = risks(futures(*[10] * 12, low=True), stock=50, lead=2, allowed=[Decimal("0.05")])
    assert list(map(float, found)) == [0, 0, 0, 0.5]


@pytest.mark.parametrize("review", [1, 3, 6])
def test_it_is_the_projection_with_that_many_days_of_review(review: int) -> None:
    chance = np.random.default_rng(4)
    demand, arrivals = chance.poisson(6, (5, 60, N)), chance.poisson(1, (5, 60, N))
    lead, stock = chance.integers(0, 9, (5, N)), chance.integers(0, 90, 5)
    one = risk.project(demand, arrivals, stock, lead, np.ones(5, dtype=np.int64))
    several = risk.project(demand, arrivals, stock, lead, np.full(5, review))
    found = waiting_risk(demand, arrivals, one.waiting, lead, np.full(5, 60), [Decimal(1)] * 5)
    assert [float(row[review - 1]) for row in found] == pytest.approx(
        (several.requirement > 0).mean(axis=1).tolist(), abs=1e-4
    )
    assert all(list(row) == sorted(row) and len(row) == MOST_DAYS for row in found)
    alone = [
        waiting_risk(demand[[i]], arrivals[[i]], one.waiting[[i]], lead[[i]], np.array([60]), NEVER)[0]
        for i in range(5)
    ]
    assert alone == found, "alone as in a batch"
