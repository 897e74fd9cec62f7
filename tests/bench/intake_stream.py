"""How many messages a second intake takes from the broker into the committed database, and what its parts could do.

`processor_share` is what of the machine's processors all parts together got: where it is far below 1, others had the
rest, and `processor_us_per_event` says what a free machine would do.

The real processes (`quartermaster intake --events-only`) read from the real embedded broker into the real embedded
PostgreSQL, all on this machine. The messages are in the log before intake starts: nothing is produced meanwhile. So
this is the end of an outage, too: a backlog, caught up with.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka.quick import quick
from connectors.kafka.topics import PARTITIONS, ensure_topics
from connectors.postgres.migrating import migrate
from connectors.postgres.pool import Connection, connect
from tests.bench.intake_world import Tills, Told, filling
from tests.bench.measuring import progress
from workers.session import Silence
from workers.settings import Settings
from workers.stack import EngineStack
from workflows.domain.events import parse
from workflows.domain.positions import movement_of

TOPICS = ("qm.sales", "qm.stock")
CEILING_ROWS, CEILING_MESSAGES, DECODED = 600_000, 1_000_000, 60_000
COPY_BATCH = 5_000
COLUMNS = (
    "source, event_id, type, event_time, payload, payload_sha256, log_id, topic, partition, kafka_offset, traceparent"
)


class Stream:
    """One world on one stack, with intake started and stopped as asked."""

    def __init__(self, stack: EngineStack, positions: int, *, year: bool) -> None:
        settings = stack.start()
        self.stack, self.dsn = stack, settings.postgres_dsn or ""
        self.bootstrap, self.log_id = settings.kafka_bootstrap or "", settings.kafka_log_id
        migrate(self.dsn)
        ensure_topics(self.bootstrap)
        self.database: Connection = connect(self.dsn, name="bench")
        self.tills = Tills(positions, seed=positions, skewed=year)
        self.produced = 0
        self.filled: dict[str, float] = {}
        parts, told = filling(positions, year=year)
        for name, statement in parts:
            begun = time.monotonic()
            self.database.execute(statement.encode(), told)
            self.filled[name] = round(time.monotonic() - begun, 1)
            progress(f"intake: {name} in {self.filled[name]} s")
        self.database.execute("VACUUM ANALYZE")
        self.database.execute("CHECKPOINT")

    def produce(self, count: int) -> None:
        """Put the next messages into the log."""
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "linger.ms": 50, "compression.type": "lz4", "acks": "all",
             "enable.idempotence": True, "queue.buffering.max.messages": 500_000}
        )  # fmt: skip
        for number, told in enumerate(self.tills.messages(count)):
            while True:
                try:
                    producer.produce(told.topic, told.value, told.key)
                    break
                except BufferError:
                    producer.poll(0.1)
            if number % 1_000 == 0:
                producer.poll(0)
        if producer.flush(60):
            raise RuntimeError("the broker did not take all messages")
        self.produced += count

    def taken(self) -> int:
        """Messages that are through: what committed positions say."""
        row = self.database.execute(
            "SELECT coalesce(sum(next_offset), 0)::bigint AS n FROM kafka_position WHERE log_id = %s", [self.log_id]
        ).fetchone()
        return int(row["n"]) if row else 0

    def take_all(self) -> dict[str, Any]:
        """Start intake, wait until nothing is left, stop it. From the first commit on: a group takes its time to
        form. Where the first commit that is seen has all in it, from the last look that saw none."""
        before = self.taken()
        nothing = (time.monotonic(), before)
        self.stack.start_intake(events_only=True)
        marks: list[tuple[float, int]] = []
        used: dict[str, float] = {}
        while (taken := self.taken()) < self.produced:
            if taken > before:
                used = used or processor_seconds()
                marks.append((time.monotonic(), taken))
            else:
                nothing = (time.monotonic(), before)
            self.stack.check()
            time.sleep(0.05 if not marks else 0.5)
        marks = [*(marks or [nothing]), (time.monotonic(), taken)]
        spent = {part: seconds - used.get(part, 0.0) for part, seconds in processor_seconds().items()}
        self.stack.stop_intake()
        figures = paced(marks)
        messages, cores = max(1, figures["messages"]), os.cpu_count() or 1
        per_event = {part: round(seconds / messages * 1e6, 1) for part, seconds in sorted(spent.items())}
        share = sum(spent.values()) / max(figures["measured_s"] * cores, 1e-9)
        return {**figures, "processor_us_per_event": per_event, "processor_share": round(share, 2)}

    def mismatches(self) -> dict[str, int]:
        """What does not agree with the books of the tills: each of these is 0."""
        stock, demand = self.tills.fold()
        found = self._counted(
            "SELECT location, item, on_hand_units AS a, reserved_units AS b FROM position "
            "WHERE data_through >= '2025-03-03'",
            {key: tuple(value) for key, value in stock.items()},
        )
        sold = self._counted(
            "SELECT location, item, units AS a, 0 AS b FROM daily_demand WHERE day = '2025-03-03'",
            {key: (units, 0) for key, units in demand.items()},
            absent_is_nothing=True,
        )
        row = self.database.execute(
            """SELECT (SELECT count(*) FROM inbox) AS events, (SELECT count(*) FROM movement) AS movements,
                      (SELECT count(*) FROM dead_letter) AS dead,
                      (SELECT count(*) FROM (SELECT accepted_at < lag(accepted_at) OVER (PARTITION BY topic, partition
                           ORDER BY kafka_offset) AS earlier FROM inbox) o WHERE earlier) AS reordered"""
        ).fetchone()
        assert row is not None
        lost = abs(row["events"] - self.tills.events) + abs(row["movements"] - self.tills.events)
        return {"positions": found, "daily_demand": sold, "events": lost, "dead_letters": row["dead"],
                "reordered": row["reordered"]}  # fmt: skip

    def _counted(
        self, query: str, wanted: dict[tuple[str, str], tuple[int, ...]], *, absent_is_nothing: bool = False
    ) -> int:
        wrong, seen = 0, 0
        with self.database.transaction(), self.database.cursor(name="bench_check") as cursor:
            cursor.itersize = 20_000
            cursor.execute(query.encode())
            for row in cursor:
                seen += 1
                wrong += wanted.get((row["location"], row["item"])) != (row["a"], row["b"])
        absent = sum(any(value) for value in wanted.values()) if absent_is_nothing else len(wanted)
        return wrong + max(0, absent - seen)

    def ceilings(self, sample: Sequence[Told]) -> dict[str, float]:
        """What the parts could do at most by themselves, one after the other on the same stack: a second, each."""
        return {
            "copy_ceiling_per_s": self._copy(),
            "consume_ceiling_per_s": self._consume(),
            "decode_ceiling_per_s": _rate(sample, lambda told: quick(told.topic, told.value)),
            "parse_ceiling_per_s": _rate(sample, lambda told: movement_of(parse(told.value))),
        }

    def _copy(self) -> float:
        """COPY of the inbox's own rows, made ready before, into a table with the same key: a durable commit a batch."""
        batches: list[bytes] = []
        with self.database.transaction(), self.database.cursor() as cursor:
            cursor.execute(
                f"CREATE TEMP TABLE sample ON COMMIT DROP AS SELECT {COLUMNS}, row_number() OVER () AS n "  # noqa: S608
                f"FROM (SELECT * FROM inbox LIMIT {CEILING_ROWS}) i".encode()
            )
            cursor.execute("CREATE INDEX ON sample (n)")
            for begin in range(0, min(CEILING_ROWS, self.tills.events), COPY_BATCH):
                one = f"SELECT {COLUMNS} FROM sample WHERE n > {begin} AND n <= {begin + COPY_BATCH}"  # noqa: S608
                with cursor.copy(f"COPY ({one}) TO STDOUT (FORMAT BINARY)".encode()) as copy:
                    batches.append(b"".join(bytes(part) for part in copy))
        self.database.execute("CREATE TABLE ceiling (LIKE inbox INCLUDING DEFAULTS, PRIMARY KEY (source, event_id))")
        begun = time.perf_counter()
        for batch in batches:
            statement = f"COPY ceiling ({COLUMNS}) FROM STDIN (FORMAT BINARY)".encode()
            with self.database.transaction(), self.database.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(batch)
        taken_s = time.perf_counter() - begun
        self.database.execute("DROP TABLE ceiling")
        return round(min(CEILING_ROWS, self.tills.events) / taken_s)

    def _consume(self) -> float:
        """The client library alone, reading the same log."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "bench", "enable.auto.commit": False,
                             "check.crcs": True, "queued.max.messages.kbytes": 32 * 1024})  # fmt: skip
        consumer.assign([TopicPartition(topic, part, 0) for topic in TOPICS for part in range(PARTITIONS)])
        wanted, before = min(CEILING_MESSAGES, self.produced), len(consumer.consume(500, 10.0))
        got, begun = before, time.perf_counter()  # from its first messages on: connecting takes its time
        while got < wanted:
            got += len(consumer.consume(5_000, 1.0))
        taken_s = time.perf_counter() - begun
        consumer.close()
        return round((got - before) / taken_s)


def paced(marks: Sequence[tuple[float, int]]) -> dict[str, Any]:
    """Messages a second over all, and in each of ten stretches: a pace that falls shows there."""
    (begun, first), (ended, last) = marks[0], marks[-1]
    stretches = []
    for number in range(10):
        inside = [mark for mark in marks if number <= 10 * (mark[0] - begun) / max(ended - begun, 1e-9) <= number + 1]
        if len(inside) > 1 and inside[-1][0] > inside[0][0]:
            stretches.append(round((inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])))
    return {"events_per_s": round((last - first) / max(ended - begun, 1e-9)), "measured_s": round(ended - begun, 1),
            "messages": last - first, "stretches_per_s": stretches}  # fmt: skip


def processor_seconds() -> dict[str, float]:
    """Processor time so far of everything that the stack runs: broker, PostgreSQL, intake."""
    spent: dict[str, float] = {}
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            words, times = " ".join(child.cmdline()), child.cpu_times()
            part = "intake" if " intake" in words else "postgres" if "postgres" in words else "broker"
            spent[part] = spent.get(part, 0.0) + times.user + times.system
    return spent


def _rate(sample: Sequence[Told], read: Callable[[Told], object]) -> float:
    begun = time.perf_counter()
    for told in sample:
        read(told)
    return round(len(sample) / (time.perf_counter() - begun))


@contextmanager
def streaming(positions: int, processes: int, *, year: bool) -> Iterator[Stream]:
    """A stack of its own in a folder that goes away."""
    with TemporaryDirectory(prefix="qm-bench-") as folder:
        home = Path(folder)
        settings = Settings(home=home, temporal_address="127.0.0.1:9", kafka_port=0, clock="replayed",
                            intake_processes=processes)  # fmt: skip
        with EngineStack(home / "up", settings, Silence()) as stack:
            stream = Stream(stack, positions, year=year)
            try:
                yield stream
            finally:
                stream.database.close()


def measure_stream(positions: int, seconds: float, processes: int, *, year: bool) -> dict[str, Any]:
    """Produce, take everything in, check every position, and measure the ceilings."""
    with streaming(positions, processes, year=year) as stream:
        warm = 2_000 if seconds < 10 else 300_000
        stream.produce(warm)
        pace = stream.take_all()["events_per_s"]
        count = max(warm, int(pace * seconds * 1.1))
        progress(f"intake: {pace:,} messages/s to begin with; {count:,} go into the log")
        stream.produce(count)
        figures = stream.take_all()
        progress("intake: positions are checked")
        wrong = stream.mismatches()
        sample = list(Tills(positions, seed=1, skewed=year).messages(min(count, DECODED)))
        ceilings = stream.ceilings(sample)
        tills = stream.tills
        return {
            "positions": positions, "processes": processes, **figures,
            **ceilings, "ratio": round(figures["events_per_s"] / ceilings["copy_ceiling_per_s"], 3),
            "mismatches": sum(wrong.values()), "wrong": wrong,
            "duplicates_share": round(tills.duplicates / stream.produced, 3),
            "late_share": round(tills.late / tills.events, 3), "filled_s": stream.filled,
        }  # fmt: skip
