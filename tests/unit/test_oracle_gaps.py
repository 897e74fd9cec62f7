"""The engine's simulator counts as the oracle does, to the last digits; its order rule is near the least cost."""

from dataclasses import replace

import numpy as np
import pytest

from tests.oracles.gaps import agreement_of, gap_of, worlds
from tests.oracles.laws import equally_likely
from tests.oracles.playing import play
from tests.oracles.programming import Instance, finite
from tests.oracles.rules import base_stock

SEED = 7


@pytest.mark.parametrize("terms", [False, True])
def test_the_simulator_and_the_oracle_agree_on_the_rule_and_on_the_optimum(terms: bool) -> None:
    chance = np.random.default_rng(SEED)
    for world in worlds(SEED, 12, terms=terms):
        found = agreement_of(world, chance)
        assert max(found.rule, found.best) < 1e-9, world


@pytest.mark.parametrize("lead", [0, 1, 2])
def test_they_agree_under_backorders(lead: int) -> None:
    instance = Instance(
        equally_likely([0, 1, 1, 4]), lead, 7.5, 0.5, most_usable=60, most_order=9, order_cost=2.25, least_usable=-40
    )  # fmt: skip
    value, orders = finite(instance, 6)
    stock = [base_stock(instance, 5)] * 6
    held, _ = finite(instance, 6, stock)
    for expected, tables in ((value, orders), (held, stock)):
        place = (40 + 2, *[0] * max(0, lead - 1)) if lead == 0 else (40 + 3, *[0] * (lead - 1))
        played, _ = play(instance, tables, 2, [1] + [0] * (lead - 1) if lead else [])
        assert played == pytest.approx(float(expected[place]), rel=1e-12)
    assert float(value[place]) < float(held[place])


def test_a_simulator_that_delivers_a_period_early_would_be_found_out() -> None:
    """Played with another lead time than the oracle's, the costs must differ, or agreement proves nothing."""
    world = next(one for one in worlds(SEED, 40, terms=False) if one.instance.lead == 1)
    later = replace(world.instance, lead=2, most_usable=90)
    value, _ = finite(replace(world.instance, most_usable=90), 4)
    orders = [np.zeros(later.shape, dtype=np.int64) + 1] * 4
    ours, _ = finite(later, 4, orders)
    played, _ = play(replace(later, lead=1), [one[:, 0] for one in orders], 3, [2])
    assert abs(played - float(ours[5, 0])) > 1e-3
    assert float(value[5]) <= played + 1e-9, "nothing is below the least cost"


def test_with_packs_minimum_and_fixed_cost_the_rule_is_near_the_least_cost_too() -> None:
    """Waiting is judged by what one period costs with and without the order: a risk alone would wait far too long."""
    gaps = [gap_of(world).usual for world in worlds(SEED, 60, terms=True)]
    assert min(gaps) > -1e-8, "nothing is below the least cost"
    assert float(np.median(gaps)) < 0.005
    assert float(np.mean(gaps)) < 0.04
    assert float(np.quantile(gaps, 0.9)) < 0.1


def test_the_rule_is_near_the_least_cost_in_random_worlds() -> None:
    gaps = [gap_of(world) for world in worlds(SEED, 24, terms=False)]
    usual, best = (np.array([getattr(gap, name) for gap in gaps]) for name in ("usual", "calibrated"))
    assert min(best.min(), usual.min()) > -1e-8, "nothing is below the least cost"
    assert float(np.median(usual)) < 0.005
    assert float(best.max()) < 0.01
