"""The intake process against real servers: what cannot be read is kept with its reason, and nothing else is lost,
whatever is killed. On the embedded broker, and on Apache Kafka."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from confluent_kafka import KafkaError, Message, Producer

from connectors.kafka.consumer import EventConsumer
from connectors.kafka.messages import RawMessage
from connectors.kafka.topics import ensure_topics
from connectors.postgres.pool import Connection, Database, connect
from tests.command_line import ANY_PORT, CommandLine, eventually
from tests.kafka.broker import ApacheKafka
from tests.kafka.having import kafka_or_skip
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog
from workers.operations import LiveOperations
from workers.personal_key import database_of
from workers.preparing import prepare_schema
from workers.session import Silence
from workers.settings import Settings
from workers.stack import EngineStack
from workers.wiring import required
from workflows.domain.approvals import Actor
from workflows.domain.events import MAX_EVENT_BYTES, ClockAdvanced, Event, SaleRecorded, StockCounted, Topic
from workflows.domain.identity import digest
from workflows.domain.redrives import Redriven

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Place = tuple[str, int, int]
"""(topic, partition, offset)."""


@dataclass
class Running:
    """Servers with the intake process under its supervisor, and a view of what Postgres has."""

    commands: CommandLine
    stack: EngineStack
    database: Connection
    written: dict[Place, str] = field(default_factory=dict)
    """Everything ever produced here: where it lies, and the name it was given."""

    def produce(self, messages: list[tuple[str, str, bytes]]) -> dict[str, Place]:
        """Write (topic, name, value) for good, in order; where each lies. The name is the key, too."""
        places: dict[str, Place] = {}

        def report(name: str) -> Callable[[KafkaError | None, Message], None]:
            def noted(error: KafkaError | None, message: Message) -> None:
                assert error is None, error
                place = str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
                places[name] = place
                self.written[place] = name

            return noted

        producer = Producer(
            {
                "bootstrap.servers": self.stack.settings.kafka_bootstrap, "enable.idempotence": True,
                "message.max.bytes": 2_000_000, "queue.buffering.max.messages": 200_000,
            }
        )  # fmt: skip
        for topic, name, value in messages:
            # One key, one partition: messages with the same key keep their order.
            key = name.split("/")[0].encode()
            producer.produce(topic, value, key, headers={"traceparent": TRACE}, on_delivery=report(name))
            producer.poll(0)
        assert producer.flush(30) == 0
        return places

    def rows(self, query: str, *arguments: Any) -> list[Any]:
        return list(self.database.execute(query.encode(), arguments).fetchall())

    def accepted(self, source: str) -> int:
        return int(self.rows("SELECT count(*) AS n FROM inbox WHERE source = %s", source)[0]["n"])

    def positions_are_complete(self) -> bool:
        """Whether every message that was ever produced is accounted for."""
        ends: Counter[tuple[str, int]] = Counter()
        for topic, partition, offset in self.written:
            ends[topic, partition] = max(ends[topic, partition], offset + 1)
        found = self.rows(
            "SELECT topic, partition, next_offset FROM kafka_position WHERE log_id = %s AND next_offset > 0",
            self.stack.settings.kafka_log_id,
        )
        return {(row["topic"], row["partition"]): row["next_offset"] for row in found} == dict(ends)


@pytest.fixture(scope="module", params=["embedded", "apache"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The servers and the intake process, with a small catalog and a model."""
    home = tmp_path_factory.mktemp("home")
    given = {**ANY_PORT, "QM_HOME": str(home)}
    with ExitStack() as kept:
        if request.param == "apache":
            kafka_or_skip()
            given["QM_KAFKA_BOOTSTRAP"] = kept.enter_context(ApacheKafka(home / "kafka")).bootstrap
        stack = kept.enter_context(EngineStack(home / "up", Settings.from_environment(given), Silence()))
        found = stack.start()
        prepare_schema(found, Silence())
        ensure_topics(required(found, "kafka_bootstrap"))
        view = Running(CommandLine(home), stack, connect(required(found, "postgres_dsn"), name="test"))
        try:
            asyncio.run(_stocked(view.database, required(found, "postgres_dsn")))
            stack.start_process("intake")
            yield view
        finally:
            view.database.close()


async def _stocked(connection: Connection, dsn: str) -> None:
    async with Database(dsn, name="test", size=1) as database:
        await Storeroom(connection, database).stock(catalog(20))


def sale(source: str, number: int, **changes: Any) -> bytes:
    """One unit of one of twenty items, sold in the last hour."""
    body = SaleRecorded(item=f"ITEM-{number % 20 + 1:03}", location=LOCATION, sale_id=f"s{number}", units=1)
    made = json.loads(
        Event.of(body, id=f"sale-{number}", source=source, time=MORNING - timedelta(minutes=30)).to_bytes()
    )
    made["data"] |= changes
    return json.dumps(made).encode()


def unknown(source: str, number: int) -> bytes:
    return json.dumps(json.loads(sale(source, number)) | {"type": "quartermaster.sale.imagined.v1"}).encode()


Malformed = Callable[[str, int], bytes]
MALFORMED: dict[str, tuple[str, str, Malformed]] = {
    "not JSON": ("not_json", Topic.SALES, lambda s, n: sale(s, n)[:-1]),
    "not UTF-8": ("not_utf8", Topic.SALES, lambda s, n: sale(s, n).replace(b"sale-", b"sale\xff-")),
    "NUL": ("invalid_field", Topic.SALES, lambda s, n: sale(s, n, sale_id=f"{n}\x00")),
    "too large": ("too_large", Topic.SALES, lambda s, n: sale(s, n).ljust(MAX_EVENT_BYTES + 1)),
    "unknown type": ("unknown_type", Topic.STOCK, unknown),
    "invalid field": ("invalid_field", Topic.SALES, lambda s, n: sale(s, n, units=-1)),
    "duplicate key": ("duplicate_key", Topic.SALES, lambda s, n: sale(s, n)[:-1] + b',"id":"another"}'),
    "wrong topic": ("wrong_topic", Topic.SHIPMENTS, sale),
}
EACH = 111
"""Of each of the eight kinds, and 112 ids used again: 1,000 in all."""


def test_a_thousand_malformed_events_are_all_kept_with_their_reasons_and_nothing_else_is_lost(
    running: Running,
) -> None:
    good = {f"good{n}/": sale("till/good", n) for n in range(2_000)}
    bad: dict[str, tuple[str, str, bytes]] = {}
    for number, (kind, (code, topic, make)) in enumerate(MALFORMED.items()):
        for n in range(EACH):
            bad[f"{kind}{n}/"] = (code, topic, make(f"till/{kind}", number * 1_000 + n))
    for n in range(1_000 - len(bad)):
        # The same key as the good one, so that it surely comes after it.
        bad[f"good{n}/again"] = ("id_reuse_different_payload", Topic.SALES, sale("till/good", n, units=2))
    assert len(bad) == 1_000
    mixed: list[tuple[str, str, bytes]] = []
    first = [(Topic.SALES.value, name, value) for name, value in good.items()]
    then = [(topic, name, value) for name, (_, topic, value) in bad.items()]
    while first or then:
        mixed += [first.pop(0)] if first else []
        mixed += [first.pop(0)] if first else []
        mixed += [then.pop(0)] if then else []

    places = running.produce(mixed)
    eventually(running.positions_are_complete, 60, what="all of it being accounted for")

    kept = {
        (row["topic"], row["partition"], row["kafka_offset"]): (row["error_code"], bytes(row["payload"]))
        for row in running.rows("SELECT * FROM dead_letter")
    }
    assert kept == {places[name]: (code, value) for name, (code, _, value) in bad.items()}
    stored = {row["event_id"]: bytes(row["payload"]) for row in running.rows("SELECT * FROM inbox")}
    assert stored == {f"sale-{n}": value for n, value in enumerate(good.values())}
    eventually(lambda: not running.rows("SELECT 1 FROM dead_letter WHERE published_at IS NULL LIMIT 1"))
    _expect_on_the_dead_letter_topic(running, {places[name]: one for name, one in bad.items()})


def _expect_on_the_dead_letter_topic(running: Running, bad: dict[Place, tuple[str, str, bytes]]) -> None:
    found: dict[Place, RawMessage] = {}
    reader = EventConsumer(
        required(running.stack.settings, "kafka_bootstrap"), "looker", "log", topics=[Topic.DEAD_LETTERS],
        on_assigned=lambda _: {}, session_timeout_ms=1_500,
    )  # fmt: skip
    with closing(reader):

        def all_there() -> bool:
            for message in reader.poll_batch(500, 0.1):
                told = {name: value.decode() for name, value in message.headers.items()}
                place = told["x-orig-topic"], int(told["x-orig-partition"]), int(told["x-orig-offset"])
                assert place not in found, "published twice"
                found[place] = message
            return len(found) >= len(bad)

        eventually(all_there, 30, what="all dead letters on their topic")
    assert found.keys() == bad.keys()
    for place, (code, _, value) in bad.items():
        message = found[place]
        assert message.value == value
        assert message.headers["x-error-code"].decode() == code
        assert message.headers["traceparent"].decode() == TRACE
        assert {"x-error-class", "x-first-seen", "x-orig-timestamp", "x-payload-sha256"} <= message.headers.keys()
        assert int(message.headers["x-attempt"]) >= 1
        assert b"+" in message.headers["x-consumer-version"]


def test_dead_letters_are_listed_and_a_mended_one_is_accepted(running: Running, tmp_path: Path) -> None:
    running.produce([(Topic.SALES, "broken/", sale("till/mended", 7_001)[:-1])])
    query = "SELECT * FROM dead_letter WHERE message_key = 'broken'"
    eventually(lambda: bool(running.rows(query)))

    listed = running.commands.call("dead-letters", "list", "--limit", "10000", "--json")
    (letter,) = [one for one in listed.json["dead_letters"] if one["message_key"] == "broken"]
    assert (letter["error_code"], letter["redriven_at"]) == ("not_json", None)
    assert letter["error_detail"]
    people = running.commands.call("dead-letters", "list", "--limit", "5")
    assert "not_json" in people.out

    mended = tmp_path / "mended.json"
    mended.write_bytes(sale("till/mended", 7_001))
    number = str(letter["dead_letter_id"])
    why = ("--reason", "mended by hand")
    asked = running.commands.call("dead-letters", "redrive", number, *why, "--payload", str(mended), "--json")
    assert (asked.json["state"], asked.json["mended"]) == ("asked", True)
    assert asked.json["payload_sha256"] == digest(mended.read_bytes())
    mended.write_bytes(b"not what was asked for")
    sha256 = asked.json["payload_sha256"]
    alone = running.commands.call("dead-letters", "confirm", number, "--sha256", sha256[:12])
    assert (alone.code, alone.out) == (1, "")
    assert "another person must" in alone.err
    assert running.accepted("till/mended") == 0
    sent = asyncio.run(_confirmed(running, asked.json["redrive_id"], sha256))
    assert sent == Redriven(dead_letter_id=int(number), topic="qm.sales")

    eventually(lambda: running.accepted("till/mended") == 1)
    assert running.rows(query)[0]["redriven_at"] is not None
    again = running.commands.call("dead-letters", "redrive", "999999", *why, "--json")
    assert (again.code, again.out) == (1, "")
    assert "there is no dead letter 999999" in again.err
    _whole_positions_again(running)


async def _confirmed(running: Running, redrive_id: int, sha256: str) -> Redriven:
    """A second person lets it go: the system has one user only."""
    settings = running.stack.settings
    async with database_of(settings, required(settings, "postgres_dsn"), name="second", size=1) as database:
        return await LiveOperations(database, settings).confirm_redrive(
            redrive_id, sha256, Actor(name="second approver")
        )


def _whole_positions_again(running: Running) -> None:
    """The redriven message was not produced by us: note where it lies."""
    for row in running.rows("SELECT topic, partition, kafka_offset FROM inbox WHERE source = 'till/mended'"):
        running.written[row["topic"], row["partition"], row["kafka_offset"]] = "redriven"


MANY = 20_000
WAITS = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'quartermaster-intake' AND wait_event_type = 'Lock'"


def _expect_all(running: Running, source: str, values: list[bytes], counted: int) -> None:
    """Everything in the inbox once, moved once, and the positions say so."""
    stored = running.rows("SELECT event_id, payload FROM inbox WHERE source = %s", source)
    assert len(stored) == len(values)
    assert {digest(bytes(row["payload"])) for row in stored} == {digest(value) for value in values}
    moved = running.rows(
        "SELECT item, -sum(on_hand_delta) AS n FROM movement WHERE source = %s AND kind = 'sale' GROUP BY item", source
    )
    assert {row["n"] for row in moved} == {len(values) // 20}
    sold = {row["item"]: row["n"] for row in running.rows(
        "SELECT item, -sum(on_hand_delta) AS n FROM movement WHERE kind = 'sale' AND occurred_at > %s GROUP BY item",
        MORNING - timedelta(hours=1),
    )}  # fmt: skip
    shelf = {row["item"]: row["on_hand_units"] for row in running.rows("SELECT * FROM position")}
    assert shelf == {item: counted - units for item, units in sold.items()}


def test_intake_killed_in_the_middle_of_20_000_events_loses_nothing_and_takes_nothing_twice(
    running: Running,
) -> None:
    _count_everything(running, 1_000_000)
    values = [sale("till/many", 100_000 + n) for n in range(MANY)]
    victim = running.stack.pid("intake")
    running.produce([(Topic.SALES, f"many{n}/", value) for n, value in enumerate(values[: MANY // 2])])
    eventually(lambda: running.accepted("till/many") > 0)
    holding = connect(required(running.stack.settings, "postgres_dsn"), name="test-holds")
    with holding as holder, holder.transaction():
        # However fast it is: what it takes from now on, it has in hand when it is killed.
        holder.execute("LOCK TABLE inbox IN SHARE ROW EXCLUSIVE MODE")
        running.produce([(Topic.SALES, f"many{n}/", value) for n, value in enumerate(values[MANY // 2 :], MANY // 2)])
        eventually(lambda: bool(running.rows(WAITS)), 60, what="a batch in hand")
        os.kill(victim, signal.SIGKILL)
        at_death = running.accepted("till/many")
    assert 0 < at_death <= MANY // 2, "it was to be killed in the middle"

    eventually(lambda: running.accepted("till/many") == MANY, 90, what="all 20,000 in the inbox")

    assert running.stack.pid("intake") != victim
    eventually(running.positions_are_complete)
    _expect_all(running, "till/many", values, 1_000_000)


def _count_everything(running: Running, units: int) -> None:
    """Somebody counts, before all of the sales of these tests."""
    at = MORNING - timedelta(hours=2)
    bodies = [StockCounted(item=f"ITEM-{n:03}", location=LOCATION, on_hand_units=units) for n in range(1, 21)]
    events = [Event.of(body, id=f"count-{body.item}", source="counter", time=at) for body in bodies]
    running.produce([(Topic.STOCK, f"{event.id}/", event.to_bytes()) for event in events])
    eventually(lambda: running.accepted("counter") == len(events))


def test_a_database_that_stands_still_stops_nothing_for_good(running: Running) -> None:
    server = psutil.Process(running.stack.pid("postgres"))
    values = [sale("till/still", 200_000 + n) for n in range(2_000)]
    frozen = [server, *server.children(recursive=True)]
    for process in frozen:
        process.suspend()
    try:
        running.produce([(Topic.SALES, f"still{n}/", value) for n, value in enumerate(values)])
    finally:
        for process in frozen:
            process.resume()

    eventually(lambda: running.accepted("till/still") == len(values))
    eventually(running.positions_are_complete)


def test_intake_and_relay_outlive_a_restart_of_the_database(running: Running) -> None:
    intake = running.stack.pid("intake")
    values = [sale("till/restart", 300_000 + n) for n in range(4_000)]
    running.produce([(Topic.SALES, f"restart{n}/", value) for n, value in enumerate(values)])
    eventually(lambda: running.accepted("till/restart") > 0)

    os.kill(running.stack.pid("postgres"), signal.SIGKILL)
    eventually(lambda: _answers(running))

    eventually(lambda: running.accepted("till/restart") == len(values), 60)
    clock = Event.of(
        ClockAdvanced(location=LOCATION, through=MORNING), id="clock", source="test", time=MORNING, traceparent=TRACE
    )
    running.produce([(Topic.CLOCK, "clock/", clock.to_bytes())])
    query = "SELECT 1 FROM need_batch WHERE started_at IS NOT NULL"
    eventually(lambda: bool(running.rows(query)), 60, what="the relay starting an assessment")
    eventually(running.positions_are_complete)
    assert running.stack.pid("intake") == intake, "intake itself went on"


def _answers(running: Running) -> bool:
    """Whether the database is back, on a connection that is ours from now on."""
    try:
        fresh = psycopg.connect(running.database.info.dsn, connect_timeout=2)
    except psycopg.OperationalError:
        return False
    fresh.close()
    running.database.close()
    running.database = connect(required(running.stack.settings, "postgres_dsn"), name="test")
    return True
