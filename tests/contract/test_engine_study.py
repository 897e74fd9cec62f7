"""The engine on studies: it sees no future, repeats itself, costs less than an order point, and bears odd series."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from activities.learning import engine_policy as engine_policy_module
from activities.learning import engine_study, tuning
from activities.learning.baselines import StaticReorderPoint
from activities.learning.demand import QUANTILES
from activities.learning.engine_policy import Parameters, cycle_periods
from activities.learning.engine_study import at_levels, engine_forecast, engine_policy
from activities.learning.order_points import static_level
from activities.learning.rehearsing import BLOCK
from activities.learning.rehearsing import better as best_of
from activities.learning.simulation import View, simulate
from activities.learning.training import train_panel
from activities.learning.trial import Trial
from activities.learning.windows import Floats
from tests.unit.study_world import trial
from workflows.domain.studies import Period

WEEKS, ROUNDS, LEAD = 90, 8, 1


@pytest.fixture(autouse=True)
def small_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is proven here does not depend on the size of a training; four of them a study would take minutes."""
    small = partial(train_panel, rows=6_000, rounds=30)
    for module in (tuning, engine_study, engine_policy_module):
        monkeypatch.setattr(module, "train_panel", small)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def world(rows: int = 40, seed: int = 6) -> Floats:
    """Weekly demand whose level wanders: an order point that was computed once is soon wrong."""
    chance = np.random.default_rng(seed)
    level = np.exp(
        np.cumsum(chance.normal(0, 0.06, (rows, WEEKS + ROUNDS)), axis=1) + chance.normal(1.5, 0.7, (rows, 1))
    )
    return chance.poisson(level).astype(np.float64)


def study(units: Floats, **terms: float) -> Trial:
    past, future = units[:, :WEEKS], units[:, WEEKS:].astype(np.int64)
    lead = np.full(len(units), LEAD)
    stock = static_level(past, lead, Period.WEEK)
    return trial(future, past=past.tolist(), on_hand=stock.tolist(), lead=LEAD, **terms)  # type: ignore[arg-type]


def first_orders(one: Trial) -> list[int]:
    found: list[list[int]] = []

    class Once:
        name = "once"

        def __init__(self, view: View) -> None:
            self._policy = engine_policy(view, None)[0]

        def order(self, view: View) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
            units = self._policy.order(view)
            found.append(units.tolist())
            return units

    simulate(replace(one, demand=one.demand[:, :1]), Once)
    return found[0]


def test_it_costs_less_than_the_order_point_and_says_what_it_chose() -> None:
    one = study(world())
    told: dict[str, Any] = {}

    def engine(view: View):  # type: ignore[no-untyped-def]
        policy, document = engine_policy(view, None)
        told.update(document)
        return policy

    ours, theirs = simulate(one, engine), simulate(one, StaticReorderPoint)
    assert ours.costs.sum() < 0.9 * theirs.costs.sum()
    assert told["validation"]["rounds"] >= LEAD + BLOCK
    assert told["validation"]["last_day"] == told["trained_through"]
    assert set(told["forecaster_by_segment"]) >= {"smooth/all"}


def test_the_same_past_is_ordered_for_alike_whatever_comes_later() -> None:
    units = world(rows=30)
    other = units.copy()
    other[:, WEEKS:] = 500
    assert first_orders(study(units)) == first_orders(study(other))


def test_odd_series_are_borne() -> None:
    units = world(rows=30)
    units[0] = 0
    units[1, : WEEKS - 1] = np.nan
    units[2] = np.nan
    units[3, WEEKS - 3] = 1e9
    units[4, : WEEKS - 8] = np.nan
    units[:, WEEKS:] = np.nan_to_num(units[:, WEEKS:])
    orders = np.array(first_orders(study(units)))
    assert (orders >= 0).all()
    assert orders[0] == 0
    assert orders[5:].sum() > 0


@pytest.mark.parametrize(
    ("rows", "periods", "period"), [(10, 8, Period.MONTH), (2, 30, Period.DAY), (12, 60, Period.MONTH)]
)
def test_forecasts_of_small_studies_are_finite_ordered_and_near(rows: int, periods: int, period: Period) -> None:
    history = np.random.default_rng(1).poisson(20, (rows, periods)).astype(np.float64)
    facts = trial([[0]] * rows, past=history.tolist(), period=period).facts
    found = engine_forecast(history, facts, 40, None)
    assert found.shape == (rows, 40, 9)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=2) >= 0).all()
    assert 10 < found[:, :, 4].mean() < 30


def test_the_published_levels_lie_between_the_engines_own() -> None:
    found = at_levels(np.array([QUANTILES]))
    np.testing.assert_allclose(found[0], np.arange(1, 10) / 10, atol=1e-12)


def test_an_order_lasts_as_long_as_its_cost_says_and_a_pack_is_no_wish_for_more() -> None:
    economics = trial([[0]] * 3, order_cost=9.0, holding=0.5).economics
    rates = np.array([4.0, 1.0, 0.25])
    assert cycle_periods(economics, rates, 50).tolist() == [3, 6, 12]  # sqrt(2 K / (h rate)) periods
    assert cycle_periods(trial([[0]] * 3).economics, rates, 50).tolist() == [1, 1, 1]
    assert cycle_periods(trial([[0]] * 3, pack=12).economics, rates, 50).tolist() == [1, 1, 1]


def test_a_choice_must_beat_its_own_noise_and_goes_half_the_way() -> None:
    chance = np.random.default_rng(3)
    noise = chance.normal(0, 1, (1, 60, 12)).repeat(2, axis=0)
    better = noise + np.array([0.0, -0.5])[:, None, None] + chance.normal(0, 0.1, (2, 60, 12))
    assert best_of(better, 0) == 1
    lucky = np.zeros((2, 60, 12))
    lucky[1, 7, 3] = -50  # one series, one week
    assert best_of(lucky, 0) == 0
    assert Parameters(100, {"thin": 120}).scales(("thin", "smooth")).tolist() == [120, 100]
