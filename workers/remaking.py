"""Opens what a replay reads: the ledger and the evidence, as the role that may read nothing else."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, CancelledError

from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.pool import connect
from connectors.postgres.replay import PostgresDecisionLedger
from connectors.postgres.roles import DatabaseRole
from workers.databases import dsn_of
from workers.progress import Say
from workers.settings import Settings
from workers.temporal import translated
from workers.wiring import Engine
from workflows import naming
from workflows.domain.errors import Conflict, Unavailable
from workflows.domain.failpoints import Effect
from workflows.domain.identity import digest
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.remaking import Remade, Replaying
from workflows.domain.replaying import Point, ReplayBatch, ReplayPlan, ReplayProgress, ReplayRequest
from workflows.domain.scores import Scoring
from workflows.replaying import ReplayingWorkflow, ReplayRun

PROGRESS_SECONDS = 1.0
NAMED = 50
"""Decisions that are named in the ledger's entry about a replay; all are counted."""


@dataclass(frozen=True)
class LedgerReplays:
    """Replays one ledger, and records in it what came of that."""

    ledger: PostgresDecisionLedger
    replaying: Replaying

    def plan(self, request: ReplayRequest) -> ReplayPlan:
        """Fix what is replayed."""
        return self.replaying.plan(request)

    def stretch(self, request: ReplayRequest, plan: ReplayPlan, point: Point) -> ReplayBatch:
        """Replay what comes after this point."""
        return self.replaying.stretch(request, plan, point)

    def note(self, request: ReplayRequest, progress: ReplayProgress, run: str) -> bool:
        """Record what a run came to, once; whether it was new."""
        apart = [f"{one.decision_id} {one.revision}" for one in progress.told[:NAMED]]
        body = {
            "run": run, "request": request.model_dump(mode="json"), "plan": progress.plan, "counts": progress.counts,
            "not_equal": apart, "result_sha256": digest(progress),
        }  # fmt: skip
        return self._note(request.asked_by, body, run)

    def note_one(self, asked_by: str, remade: list[Remade], run: str) -> bool:
        """Record that one decision was replayed."""
        found = [one.replayed for one in remade]
        body = {
            "run": run, "decision": found[0].decision_id,
            "revisions": [[one.revision, str(one.verdict)] for one in found],
            "result_sha256": digest([one.model_dump(mode="python") for one in found]),
        }  # fmt: skip
        return self._note(asked_by, body, run)

    def _note(self, asked_by: str, body: Mapping[str, object], run: str) -> bool:
        entry = NewEntry(
            stream=f"audit:{asked_by}", type=EntryType.DECISIONS_REPLAYED, actor=asked_by,
            occurred_at=datetime.now(UTC), body=dict(body),
        )  # fmt: skip
        return self.ledger.note(entry, run)


class ReplayOpener:
    """Opens `LedgerReplays` for each attempt. Models stay loaded from one to the next, for each number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._dsn = dsn_of(settings, DatabaseRole.AUDITOR)
        self._scorings: dict[int, Scoring] = {}

    @contextmanager
    def __call__(self) -> Iterator[LedgerReplays]:
        """Connect as the auditor, and disconnect."""
        with closing(connect(self._dsn, name="quartermaster-replay")) as connection:
            ledger = PostgresDecisionLedger(connection)
            evidence = PostgresEvidence(connection)
            yield LedgerReplays(ledger, Replaying(ledger, lambda: evidence, self._scoring))

    def _scoring(self, threads: int) -> Scoring:
        if threads not in self._scorings:
            # Here, because the numeric libraries take seconds to load and most commands need none of them.
            from activities.learning.scoring import XgboostScoring

            self._scorings[threads] = XgboostScoring(nthread=threads, cached_models=2)
        return self._scorings[threads]


async def replay_many(parts: Engine, request: ReplayRequest, say: Say) -> ReplayProgress:
    """Start the workflow, or join the one that runs for the same request, and tell how far it is until it has ended.

    Raises:
        Conflict: it was cancelled or terminated.
        Unavailable: Temporal does not answer, or the replay failed.
    """
    identity = naming.replaying_id(digest(request)[:16])
    async with Effect("replaying.start"):
        with translated():
            handle = await parts.client.start_workflow(
                ReplayingWorkflow.run, ReplayRun(request=request), id=identity, task_queue=naming.ENGINE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )  # fmt: skip
    running = asyncio.ensure_future(handle.result())
    try:
        while not (await asyncio.wait({running}, timeout=PROGRESS_SECONDS))[0]:
            try:
                with translated():
                    far = await handle.query(ReplayingWorkflow.progress)
            except Unavailable:
                continue  # progress is a courtesy: whoever waits for the result hears of real trouble there
            if far.plan is not None and far.plan.decisions:
                say.bar("Replaying decisions", min(far.counts.decisions, far.plan.decisions), far.plan.decisions)
        with translated():
            found = running.result()
    except WorkflowFailureError as error:
        if isinstance(error.cause, CancelledError):
            raise Conflict(f"the replay {identity} was cancelled") from error
        if isinstance(error.cause, ApplicationError):
            raise Unavailable(f"the replay {identity} failed: {error.cause.message}") from error
        raise Conflict(f"the replay {identity} was ended: {error.cause}") from error
    finally:
        running.cancel()
    if found.plan is not None and found.plan.decisions:
        say.bar("Replaying decisions", found.plan.decisions, found.plan.decisions)
    return found
