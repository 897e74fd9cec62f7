"""Keeps messages that nothing could be made of until somebody mends and re-drives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.pool import Connection, reading, transaction
from workflows.domain.claims import claimed_type
from workflows.domain.events import content_digest


class Unreadable(Protocol):
    """A message that nothing could be made of, and why."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def key(self) -> str | bytes | None: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def timestamp_ms(self) -> int | None: ...
    @property
    def error_code(self) -> str: ...
    @property
    def error_detail(self) -> str: ...


@dataclass(frozen=True)
class StoredLetter:
    """One dead letter with everything needed to publish it."""

    dead_letter_id: int
    topic: str
    partition: int
    kafka_offset: int
    message_key: str | None
    payload: bytes
    error_code: str
    error_detail: str
    traceparent: str | None
    first_seen: datetime
    attempt: int = 1
    """The how-manieth dead letter with these very bytes this is."""
    schema_id: str | None = None
    """The event type that it claimed to be; None where none was readable."""
    consumer_version: str | None = None
    """Release and source of the intake that could not read it."""
    kafka_timestamp_ms: int | None = None
    """When its log took it; None where nobody told it."""


_COLUMNS = """dead_letter_id, topic, partition, kafka_offset, message_key, payload, error_code, error_detail,
              traceparent, first_seen, attempt, schema_id, kafka_timestamp_ms, consumer_version"""


class DeadLetters:
    """The dead letters of all logs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def unpublished(self, limit: int = 500) -> list[StoredLetter]:
        """Letters that their topic does not have yet, oldest first."""
        with reading(self._connection) as cursor:
            cursor.execute(
                f"SELECT {_COLUMNS} FROM dead_letter WHERE published_at IS NULL ORDER BY dead_letter_id LIMIT %s",  # noqa: S608
                [limit],
            )
            return [StoredLetter(**row) for row in cursor.fetchall()]

    def published(self, ids: list[int]) -> None:
        """Note that the topic has them."""
        with transaction(self._connection, "dead_letters.published") as cursor:
            cursor.execute(
                "UPDATE dead_letter SET published_at = clock_timestamp() WHERE dead_letter_id = ANY(%s)", [ids]
            )


def store(cursor: psycopg.Cursor[DictRow], letters: Sequence[Unreadable], *, log_id: str, version: str | None) -> None:
    """Keep these with their bytes; what is told about them is made fit for text columns. One that is there stays.

    `version`: the release and source that could not read them, if it is known.
    """
    if letters:
        cursor.executemany(
            """INSERT INTO dead_letter (log_id, topic, partition, kafka_offset, message_key, payload, payload_sha256,
                                        error_code, error_detail, traceparent, schema_id, consumer_version,
                                        kafka_timestamp_ms, attempt)
               SELECT %(log)s, %(topic)s, %(partition)s, %(offset)s, %(key)s, %(payload)s, %(sha256)s, %(code)s,
                      %(detail)s, %(traceparent)s, %(schema)s, %(version)s, nullif(%(timestamp)s, -1),
                      coalesce((SELECT max(attempt) FROM dead_letter WHERE payload_sha256 = %(sha256)s), 0) + 1
               ON CONFLICT DO NOTHING""",
            [
                {
                    "log": log_id, "topic": letter.topic, "partition": letter.partition, "offset": letter.offset,
                    "key": storable(letter.key), "payload": letter.raw, "sha256": content_digest(letter.raw),
                    "code": letter.error_code, "detail": storable(letter.error_detail[:500]),
                    "traceparent": storable(letter.traceparent), "schema": claimed_type(letter.raw), "version": version,
                    "timestamp": letter.timestamp_ms,
                }
                for letter in letters
            ],
        )  # fmt: skip


def storable(text: str | bytes | None) -> str | None:
    """Message keys and headers are anybody's bytes: without what no text column holds."""
    if not text:
        return None
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace").replace("\x00", "\ufffd")[:500]
    return text.replace("\x00", "").encode(errors="replace").decode()
