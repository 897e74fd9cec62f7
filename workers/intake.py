"""Intake takes events in: read, accept in one Postgres transaction, only then let the offsets go.

One dedicated thread polls and reads, because the Kafka client wants one; while it reads a batch, a second one has the
database accept the batch before. There is never more than one batch on either side, so the order of a key is the order
of its partition. The relay runs beside them on the event loop. Neither waits for the other: intake keeps accepting
while Temporal is down.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from opentelemetry import trace
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set, wait_exponential

from connectors.kafka.consumer import EventConsumer
from connectors.kafka.messages import UNTOLD, DeadLetter, Place, RawMessage
from connectors.kafka.producer import EventProducer
from connectors.kafka.quick import quick
from connectors.postgres.dead_letters import DeadLetters, StoredLetter
from connectors.postgres.inbox import Accepted, Inbox, PartitionLost, Received
from connectors.postgres.needs import OpenedNeed
from connectors.postgres.pool import Connection
from connectors.postgres.relay import RelayStore
from workers.telemetry import Instruments, context_from
from workflows.domain.errors import MalformedEvent, Unavailable
from workflows.domain.events import ClockAdvanced, parse
from workflows.domain.failpoints import AFTER, reach
from workflows.domain.identity import rfc3339
from workflows.domain.needs import ClockMode

log = logging.getLogger(__name__)

BATCH = 5_000
"""At most so many events a transaction; how many there are is up to what waits in the log."""
POLL_SECONDS = 0.2
HIGH_WATER = 20_000
"""Unassessed needs above which intake pauses; it goes on polling, so that it keeps its partitions."""
LOW_WATER = 5_000
REPORT_SECONDS = 15.0
CLOCK_AHEAD = timedelta(minutes=5)
"""How far a live clock may be told ahead of ours. A clock never goes back, so a wrong year would stay for good."""

Session = tuple[Inbox, DeadLetters, RelayStore]


class IntakeLoop:
    """The polling thread. `connect` gives a fresh database connection's views; `consume` a fresh consumer."""

    def __init__(
        self,
        connect: Callable[[], tuple[Connection, Session]],
        consume: Callable[..., EventConsumer],
        producer: EventProducer,
        instruments: Instruments,
        *,
        clock: ClockMode,
    ) -> None:
        self._connect = connect
        self._consume = consume
        self._producer = producer
        self._instruments = instruments
        self._clock = clock
        self._stop = threading.Event()
        self._tracer = trace.get_tracer(__name__)
        self._reported = 0.0
        self._accepted_any = False

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stop.set()

    def run(self) -> None:
        """Until stopped. An outage of broker or database starts the session anew from the stored positions.

        Raises:
            LogChanged: the broker's log is not the one that the positions count in; only an operator can decide.
            ProtocolRefused: so it is with a group protocol that the broker does not have.
        """
        for attempt in Retrying(
            retry=retry_if_exception_type((Unavailable, PartitionLost)),
            wait=wait_exponential(multiplier=0.5, max=15),
            stop=stop_when_event_set(self._stop),
            before_sleep=_say_why,
            sleep=self._pause,
            reraise=True,
        ):
            self._accepted_any = False
            with attempt:
                try:
                    self._session()
                finally:
                    if self._accepted_any:  # the outage before this one is over: patience begins anew
                        attempt.retry_state.attempt_number = 1

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _session(self) -> None:
        connection, (inbox, letters, relay) = self._connect()
        with ThreadPoolExecutor(1, thread_name_prefix="intake-accepts") as accepts:
            hand = _Hand()

            def take_over(places: list[Place]) -> dict[Place, int]:
                # The connection is the other thread's until its batch is through, and what the database says of
                # positions is news only then.
                hand.wait()
                return inbox.take_over(places)

            consumer = self._consume(on_assigned=take_over)
            try:
                while not self._stop.is_set():
                    batch = consumer.poll_batch(BATCH, POLL_SECONDS)
                    if batch:
                        reach("intake.poll", AFTER)
                    read = self._read(batch)
                    consumer.store(hand.emptied())
                    self._keep_pace(consumer, relay)
                    if batch:
                        hand.take(accepts.submit(self._take, batch, read, inbox, letters), batch)
                    else:
                        self._publish_dead_letters(letters)
                consumer.store(hand.emptied())
            finally:
                with suppress(Exception):
                    hand.wait()
                consumer.close()
                connection.close()

    def _read(self, batch: Sequence[RawMessage]) -> list[Received]:
        latest = datetime.now(UTC) + CLOCK_AHEAD if self._clock is ClockMode.LIVE else None
        return [taken(message, latest) for message in batch]

    def _take(self, batch: Sequence[RawMessage], read: Sequence[Received], inbox: Inbox, letters: DeadLetters) -> None:
        """On the second thread, with the connection to itself."""
        with self._tracer.start_as_current_span(
            "intake accept", links=_links(batch), attributes={"messages": len(batch)}
        ):
            accepted = inbox.accept(read)
            self._show(accepted.opened)
        self._accepted_any = True
        self._count(accepted)
        self._publish_dead_letters(letters)

    def _show(self, opened: Sequence[OpenedNeed]) -> None:
        """Each need in the trace of the event that opened it: there, its decision and its order go on."""
        batch = trace.Link(trace.get_current_span().get_span_context())
        for need in opened:
            if need.traceparent:
                self._tracer.start_span(
                    "need opened", context_from(need.traceparent), links=[batch], attributes={"need_id": need.need_id}
                ).end()

    def _publish_dead_letters(self, letters: DeadLetters) -> None:
        while waiting := letters.unpublished():
            self._producer.publish_dead_letters([_as_message(letter) for letter in waiting])
            letters.published([letter.dead_letter_id for letter in waiting])
            log.warning("%d messages went to the dead letters; the last: %s", len(waiting), waiting[-1].error_code)

    def _keep_pace(self, consumer: EventConsumer, relay: RelayStore) -> None:
        """Back-pressure: what is accepted must be assessed some day."""
        now = time.monotonic()
        if now - self._reported < REPORT_SECONDS:
            return
        self._reported = now
        depth = relay.depth()
        self._instruments.inbox_depth.set(depth)
        if depth > HIGH_WATER:
            log.warning("%d needs wait for an assessment; intake pauses until they are below %d", depth, LOW_WATER)
            consumer.pause()
        elif depth < LOW_WATER:
            consumer.resume()
        with suppress(Unavailable):  # a broker slow to say so is no reason to leave the group
            lag = consumer.lag()
            relay.note_lag(lag)
            for (topic, partition), behind in lag.items():
                self._instruments.lag.set(behind, {"topic": topic, "partition": partition})

    def _count(self, accepted: Accepted) -> None:
        events, needs = self._instruments.events, self._instruments.needs
        events.add(accepted.events, {"result": "accepted"})
        events.add(accepted.duplicates, {"result": "duplicate"})
        events.add(len(accepted.dead), {"result": "dead_lettered"})
        needs.add(accepted.needs)


class _Hand:
    """The batch that the database has in hand, if any."""

    def __init__(self) -> None:
        self._accepting: Future[None] | None = None
        self._batch: Sequence[RawMessage] = ()

    def take(self, accepting: Future[None], batch: Sequence[RawMessage]) -> None:
        """This batch now; the hand is empty."""
        self._accepting, self._batch = accepting, batch

    def wait(self) -> None:
        """Until it is accepted.

        Raises:
            Unavailable, PartitionLost: it was not, as far as we know.
        """
        if self._accepting is not None:
            self._accepting.result()

    def emptied(self) -> dict[Place, int]:
        """Wait, and let go of it: the offset that comes next, of each of its partitions. Raises as `wait` does."""
        self.wait()
        nexts: dict[Place, int] = {}
        for message in self._batch:  # offsets grow within a partition
            nexts[message.topic, message.partition] = message.offset + 1
        self._accepting, self._batch = None, ()
        return nexts


def taken(message: RawMessage, latest: datetime | None = None) -> Received:
    """Read one message; everyday events quickly, to their movement only. Otherwise as `received`."""
    if (read := quick(message.topic, message.value)) is None:
        return received(message, latest)
    movement, trace = read
    trace = message.traceparent or trace if message.headers else trace
    # Made as a tuple is, once for every event: its own constructor takes three times as long.
    topic, partition, offset, key, value, _, written = message
    return tuple.__new__(Received, (topic, partition, offset, value, None, "", "", key, trace, movement, written))


def received(message: RawMessage, latest: datetime | None = None) -> Received:
    """Read one message: an event, or the reason why it is none. No clock is moved past `latest`."""
    key = message.key.decode("utf-8", "replace").replace("\x00", "�")[:500] if message.key else None
    try:
        event = parse(message.value)
    except MalformedEvent as malformed:
        return Received(
            topic=message.topic, partition=message.partition, offset=message.offset, raw=message.value, key=key,
            error_code=malformed.code, error_detail=str(malformed), traceparent=message.traceparent,
            timestamp_ms=message.timestamp_ms,
        )  # fmt: skip
    code, detail = "", ""
    if message.topic != event.data.topic:
        code, detail = "wrong_topic", f"{event.type} belongs on {event.data.topic}"
    elif latest is not None and isinstance(event.data, ClockAdvanced) and event.data.through > latest:
        code, detail = "clock_ahead", f"through is {event.data.through.isoformat()}, and the clock is live"
    if code:
        return Received(
            topic=message.topic, partition=message.partition, offset=message.offset, raw=message.value, key=key,
            error_code=code, error_detail=detail, traceparent=message.traceparent,
            timestamp_ms=message.timestamp_ms,
        )  # fmt: skip
    return Received(
        topic=message.topic, partition=message.partition, offset=message.offset, raw=message.value, event=event,
        key=key, traceparent=message.traceparent or event.traceparent, timestamp_ms=message.timestamp_ms,
    )  # fmt: skip


def _as_message(letter: StoredLetter) -> DeadLetter:
    headers = {"x-first-seen": rfc3339(letter.first_seen).encode()}
    if letter.traceparent:
        headers["traceparent"] = letter.traceparent.encode()
    message = RawMessage(
        topic=letter.topic, partition=letter.partition, offset=letter.kafka_offset,
        key=letter.message_key.encode() if letter.message_key else None, value=letter.payload, headers=headers,
        timestamp_ms=UNTOLD if letter.kafka_timestamp_ms is None else letter.kafka_timestamp_ms,
    )  # fmt: skip
    return DeadLetter(
        message=message, error_code=letter.error_code, attempt=letter.attempt, schema_id=letter.schema_id,
        consumer_version=letter.consumer_version,
    )  # fmt: skip


def _links(batch: Sequence[RawMessage]) -> list[trace.Link]:
    """A batch belongs to many traces: it links to some of them, bounded."""
    contexts = (trace.get_current_span(context_from(m.traceparent)).get_span_context() for m in batch if m.traceparent)
    return [trace.Link(context) for context, _ in zip(contexts, range(32), strict=False) if context.is_valid]


def _say_why(state: RetryCallState) -> None:
    reason = state.outcome.exception() if state.outcome else None
    log.warning("intake starts anew in %.1f s: %s", state.upcoming_sleep, reason)
