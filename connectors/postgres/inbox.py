"""The inbox: an event, its movements, its Kafka position and any new need are accepted in one transaction.

Only then does intake let the offset go. Redelivery of any kind is harmless: the event's id is unique, and the position
moves by compare-and-set, so a consumer that slept through a rebalance moves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import evidence, ledger, needs, positions, shipments
from connectors.postgres.needs import OpenedNeed
from connectors.postgres.pool import Connection, transaction
from workflows.domain.errors import Conflict
from workflows.domain.events import ClockAdvanced, Event, content_digest
from workflows.domain.evidence import EvidenceKind, Kept
from workflows.domain.identity import canonical_texts, digest
from workflows.domain.ledger import EntryType, NewEntry, merkle_root
from workflows.domain.needs import NeedCause
from workflows.domain.positions import movement_of

TopicPartition = tuple[str, int]


class PartitionLost(Conflict):
    """Another consumer owns the partition now; drop the work, the new owner does it."""


@dataclass(frozen=True)
class Received:
    """One message as it came, with what reading it gave: an event, or the reason why it is none."""

    topic: str
    partition: int
    offset: int
    raw: bytes
    event: Event | None = None
    error_code: str = ""
    error_detail: str = ""
    key: str | None = None
    traceparent: str | None = None


@dataclass
class Accepted:
    """What one batch came to."""

    events: int = 0
    duplicates: int = 0
    opened: list[OpenedNeed] = field(default_factory=list)
    dead: list[Received] = field(default_factory=list)
    """This batch's dead letters, with code and detail, also those that were stored before; published from storage."""

    @property
    def needs(self) -> int:
        """How many needs were opened."""
        return len(self.opened)


class Inbox:
    """Accepts batches for one broker log. One instance per intake thread."""

    def __init__(self, connection: Connection, *, log_id: str) -> None:
        self._connection = connection
        self._log_id = log_id
        self._epochs: dict[TopicPartition, int] = {}

    @property
    def owned(self) -> frozenset[TopicPartition]:
        """The partitions that this inbox took over."""
        return frozenset(self._epochs)

    def take_over(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Become the owner of these partitions; the next offset of each (0 when the log was never read)."""
        found = {}
        with transaction(self._connection) as cursor:
            for topic, partition in sorted(partitions):
                cursor.execute(
                    """INSERT INTO kafka_position AS k (log_id, topic, partition, next_offset, owner_epoch)
                       VALUES (%s, %s, %s, 0, 1)
                       ON CONFLICT (log_id, topic, partition) DO UPDATE SET owner_epoch = k.owner_epoch + 1
                       RETURNING next_offset, owner_epoch""",
                    [self._log_id, topic, partition],
                )
                row = cursor.fetchone()
                assert row is not None  # noqa: S101 - an upsert with RETURNING always returns its row
                self._epochs[topic, partition] = row["owner_epoch"]
                found[topic, partition] = row["next_offset"]
        return found

    def accept(self, batch: Sequence[Received]) -> Accepted:
        """Accept a batch: all of it or nothing.

        Raises:
            PartitionLost: somebody else took one of the partitions over.
            Unavailable: the database did not answer; the same batch may be given again.
        """
        result = Accepted()
        if not batch:
            return result
        with transaction(self._connection) as cursor:
            self._move_positions(cursor, batch)
            fresh = self._store(cursor, batch, result)
            result.dead = self._store_dead(cursor, result.dead)
            result.events = len(fresh)
            result.opened = _apply(cursor, fresh)
            self._record(cursor, batch, fresh, result)
        return result

    def _move_positions(self, cursor: psycopg.Cursor[DictRow], batch: Sequence[Received]) -> None:
        newest: dict[TopicPartition, int] = {}
        for message in batch:
            key = message.topic, message.partition
            newest[key] = max(newest.get(key, -1), message.offset)
        for (topic, partition), offset in sorted(newest.items()):
            cursor.execute(
                """UPDATE kafka_position SET next_offset = greatest(next_offset, %s)
                   WHERE log_id = %s AND topic = %s AND partition = %s AND owner_epoch = %s""",
                [offset + 1, self._log_id, topic, partition, self._epochs.get((topic, partition), -1)],
            )
            if cursor.rowcount != 1:
                raise PartitionLost(f"{topic}[{partition}] was taken over by another consumer")

    def _store(self, cursor: psycopg.Cursor[DictRow], batch: Sequence[Received], result: Accepted) -> list[Received]:
        """Insert unknown events; known ones are duplicates, or conflicts when their bytes differ."""
        fresh: dict[tuple[str, str], Received] = {}
        again: list[tuple[tuple[str, str], Received]] = []
        digests = {id(message): content_digest(message.raw) for message in batch}
        for message in batch:
            if message.event is None:
                result.dead.append(message)
                continue
            identity = message.event.source, message.event.id
            if fresh.setdefault(identity, message) is not message:
                again.append((identity, message))
        if not fresh:
            return []
        rows = [_inbox_row(self._log_id, message, digests[id(message)]) for message in fresh.values()]
        cursor.execute(
            """INSERT INTO inbox (source, event_id, type, event_time, payload, payload_sha256, log_id, topic, partition,
                                  kafka_offset, traceparent)
               SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::bytea[], %s::text[],
                                    %s::text[], %s::text[], %s::int[], %s::bigint[], %s::text[])
               ON CONFLICT DO NOTHING RETURNING source, event_id""",
            [list(column) for column in zip(*rows, strict=True)],
        )
        new = {(row["source"], row["event_id"]) for row in cursor.fetchall()}
        stored = {identity: digests[id(fresh[identity])] for identity in new}
        known = [identity for identity in fresh if identity not in new]
        if known:
            cursor.execute(
                """SELECT source, event_id, payload_sha256 FROM inbox
                   JOIN unnest(%s::text[], %s::text[]) AS k (source, event_id) USING (source, event_id)""",
                [[source for source, _ in known], [event for _, event in known]],
            )
            stored |= {(row["source"], row["event_id"]): row["payload_sha256"] for row in cursor.fetchall()}
        for identity, message in [(identity, fresh[identity]) for identity in known] + again:
            self._known(message, digests[id(message)], stored[identity], result)
        return [message for identity, message in fresh.items() if identity in new]

    @staticmethod
    def _known(message: Received, given: str, stored: str, result: Accepted) -> None:
        if given == stored:
            result.duplicates += 1
            return
        detail = "an event with this source and id but another content was accepted before; give new facts new ids"
        result.dead.append(
            Received(
                topic=message.topic, partition=message.partition, offset=message.offset, raw=message.raw,
                key=message.key, error_code="id_reuse_different_payload", error_detail=detail,
                traceparent=message.traceparent,
            )
        )  # fmt: skip

    def _store_dead(self, cursor: psycopg.Cursor[DictRow], dead: list[Received]) -> list[Received]:
        """Dead letters keep their bytes; what is told about them is made fit for text columns."""
        if dead:
            cursor.executemany(
                """INSERT INTO dead_letter (log_id, topic, partition, kafka_offset, message_key, payload,
                                            payload_sha256, error_code, error_detail, traceparent)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
                [
                    (
                        self._log_id, letter.topic, letter.partition, letter.offset, _storable(letter.key), letter.raw,
                        content_digest(letter.raw), letter.error_code, _storable(letter.error_detail[:500]),
                        _storable(letter.traceparent),
                    )
                    for letter in dead
                ],
            )  # fmt: skip
        return dead

    def _record(
        self, cursor: psycopg.Cursor[DictRow], batch: Sequence[Received], fresh: list[Received], result: Accepted
    ) -> None:
        """One ledger entry per batch; each item is provable by inclusion under the Merkle root of its digest."""
        ranges: dict[str, list[int]] = {}
        for message in batch:
            span = ranges.setdefault(f"{message.topic}/{message.partition}", [message.offset, message.offset])
            span[0], span[1] = min(span[0], message.offset), max(span[1], message.offset)
        items = [[m.event.source, m.event.id, content_digest(m.raw)] for m in fresh if m.event]
        leaves = [sha256.encode() for _, _, sha256 in items]
        listed = canonical_texts(items)
        evidence.keep_now(cursor, {digest(listed): Kept(EvidenceKind.ITEMS, listed)})
        body = {
            "log": self._log_id,
            "ranges": ranges,
            "accepted": len(fresh),
            "duplicates": result.duplicates,
            "dead_lettered": len(result.dead),
            "needs": result.needs,
            "merkle_root": merkle_root(leaves),
            "items": digest(listed),
        }
        occurred = max((m.event.time for m in fresh if m.event), default=datetime.now(UTC))
        entry = NewEntry(
            stream=f"intake:{self._log_id}",
            type=EntryType.EVENTS_ACCEPTED,
            actor="intake",
            occurred_at=occurred,
            body=body,
        )
        ledger.append_now(cursor, [entry])


def _inbox_row(log_id: str, message: Received, sha256: str) -> tuple[object, ...]:
    event = message.event
    assert event is not None  # noqa: S101 - callers pass readable messages only
    return (
        event.source, event.id, event.type, event.time, message.raw, sha256, log_id, message.topic, message.partition,
        message.offset, _storable(message.traceparent or event.traceparent),
    )  # fmt: skip


def _storable(text: str | None) -> str | None:
    """Message keys and headers are anybody's bytes: without what no text column holds."""
    return None if text is None else text.replace("\x00", "").encode(errors="replace").decode()


def _apply(cursor: psycopg.Cursor[DictRow], fresh: Sequence[Received]) -> list[OpenedNeed]:
    """What the accepted events mean: movements first, then news of orders and suppliers, clocks last."""
    events = [(m.event, m.traceparent or m.event.traceparent) for m in fresh if m.event]
    movements = [movement for event, _ in events if (movement := movement_of(event))]
    ordered = shipments.lock(cursor, [event for event, _ in events])
    touched = positions.fold(cursor, movements, ordered)
    shipments.apply(cursor, [event for event, _ in events], movements)
    traces = {(m.location, m.item): _storable(trace) for event, trace in events if (m := movement_of(event))}
    opened = needs.open_needs(cursor, touched, NeedCause.BELOW_WATCH_LEVEL, [traces.get(key) for key in touched])
    clocks = [(event.data, _storable(trace)) for event, trace in events if isinstance(event.data, ClockAdvanced)]
    for data, trace in sorted(clocks, key=lambda pair: (pair[0].through, pair[0].location)):
        opened += needs.advance_clock(cursor, data.location, data.through, trace)
    return opened
