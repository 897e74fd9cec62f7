"""Appends to the ledger inside the caller's transaction, and reads it back for verification."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, groupby
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.pool import Connection, Database, reading
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import Break, Entry, NewEntry, Verification, verify_stream

APPEND_MANY = "SELECT ledger_append(%s::text[], %s::text[], %s::text[], %s::text[], %b::bytea[])"
"""Appends many entries by one Postgres function: streams, types, actors, instants, bodies, each as an array."""
COLUMNS = "stream, seq, type, actor, occurred_at, recorded_at, body, body_sha256, prev_hash, hash"
"""Of an entry, as `Entry` has them."""


def _arguments(entries: Sequence[NewEntry]) -> tuple[list[Any], ...]:
    return (
        [entry.stream for entry in entries],
        [str(entry.type) for entry in entries],
        [entry.actor for entry in entries],
        [rfc3339(entry.occurred_at) for entry in entries],
        [entry.body_bytes() for entry in entries],
    )


async def append(cursor: psycopg.AsyncCursor[DictRow], entries: Sequence[NewEntry]) -> None:
    """Append in the caller's transaction: the record and what it records are committed together."""
    if entries:
        await cursor.execute(APPEND_MANY, _arguments(entries))


def append_now(cursor: psycopg.Cursor[DictRow], entries: Sequence[NewEntry]) -> None:
    """`append` for synchronous callers."""
    if entries:
        cursor.execute(APPEND_MANY, _arguments(entries))


def read_entries(connection: Connection, stream: str | None = None) -> Iterator[Entry]:
    """Entries in (stream, seq) order, streamed from the server: memory does not grow with the ledger."""
    where, arguments = ("WHERE stream = %s", [stream]) if stream else ("", [])
    with reading(connection), connection.cursor(name="ledger_read") as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM ledger_entry {where} ORDER BY stream, seq", arguments)  # noqa: S608
        for row in cursor:
            yield Entry(**row)


def verify(entries: Iterable[Entry]) -> Verification:
    """Recompute every hash of every chain, in one pass."""
    numbers, streams, breaks = count(), 0, list[Break]()
    # Numbered on the way through: of a stream with many entries no more than one is ever held.
    numbered = (entry for entry, _ in zip(entries, numbers, strict=False))
    for _, chain in groupby(numbered, key=lambda entry: entry.stream):
        streams += 1
        breaks += verify_stream(chain)
    return Verification(entries=next(numbers), streams=streams, breaks=tuple(breaks))


async def timeline(database: Database, stream: str) -> list[Entry]:
    """One stream's entries, oldest first."""
    async with database.reading() as cursor:
        await cursor.execute(f"SELECT {COLUMNS} FROM ledger_entry WHERE stream = %s ORDER BY seq", [stream])  # noqa: S608
        return [Entry(**row) for row in await cursor.fetchall()]
