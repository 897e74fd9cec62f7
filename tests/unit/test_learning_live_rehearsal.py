"""The live rehearsal: a sample of the business decides how sure orders should be, and tells dear orders from cheap."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from activities.learning.learner import XgboostLearner
from activities.learning.live_rehearsal import (
    DAYS,
    LEAST_SERIES,
    SAMPLE,
    compared_costs,
    live_rehearsal,
    rehearsed_scales,
    terms_of,
)
from activities.learning.model_file import Manifest, Model, unpack
from activities.learning.rehearsing import SCALES, SHRINKAGE
from activities.learning.windows import Panel
from tests.unit.learning_world import LAST_DAY, steady_world
from workflows.domain.models import StockTerms, TrainingSeries


def with_terms(series: list[TrainingSeries], **changes: object) -> list[TrainingSeries]:
    known = {"shortage_per_unit": "2", "holding_per_unit_day": "0.02", "lead_days": 3, "review_days": 7} | changes
    terms = StockTerms.model_validate(known)
    return [one.model_copy(update={"terms": terms}) for one in series]


SERIES = with_terms(steady_world(60, 260)[0])


def trained(series: list[TrainingSeries]) -> bytes:
    return XgboostLearner(rows=3_000, rounds=20).train(series, last_day=LAST_DAY, seed=1, progress=lambda *_: None)


@pytest.fixture(scope="module")
def artefact() -> bytes:
    return trained(SERIES)


@pytest.fixture(scope="module")
def model(artefact: bytes) -> Model:
    return unpack(artefact, nthread=1)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel.of(SERIES, LAST_DAY)


def quiet(what: str, done: int, total: int) -> None:
    """Nobody watches."""


def test_training_with_terms_rehearses_and_gives_the_same_bytes_again(artefact: bytes, model: Model) -> None:
    assert trained(SERIES) == artefact
    steps = {round(100 + (scale - 100) * SHRINKAGE) for scale in SCALES} - {100}
    assert set(model.manifest.tau_scales) <= model.segment_names
    assert set(model.manifest.tau_scales.values()) <= steps


def test_without_terms_nothing_is_rehearsed_and_the_documented_factors_hold(model: Model, panel: Panel) -> None:
    plain = unpack(trained([one.model_copy(update={"terms": None}) for one in SERIES]), nthread=1)
    assert plain.manifest.tau_scales == {}
    assert compared_costs(model, plain, panel, {}, DAYS) is None


def test_an_artefact_from_before_there_were_scales_has_none(model: Model) -> None:
    before = model.manifest.model_dump(mode="json")
    del before["tau_scales"]
    assert Manifest.model_validate(before).tau_scales == {}


def test_a_rehearsal_shows_no_day_that_is_not_over(model: Model, panel: Panel) -> None:
    rehearsed = live_rehearsal(model, panel, terms_of(SERIES), DAYS, quiet)
    assert rehearsed is not None
    for periods in (panel.periods - DAYS, panel.periods - 1):
        seen = rehearsed.known(periods)
        assert (seen.periods, seen.last) == (periods, panel.first + periods - 1)
    assert rehearsed.view.economics.cover is not None
    assert set(rehearsed.view.economics.cover.tolist()) == {7}


@pytest.mark.parametrize(
    ("terms", "rehearsed"),
    [({}, True), ({"lead_days": DAYS - 5}, True), ({"lead_days": DAYS - 4}, False), ({"lead_days": 200}, False)],
)
def test_series_whose_orders_arrive_too_late_to_tell_are_left_out(
    model: Model, panel: Panel, terms: dict[str, object], rehearsed: bool
) -> None:
    found = live_rehearsal(model, panel, terms_of(with_terms(SERIES, **terms)), DAYS, quiet)
    assert (found is not None) is rehearsed


def test_too_few_series_tell_nothing(model: Model, panel: Panel) -> None:
    few = dict(list(terms_of(SERIES).items())[: LEAST_SERIES - 1])
    assert live_rehearsal(model, panel, few, DAYS, quiet) is None
    assert rehearsed_scales(model, panel, few, quiet) == {}


def test_a_large_assortment_is_sampled(model: Model) -> None:
    many = with_terms(steady_world(SAMPLE + 150, 60)[0])
    found = live_rehearsal(model, Panel.of(many, LAST_DAY), terms_of(many), DAYS, quiet)
    assert found is not None
    assert len(found.view) == SAMPLE


def test_a_model_costs_what_it_costs_and_far_too_bold_orders_cost_surely_more(model: Model, panel: Panel) -> None:
    terms = terms_of(with_terms(SERIES, shortage_per_unit="0.9", review_days=1))
    same = compared_costs(model, model, panel, terms, DAYS)
    assert same is not None
    assert same.ratio == same.ratio_lower == same.ratio_upper == 1
    assert (same.series, same.days) == (len(SERIES), DAYS)
    bold = model.tuned(dict.fromkeys(model.segment_names, 2_000))
    dearer = compared_costs(bold, model, panel, terms, DAYS)
    assert dearer is not None
    assert Decimal(1) < dearer.ratio_lower <= dearer.ratio <= dearer.ratio_upper
    assert dearer.champion_cost == same.candidate_cost


def test_where_the_forecast_is_too_timid_a_rehearsal_asks_for_less_caution(model: Model, panel: Panel) -> None:
    """A model that takes the stretch for half of what it was should be surer; one that doubles it, less sure."""
    terms = terms_of(with_terms(SERIES, shortage_per_unit="0.5", holding_per_unit_day="0.03", review_days=1))
    known = panel.through(panel.last - DAYS)
    found = []
    for times in (0.5, 2.0):
        units = np.concatenate([known.units, np.rint(panel.units[:, -DAYS:] * times)], axis=1)
        scales = rehearsed_scales(model, replace(panel, units=units), terms, quiet)
        found.append(np.mean([scales.get(name, 100) for name in model.segment_names]))
    assert found[0] > 100 > found[1]
