"""What is published is in the log when the call returns, or the call raises; publishing twice is harmless."""

import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka.messages import MAX_MESSAGE_BYTES, DeadLetter
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.events import Event, Topic
from workflows.domain.failpoints import Effect
from workflows.domain.identity import rfc3339

_log = logging.getLogger(__name__)


class EventProducer:
    """Writes events for good: idempotent, acknowledged by all in-sync replicas. Safe to share between threads."""

    def __init__(self, bootstrap: str, *, delivery_timeout_s: float = 30.0) -> None:
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "delivery.timeout.ms": int(delivery_timeout_s * 1000),
        }
        self._timeout_s = delivery_timeout_s
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def publish(self, events: Sequence[Event]) -> None:
        """Write the events in this order (per key) and return when all are acknowledged.

        Raises:
            Unavailable: some may not be in the log. Publishing all again is harmless: event ids are unique.
        """
        with Effect("events.publish"):
            self._send(
                (
                    event.data.topic.value,
                    event.data.key.encode(),
                    event.to_bytes(),
                    {"traceparent": event.traceparent} if event.traceparent else {},
                )
                for event in events
            )

    def publish_raw(
        self, topic: str, key: bytes | None, value: bytes, headers: Mapping[str, str | bytes] | None = None
    ) -> None:
        """Write one message as it is, and return when it is acknowledged.

        Raises:
            InvalidInput: it is larger than the log takes.
            Unavailable: it may not be in the log.
        """
        with Effect("message.publish"):
            self._send([(topic, key, value, headers or {})])

    def publish_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Write messages to the dead letters, unchanged, with where they came from and why in the headers.

        Store their offsets only after this has returned.

        Raises:
            InvalidInput: one is larger than the log takes.
            Unavailable: some may not be in the log.
        """
        with Effect("dead_letters.publish"):
            self._send(
                (Topic.DEAD_LETTERS.value, letter.message.key, letter.message.value, dead_letter_headers(letter))
                for letter in letters
            )

    def close(self) -> None:
        """Let go of the connection; nothing is pending, since every call waits for its acknowledgements."""
        with self._lock:
            self._discard()

    def _send(self, messages: Iterable[tuple[str, bytes | None, bytes, Mapping[str, str | bytes]]]) -> None:
        failures: list[KafkaError] = []
        sent = acknowledged = 0

        def report(error: KafkaError | None, _message: Message) -> None:
            nonlocal acknowledged
            if error is None:
                acknowledged += 1
            else:
                failures.append(error)

        with self._lock:
            producer = self._producer = self._producer or Producer(self._config, logger=_log)
            # The delivery timeout ends first, so that every report is in when this deadline passes.
            deadline = time.monotonic() + self._timeout_s + 5
            try:
                for topic, key, value, headers in messages:
                    while True:
                        try:
                            producer.produce(topic, value, key, headers=dict(headers), on_delivery=report)
                            break
                        except BufferError:
                            if failures or time.monotonic() > deadline:
                                raise Unavailable("the broker takes no more messages") from None
                            producer.poll(0.1)
                    sent += 1
                producer.flush(max(0.0, deadline - time.monotonic()))
            except KafkaException as error:
                self._discard()
                if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise InvalidInput(f"a message is larger than {MAX_MESSAGE_BYTES} bytes") from error
                raise Unavailable(f"the broker did not take a message: {error.args[0].str()}") from error
            except BaseException:
                self._discard()
                raise
            if acknowledged != sent:
                # A restarted broker may have forgotten this producer for good; the next call starts a fresh one.
                self._discard()
                why = failures[0].str() if failures else "no acknowledgement came"
                raise Unavailable(f"{sent - acknowledged} of {sent} messages were not acknowledged: {why}")

    def _discard(self) -> None:
        if self._producer is not None:
            with suppress(KafkaException):
                self._producer.purge()
                self._producer.flush(1)
        self._producer = None


def dead_letter_headers(letter: DeadLetter) -> dict[str, str | bytes]:
    """Where a dead letter came from and why, bounded; never the text of its payload."""
    message = letter.message
    headers: dict[str, str | bytes] = {
        "x-orig-topic": message.topic,
        "x-orig-partition": str(message.partition),
        "x-orig-offset": str(message.offset),
        "x-error-class": letter.error_class,
        "x-error-code": letter.error_code,
        "x-payload-sha256": hashlib.sha256(message.value).hexdigest(),
        "x-first-seen": rfc3339(datetime.now(UTC)),
        "x-attempt": str(letter.attempt),
    }
    if message.timestamp_ms >= 0:
        headers["x-orig-timestamp"] = str(message.timestamp_ms)
    if letter.schema_id:
        headers["x-schema-id"] = letter.schema_id
    if letter.consumer_version:
        headers["x-consumer-version"] = letter.consumer_version
    # A re-driven letter that fails again keeps the moment and the place it was first seen at.
    headers |= {name: value for name, value in message.headers.items() if name in headers and name.startswith("x-orig")}
    if first_seen := message.headers.get("x-first-seen"):
        headers["x-first-seen"] = first_seen
    if traceparent := message.headers.get("traceparent"):
        headers["traceparent"] = traceparent
    return headers
