"""A forecast on request is the one that decisions rest on and reports add up, for any days of the horizon."""

from datetime import date, timedelta
from decimal import Decimal
from typing import cast

import pytest

from activities.learning.learner import XgboostLearner
from activities.learning.reporting import expected_demand
from activities.learning.requested import requested
from activities.learning.scoring import XgboostScoring
from connectors.postgres.demand_views import PostgresDemandViews
from tests.fakes.desk import MemoryModels
from tests.fakes.shop import model_versions
from tests.unit.learning_world import LAST_DAY, row, steady_world
from workers.forecasts import LiveForecasts, days_of
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.forecasts import LONGEST_DAYS, USUAL_LEVELS, ForecastFacts, ForecastRequest
from workflows.domain.models import TrainingSeries

WORLD = steady_world(count=12, days=200)[0]
FIRST, LAST = LAST_DAY + timedelta(days=1), LAST_DAY + timedelta(days=14)
DIGEST = "d" * 64


@pytest.fixture(scope="module")
def model() -> bytes:
    learner = XgboostLearner(rows=2_000, rounds=8)
    return learner.train(WORLD, last_day=LAST_DAY, seed=7, progress=lambda what, done, of: None)


def test_means_are_those_of_the_reports_and_a_part_of_the_days_is_that_part(model: bytes) -> None:
    found = requested(WORLD[::-1], model, last_day=LAST_DAY, first=FIRST, last=LAST, levels=USUAL_LEVELS)
    means = expected_demand(WORLD, model, last_day=LAST_DAY, days=14)
    told = {one.item: [day.mean * 1000 for day in one.days] for one in found}
    assert told == {one.item: list(map(int, means[n])) for n, one in enumerate(WORLD)}
    assert [day.day for day in found[0].days] == [FIRST + timedelta(days=n) for n in range(14)]

    third = FIRST + timedelta(days=2)
    part = requested(WORLD, model, last_day=LAST_DAY, first=third, last=third, levels=USUAL_LEVELS)
    assert [one.days for one in part] == [one.days[2:3] for one in found]
    alone = requested(WORLD[:1], model, last_day=LAST_DAY, first=FIRST, last=LAST, levels=USUAL_LEVELS)
    assert alone[0] == next(one for one in found if one.item == WORLD[0].item)


def test_intervals_are_those_that_decisions_rest_on(model: bytes) -> None:
    found = {one.item: one for one in requested(
        WORLD, model, last_day=LAST_DAY, first=FIRST, last=LAST, levels=USUAL_LEVELS)}  # fmt: skip
    compared = 0
    for scores in XgboostScoring(nthread=1).score([row(one) for one in WORLD], model):
        asked = {day.day: day.quantiles for day in found[scores.item].days}
        for day in scores.days:
            if day.day in asked and scores.forecaster == found[scores.item].forecaster:
                assert (day.p10, day.p50, day.p90) == tuple(asked[day.day][level] for level in ("0.1", "0.5", "0.9"))
                compared += 1
    assert compared >= len(WORLD)


def test_days_beyond_the_model_are_refused(model: bytes) -> None:
    for first, last in ((LAST_DAY, FIRST), (FIRST, LAST_DAY + timedelta(days=161)), (LAST, FIRST)):
        with pytest.raises(InvalidInput, match="looks ahead"):
            requested(WORLD, model, last_day=LAST_DAY, first=first, last=last, levels=USUAL_LEVELS)


def ranged(first: date, last: date) -> ForecastRequest:
    return ForecastRequest(products=("A",), first_day=first, last_day=last)


def test_a_range_lies_within_the_ninety_days_after_the_last_known_one() -> None:
    latest = LAST_DAY + timedelta(days=LONGEST_DAYS)
    assert days_of(ForecastRequest(products=("A",), horizon_days=7), LAST_DAY) == (FIRST, FIRST + timedelta(days=6))
    assert days_of(ranged(latest, latest), LAST_DAY) == (latest, latest)
    for wrong in (ranged(LAST_DAY, FIRST), ranged(FIRST, latest + timedelta(days=1))):
        with pytest.raises(InvalidInput, match=f"days from {FIRST} to {latest} can be forecast"):
            days_of(wrong, LAST_DAY)


class KnownFacts:
    """What is known of the world above."""

    def __init__(self, series: list[TrainingSeries]) -> None:
        self._series = series
        self.kept: dict[tuple[str, str], tuple[str, bytes]] = {}

    async def facts(self, request: ForecastRequest) -> ForecastFacts:
        asked = tuple(one for one in self._series if one.item in request.products)
        return ForecastFacts(series=asked, data_through=LAST_DAY, demand_definition=DIGEST)

    async def answer_of(self, actor: str, command_id: str, request_digest: str) -> bytes | None:
        found = self.kept.get((actor, command_id))
        return found[1] if found else None

    async def keep_answer(self, actor: str, command_id: str, request_digest: str, answer: bytes) -> None:
        self.kept.setdefault((actor, command_id), (request_digest, answer))


class OneModel:
    """A store with one model."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def get(self, sha256: str) -> bytes:
        return self._body

    def put(self, body: bytes) -> str:
        raise AssertionError("nothing is stored")


async def test_the_answer_names_what_it_was_made_from_and_is_kept(model: bytes) -> None:
    known, models = KnownFacts(WORLD), MemoryModels(model_versions())
    live = LiveForecasts(cast(PostgresDemandViews, known), models, OneModel(model))
    request = ForecastRequest(products=(WORLD[0].item,), horizon_days=7, quantiles=(Decimal("0.95"),))
    answer = await live.answer_once(request, "a-key", "ada")
    champion = await models.champion()
    assert champion is not None
    assert (answer.model_digest, answer.data_through, answer.demand_definition) == (champion.digest, LAST_DAY, DIGEST)
    assert list(answer.series[0].days[0].quantiles) == ["0.95"]
    assert await live.answer_once(request, "a-key", "ada") == answer
    assert len(known.kept) == 1
    with pytest.raises(NotFound, match="ever recorded"):
        await live.forecast(ForecastRequest(products=("NONE",), horizon_days=7))
    nobody = LiveForecasts(cast(PostgresDemandViews, known), MemoryModels(), OneModel(model))
    with pytest.raises(NotFound, match="no model yet"):
        await nobody.forecast(request)
