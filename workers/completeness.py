"""Compares what Temporal shows, what is kept of it and what was decided: three counts, and why they differ."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from connectors.postgres.histories_count import PostgresCounts
from connectors.postgres.histories_kept import PostgresHistories
from connectors.postgres.pool import Database
from workers.histories import TemporalRuns
from workflows import naming
from workflows.domain.histories import OVERLAP
from workflows.domain.histories_checked import NAMED, Completeness

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
PAGE = 500


async def completeness(database: Database, runs: TemporalRuns) -> Completeness:
    """Look at everything that Temporal still shows, page by page, and at every decision that ended.

    Raises:
        Unavailable: a server does not answer.
    """
    kept, counts = PostgresHistories(database), PostgresCounts(database)
    point = await kept.point()
    passed = point.swept_through - OVERLAP if point else BEGINNING
    now = datetime.now(UTC)
    visible = unknown = 0
    waiting, overdue = 0, list[str]()
    page = ""
    while True:
        found, page = await runs.closed(BEGINNING, now, page)
        visible += len(found)
        missing = await kept.unknown(found)
        unknown += len(missing)
        for run in missing:
            if run.closed_at > passed:
                waiting += 1
            elif len(overdue) < NAMED:
                overdue.append(f"{run.workflow_id} {run.run_id}")
        if not page:
            break
    held, lost = await counts.histories()
    ended, ended_kept = await counts.decisions()
    without = await _without_any(counts, runs.exists)
    return Completeness(
        swept_through=point.swept_through if point else None, visible=visible, kept=held, lost=lost,
        removed=max(0, held + lost - (visible - unknown)), waiting=waiting, overdue=tuple(overdue), decisions=ended,
        decisions_kept=ended_kept, decisions_waiting=max(0, ended - ended_kept - len(without)),
        decisions_without=tuple(without), histories_without=tuple(await counts.histories_without()),
    )  # fmt: skip


async def _without_any(counts: PostgresCounts, exists: Callable[[str], Awaitable[bool]]) -> list[str]:
    """Decisions that ended, of which there is neither a history nor an execution."""
    found: list[str] = []
    after = ""
    while len(found) < NAMED:
        some = await counts.decisions_without(after, PAGE)
        if not some:
            break
        after = some[-1]
        for decision_id in some:
            if len(found) < NAMED and not await exists(naming.replenishment_id(decision_id)):
                found.append(decision_id)
    return found
