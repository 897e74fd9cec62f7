"""The pool lends the season of all, and never one that lies after the row's own origin."""

import numpy as np

from activities.learning.cadence import WEEK
from activities.learning.pool import MIN_SERIES, OVERALL, Pools
from activities.learning.windows import Floats
from tests.unit.test_learning_cadence import panel

LAST = 105_000
SEASON = 1 + 0.5 * np.sin(2 * np.pi * np.arange(130) / 52)


def seasonal(rows: int = 30) -> Floats:
    chance = np.random.default_rng(2)
    return chance.poisson(4 * SEASON[None, :], (rows, 130)).astype(np.float64)


def asked(pools: Pools, origin: int, target: int, rows: int = 1) -> float:
    found = pools.year_ago(
        WEEK, (("all", "here"),) * rows, np.zeros(1, np.int64), np.array([origin]), np.array([target])
    )
    return float(found[0])


def test_it_knows_the_season_that_single_rows_do_not_show() -> None:
    pools = Pools.of(panel(WEEK, seasonal(), LAST))
    found = np.array([asked(pools, LAST, LAST + ahead) for ahead in range(1, 40)])
    true = SEASON[130 - 52 : 130 - 52 + 39] / SEASON[-52:].mean()
    assert np.abs(found - true).mean() < 0.06


def test_an_earlier_origin_is_told_what_was_known_then() -> None:
    units = seasonal()
    earlier = LAST - 20
    late = Pools.of(panel(WEEK, units, LAST))
    changed = units.copy()
    changed[:, -20:] *= 7
    # What follows the origin changes no more than the size that all periods are relative to.
    ratio = asked(Pools.of(panel(WEEK, changed, LAST)), earlier, earlier + 3) / asked(late, earlier, earlier + 3)
    assert abs(ratio - 1) < 0.05


def test_without_a_year_it_says_nothing() -> None:
    young = Pools.of(panel(WEEK, seasonal()[:, :40], LAST))
    assert np.isnan(asked(young, LAST, LAST + 2))
    assert np.isnan(asked(Pools(), LAST, LAST + 2))


def test_it_survives_its_document_and_small_groups_share_the_overall_season() -> None:
    pools = Pools.of(panel(WEEK, seasonal(MIN_SERIES - 1), LAST))
    assert set(pools.values) == {OVERALL}
    again = Pools.from_document(pools.document())
    assert asked(again, LAST, LAST + 5) == asked(pools, LAST, LAST + 5)
