"""Reads proofs out of the tree that the notary keeps: a few hundred rows for each, however large the tree is."""

from collections.abc import Mapping, Sequence

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.notary import CHECKPOINT, KEY, as_kept, rows_of
from connectors.postgres.pool import Database, connect, reading
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.notary import InstalledKey, SignedCheckpoint, Waiting
from workflows.domain.proofs import Alarm, Consistency, Inclusion
from workflows.domain.tree import Place, Span, consistency_spans, inclusion_spans, places, root_over

Cursor = psycopg.AsyncCursor[DictRow]

# Entries below the newest checkpoint's horizon have their leaf. A database that was restored elsewhere counts anew.
_WAITING = """
WITH seen AS (
    SELECT coalesce((SELECT horizon FROM ledger_checkpoint ORDER BY number DESC LIMIT 1), 0) AS horizon,
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest
)
SELECT count(*) AS entries,
       extract(epoch FROM clock_timestamp() - min(e.recorded_at)::timestamptz)::float AS oldest_seconds
FROM ledger_entry e
WHERE e.written_by >= (SELECT CASE WHEN horizon <= oldest THEN horizon ELSE 0 END FROM seen)
  AND NOT EXISTS (SELECT FROM ledger_leaf l WHERE l.stream = e.stream AND l.seq = e.seq)
"""


class PostgresProofs:
    """The `LedgerProofs` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self) -> list[InstalledKey]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(f"SELECT {KEY} FROM notary_key ORDER BY first_checkpoint, installed_at")  # noqa: S608
            return [InstalledKey(**row) for row in await cursor.fetchall()]

    async def checkpoints(self, after: int = 0, limit: int = 1000) -> list[SignedCheckpoint]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                f"SELECT {CHECKPOINT} FROM ledger_checkpoint WHERE number > %s ORDER BY number LIMIT %s",  # noqa: S608
                [after, limit],
            )
            return [SignedCheckpoint(**row) for row in await cursor.fetchall()]

    async def latest(self) -> SignedCheckpoint | None:
        """See the port."""
        async with self._database.reading() as cursor:
            return await _latest(cursor)

    async def inclusion(self, stream: str, seq: int) -> Inclusion:
        """See the port."""
        return (await self.inclusions([(stream, seq)]))[0]

    async def inclusions(self, entries: Sequence[tuple[str, int]]) -> list[Inclusion]:
        """See the port."""
        async with self._database.reading() as cursor:
            checkpoint = await _latest(cursor)
            await cursor.execute(
                """SELECT k.stream, k.seq, l.tree_index, l.hash, e.hash IS NOT NULL AS there
                   FROM unnest(%s::text[], %s::integer[]) WITH ORDINALITY AS k (stream, seq, n)
                   LEFT JOIN ledger_entry e USING (stream, seq) LEFT JOIN ledger_leaf l USING (stream, seq)
                   ORDER BY k.n""",
                [[stream for stream, _ in entries], [seq for _, seq in entries]],
            )
            rows = await cursor.fetchall()
            for row in rows:
                if row["tree_index"] is None and not row["there"]:
                    raise NotFound(f"there is no entry {row['seq']} in the chain {row['stream']}")
                if checkpoint is None or row["tree_index"] is None or row["tree_index"] >= checkpoint.size:
                    raise Conflict(
                        f"entry {row['seq']} of {row['stream']} waits for the next checkpoint; try again in a minute"
                    )
            if checkpoint is None:
                return []
            spans = [inclusion_spans(row["tree_index"], checkpoint.size) for row in rows]
            kept = await _kept(cursor, places({span for path in spans for span in path}))
        return [
            Inclusion(
                stream=row["stream"], seq=row["seq"], hash=row["hash"], index=row["tree_index"],
                proof=tuple(root_over(span, kept).hex() for span in path), checkpoint=checkpoint,
            )
            for row, path in zip(rows, spans, strict=True)
        ]  # fmt: skip

    async def consistency(self, old_size: int, new_size: int) -> Consistency:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT coalesce(max(tree_index) + 1, 0) AS size FROM ledger_leaf")
            row = await cursor.fetchone()
            there = row["size"] if row else 0
            if not 0 < old_size <= new_size <= there:
                raise InvalidInput(
                    f"no proof leads from {old_size} leaves to {new_size}: sizes go up, from 1 to {there}, which is "
                    "all that there are"
                )
            spans = consistency_spans(old_size, new_size)
            kept = await _kept(cursor, places(spans))
        proof = tuple(root_over(span, kept).hex() for span in spans)
        return Consistency(old_size=old_size, new_size=new_size, proof=proof)

    async def waiting(self) -> Waiting:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(_WAITING)
            row = await cursor.fetchone()
            return Waiting(**row) if row else Waiting(entries=0)

    async def alarms(self) -> list[Alarm]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT kind, detail, extract(epoch FROM clock_timestamp() - raised_at)::float AS seconds
                   FROM notary_alarm WHERE ended_at IS NULL ORDER BY number"""
            )
            return [Alarm(**row) for row in await cursor.fetchall()]


def waiting_now(dsn: str) -> Waiting:
    """The same for a process without a pool.

    Raises:
        Unavailable: the server cannot be reached.
    """
    with connect(dsn, name="quartermaster-notary-waiting") as connection, reading(connection) as cursor:
        cursor.execute(_WAITING)
        row = cursor.fetchone()
        return Waiting(**row) if row else Waiting(entries=0)


async def _latest(cursor: Cursor) -> SignedCheckpoint | None:
    await cursor.execute(f"SELECT {CHECKPOINT} FROM ledger_checkpoint ORDER BY number DESC LIMIT 1")  # noqa: S608
    row = await cursor.fetchone()
    return SignedCheckpoint(**row) if row else None


async def _kept(cursor: Cursor, wanted: Mapping[int, Sequence[Span]]) -> dict[Place, bytes]:
    kept: dict[Place, bytes] = {}
    for level, spans in wanted.items():
        await cursor.execute(*rows_of(level, sorted(set(spans))))
        kept |= {(level, row["at"]): as_kept(level, row["hash"]) for row in await cursor.fetchall()}
    return kept
