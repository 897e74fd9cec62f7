"""A message is handed over as it lay in the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Place = tuple[str, int]
"""(topic, partition)."""
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
"""Above Kafka's usual 1 MiB, so that whatever could be received fits into the dead letters with its headers."""


UNTOLD = -1
"""The timestamp of a message that has none, as Kafka's protocol has it."""


class RawMessage(NamedTuple):
    """One message as it lay in the log; `value` is empty for a tombstone, header values are bytes, and `timestamp_ms`
    is by the sender's or the broker's clock."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]
    timestamp_ms: int

    @property
    def place(self) -> Place:
        """(topic, partition)."""
        return self.topic, self.partition

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context, if the sender gave one."""
        raw = self.headers.get("traceparent")
        return raw.decode("ascii", "replace")[:100] if raw else None


def headers_of(given: Any) -> dict[str, bytes]:
    """Headers as the client library gives them: pairs or a dict, with text or nothing among the values. The last of a
    name counts."""
    pairs = given.items() if isinstance(given, dict) else given or ()
    return {name: value.encode() if isinstance(value, str) else value or b"" for name, value in pairs}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nothing can be made of, and why; the reason is bounded and says nothing of the payload."""

    message: RawMessage
    error_code: str
    error_class: str = "MalformedEvent"
    attempt: int = 1
    """The how-manieth dead letter with these very bytes this is."""
    schema_id: str | None = None
    """The event type that it claimed to be; None where none was readable."""
    consumer_version: str | None = None
    """What could not read it; None where nobody noted that."""
