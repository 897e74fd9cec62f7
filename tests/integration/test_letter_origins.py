"""A dead letter is stored with what its headers will say: how often it came, what it claimed, who could not read it."""

from connectors.postgres.dead_letters import DeadLetters
from connectors.postgres.inbox import Inbox, Received
from tests.storeroom import Storeroom


def unreadable(offset: int, raw: bytes) -> Received:
    return Received(
        "qm.sales", 0, offset, raw, error_code="invalid_field", error_detail="units",
        timestamp_ms=(None, -1, 0, 1_700_000_000_000)[offset % 4],
    )  # fmt: skip


def test_attempts_are_counted_by_the_bytes_and_the_reader_is_noted(storeroom: Storeroom) -> None:
    inbox = Inbox(storeroom.connection, log_id="log", version="1.0+abc")
    inbox.take_over([("qm.sales", 0)])
    bad, other = b'{"type": "a.sale", "data": {}}', b"\xff"

    inbox.accept([unreadable(0, bad), unreadable(1, other), unreadable(2, bad)])
    inbox.accept([unreadable(3, bad)])

    told = [
        (one.kafka_offset, one.attempt, one.schema_id, one.consumer_version, one.kafka_timestamp_ms)
        for one in DeadLetters(storeroom.connection).unpublished()
    ]
    assert told == [
        (0, 1, "a.sale", "1.0+abc", None), (1, 1, None, "1.0+abc", None), (2, 2, "a.sale", "1.0+abc", 0),
        (3, 3, "a.sale", "1.0+abc", 1_700_000_000_000),
    ]  # fmt: skip
