"""The inbox: an event, its movements, its Kafka position and any new need are accepted in one transaction.

Only then does intake let the offset go. Redelivery of any kind is harmless: the event's id is unique, and the position
moves by compare-and-set, so a consumer that slept through a rebalance moves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import batches, dead_letters, evidence, ledger, needs, positions, shipments
from connectors.postgres.batches import Identity, InboxRow
from connectors.postgres.needs import OpenedNeed
from connectors.postgres.pool import Collided, Connection, transaction
from workflows.domain.errors import Conflict, Unavailable
from workflows.domain.events import ClockAdvanced, Event, content_digest
from workflows.domain.evidence import EvidenceKind, Kept
from workflows.domain.identity import canonical_texts, digest
from workflows.domain.ledger import EntryType, NewEntry, merkle_root
from workflows.domain.needs import NeedCause
from workflows.domain.positions import EVENT_TYPES, Movement, movement_of

TopicPartition = tuple[str, int]
RACES = 5
"""So often a batch is tried again because somebody else stored one of its events at the same moment."""


class PartitionLost(Conflict):
    """Another consumer owns the partition now; drop the work, the new owner does it."""


class Received(NamedTuple):
    """One message as it came, with what reading it gave: an event, or only the movement it causes (then its identity
    is the movement's, and it is no news of orders, suppliers or clocks), or the reason why it is neither."""

    topic: str
    partition: int
    offset: int
    raw: bytes
    event: Event | None = None
    error_code: str = ""
    error_detail: str = ""
    key: str | bytes | None = None
    traceparent: str | None = None
    movement: Movement | None = None
    timestamp_ms: int | None = None
    """When its log took it, in milliseconds since 1970; None where nobody told it."""


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


class _Fresh(NamedTuple):
    """An event that was not known: as it is stored, and what it does."""

    row: InboxRow
    movement: Movement | None
    event: Event | None


class Inbox:
    """Accepts batches for one broker log. One instance per intake thread."""

    def __init__(self, connection: Connection, *, log_id: str, version: str = "") -> None:
        self._connection = connection
        self._version = version or None
        self._log_id = log_id
        self._epochs: dict[TopicPartition, int] = {}

    @property
    def owned(self) -> frozenset[TopicPartition]:
        """The partitions that this inbox took over."""
        return frozenset(self._epochs)

    def take_over(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Become the owner of these partitions; the next offset of each (0 when the log was never read)."""
        found = {}
        with transaction(self._connection, "inbox.take_over") as cursor:
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
        for _ in range(RACES):
            try:
                return self._accept(batch)
            except (psycopg.errors.UniqueViolation, Collided):
                continue  # the other's are committed by now, or soon: next time they are known
        raise Unavailable("others store the same events at the same moment, again and again")

    def _accept(self, batch: Sequence[Received]) -> Accepted:
        result = Accepted()
        if not batch:
            return result
        with transaction(self._connection, "inbox.accept") as cursor:
            self._move_positions(cursor, batch)
            fresh = self._store(cursor, batch, result)
            dead_letters.store(cursor, result.dead, log_id=self._log_id, version=self._version)
            result.events = len(fresh)
            result.opened = _apply(cursor, fresh)
            self._record(cursor, batch, fresh, result)
        return result

    def _move_positions(self, cursor: psycopg.Cursor[DictRow], batch: Sequence[Received]) -> None:
        for (topic, partition), (_, offset) in sorted(_spans(batch).items()):
            cursor.execute(
                """UPDATE kafka_position SET next_offset = greatest(next_offset, %s)
                   WHERE log_id = %s AND topic = %s AND partition = %s AND owner_epoch = %s""",
                [offset + 1, self._log_id, topic, partition, self._epochs.get((topic, partition), -1)],
            )
            if cursor.rowcount != 1:
                raise PartitionLost(f"{topic}[{partition}] was taken over by another consumer")

    def _store(self, cursor: psycopg.Cursor[DictRow], batch: Sequence[Received], result: Accepted) -> list[_Fresh]:
        """Keep unknown events; known ones are duplicates, or conflicts when their bytes differ."""
        first: dict[Identity, tuple[Received, str]] = {}
        again: list[tuple[Identity, Received, str]] = []
        for message in batch:
            if message.movement is not None:
                identity = message.movement[:2]
            elif message.event is not None:
                identity = message.event.source, message.event.id
            else:
                result.dead.append(message)
                continue
            sha256 = content_digest(message.raw)
            if identity in first:
                again.append((identity, message, sha256))
            else:
                first[identity] = message, sha256
        stored = batches.known(cursor, first)
        again = [(identity, *first.pop(identity)) for identity in stored] + again
        fresh = [_fresh(self._log_id, message, sha256) for message, sha256 in first.values()]
        batches.store(cursor, [one.row for one in fresh])
        for identity, message, sha256 in again:
            there = stored.get(identity) or first[identity][1]
            self._known(message, sha256, there, result)
        return fresh

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
                traceparent=message.traceparent, timestamp_ms=message.timestamp_ms,
            )
        )  # fmt: skip

    def _record(
        self, cursor: psycopg.Cursor[DictRow], batch: Sequence[Received], fresh: Sequence[_Fresh], result: Accepted
    ) -> None:
        """One ledger entry per batch; each item is provable by inclusion under the Merkle root of its digest."""
        ranges: dict[str, list[int]] = {}
        for (topic, partition), (first, last) in _spans(batch).items():
            ranges[f"{topic}/{partition}"] = [first, last]
        items = [[one.row.source, one.row.event_id, one.row.payload_sha256] for one in fresh]
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
        occurred = max((one.row.event_time for one in fresh), default=datetime.now(UTC))
        entry = NewEntry(
            stream=f"intake:{self._log_id}",
            type=EntryType.EVENTS_ACCEPTED,
            actor="intake",
            occurred_at=occurred,
            body=body,
        )
        ledger.append_now(cursor, [entry])


def _spans(batch: Sequence[Received]) -> dict[TopicPartition, list[int]]:
    """First and last offset of each partition."""
    spans: dict[TopicPartition, list[int]] = {}
    for message in batch:
        place, offset = message[:2], message.offset
        if (span := spans.get(place)) is None:
            spans[place] = [offset, offset]
        elif offset > span[1]:
            span[1] = offset
        elif offset < span[0]:
            span[0] = offset
    return spans


def _fresh(log_id: str, message: Received, sha256: str) -> _Fresh:
    # Spelled out, not unpacked: once for every event.
    topic, partition, offset, raw, event, _, _, _, trace, movement, _ = message
    if movement is not None:
        source, event_id, kind, at = (
            movement.source,
            movement.event_id,
            EVENT_TYPES[movement.kind],
            movement.occurred_at,
        )
    else:
        assert event is not None  # noqa: S101 - callers pass readable messages only
        source, event_id, kind, at = event.source, event.id, event.type, event.time
        movement, trace = movement_of(event), trace or event.traceparent
    if trace:
        trace = dead_letters.storable(trace)
    row = InboxRow(source, event_id, kind, at, raw, sha256, log_id, topic, partition, offset, trace)
    return _Fresh(row, movement, event)


def _apply(cursor: psycopg.Cursor[DictRow], fresh: Sequence[_Fresh]) -> list[OpenedNeed]:
    """What the accepted events mean: movements first, then news of orders and suppliers, clocks last."""
    movements = [one.movement for one in fresh if one.movement is not None]
    told = [(one.event, one.row.traceparent) for one in fresh if one.event is not None]
    events = [event for event, _ in told]
    ordered = shipments.lock(cursor, events)
    touched = positions.fold(cursor, movements, ordered)
    shipments.apply(cursor, events, movements)
    traces = {
        (one.movement.location, one.movement.item): one.row.traceparent
        for one in fresh
        if one.movement is not None and one.row.traceparent
    }
    opened = needs.open_needs(cursor, touched, NeedCause.BELOW_WATCH_LEVEL, [traces.get(key) for key in touched])
    clocks = [(event.data, trace) for event, trace in told if isinstance(event.data, ClockAdvanced)]
    for data, trace in sorted(clocks, key=lambda pair: (pair[0].through, pair[0].location)):
        opened += needs.advance_clock(cursor, data.location, data.through, trace)
    return opened
