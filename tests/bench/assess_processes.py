"""Assesses batches in several processes at once, as workers do, and says what each did and how much memory it took."""

import asyncio
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from activities.learning.forecasting import vectors_of
from activities.learning.outside import LibraryCalendars
from activities.learning.scoring import asked_of
from activities.learning.windows import windows_of
from activities.scores import AssessmentActivities
from connectors.model_store import DirectoryModelStore
from connectors.postgres.models import PostgresModels
from connectors.postgres.pool import Database
from tests.bench.assess_scene import NoLaunches, Stopwatch, TimedAssessments, TimedScoring
from workers.source import running_source
from workflows.domain.needs import NeedBatch
from workflows.domain.scores import Scored, ScoringRow

SAMPLE = 4_000
"""Rows of each process that the bare trees are asked about afterwards."""
REPORT_EVERY = 20


@dataclass
class Share:
    """What one process did. Seconds of the machine's clock; memory is that of the process alone."""

    holds: int = 0
    proposals: int = 0
    begun: float = 0.0
    ended: float = 0.0
    cpu_s: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0
    early_mib: float = 0.0
    """After a quarter of its batches."""
    predicted: int = 0
    """Series of the sample, and its features: one vector per day ahead."""
    vectors: int = 0
    predict_s: float = 0.0


class SampledScoring(TimedScoring):
    """Keeps the first rows that it is asked about."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__(watch)
        self.sample: list[ScoringRow] = []
        self.model = b""

    def score_written(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scored]:
        if len(self.sample) < SAMPLE and not explain:
            self.sample += rows[: SAMPLE - len(self.sample)]
            self.model = model
        return super().score_written(rows, model, explain=explain)

    def predict(self, share: Share) -> None:
        """Ask the bare trees about the sample, three times; the median counts."""
        loaded = self._load(self.model)
        assert loaded.booster is not None
        windows = windows_of(self.sample)
        vectors = vectors_of(loaded, windows, asked_of(self.sample).horizon)
        assert vectors is not None
        taken = []
        for _ in range(3):
            begun = time.perf_counter()
            loaded.booster.inplace_predict(vectors.values, missing=np.nan)
            taken.append(time.perf_counter() - begun)
        share.predicted, share.vectors, share.predict_s = len(self.sample), len(vectors.values), sorted(taken)[1]


def assess_all(
    dsn: str, models: Path, batches: Sequence[NeedBatch], processes: int, progress: Callable[[str], None]
) -> list[Share]:
    """Assess all batches, each process its share of them."""
    context = get_context("spawn")
    told, together = context.Queue(), context.Barrier(processes)
    children = [
        context.Process(target=_work, args=(dsn, models, batches[number::processes], together, told), daemon=True)
        for number in range(processes)
    ]
    for child in children:
        child.start()
    shares: list[Share] = []
    done = 0
    while len(shares) < processes:
        said = told.get()
        if isinstance(said, str):
            raise RuntimeError(said)
        if isinstance(said, Share):
            shares.append(said)
        else:
            done += said
            progress(f"assess: {done} of {len(batches)} batches")
    for child in children:
        child.join()
    return shares


def _work(dsn: str, models: Path, batches: Sequence[NeedBatch], together: Barrier, told: "object") -> None:
    try:
        told.put(asyncio.run(_assess(dsn, models, batches, together, told)))  # type: ignore[attr-defined]
    except BaseException as error:
        told.put(f"a process of the benchmark failed: {error!r}")  # type: ignore[attr-defined]
        raise


async def _assess(dsn: str, models: Path, batches: Sequence[NeedBatch], together: Barrier, told: "object") -> Share:
    share, watch = Share(), Stopwatch()
    scoring = SampledScoring(watch)
    async with Database(dsn, name="bench", size=2) as database:
        work = AssessmentActivities(
            TimedAssessments(database, watch), PostgresModels(database), DirectoryModelStore(models), scoring,
            NoLaunches(), running_source(), LibraryCalendars(),
        )  # fmt: skip
        together.wait()
        share.begun, cpu = time.time(), time.process_time()
        for number, batch in enumerate(batches, start=1):
            found = await work.assess(batch)
            share.holds += found.holds
            share.proposals += found.proposals
            if number == max(1, len(batches) // 4):
                share.early_mib = _peak_mib()
            if number % REPORT_EVERY == 0:
                told.put(REPORT_EVERY)  # type: ignore[attr-defined]
        share.ended, share.cpu_s = time.time(), time.process_time() - cpu
    share.steps, share.peak_mib = dict(watch.seconds), _peak_mib()
    together.wait()
    if scoring.sample:
        scoring.predict(share)
    return share


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
