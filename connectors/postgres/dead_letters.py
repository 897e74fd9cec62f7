"""Keeps messages that nothing could be made of until somebody mends and re-drives them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.postgres import ledger
from connectors.postgres.pool import Connection, reading, transaction
from workflows.domain.errors import NotFound
from workflows.domain.ledger import EntryType, NewEntry


@dataclass(frozen=True)
class StoredLetter:
    """One dead letter with everything needed to publish it or drive it again."""

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


_COLUMNS = """dead_letter_id, topic, partition, kafka_offset, message_key, payload, error_code, error_detail,
              traceparent, first_seen"""


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

    def find(self, dead_letter_id: int) -> StoredLetter:
        """One letter.

        Raises:
            NotFound: there is none with this number.
        """
        with reading(self._connection) as cursor:
            cursor.execute(f"SELECT {_COLUMNS} FROM dead_letter WHERE dead_letter_id = %s", [dead_letter_id])  # noqa: S608
            row = cursor.fetchone()
        if row is None:
            raise NotFound(f"there is no dead letter {dead_letter_id}; `quartermaster dead-letters list` shows them")
        return StoredLetter(**row)

    def redriven(self, dead_letter_id: int, *, actor: str, mended: bool) -> None:
        """Note, on the record, that somebody sent it again."""
        body = {"dead_letter": dead_letter_id, "mended": mended}
        entry = NewEntry(
            stream="dead-letters",
            type=EntryType.DEAD_LETTER_REDRIVEN,
            actor=actor,
            occurred_at=datetime.now(UTC),
            body=body,
        )
        with transaction(self._connection, "dead_letters.redriven") as cursor:
            cursor.execute(
                "UPDATE dead_letter SET redriven_at = clock_timestamp() WHERE dead_letter_id = %s", [dead_letter_id]
            )
            ledger.append_now(cursor, [entry])
