"""Messages are handed over at least once and in order; the positions belong to the caller, never to the broker."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # public, not re-exported

from connectors.kafka.membership import GroupProtocol, Membership
from connectors.kafka.messages import Place, RawMessage, headers_of
from connectors.kafka.shares import Share, places_of
from connectors.kafka.topics import EVENT_TOPICS
from workflows.domain.errors import Audience, QuartermasterError, Unavailable
from workflows.domain.failpoints import AFTER, BEFORE, reach

_log = logging.getLogger(__name__)

BEYOND_END_PATIENCE_S = 3.0
BATCH_BYTES = 16 * 1024 * 1024
"""A batch ends above this, however few its messages: large ones would fill the memory otherwise."""
AT_ONCE = 200  # messages of a share per question, which gives the interpreter away: so many may be above `BATCH_BYTES`
FETCHED_KIB = 32 * 1024
"""What the client library fetches ahead. With 8 MiB it waits for the broker after each 30,000 small messages."""
_NO_HEADERS: Mapping[str, bytes] = MappingProxyType({})


class LogChanged(QuartermasterError):
    """The stored position is not in the broker's log: it was truncated, expired or replaced. Nothing was skipped.

    An operator decides: restore the log, or name the new one by another log id and read it from its beginning.
    """

    audience = Audience.OPERATOR


class EventConsumer:
    """Reads the event topics in one group, or a fixed share. Every method is for one thread, the one that polls.

    The caller keeps the positions: on assignment `on_assigned` is asked for the next offset of each partition (a
    partition it leaves out starts at the beginning of the log). What is stored at the broker serves lag monitors only.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        log_id: str,
        *,
        on_assigned: Callable[[list[Place]], Mapping[Place, int]],
        on_revoked: Callable[[list[Place]], None] | None = None,
        topics: Sequence[str] = EVENT_TOPICS,
        session_timeout_ms: int = 45_000,
        share: Share | None = None,
        protocol: GroupProtocol = GroupProtocol.CLASSIC,
    ) -> None:
        self.log_id = log_id
        """Names the log that offsets count within; the caller's positions are kept under it."""
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._topics = list(topics)
        self._share, self._share_is_ours = share, False
        self._next: dict[Place, int] = {}
        """Owned partitions and the offset to hand out next; OFFSET_BEGINNING (negative) until the first message."""
        self._accepted: dict[Place, int] = {}
        self._paused = False
        self._flagged: set[Place] = set()
        """Partitions that the client library was told to pause; it remembers that across assignments."""
        self._batch: list[RawMessage] = []
        self._bytes = 0
        self._failure: Exception | None = None
        self._beyond_since: float | None = None
        self._admin = AdminClient({"bootstrap.servers": bootstrap}, logger=_log)
        # A share is nobody's to assign: its reader joins no group.
        self._membership = Membership(protocol if share is None else GroupProtocol.CLASSIC, self._admin, group)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "enable.auto.commit": True,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "max.poll.interval.ms": 300_000,
                **self._membership.settings(session_timeout_ms),
                "queued.max.messages.kbytes": FETCHED_KIB,
                "check.crcs": True,
            },
            logger=_log,
        )
        if share is None:
            self._subscribe()

    def poll_batch(self, max_messages: int, max_wait_s: float) -> list[RawMessage]:
        """What is there, in offset order per partition: waits for the first message only, so batches grow with load.

        Raises:
            LogChanged, ProtocolRefused: the position or the group is not to be had; stop and tell the operator.
            Unavailable: the client gave up for good, or the positions could not be had; make a new consumer.
        """
        if self._share is not None and not self._share_is_ours:
            self._take_share(self._share)
        self._batch, self._bytes = [], 0
        deadline = time.monotonic() + max_wait_s
        while len(self._batch) < max_messages and self._bytes < BATCH_BYTES:
            messages = self._waiting(max_messages - len(self._batch), deadline)
            if self._failure is not None:
                raise Unavailable(f"no positions for the assigned partitions: {self._failure}") from self._failure
            if not messages and (self._batch or time.monotonic() >= deadline):
                break
            for message in messages:
                if (error := message.error()) is not None:
                    self._raise_or_note(error, message)
                else:
                    self._take(message)
        self._membership.look(idle=not self._next)
        if not self._batch:
            self._look_for_positions_beyond_the_log()
        return self._batch

    def store(self, positions: Mapping[Place, int]) -> None:
        """Tell the broker which offsets come next; call it once they are durably accepted. Partitions that belong to
        somebody else by now are left out: their new owner tells."""
        if not positions:
            return
        reach("consumer.store", BEFORE)
        for (topic, partition), offset in positions.items():
            if (topic, partition) not in self._next:
                continue
            try:
                self._consumer.store_offsets(offsets=[TopicPartition(topic, partition, offset)])
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:
                    raise Unavailable(f"an offset could not be stored: {error.args[0].str()}") from error
                continue
            self._accepted[topic, partition] = offset
        reach("consumer.store", AFTER)

    def pause(self) -> None:
        """Hand nothing out, on partitions assigned later either; keep polling meanwhile. Twice is once."""
        self._paused = True
        self._apply_pause(self._next)

    def resume(self) -> None:
        """Hand out again, from where the pause began. Twice is once."""
        self._paused = False
        self._apply_pause(self._next)

    def drop(self, topic: str, partition: int) -> None:
        """Somebody else moved this partition's position: join the group again and ask for the positions again."""
        _log.warning("fenced on %s/%d; joining the group again", topic, partition)
        if self._share is None:
            self._consumer.unsubscribe()
        self._forget(list(self._next))
        self._share_is_ours = False
        if self._share is None:
            self._subscribe()

    def assignment(self) -> list[Place]:
        """The partitions that are ours now."""
        return sorted(self._next)

    def lag(self) -> dict[Place, int]:
        """Messages per owned partition that are in the log and not accepted (`store`) yet.

        Raises:
            Unavailable: the broker did not say.
        """
        ends = self._ask_ends(list(self._next))
        starts = {place: max(self._fetched(place)[0], self._accepted.get(place, 0)) for place in ends}
        return {place: max(0, end - starts[place]) for place, end in ends.items()}

    def close(self) -> None:
        """Commit what was stored and leave the group."""
        self._consumer.close()
        self._next.clear()

    def _waiting(self, most: int, deadline: float) -> Sequence[Message]:
        """What the client has, or the first message that it gets until then."""
        if self._batch and self._share is not None:  # in a group a rebalance may lie between any two messages
            return self._consumer.consume(min(most, AT_ONCE), 0)
        message = self._consumer.poll(0 if self._batch else max(0.0, deadline - time.monotonic()))
        return () if message is None else (message,)

    def _subscribe(self) -> None:
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _take_share(self, share: Share) -> None:
        places = places_of(share, self._admin, self._topics)
        self._begin(places, self._on_assigned(places), self._consumer.assign)
        self._share_is_ours = True

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(part.topic, part.partition) for part in partitions]
        if not places:
            return
        try:
            known = self._on_assigned(places)
        except Exception as error:
            # An exception would be lost in the client library, which would then start at positions of its own.
            self._failure = error
            return
        self._membership.joined()
        self._begin(places, known, consumer.incremental_assign)

    def _begin(
        self, places: list[Place], known: Mapping[Place, int], assign: Callable[[list[TopicPartition]], None]
    ) -> None:
        starts = {place: known.get(place, OFFSET_BEGINNING) for place in places}
        assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        self._batch[:] = [message for message in self._batch if message.place not in starts]
        self._next |= starts
        self._accepted |= {place: max(0, offset) for place, offset in starts.items()}
        if self._paused:
            self._flagged -= set(places)
        self._apply_pause(places)

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(part.topic, part.partition) for part in partitions]
        self._forget(places)
        if self._on_revoked is not None and places:
            self._on_revoked(places)

    def _forget(self, places: list[Place]) -> None:
        for place in places:
            self._next.pop(place, None)
            self._accepted.pop(place, None)
        self._batch[:] = [message for message in self._batch if message.place not in places]

    def _apply_pause(self, places: Iterable[Place]) -> None:
        owned = set(places)
        change = owned - self._flagged if self._paused else owned & self._flagged
        if not change:
            return
        parts = [TopicPartition(*place) for place in sorted(change)]
        if self._paused:
            self._consumer.pause(parts)
            self._flagged |= change
        else:
            self._consumer.resume(parts)
            self._flagged -= change

    def _take(self, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is None or partition is None or offset is None or (topic, partition) not in self._next:
            return
        self._next[topic, partition] = offset + 1
        value, given = message.value() or b"", message.headers()
        headers = headers_of(given) if given else _NO_HEADERS
        self._bytes += len(value)
        self._batch.append(RawMessage(topic, partition, offset, message.key(), value, headers, message.timestamp()[1]))

    def _raise_or_note(self, error: KafkaError, message: Message) -> None:
        where = f"{message.topic()}/{message.partition()}"
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise LogChanged(f"{where}: {error.str()} (log id {self.log_id})")
        if error.fatal() or error.code() == KafkaError._FATAL:
            raise self._membership.gave_up(error.str())
        _log.warning("Kafka: %s (%s) at %s", error.name(), error.str(), where)

    def _look_for_positions_beyond_the_log(self) -> None:
        """Apache Kafka reports such a position; the embedded broker just stays silent, for ever."""
        beyond = [place for place, offset in self._next.items() if offset > self._fetched(place)[1]]
        if not beyond or self._paused:
            self._beyond_since = None
            return
        self._beyond_since = self._beyond_since or time.monotonic()
        if time.monotonic() - self._beyond_since < BEYOND_END_PATIENCE_S:
            return  # What was fetched may be older than the position: somebody else owned the partition meanwhile.
        self._beyond_since = None
        with suppress(Unavailable):
            for place, end in self._ask_ends(beyond).items():
                if self._next[place] > end:
                    raise LogChanged(
                        f"{place[0]}/{place[1]}: the position is {self._next[place]} but the log ends at {end} "
                        f"(log id {self.log_id})"
                    )

    def _fetched(self, place: Place) -> tuple[int, int]:
        """First offset and end of the log as the last fetch said; zeros before the first one."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        return max(0, low), max(0, high)

    def _ask_ends(self, places: list[Place]) -> dict[Place, int]:
        """The log's ends as the broker says now. Asked on a connection of its own: on the consumer's, each question
        would wait behind a fetch that waits for messages."""
        ends: dict[Place, int] = {}
        if not places:
            return ends
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(*place): latest for place in places}
        try:
            for part, answer in self._admin.list_offsets(wanted, request_timeout=5.0).items():
                place = part.topic, part.partition
                ends[place] = max(answer.result(6.0).offset, self._fetched(place)[1])
        except (KafkaException, TimeoutError) as error:
            raise Unavailable(f"the broker did not say where its log ends: {error}") from error
        return ends
