"""The exchange compares like with like: shared forecasts are the engine's own, savings are read off at one figure."""

from copy import copy
from datetime import date

import numpy as np
import pytest

from activities.learning.contest import play
from activities.learning.engine_policy import EnginePolicy
from activities.learning.exchange import SHORTAGE_PRICES, SIGMAS, exchange
from activities.learning.exchange_curve import Curve, compared, curve_of
from activities.learning.order_points import ERP_SIGMAS
from activities.learning.simulation import first_view, simulate
from activities.learning.simulation_kpis import kpis
from activities.learning.trial import Trial
from activities.learning.tuning import prepared
from tests.unit.study_world import trial
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import Period, Study

ROWS, WEEKS, ROUNDS = 24, 40, 8


@pytest.fixture(scope="module")
def world() -> Trial:
    """A few Poisson items with a past, and a first stock of about three weeks."""
    chance = np.random.default_rng(11)
    means = 2 + np.arange(ROWS) % 6
    drawn = chance.poisson(means[:, None], (ROWS, WEEKS + ROUNDS))
    return trial(drawn[:, WEEKS:], past=drawn[:, :WEEKS].tolist(), on_hand=(3 * means).tolist(), lead=1)


@pytest.fixture(scope="module")
def engine(world: Trial) -> EnginePolicy:
    """As it stands at the first review."""
    return prepared(first_view(world), seed=1, nthread=1, report=lambda *_: None).policy


def curve(settings: list[float | None], stock: list[float], fill: list[float]) -> Curve:
    """A curve of one row with 100 units of demand in 10 periods, repeated in four rows that are alike."""
    shape = (len(settings), 4)
    return Curve(
        tuple(settings), np.broadcast_to(np.array(stock)[:, None] * 10, shape),
        np.broadcast_to(100 * (1 - np.array(fill))[:, None], shape), np.full(4, 100.0), np.full(4, 10.0),
    )  # fmt: skip


def test_savings_are_read_off_between_the_points_of_a_curve() -> None:
    ours = curve([None, 1.0, 2.0], [5.0, 4.0, 8.0], [0.85, 0.8, 1.0])
    theirs = curve([0.0, ERP_SIGMAS], [6.0, 12.0], [0.7, 0.9])
    found = compared(ours, theirs, ERP_SIGMAS)

    assert found["at_their_fill_rate"]["fill_rate"] == pytest.approx(0.9)
    assert found["at_their_fill_rate"]["our_stock"] == pytest.approx(6.0), "a third of the way from 0.85 to 1"
    assert found["at_their_fill_rate"]["stock_saved"]["share"] == pytest.approx(0.5)
    assert found["at_their_stock"]["our_fill_rate"] is None, "beyond the end of our curve nothing is claimed"
    assert found["at_our_fill_rate"]["their_stock"] == pytest.approx(10.5)
    assert found["at_our_fill_rate"]["stock_saved"]["share"] == pytest.approx(1 - 5 / 10.5)


def test_the_interval_comes_from_the_series_that_differ() -> None:
    rows, chance = 400, np.random.default_rng(3)
    demanded = np.full(rows, 100.0)
    own = 40 + 20 * chance.random(rows)
    stock = np.stack([0.5 * own, own, 2 * own])
    fill = np.array([0.8, 0.9, 1.0])[:, None]
    ours = Curve((None, 1.0, 2.0), stock, 100 * (1 - fill) + np.zeros(rows), demanded, np.full(rows, 10.0))
    theirs = Curve((ERP_SIGMAS,), 2 * own[None], np.full((1, rows), 10.0), demanded, np.full(rows, 10.0))
    saved = compared(ours, theirs, ERP_SIGMAS)["at_their_fill_rate"]["stock_saved"]

    assert saved["share"] == pytest.approx(0.5)
    assert saved["low"] == pytest.approx(0.5), "paired: rows vary, the ratio of every row does not"
    assert saved["high"] == pytest.approx(0.5)


def test_the_engine_as_it_is_plays_in_the_exchange_as_it_plays_alone(world: Trial, engine: EnginePolicy) -> None:
    alone = kpis(simulate(world, lambda _: copy(engine)))
    found = exchange(world, engine, lambda *_: None)
    point = found["whole"]["curve"][0]

    assert point["setting"] is None
    assert point["fill_rate"] == pytest.approx(alone["fill_rate"], abs=1e-12)
    assert point["mean_stock"] == pytest.approx(alone["mean_stock"], abs=1e-9)
    assert [one["setting"] for one in found["whole"]["curve"][1:]] == list(SHORTAGE_PRICES)
    assert [one["setting"] for one in found["whole"]["their_curve"]] == list(SIGMAS)
    stocks = [one["mean_stock"] for one in found["started_empty"]["curve"][1:]]
    assert stocks == sorted(stocks), "a dearer shortage never keeps less"
    assert stocks[-1] > 1.5 * stocks[0]
    assert found["acted_share_of_rounds"] == (ROUNDS - 1) / ROUNDS


def test_batches_of_alternatives_give_what_one_pass_gives(
    world: Trial, engine: EnginePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = exchange(world, engine, lambda *_: None)
    monkeypatch.setattr("activities.learning.exchange.ROWS_AT_ONCE", 4 * ROWS)

    assert exchange(world, engine, lambda *_: None) == at_once


def test_what_was_there_before_is_told_apart(world: Trial, engine: EnginePolicy) -> None:
    found = exchange(world, engine, lambda *_: None)
    idle = found["without_orders"]["whole"]

    wanted = np.cumsum(world.demand, axis=1)
    left = np.maximum(world.on_hand[:, None] - wanted, 0)
    assert idle["mean_stock"] == pytest.approx(left.mean())
    assert idle["fill_rate"] == pytest.approx(np.minimum(world.on_hand, wanted[:, -1]).sum() / wanted[:, -1].sum())


def test_a_period_of_unknown_demand_counts_nowhere(world: Trial, engine: EnginePolicy) -> None:
    run = simulate(world, lambda _: copy(engine))
    mask = np.ones_like(world.demand, dtype=np.bool_)
    masked = curve_of(run, (None,), mask & (np.arange(ROUNDS) < 3))

    assert masked.periods.tolist() == [3.0] * ROWS
    assert masked.demanded.sum() == world.demand[:, :3].sum()
    assert masked.stock.sum() == np.maximum(run.left, 0)[:, :3].sum()


def test_an_exchange_without_the_engine_is_refused() -> None:
    study = Study(period=Period.WEEK, first_day=date(2024, 1, 1), periods=1, scale=1, series=())
    with pytest.raises(InvalidInput, match="let it play"):
        play(study, ["static_reorder_point"], None, lambda *_: None, exchanged=True)
