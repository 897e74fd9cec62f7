"""How many events a second intake takes: from the broker into the committed database for two minutes, and its parts.

First the whole, with real processes (see intake_stream); `--large` has it do so on a million positions with a year of
daily demand behind them. Then accepting alone, beside plain inserts of the same rows into the same kind of tables:
those keep an event and its movement; accepting also recognises duplicates, folds positions and daily demand, looks for
needs, moves the Kafka position and writes the ledger, in one durable transaction per batch.
"""

import argparse
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from connectors.feeds.world import DemoWorld
from connectors.postgres.catalog import load_catalog
from connectors.postgres.inbox import Inbox, Received
from connectors.postgres.pool import Connection, connect, transaction
from tests.bench.intake_stream import measure_stream
from tests.bench.measuring import (
    against,
    machine,
    pair,
    progress,
    publish,
    rounds,
    seconds,
    spread,
    temporary_database,
)
from workflows.domain.events import ClockAdvanced, Event, SaleRecorded, Topic, content_digest, parse
from workflows.domain.positions import Movement, movement_of

LOG, SOURCE = "bench", "urn:bench"
BATCHES, BATCH = 5, 1_000
PLACES = 3
"""Locations of the demo world."""
INBOX = {
    "source": "text", "event_id": "text", "type": "text", "event_time": "timestamptz", "payload": "bytea",
    "payload_sha256": "text", "log_id": "text", "topic": "text", "partition": "int", "kafka_offset": "bigint",
}  # fmt: skip
MOVEMENT = {
    "source": "text", "event_id": "text", "location": "text", "item": "text", "kind": "text",
    "occurred_at": "timestamptz", "on_hand_delta": "int", "demand_day": "date", "demand_units": "int",
    "unit_price": "numeric",
}  # fmt: skip

Row = tuple[object, ...]
PlainBatch = tuple[Sequence[Row], Sequence[Row]]


class Scene:
    """A stocked world whose positions all lie above their watch level: ordinary sales, no need."""

    def __init__(self, dsn: str, positions: int) -> None:
        self.positions = positions
        self.connection: Connection = connect(dsn, name="bench")
        self._chance = random.Random(positions)  # noqa: S311 - the same sales each time
        self._numbers = iter(range(10**9))
        world = DemoWorld(items=positions // PLACES, days=1)
        self._keys = sorted({(one.location, one.item) for one in world.catalog.sourcing})
        self._midnight = datetime.combine(world.first_day, datetime.min.time(), UTC)
        self._price = Decimal("9.90")
        load_catalog(self.connection, world.catalog, actor="bench")
        self.inbox = Inbox(self.connection, log_id=LOG)
        self.inbox.take_over([(topic, 0) for topic in Topic])
        clocks = [
            Event.of(
                ClockAdvanced(location=place.location, through=self._midnight),
                id=f"clock:{place.location}", source=SOURCE, time=self._midnight,
            )
            for place in world.catalog.locations
        ]  # fmt: skip
        self.inbox.accept([self._received(event) for event in [*world.opening(), *clocks]])
        self.connection.execute("UPDATE need SET state = 'held'")
        self.connection.execute(
            "UPDATE position SET watch_level_units = -1000000000, last_assessed_at = %s",
            [self._midnight - timedelta(hours=1)],
        )
        for table in ("inbox", "movement"):
            self.connection.execute(f"CREATE TABLE plain_{table} (LIKE {table} INCLUDING ALL)".encode())
        self.connection.execute("VACUUM ANALYZE")

    def sales(self, day: int, count: int) -> list[Event]:
        """Sales over one trading day, at any position."""
        opens = self._midnight + timedelta(days=day, hours=8)
        return [
            Event.of(
                SaleRecorded(
                    location=location, item=item, sale_id=f"S{number}", units=self._chance.randint(1, 4),
                    unit_price=self._price,
                ),
                id=f"sale:{number}", source=SOURCE, time=opens + timedelta(seconds=self._chance.randrange(12 * 3600)),
            )
            for number in (next(self._numbers) for _ in range(count))
            for location, item in (self._chance.choice(self._keys),)
        ]  # fmt: skip

    def accept(self, batches: Sequence[Sequence[Received]]) -> None:
        """Through the inbox.

        Raises:
            RuntimeError: not every sale was accepted, and the figures would mean nothing.
        """
        for batch in batches:
            result = self.inbox.accept(batch)
            if (result.events, result.needs, len(result.dead)) != (len(batch), 0, 0):
                raise RuntimeError(f"{len(batch)} new sales came to {result}")

    def insert_plainly(self, batches: Sequence[PlainBatch]) -> None:
        """The same rows, a transaction for each batch."""
        for events, movements in batches:
            with transaction(self.connection) as cursor:
                for table, columns, rows in (("inbox", INBOX, events), ("movement", MOVEMENT, movements)):
                    arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
                    cursor.execute(
                        f"INSERT INTO plain_{table} ({', '.join(columns)}) "  # noqa: S608 - constants
                        f"SELECT * FROM unnest({arrays})".encode(),
                        [list(column) for column in zip(*rows, strict=True)],
                    )

    def received(self, raws: Sequence[bytes], *, size: int) -> list[list[Received]]:
        """Messages in batches, read as intake reads them."""
        messages = [self._received(parse(raw), raw) for raw in raws]
        return [messages[begin : begin + size] for begin in range(0, len(messages), size)]

    def _received(self, event: Event, raw: bytes | None = None) -> Received:
        return Received(event.data.topic, 0, next(self._numbers), raw or event.to_bytes(), event=event)

    def kept(self) -> tuple[int, int]:
        """Rows in the inbox that are sales, and their plain copies."""
        row = self.connection.execute(
            """SELECT (SELECT count(*) FROM inbox WHERE topic = 'qm.sales') AS ours,
                      (SELECT count(*) FROM plain_movement) AS plain"""
        ).fetchone()
        return (row["ours"], row["plain"]) if row else (0, 0)


def plain_rows(batch: Sequence[Received]) -> PlainBatch:
    """What the inbox keeps of these messages, as rows."""
    events = [message.event for message in batch if message.event]
    movements = [movement for event in events if (movement := movement_of(event))]
    return (
        [
            (e.source, e.id, e.type, e.time, m.raw, content_digest(m.raw), LOG, m.topic, m.partition, m.offset)
            for e, m in zip(events, batch, strict=True)
        ],
        [_movement_row(movement) for movement in movements],
    )


def _movement_row(movement: Movement) -> Row:
    return tuple(getattr(movement, column) for column in MOVEMENT)


def measure(dsn: str, positions: int, batch: int, *, quick: bool) -> dict[str, Any]:
    """Events a second at this many positions."""
    scene = Scene(dsn, positions)
    pairs, reading = [], []
    for number in rounds(quick=quick):
        raws = [event.to_bytes() for event in scene.sales(number, BATCHES * batch)]
        reading_s = seconds(partial(_read, raws))
        batches = scene.received(raws, size=batch)
        plain = [plain_rows(one) for one in batches]
        taken = pair(number, partial(scene.accept, batches), partial(scene.insert_plainly, plain))
        if number:
            pairs.append(taken)
            reading.append(len(raws) / reading_s)
    ours, copies = scene.kept()
    if ours != copies:
        raise RuntimeError(f"{ours} sales are in the inbox, but {copies} in the plain copy")
    scene.connection.close()
    figures = against(pairs, BATCHES * batch, "events")
    return {"positions": positions, "batch": batch, "rounds": len(pairs), "events_per_round": BATCHES * batch,
            **figures, "parsed_events_per_s": spread(reading)}  # fmt: skip


def _read(raws: Sequence[bytes]) -> None:
    for raw in raws:
        parse(raw)


def told() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object on one line on stdout")
    parser.add_argument("--quick", action="store_true", help="the smallest size, once: shows that it runs, no more")
    parser.add_argument("--large", action="store_true", help="a million positions and a year of daily demand")
    parser.add_argument("--processes", type=int, default=2, help="how many intake processes share the partitions")
    parser.add_argument("--seconds", type=float, default=120, help="how long the stream is meant to last")
    return parser.parse_args()


def main() -> None:
    """Measure the stream, then accepting alone at two sizes, and print."""
    asked, begun, before = told(), time.monotonic(), machine()
    positions = 1_000_000 if asked.large else 2_000 if asked.quick else 50_000
    seconds_meant = 2.0 if asked.quick else asked.seconds
    stream = measure_stream(positions, seconds_meant, asked.processes, year=asked.large)
    sizes = () if asked.large else (36,) if asked.quick else (360, 3_600)
    measured = []
    for size in sizes:
        progress(f"intake: {size:,} positions")
        with temporary_database() as (_, dsn):
            measured.append(measure(dsn, size, 100 if asked.quick else BATCH, quick=asked.quick))
    publish(asked, "intake", before, begun, {**stream, "sizes": measured})


if __name__ == "__main__":
    main()
