"""Numeric work without numbers: what a scorer and a learner promise, at once and predictably."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from tests.fakes.desk import MemoryModels
from tests.fakes.shop import CLOCK
from workflows.domain.deliveries import DeliveryRecord
from workflows.domain.errors import ModelUnusable
from workflows.domain.identity import Instant, digest
from workflows.domain.models import (
    Comparison,
    ModelStatus,
    ModelVersion,
    Progress,
    TrainedModel,
    TrainingSeries,
)
from workflows.domain.scores import DemandHistory, Scored, Scores, ScoringRow
from workflows.domain.writing import written

LAST_DAY = date(2025, 11, 23)
FIRST_DAY = LAST_DAY - timedelta(days=59)


class MemoryModelStore:
    """`ModelStore`: bytes by their digest."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def put(self, body: bytes) -> str:
        self.bodies[digest(body)] = body
        return digest(body)

    def get(self, sha256: str) -> bytes:
        if sha256 not in self.bodies:
            raise ModelUnusable(f"model {sha256[:12]} is missing")
        return self.bodies[sha256]


class EchoScoring:
    """`Scoring`: answers with the scores that it was told for each item."""

    def __init__(self) -> None:
        self.scores: dict[str, Scores] = {}
        self.passes: list[tuple[int, bool]] = []
        """(rows, explained) of each pass."""

    def score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scores]:
        self.passes.append((len(rows), explain))
        told = [self.scores[row.item] for row in rows]
        return told if explain else [scores.model_copy(update={"drivers": ()}) for scores in told]

    def score_written(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scored]:
        """The same, written."""
        return [Scored(one, written(one)) for one in self.score(rows, model, explain=explain)]


class EchoLearner:
    """`Learner`: a model is what it was trained on; the comparison is what the test says."""

    def __init__(self) -> None:
        self.loss_ratio = Decimal("0.94")
        self.seen: list[date] = []
        """The last day of every series that was trained on."""

    def train(
        self, series: Sequence[TrainingSeries], *, last_day: date, seed: int, progress: Progress,
        deliveries: Sequence[DeliveryRecord] = (),
    ) -> bytes:  # fmt: skip
        progress("boosting", 1, 1)
        days = [one.history.first_day + timedelta(days=len(one.history.daily_units) - 1) for one in series]
        self.seen += days
        return json.dumps([last_day.isoformat(), seed, len(series)]).encode()

    def describe(self, model: bytes) -> TrainedModel:
        last_day, _, series = json.loads(model)
        return TrainedModel(
            digest=digest(model), trained_through=date.fromisoformat(last_day), rows=60 * series, rounds=1,
            seconds=Decimal("0.1"),
        )  # fmt: skip

    def compare(
        self, series: Sequence[TrainingSeries], candidate: bytes, champion: bytes, *, first_day: date, last_day: date
    ) -> Comparison:
        return Comparison(
            first_day=first_day, last_day=last_day, series=len(series), loss_ratio=self.loss_ratio,
            loss_ratio_upper=self.loss_ratio + Decimal("0.03"), candidate_coverage_90=Decimal("0.89"),
            champion_coverage_90=Decimal("0.88"), candidate_loss=Decimal("0.31"), champion_loss=Decimal("0.33"),
        )  # fmt: skip


class TrainableModels(MemoryModels):
    """The registry with sixty days of demand to learn from."""

    def __init__(self) -> None:
        super().__init__()
        self.last_day: date | None = LAST_DAY

    async def newest_day(self) -> date | None:
        return self.last_day

    async def training_series(self, known_at: Instant, last_day: date) -> list[TrainingSeries]:
        history = DemandHistory(first_day=FIRST_DAY, daily_units=(3,) * ((last_day - FIRST_DAY).days + 1))
        return [TrainingSeries(item=item, location="LEEDS", history=history) for item in ("A", "B")]

    def crown(self, store: MemoryModelStore, learner: EchoLearner, trained_through: date) -> ModelVersion:
        """A champion that was trained through this day."""
        body = learner.train((), last_day=trained_through, seed=0, progress=lambda *_: None)
        learner.seen.clear()
        facts = learner.describe(body)
        version = ModelVersion(
            digest=store.put(body), number=1, status=ModelStatus.CHAMPION, trained_through=trained_through,
            created_at=CLOCK, facts=facts,
        )  # fmt: skip
        return self._set(version)
