"""Does training: fixes a point-in-time data set, trains with heartbeats, compares, and moves the champion's pointer."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from temporalio import activity

from activities.counterfactual import Counterfactuals
from workflows.domain.counterfactual import Counterfactual, Other, Which
from workflows.domain.deliveries import DeliveryHistory, DeliveryRecord
from workflows.domain.identity import Payload, canonical
from workflows.domain.models import (
    Comparison,
    GateResult,
    Learner,
    ModelStatus,
    ModelVersion,
    TrainedModel,
    TrainingPlan,
    TrainingRequest,
    TrainingSeries,
    TrainingSet,
    promotion_gate,
)
from workflows.domain.ports import Models, ModelStore
from workflows.domain.steadiness import NAMED, NEWEST

HEARTBEAT_SECONDS = 5.0
FIRST_MODEL = GateResult(passed=True, reasons=("ok: there is no champion to compare with",))
T = TypeVar("T")


class ModelActivities:
    """Trains, judges and promotes. `needs_approval` is asked of the policy each time; `again` makes recorded decisions
    again, and without it candidates are judged by their forecasts alone."""

    def __init__(
        self, models: Models, store: ModelStore, learner: Learner, needs_approval: Callable[[], Awaitable[bool]],
        history: DeliveryHistory | None = None, again: Counterfactuals | None = None,
    ) -> None:  # fmt: skip
        self._history = history
        self._again = again
        self._models = models
        self._store = store
        self._learner = learner
        self._needs_approval = needs_approval

    @activity.defn
    async def plan(self, request: TrainingRequest) -> TrainingPlan:
        """Fix what is trained on and what is kept back: the data set is stored, and travels by reference."""
        last_day = await self._models.newest_day()
        if last_day is None:
            return TrainingPlan(reason="there is no demand history yet")
        champion = await self._models.champion()
        through = last_day if champion is None else last_day - timedelta(days=request.unseen_days)
        if champion is not None and champion.trained_through >= through:
            return TrainingPlan(reason=f"the champion has seen everything up to {champion.trained_through}")
        known_at = datetime.now(UTC)
        series = await _beating(self._models.training_series(known_at, last_day))
        body = await _with_heartbeats(lambda _: _pack(series))
        sha256 = await asyncio.to_thread(self._store.put, body)
        return TrainingPlan(
            training_set=TrainingSet(
                sha256=sha256,
                series=len(series),
                last_day=last_day,
                known_at=known_at,
                deliveries_sha256=await self._keep_deliveries(last_day),
            ),
            train_through=through,
            seed=request.seed,
            champion=champion.digest if champion else None,
        )

    @activity.defn
    async def train(self, plan: TrainingPlan) -> TrainedModel:
        """Train a candidate on the plan's data up to its cut, and register it."""
        training_set, through = _fixed(plan)
        series = await self._series(training_set)
        seen = [cut(one, through) for one in series]
        # What was promised for a day after the cut is not judged yet: the learner leaves it out.
        deliveries = await self._deliveries(training_set)
        model = await _with_heartbeats(
            lambda progress: self._learner.train(
                [one for one in seen if one.history.daily_units],
                last_day=through,
                seed=plan.seed,
                progress=progress,
                deliveries=deliveries,
            )
        )
        digest = await asyncio.to_thread(self._store.put, model)
        trained = self._learner.describe(model).model_copy(update={"digest": digest})
        await self._models.register(trained, training_set)
        return trained

    @activity.defn
    async def judge(self, plan: TrainingPlan, digest: str) -> ModelVersion:
        """Compare the candidate with the champion on days that neither has seen, and on what the champion decided last;
        record what the gate says."""
        training_set, through = _fixed(plan)
        if plan.champion is None:
            return await self._models.judge(digest, ModelStatus.CANDIDATE, None, FIRST_MODEL)
        comparison = await self._compare(training_set, through, digest, plan.champion)
        redecided = await self._redecided(plan.champion, digest)
        comparison = comparison.model_copy(update={"redecided": redecided})
        asks = await self._needs_approval()
        gate = promotion_gate(comparison, asks=asks)
        status = ModelStatus.REFUSED
        if gate.passed:
            status = ModelStatus.AWAITING_APPROVAL if asks else ModelStatus.CANDIDATE
        return await self._models.judge(digest, status, comparison, gate)

    @activity.defn
    async def promote(self, digest: str) -> ModelVersion:
        """Make a candidate that passed the gate the champion."""
        return await self._models.promote(digest, "gate")

    async def _compare(self, training_set: TrainingSet, through: date, digest: str, champion: str) -> Comparison:
        series = await self._series(training_set)
        candidate = await asyncio.to_thread(self._store.get, digest)
        current = await asyncio.to_thread(self._store.get, champion)
        return await _with_heartbeats(
            lambda _: self._learner.compare(
                series, candidate, current, first_day=through + timedelta(days=1), last_day=training_set.last_day
            )
        )

    async def _redecided(self, champion: str, digest: str) -> Counterfactual | None:
        again = self._again
        if again is None:
            return None
        which, other = Which(newest=NEWEST, model=champion), Other(model=digest)
        found = await _with_heartbeats(lambda progress: again.ask(which, other, progress=progress))
        return found.model_copy(update={"biggest": found.biggest[:NAMED]})

    async def _keep_deliveries(self, last_day: date) -> str | None:
        records = await _beating(self._history.delivery_records(last_day)) if self._history else []
        return await asyncio.to_thread(lambda: self._store.put(_pack(records))) if records else None

    async def _deliveries(self, training_set: TrainingSet) -> list[DeliveryRecord]:
        sha256 = training_set.deliveries_sha256
        if sha256 is None:
            return []
        body = await asyncio.to_thread(self._store.get, sha256)
        return [DeliveryRecord.model_validate(one) for one in json.loads(zlib.decompress(body))]

    async def _series(self, training_set: TrainingSet) -> list[TrainingSeries]:
        return await asyncio.to_thread(lambda: _unpack(self._store.get(training_set.sha256)))


def cut(series: TrainingSeries, through: date) -> TrainingSeries:
    """The series without any day after `through`."""
    history = series.history
    days = max(0, (through - history.first_day).days + 1)
    shorter = history.model_copy(update={"daily_units": history.daily_units[:days]})
    return series.model_copy(update={"history": shorter})


def _fixed(plan: TrainingPlan) -> tuple[TrainingSet, date]:
    if plan.training_set is None or plan.train_through is None:
        raise ValueError("a plan without a training set is not carried out")
    return plan.training_set, plan.train_through


def _pack(rows: Sequence[Payload]) -> bytes:
    return zlib.compress(canonical([one.model_dump(mode="python") for one in rows]), level=6)


def _unpack(body: bytes) -> list[TrainingSeries]:
    return [TrainingSeries.model_validate(one) for one in json.loads(zlib.decompress(body))]


async def _beating(work: Awaitable[T]) -> T:
    """Await something long (years of history are read in one transaction) and tell Temporal that we live."""
    running = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({running}, timeout=HEARTBEAT_SECONDS))[0]:
            activity.heartbeat("reading the history", 0, 1)
        return running.result()
    finally:
        running.cancel()


async def _with_heartbeats(work: Callable[[Callable[[str, int, int], None]], T]) -> T:
    """Run numeric work in a thread and tell Temporal how far it is, so that a dead worker is noticed."""
    newest: tuple[str, int, int] = ("starting", 0, 1)

    def progress(what: str, done: int, total: int) -> None:
        nonlocal newest
        newest = (what, done, total)

    running = asyncio.ensure_future(asyncio.to_thread(work, progress))
    while True:
        finished, _ = await asyncio.wait({running}, timeout=HEARTBEAT_SECONDS)
        activity.heartbeat(*newest)
        if finished:
            return running.result()
