"""The demo world with its past and a trained champion, whose needs the engine's own activity assesses."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from activities.learning.learner import XgboostLearner
from activities.learning.outside import LibraryCalendars
from activities.learning.scoring import XgboostScoring
from activities.models import FIRST_MODEL
from activities.scores import AssessmentActivities
from connectors.feeds.world import DemoWorld
from connectors.model_store import DirectoryModelStore
from connectors.postgres.catalog import adopt_policy, load_catalog, load_history
from connectors.postgres.decisions import PostgresAssessments
from connectors.postgres.inbox import Inbox, Received
from connectors.postgres.models import PostgresModels
from connectors.postgres.needs import make_batches, open_needs
from connectors.postgres.pool import Connection, Database, transaction
from workers.source import running_source
from workflows.domain.decisions import Decided
from workflows.domain.events import ClockAdvanced, Event, Topic
from workflows.domain.identity import digest
from workflows.domain.models import ModelStatus, TrainingSet
from workflows.domain.needs import AssessmentSummary, NeedBatch, NeedCause
from workflows.domain.policies import Policy
from workflows.domain.ports import BatchFacts
from workflows.domain.scores import Scored, ScoringRow


class Stopwatch:
    """Seconds and rows by step, since it was last reset."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.rows: dict[str, int] = defaultdict(int)

    @contextmanager
    def timing(self, step: str) -> Iterator[None]:
        """Add what runs inside to the step."""
        begun = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - begun


class TimedAssessments(PostgresAssessments):
    """The real storage under a stopwatch."""

    def __init__(self, database: Database, watch: Stopwatch) -> None:
        super().__init__(database)
        self._watch = watch

    async def load(self, batch_id: str) -> BatchFacts:
        with self._watch.timing("load"):
            found = await super().load(batch_id)
        self._watch.rows["load"] += len(found.facts)
        return found

    async def record(self, batch_id: str, model_digest: str, decided: Sequence[Decided]) -> AssessmentSummary:
        self._watch.rows["record"] += len(decided)
        with self._watch.timing("record"):
            return await super().record(batch_id, model_digest, decided)


class TimedScoring(XgboostScoring):
    """The real scoring under a stopwatch."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__(nthread=1)
        self._watch = watch

    def score_written(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scored]:
        step = "explain" if explain else "score"
        self._watch.rows[step] += len(rows)
        with self._watch.timing(step):
            return super().score_written(rows, model, explain=explain)


class NoLaunches:
    """`Launches` that start nothing: what follows an assessment is not measured here."""

    async def replenishments(self, batch_id: str) -> int:
        """None."""
        return 0


class Scene:
    """A world with its past, opening stock and a trained champion."""

    def __init__(self, state: Path, connection: Connection, database: Database, items: int, days: int = 1) -> None:
        self._connection = connection
        self._models, self._store = PostgresModels(database), DirectoryModelStore(state / "models")
        self.watch = Stopwatch()
        self.work = AssessmentActivities(
            TimedAssessments(database, self.watch), self._models, self._store, TimedScoring(self.watch), NoLaunches(),
            running_source(), LibraryCalendars(),
        )  # fmt: skip
        self.world = world = DemoWorld(items=items, days=days)
        self._last_day = world.first_day - timedelta(days=1)
        self.keys = sorted({(one.location, one.item) for one in world.catalog.sourcing})
        load_catalog(connection, world.catalog, actor="bench")
        load_history(connection, world.recorded_demand(), world.recorded_receipts(), actor="bench")
        adopt_policy(connection, Policy(), actor="bench")
        midnight = datetime.combine(world.first_day, datetime.min.time(), UTC)
        clocks = [
            Event.of(
                ClockAdvanced(location=place.location, through=midnight + timedelta(hours=5)),
                id=f"clock:{place.location}", source="urn:bench", time=midnight,
            )
            for place in world.catalog.locations
        ]  # fmt: skip
        self.inbox = Inbox(connection, log_id="bench")
        self.inbox.take_over([(topic, 0) for topic in Topic])
        opening = [*world.opening(), *clocks]
        self.inbox.accept([Received(e.data.topic, 0, n, e.to_bytes(), event=e) for n, e in enumerate(opening)])
        connection.execute("VACUUM ANALYZE")

    async def crown(self, *, quick: bool) -> None:
        """Train a model on the past and promote it."""
        known_at = datetime.now(UTC)
        series = await self._models.training_series(known_at, self._last_day)
        learner = XgboostLearner(nthread=1, rows=3_000, rounds=20) if quick else XgboostLearner(nthread=1)
        model = learner.train(series, last_day=self._last_day, seed=1, progress=lambda *_: None)
        key = self._store.put(model)
        data = TrainingSet(sha256=digest(key), series=len(series), last_day=self._last_day, known_at=known_at)
        await self._models.register(learner.describe(model), data)
        await self._models.judge(key, ModelStatus.CANDIDATE, None, FIRST_MODEL)
        await self._models.promote(key, "bench")

    def needs(self) -> list[NeedBatch]:
        """A new need for every position, on the same facts as in the round before."""
        with transaction(self._connection) as cursor:
            cursor.execute("UPDATE need SET state = 'closed'")
            cursor.execute("UPDATE position SET last_assessed_at = NULL, quiet_until = NULL")
            open_needs(cursor, self.keys, NeedCause.SWEEP)
            return make_batches(cursor)

    async def assess(self, batches: Sequence[NeedBatch]) -> AssessmentSummary:
        """Assess all; what they came to together.

        Raises:
            RuntimeError: not every need was decided, and the figures would mean nothing.
        """
        self.watch.seconds.clear()
        self.watch.rows.clear()
        begun = time.perf_counter()
        found = [await self.work.assess(batch) for batch in batches]
        all_s = time.perf_counter() - begun
        self.watch.seconds["decide"] = all_s - sum(self.watch.seconds.values())
        self.watch.seconds["all"] = all_s
        holds, proposals = sum(one.holds for one in found), sum(one.proposals for one in found)
        self.watch.rows["decide"] = self.watch.rows["all"] = holds + proposals
        if holds + proposals != len(self.keys):
            raise RuntimeError(f"{len(self.keys)} needs came to {holds} holds and {proposals} proposals")
        return AssessmentSummary(batch_id="all", holds=holds, proposals=proposals)
