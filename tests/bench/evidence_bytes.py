"""How many bytes of evidence one decision leaves: indexes, TOAST and the room that pages waste are all counted.

A stretch of the demo world is played with its 500 days of past: each day every third article is assessed at its three
locations (the sweeps of a demo ask for about as many), what needs nobody's word is ordered, and the orders stay open,
so that rows have open receipts. Models are counted apart, and in the total.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.postgres.inbox import Received
from connectors.postgres.needs import make_batches, open_needs
from connectors.postgres.orders import PostgresOrders
from connectors.postgres.pool import Connection, Database, connect, transaction
from tests.bench.assess_scene import Scene
from tests.bench.measuring import machine, options, progress, publish, temporary_database
from workflows.domain.events import ClockAdvanced, Event
from workflows.domain.needs import NeedBatch, NeedCause

ITEMS, QUICK_ITEMS = 120, 12
DAYS, QUICK_DAYS = 21, 3
EVERY = 3
LEASE_SECONDS = 60
# A page of TOAST has room for four chunks.
CHUNK, CHUNKS = 1_996, 4
PAGE = 8_192
_SIZES = """
SELECT (SELECT count(*) FROM decision) AS decisions, (SELECT count(*) FROM decision WHERE kind = 'hold') AS holds,
       pg_total_relation_size('evidence') AS inputs, pg_total_relation_size('evidence_part') AS parts,
       (SELECT coalesce(sum(length(body)), 0) FROM evidence) AS inputs_plain,
       (SELECT coalesce(sum(pg_column_size(body)), 0) FROM evidence) AS inputs_stored
"""
_KINDS = """
SELECT kind, count(*) AS objects, sum(size)::bigint AS plain, sum(length(body))::bigint AS packed,
       sum(pg_column_size(p.*))::bigint AS rows
FROM evidence_part p GROUP BY kind ORDER BY kind
"""
_MODELS = "SELECT length(body) AS bytes FROM evidence_part WHERE kind = 'model'"


class Recording(Scene):
    """A stretch of days, each with its sales, its needs and its orders."""

    def __init__(self, state: Path, connection: Connection, database: Database, items: int, days: int) -> None:
        super().__init__(state, connection, database, items, days)
        self._orders = PostgresOrders(database)
        self._store_connection = connection
        self._offset = 1_000_000

    async def play(self) -> None:
        """All days."""
        day = self.world.first_day
        number = 0
        while day <= self.world.last_day:
            progress(f"evidence: {day}")
            for batch in self._needs_of(number):
                await self.work.assess(batch)
            await self._order()
            self._sell(day)
            day, number = day + timedelta(days=1), number + 1

    def _needs_of(self, number: int) -> list[NeedBatch]:
        """A need for every third article."""
        chosen = [key for n, key in enumerate(self.keys) if n % EVERY == number % EVERY]
        with transaction(self._store_connection) as cursor:
            cursor.execute("UPDATE need SET state = 'closed'")
            cursor.execute("UPDATE position SET last_assessed_at = NULL, quiet_until = NULL")
            open_needs(cursor, chosen, NeedCause.SWEEP)
            return make_batches(cursor)

    async def _order(self) -> None:
        """Order what needs nobody's word, as cutoff and a supplier's yes do."""
        waiting = self._store_connection.execute(
            "SELECT decision_id, proposal_hash FROM replenishment WHERE state = 'proposed' AND tier = 'auto'"
        ).fetchall()
        orders = set()
        for row in waiting:
            released = await self._orders.release(row["decision_id"], row["proposal_hash"])
            orders |= {released.order_id} - {None}
        for order_id in sorted(one for one in orders if one):
            if await self._orders.prepare(order_id, passive=False) is None:
                continue
            await self._orders.begin_attempt(order_id, order_id, LEASE_SECONDS)
            if await self._orders.about_to_send(order_id, order_id, passive=False) is not None:
                await self._orders.record_placed(order_id, order_id, f"N-{order_id}", None)

    def _sell(self, day: date) -> None:
        rows = self._store_connection.execute("SELECT location, item, on_hand_units FROM position").fetchall()
        events = self.world.day(day, {(row["location"], row["item"]): row["on_hand_units"] for row in rows})
        morning = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=5)
        clocks = [
            Event.of(
                ClockAdvanced(location=place.location, through=morning), id=f"clock:{place.location}:{day}",
                source="urn:bench", time=morning,
            )
            for place in self.world.catalog.locations
        ]  # fmt: skip
        # In batches of a size as intake takes them.
        for batch in _batches([*events, *clocks], 250):
            received = [self._next(event) for event in batch]
            self.inbox.accept(received)

    def _next(self, event: Event) -> Received:
        self._offset += 1
        return Received(event.data.topic, 0, self._offset, event.to_bytes(), event=event)


def _batches(events: Sequence[Event], size: int) -> list[Sequence[Event]]:
    return [events[begin : begin + size] for begin in range(0, len(events), size)]


def figures_of(connection: Connection) -> dict[str, Any]:
    """Bytes of evidence per decision in any store; the total has everything, models included."""
    told = connection.execute(_SIZES).fetchone()
    assert told is not None
    decisions = max(1, told["decisions"])
    kinds = {
        row["kind"]: {"objects": row["objects"], "plain": row["plain"], "packed": row["packed"], "rows": row["rows"]}
        for row in connection.execute(_KINDS).fetchall()
    }
    models = sum(-(-row["bytes"] // (CHUNK * CHUNKS)) * PAGE for row in connection.execute(_MODELS).fetchall())
    total = told["inputs"] + told["parts"]
    return {
        "decisions": told["decisions"],
        "holds": told["holds"],
        "evidence_bytes_per_decision": round((total - models) / decisions),
        "with_models": round(total / decisions),
        "models_bytes": models,
        "inputs_bytes_per_decision": round(told["inputs"] / decisions),
        "inputs_plain_per_decision": round(told["inputs_plain"] / decisions),
        "inputs_stored_per_decision": round(told["inputs_stored"] / decisions),
        "parts_bytes_per_decision": round((told["parts"] - models) / decisions),
        "kinds": kinds,
    }


async def measure(state: Path, dsn: str, *, quick: bool) -> dict[str, Any]:
    """Record a stretch of decisions in this database, which has none yet, and say what it takes."""
    with connect(dsn, name="bench") as connection:
        async with Database(dsn, name="bench", size=2) as database:
            items, days = (QUICK_ITEMS, QUICK_DAYS) if quick else (ITEMS, DAYS)
            recording = Recording(state, connection, database, items, days)
            progress("evidence: training a model")
            await recording.crown(quick=quick)
            await recording.play()
        return figures_of(connection)


def main() -> None:
    """Measure and print."""
    told, begun, before = options(__doc__ or ""), time.monotonic(), machine()
    with temporary_database() as (state, dsn):
        figures = asyncio.run(measure(state, dsn, quick=told.quick))
    publish(told, "evidence", before, begun, figures)


if __name__ == "__main__":
    main()
