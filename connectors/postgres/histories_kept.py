"""Keeps closed workflows' histories and says so in the ledger, in one transaction: keeping twice is keeping once."""

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import evidence, ledger
from connectors.postgres.pool import Database
from workflows.domain.evidence import EvidenceKind, Kept
from workflows.domain.histories import (
    STREAM,
    ClosedRun,
    Fetched,
    Override,
    SweepPoint,
    Swept,
)
from workflows.domain.identity import canonical, digest
from workflows.domain.ledger import EntryType, NewEntry

INLINE_BYTES = 48 * 1024
"""A longer list of items is kept as evidence, and the entry has its digest: an entry has at most 64 KiB."""
ACTOR = "histories"
Cursor = psycopg.AsyncCursor[DictRow]

_UNKNOWN = """
SELECT k.n FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS k (workflow_id, run_id, n)
WHERE NOT EXISTS (SELECT 1 FROM workflow_history h WHERE h.workflow_id = k.workflow_id AND h.run_id = k.run_id)
"""
_KEEP = """
INSERT INTO workflow_history (workflow_id, run_id, type, status, started_at, closed_at, events, sha256, size, body)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::bigint[],
                     %s::text[], %s::bigint[], %b::bytea[])
ON CONFLICT DO NOTHING RETURNING workflow_id, run_id
"""
_OVERRIDE = """
INSERT INTO workflow_override (workflow_id, run_id, what)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) ON CONFLICT DO NOTHING RETURNING workflow_id, run_id, what
"""
_POINT = "swept_through, passed_through, relisted_at, retention_seconds"


class PostgresHistories:
    """The `Histories` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def point(self) -> SweepPoint | None:
        async with self._database.reading() as cursor:
            await cursor.execute(f"SELECT {_POINT} FROM history_sweep")  # noqa: S608 - our own names
            row = await cursor.fetchone()
        return SweepPoint.model_validate(row) if row else None

    async def move(self, point: SweepPoint) -> None:
        async with self._database.transaction("histories_kept.move") as cursor:
            await cursor.execute(
                """INSERT INTO history_sweep (swept_through, passed_through, relisted_at, retention_seconds)
                   VALUES (%s, %s, %s, %s)
                   ON CONFLICT (only_one) DO UPDATE SET swept_through = excluded.swept_through,
                       passed_through = excluded.passed_through, relisted_at = excluded.relisted_at,
                       retention_seconds = excluded.retention_seconds""",
                [point.swept_through, point.passed_through, point.relisted_at, point.retention_seconds],
            )

    async def unknown(self, runs: Sequence[ClosedRun]) -> list[ClosedRun]:
        if not runs:
            return []
        async with self._database.reading() as cursor:
            await cursor.execute(_UNKNOWN, [[one.workflow_id for one in runs], [one.run_id for one in runs]])
            found = [runs[row["n"] - 1] for row in await cursor.fetchall()]
        return sorted(found, key=lambda run: (run.closed_at, run.workflow_id, run.run_id))

    async def seen_before(self, workflow_ids: Sequence[str]) -> frozenset[str]:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT k.id FROM unnest(%s::text[]) AS k (id)
                   WHERE EXISTS (SELECT 1 FROM workflow_history h WHERE h.workflow_id = k.id)""",
                [list(workflow_ids)],
            )
            return frozenset(row["id"] for row in await cursor.fetchall())

    async def keep(self, batch: Sequence[Fetched], overrides: Sequence[Override]) -> Swept:
        if not batch and not overrides:
            return Swept()
        ordered = sorted(batch, key=lambda one: (one.run.workflow_id, one.run.run_id))  # nobody waits in a circle
        rows = {(one.run.workflow_id, one.run.run_id): _row(one) for one in ordered}
        async with self._database.transaction("histories_kept.keep") as cursor:
            new: set[tuple[str, str]] = set()
            if rows:
                await cursor.execute(_KEEP, [list(column) for column in zip(*rows.values(), strict=True)])
                new = {(row["workflow_id"], row["run_id"]) for row in await cursor.fetchall()}
            fresh = await _noted(cursor, overrides)
            kept = [row for key, row in rows.items() if key in new]
            entries = [await _exported(cursor, kept)] if kept else []
            await ledger.append(cursor, [*entries, *(_overridden(one) for one in fresh)])
        lost = sum(1 for row in kept if row[7] is None)
        return Swept(exported=len(kept) - lost, lost=lost, overridden=len(fresh))


def _row(one: Fetched) -> tuple[Any, ...]:
    run, body = one.run, one.body
    told = digest(body) if body is not None else None
    return (
        run.workflow_id, run.run_id, run.type, str(run.status), run.started_at, run.closed_at, run.events, told,
        len(body) if body is not None else None, zlib.compress(body, 9) if body is not None else None,
    )  # fmt: skip


async def _noted(cursor: Cursor, overrides: Sequence[Override]) -> list[Override]:
    """Those that nobody noticed before."""
    if not overrides:
        return []
    told = {(one.workflow_id, one.run_id, one.what): one for one in overrides}
    await cursor.execute(_OVERRIDE, [list(column) for column in zip(*sorted(told), strict=True)])
    return [told[row["workflow_id"], row["run_id"], row["what"]] for row in await cursor.fetchall()]


async def _exported(cursor: Cursor, kept: Sequence[tuple[Any, ...]]) -> NewEntry:
    """One entry for the batch. Its items: [workflow id, run id, SHA-256 or null where it was lost, status]."""
    items = [[row[0], row[1], row[7], row[3]] for row in kept]
    lost = sum(1 for row in kept if row[7] is None)
    body: dict[str, Any] = {"exported": len(kept) - lost, "lost": lost}
    listed = canonical(items)
    if len(listed) <= INLINE_BYTES:
        body["histories"] = items
    else:
        body["items"] = digest(listed)
        await evidence.keep(cursor, {digest(listed): Kept(EvidenceKind.ITEMS, listed)})
    return NewEntry(
        stream=STREAM, type=EntryType.HISTORIES_EXPORTED, actor=ACTOR, occurred_at=datetime.now(UTC), body=body
    )


def _overridden(one: Override) -> NewEntry:
    body = {
        "workflow_id": one.workflow_id, "run_id": one.run_id, "type": one.type, "status": one.what, "by": one.by,
        "base_run_id": one.base_run_id,
    }  # fmt: skip
    return NewEntry(stream=STREAM, type=EntryType.WORKFLOW_OVERRIDDEN, actor=ACTOR, occurred_at=one.at, body=body)
