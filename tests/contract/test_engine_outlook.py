"""The engine's outlook is each row's own: however far it or its neighbours must look."""

from dataclasses import replace

import numpy as np
import pytest

from activities.learning.engine_policy import MICRO, RETRAIN_EVERY, EnginePolicy, usual_parameters
from activities.learning.forecasting import EMPIRICAL, RECENT
from activities.learning.simulation import View, first_view
from activities.learning.study_panel import panel_of
from activities.learning.training import train_panel
from activities.learning.trial import Trial
from activities.learning.windows import Ints
from tests.unit.study_world import trial
from workflows.domain.studies import Period

DAYS = 120


def world(period: Period = Period.DAY, scale: int = 1, **terms: float) -> Trial:
    chance = np.random.default_rng(3)
    past = chance.poisson(np.linspace(2, 9, 12)[:, None] * np.ones(DAYS)) * scale
    return trial(np.zeros((12, 1), dtype=np.int64), past=past.tolist(), period=period, scale=scale, **terms)  # type: ignore[arg-type]


def engine(view: View) -> EnginePolicy:
    panel = panel_of(view.history, view.facts, view.sold)
    model = train_panel(panel, horizon=14, seed=1, nthread=1, report=lambda *_: None, rows=2_000, rounds=8)
    return EnginePolicy(model, usual_parameters(view.economics), seed=1, nthread=1)


def ordered(policy: EnginePolicy, one: Trial) -> Ints:
    return policy.order(first_view(one))


@pytest.mark.parametrize("lead", [150, 159, 160, 161, 250])
def test_a_lead_time_beyond_all_that_is_projected_is_ordered_for(lead: int) -> None:
    one = world(lead=lead)
    short = replace(one, on_hand=np.zeros(12, dtype=np.int64), arrivals=np.zeros((12, lead), dtype=np.int64))
    policy = engine(first_view(short))
    # A full shelf and a full pipeline need nothing; an empty one some days' demand.
    units = ordered(policy, short)
    usual = np.nanmean(short.past, axis=1)
    assert (units >= usual * 0.5).all()
    assert (units <= usual * 10).all()
    full = replace(short, on_hand=np.ceil(usual * (lead + 60)).astype(np.int64))
    assert not ordered(policy, full).any()


def test_a_row_orders_the_same_alone_and_beside_rows_that_look_further() -> None:
    one = world(lead=[0, 1, 2] * 4, order_cost=8.0)  # type: ignore[arg-type]
    dear = np.where(np.arange(12) % 2 == 0, 500.0, 8.0)
    one = replace(one, economics=replace(one.economics, order_cost=dear))
    policy = engine(first_view(one))
    together = ordered(policy, one)
    alone = [int(ordered(policy, one.take(np.array([row])))[0]) for row in range(12)]
    assert together.tolist() == alone
    assert together.any()


def test_the_terms_survive_fractional_quantities() -> None:
    """A thousandth of a unit costs less than a millionth of money to hold; orders must not take that for nothing."""
    whole = world(lead=2, holding=0.0004, shortage=0.0012)
    milli = world(lead=2, holding=0.0004 / 1000, shortage=0.0012 / 1000, scale=1000)
    assert milli.economics.holding.max() * MICRO < 0.5
    units, thousandths = (ordered(engine(first_view(one)), one) for one in (whole, milli))
    assert thousandths.sum() / 1000 == pytest.approx(units.sum(), rel=0.1)


@pytest.mark.parametrize("size", [300_000.0, 10_000_000.0])
def test_fractions_of_large_quantities_are_not_cut_off(size: float) -> None:
    """Thousandths of 300,000 kg are more than a hundred million: large, and no fault of a feed."""
    one = world(lead=1, scale=1000)
    past = np.round(one.past / one.past.mean() * size) * 1000
    one = replace(one, past=past, on_hand=np.zeros(12, dtype=np.int64))
    units = ordered(engine(first_view(one)), one)
    assert (units > past.mean(axis=1)).all()
    assert (units < past.mean(axis=1) * 6).all()


def test_a_model_that_is_trained_during_the_trial_keeps_to_the_speakers_that_were_chosen_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(RETRAIN_EVERY, "day", 1)
    one = world(lead=1)
    view = first_view(one)
    judged = engine(view)._model
    other = {segment: RECENT if name != RECENT else EMPIRICAL for segment, name in judged.chosen.items()}
    policy = EnginePolicy(judged, usual_parameters(view.economics), seed=1, nthread=1, speakers=other)
    policy.order(replace(view, round=1))
    assert policy._model is not judged
    assert {name: policy._model.chosen[name] for name in other} == other
