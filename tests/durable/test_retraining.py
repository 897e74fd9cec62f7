"""A round of training promotes only what the gate lets through, and what the policy lets go without a person."""

import threading
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import models
from tests.fakes.engine import PATIENCE_SECONDS, Engine
from tests.fakes.learning import LAST_DAY, EchoLearner, MemoryModelStore, TrainableModels
from tests.unit.recorded_batch import need, recorded
from workflows.domain.counterfactual import Recorded
from workflows.domain.deliveries import DeliveryRecord
from workflows.domain.errors import ModelUnusable
from workflows.domain.models import ModelStatus, ModelVersion, Progress, TrainingRequest, TrainingSeries
from workflows.domain.needs import ClockMode
from workflows.retraining import RetrainingClosed


async def retrain(engine: Engine, *, seed: int = 1) -> RetrainingClosed:
    return await engine.starter(ClockMode.REPLAYED).retraining(TrainingRequest(seed=seed), LAST_DAY.isoformat())


async def test_the_first_model_becomes_champion_without_a_rival(engine: Engine) -> None:
    closed = await retrain(engine)

    champion = await engine.models.champion()
    assert champion is not None
    assert (closed.digest, closed.status) == (champion.digest, ModelStatus.CHAMPION)
    assert champion.trained_through == LAST_DAY
    assert engine.models.promoted_by == [(champion.digest, "gate")]


async def test_a_better_candidate_replaces_the_champion(engine: Engine) -> None:
    before = engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))

    closed = await retrain(engine)

    champion = await engine.models.champion()
    assert champion is not None
    assert champion.digest == closed.digest != before.digest
    assert (await engine.models.versions())[-1].status is ModelStatus.RETIRED


async def test_the_candidate_never_sees_the_days_it_is_judged_on(engine: Engine) -> None:
    engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))

    closed = await retrain(engine)

    assert set(engine.learner.seen) == {LAST_DAY - timedelta(days=7)}
    champion = await engine.models.champion()
    assert champion is not None
    assert champion.comparison is not None
    assert champion.comparison.first_day == LAST_DAY - timedelta(days=6)
    assert champion.comparison.last_day == LAST_DAY
    assert closed.reasons


async def test_a_worse_candidate_is_refused_and_the_champion_stays(engine: Engine) -> None:
    before = engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))
    engine.learner.loss_ratio = Decimal("1.04")

    closed = await retrain(engine)

    champion = await engine.models.champion()
    assert champion is not None
    assert (closed.status, champion.digest) == (ModelStatus.REFUSED, before.digest)
    assert any(reason.startswith("failed: loss ratio 1.04") for reason in closed.reasons)
    assert engine.models.promoted_by == []


async def test_where_the_policy_wants_a_person_the_candidate_waits(engine: Engine) -> None:
    engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))
    engine.needs_approval = True

    closed = await retrain(engine)

    assert closed.status is ModelStatus.AWAITING_APPROVAL
    assert engine.models.promoted_by == []


def remember(engine: Engine, *, needs: int = 20, batches: int = 6) -> None:
    """The champion decided so many needs, and all that it rested on was recorded."""
    batch = Recorded(read=tuple(recorded(*(need(n) for n in range(needs)))), entries=needs)
    engine.recordings.batches = [batch] * batches


async def judged(engine: Engine) -> tuple[RetrainingClosed, ModelVersion]:
    engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))
    closed = await retrain(engine)
    (version,) = [one for one in await engine.models.versions() if one.digest == closed.digest]
    return closed, version


async def test_what_the_candidate_would_have_decided_is_part_of_its_verdict(engine: Engine) -> None:
    remember(engine)

    closed, version = await judged(engine)

    assert closed.status is ModelStatus.CHAMPION
    assert version.comparison is not None
    assert version.comparison.redecided is not None
    assert version.comparison.redecided.compared == 120
    assert "ok: 0.0000 of 120 recorded decisions would end elsewhere: must be at most 0.30" in closed.reasons
    (which,) = engine.recordings.asked
    assert (which.newest, which.model is None) == (500, False), "the champion's own"


async def test_a_candidate_that_would_order_all_too_much_is_refused(engine: Engine) -> None:
    remember(engine)
    engine.rescoring.otherwise = 30.0

    closed, version = await judged(engine)

    assert closed.status is ModelStatus.REFUSED
    assert engine.models.promoted_by == []
    assert any(one.startswith("failed: ordered value in EUR") for one in closed.reasons), closed.reasons
    assert version.comparison is not None
    assert version.comparison.redecided is not None
    assert len(version.comparison.redecided.biggest) == 5


async def test_where_the_policy_asks_a_person_the_person_is_told_what_moved(engine: Engine) -> None:
    remember(engine)
    engine.rescoring.otherwise, engine.needs_approval = 30.0, True

    closed, _ = await judged(engine)

    assert closed.status is ModelStatus.AWAITING_APPROVAL
    assert any(one.startswith("asks: ordered value in EUR") for one in closed.reasons), closed.reasons


async def test_with_too_few_recorded_decisions_forecasts_alone_decide(engine: Engine) -> None:
    remember(engine, batches=1)
    engine.rescoring.otherwise = 30.0

    closed, _ = await judged(engine)

    assert closed.status is ModelStatus.CHAMPION
    assert any(one.startswith("ok: not compared on recorded decisions: 20 can") for one in closed.reasons)


async def test_a_champion_that_has_seen_everything_is_left_alone(engine: Engine) -> None:
    engine.models.crown(engine.store, engine.learner, LAST_DAY)

    closed = await retrain(engine)

    assert (closed.digest, closed.status) == (None, None)
    assert "has seen everything" in closed.reasons[0]


async def test_without_any_history_the_round_ends_and_says_so(engine: Engine) -> None:
    engine.models.last_day = None

    assert await retrain(engine) == RetrainingClosed(
        digest=None, status=None, reasons=("there is no demand history yet",)
    )


async def test_the_same_round_again_trains_nothing_twice(engine: Engine) -> None:
    first = await retrain(engine)
    second = await retrain(engine)

    assert first.status is ModelStatus.CHAMPION
    assert second.digest is None, "the champion has seen everything by now"
    assert len(await engine.models.versions()) == 1


async def test_damaged_bytes_end_the_round_visibly(engine: Engine) -> None:
    before = engine.models.crown(engine.store, engine.learner, LAST_DAY - timedelta(days=30))
    del engine.store.bodies[before.digest]

    with pytest.raises(WorkflowFailureError) as failed:
        await retrain(engine)

    assert isinstance(failed.value.cause, ActivityError)
    assert isinstance(failed.value.cause.cause, ApplicationError)
    assert failed.value.cause.cause.type == ModelUnusable.__name__
    champion = await engine.models.champion()
    assert champion == before


class PatientLearner(EchoLearner):
    """Goes on only once its progress was reported: training takes as long as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.reported = threading.Event()

    def train(
        self, series: Sequence[TrainingSeries], *, last_day: date, seed: int, progress: Progress,
        deliveries: Sequence[DeliveryRecord] = (),
    ) -> bytes:  # fmt: skip
        progress("boosting", 3, 10)
        assert self.reported.wait(PATIENCE_SECONDS), "nobody reported any progress"
        return super().train(series, last_day=last_day, seed=seed, progress=progress)


async def test_long_training_reports_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "HEARTBEAT_SECONDS", 0.01)
    learner, environment, beats = PatientLearner(), ActivityEnvironment(), list[tuple[object, ...]]()

    def beat(*details: object) -> None:
        beats.append(details)
        if details == ("boosting", 3, 10):
            learner.reported.set()

    async def no_approval() -> bool:
        return False

    environment.on_heartbeat = beat
    training = models.ModelActivities(TrainableModels(), MemoryModelStore(), learner, no_approval)
    plan = await environment.run(training.plan, TrainingRequest())
    await environment.run(training.train, plan)

    assert ("boosting", 3, 10) in beats
