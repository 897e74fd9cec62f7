"""Stores the new events of a batch set-wise, and tells which were known: by their identity, with the digest kept."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.columns import joined, separable, split

Identity = tuple[str, str]
"""(source, event id)."""

# Asked first, and what is new is copied: a third of the time of inserts that look for conflicts row by row. Who stores
# the same event between the question and the copy is found by the primary key, and the batch is tried again.
_KNOWN = """
SELECT i.source, i.event_id, i.payload_sha256
FROM unnest({sources}, {events}) AS k (source, event_id) JOIN inbox i ON i.source = k.source AND i.event_id = k.event_id
"""
_COPY = """
COPY inbox (source, event_id, type, event_time, payload, payload_sha256, log_id, topic, partition, kafka_offset,
            traceparent) FROM STDIN (FORMAT BINARY)
"""
_TYPES = ("text", "text", "text", "timestamptz", "bytea", "text", "text", "text", "int4", "int8", "text")
_JOINED = _KNOWN.format(sources=split("sources"), events=split("events")).encode()
_LISTED = _KNOWN.format(sources="%(sources)s::text[]", events="%(events)s::text[]").encode()


class InboxRow(NamedTuple):
    """An event as the inbox keeps it."""

    source: str
    event_id: str
    type: str
    event_time: datetime
    payload: bytes
    payload_sha256: str
    log_id: str
    topic: str
    partition: int
    kafka_offset: int
    traceparent: str | None


def known(cursor: psycopg.Cursor[DictRow], identities: Iterable[Identity]) -> dict[Identity, str]:
    """Which of these events the inbox has, with the digest of the content it has."""
    columns = list(zip(*identities, strict=True))
    if not columns:
        return {}
    sources, events = columns
    if separable(sources) and separable(events):
        cursor.execute(_JOINED, {"sources": joined(sources), "events": joined(events)})
    else:
        cursor.execute(_LISTED, {"sources": list(sources), "events": list(events)})
    return {(row["source"], row["event_id"]): row["payload_sha256"] for row in cursor.fetchall()}


def store(cursor: psycopg.Cursor[DictRow], rows: Sequence[InboxRow]) -> None:
    """Keep new events.

    Raises:
        psycopg.errors.UniqueViolation: somebody else stored one of them meanwhile.
    """
    if rows:
        with cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row(row)
