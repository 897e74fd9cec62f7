"""Counts the figures of the home page outside of requests: as of one instant, by one process at a time, kept in a row.

A page reads one row, however many positions and decisions there are. Who reads figures that are due starts the
counting and does not wait for it; only the very first reader waits a moment, so that a small installation shows
figures at once.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import perf_counter
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts, sales_rollup
from connectors.postgres.desk import PostgresDesk
from connectors.postgres.planning import PostgresPlanning
from connectors.postgres.policies import read_policy
from connectors.postgres.pool import Database
from workflows.domain.errors import QuartermasterError
from workflows.domain.figures import (
    DEFAULT_CAP_DAYS,
    LOAD_SHARE,
    REFRESH_SECONDS,
    WINDOW_DAYS,
    PlaceFigures,
    Snapshot,
)
from workflows.domain.identity import canonical
from workflows.domain.money import WEEKS, Money

log = logging.getLogger(__name__)
Cursor = psycopg.AsyncCursor[DictRow]
FIRST_WAIT_SECONDS = 2.0
SALES_EVERY = timedelta(hours=1)
"""All days of sales are added up anew at most so often; the newest ones each time."""

_MEAN = "(0.3 * o.demand_p10 + 0.4 * o.demand_p50 + 0.3 * o.demand_p90)"
_AVAILABLE = "p.on_hand_units + p.on_order_units - p.reserved_units"
_POSITIONS = f"""
SELECT p.location, count(*) AS positions, count(*) FILTER (WHERE o.decision_id IS NULL) AS unassessed,
       count(*) FILTER (WHERE o.demand_p90 > 0) AS live,
       count(*) FILTER (WHERE o.demand_p90 > 0 AND p.on_hand_units <= 0) AS out_of_stock,
       count(*) FILTER (WHERE o.demand_p90 > 0 AND {_AVAILABLE} < p.watch_level_units) AS below_reorder,
       count(*) FILTER (WHERE o.demand_p90 > 0 AND {_AVAILABLE} < o.demand_p90) AS understocked,
       count(*) FILTER (WHERE o.demand_p90 > 0 AND p.on_hand_units - p.reserved_units
                        > o.demand_p90 + %(cap)s * {_MEAN} / greatest(1, o.protection_days)) AS overstocked,
       coalesce(sum(p.on_hand_units * c.unit_cost) FILTER (WHERE p.on_hand_units > 0), 0) AS value,
       count(*) FILTER (WHERE p.on_hand_units > 0 AND c.unit_cost IS NULL) AS unpriced
FROM position p JOIN position_outlook o USING (location, item)
LEFT JOIN LATERAL (SELECT unit_cost FROM sourcing s WHERE s.location = p.location AND s.item = p.item
                   ORDER BY s.rank, s.supplier LIMIT 1) c ON true
GROUP BY p.location
"""  # noqa: S608 - our own constants
_CLOCK = "(SELECT location, (watermark AT TIME ZONE 'UTC')::date AS today FROM business_clock) c"
_SOLD = f"""
SELECT c.location, coalesce(sum(s.units - s.recorded_units), 0)::bigint AS sold_units
FROM {_CLOCK} JOIN sales_day s ON s.location = c.location AND s.day >= c.today - %(window)s AND s.day < c.today
GROUP BY c.location
"""  # noqa: S608
_LOST = f"""
SELECT c.location, round(sum(greatest(0, {_MEAN} / greatest(1, o.protection_days)
                                      - greatest(0, coalesce(d.units, 0)))), 3) AS lost_units
FROM {_CLOCK} JOIN stockout_day s ON s.location = c.location AND s.day >= c.today - %(window)s AND s.day < c.today
JOIN position_outlook o ON o.location = s.location AND o.item = s.item AND o.demand_p90 > 0
LEFT JOIN daily_demand d ON d.location = s.location AND d.item = s.item AND d.day = s.day
GROUP BY c.location
"""  # noqa: S608
_HELD = f"""
SELECT c.location, count(*) AS held FROM {_CLOCK}
JOIN need n ON n.location = c.location AND n.state = 'held'
           AND n.opened_at >= (c.today - %(window)s)::timestamp AT TIME ZONE 'UTC'
WHERE n.opened_at >= %(since)s GROUP BY c.location
"""  # noqa: S608
_TIERS = f"""
SELECT c.location, count(*) FILTER (WHERE r.tier = 'auto') AS auto, count(*) FILTER (WHERE r.tier = 'review') AS review,
       count(*) FILTER (WHERE r.tier = 'blocked') AS blocked
FROM {_CLOCK}
JOIN replenishment r ON r.location = c.location
                    AND r.decided_at >= (c.today - %(window)s)::timestamp AT TIME ZONE 'UTC'
WHERE r.decided_at >= %(since)s GROUP BY c.location
"""  # noqa: S608
_WAITING = """
SELECT location, count(*) AS waiting, sum(value) AS waiting_value FROM task WHERE state = 'open' GROUP BY location
"""
_AVOIDED = """
SELECT location, sum(static_holding + static_shortage + static_ordering - holding - shortage - ordering) AS avoided
FROM compared_week WHERE week > (SELECT max(week) FROM compared_week) - 7 * %(weeks)s GROUP BY location
"""
_OLDEST_WINDOW = """
SELECT ((min(watermark AT TIME ZONE 'UTC')::date - %(window)s)::timestamp AT TIME ZONE 'UTC') AS since
FROM business_clock
"""


class PostgresFigures:
    """The `Figures` port."""

    def __init__(self, database: Database, money: Money, *, every: float = REFRESH_SECONDS) -> None:
        self._database = database
        self._money = money
        self._every = every
        self._counting: asyncio.Task[bool] | None = None

    async def snapshot(self) -> Snapshot | None:
        """See the port."""
        found = await self._read()
        if found is None or self._due(found):
            task = self._start()
            if found is None:
                await asyncio.wait({task}, timeout=FIRST_WAIT_SECONDS)
                found = await self._read()
        return found

    async def waiting(self, most: int) -> int:
        async with self._database.reading() as cursor:
            await cursor.execute(
                "SELECT count(*) AS n FROM (SELECT 1 FROM task WHERE state = 'open' LIMIT %s) t", [most]
            )
            return int((await cursor.fetchone() or {"n": 0})["n"])

    async def refresh(self) -> bool:
        """Count now, unless somebody else does or has just done; whether it was done."""
        async with self._database.transaction("figures.refresh") as cursor:
            await cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('figures', 21)) AS mine")
            if not (await cursor.fetchone() or {})["mine"]:
                return False
            await cursor.execute("SELECT as_of, seconds, sales_as_of, sales_seconds FROM figure_snapshot")
            before = await cursor.fetchone()
            if before and not self._old(before["as_of"], before["seconds"]):
                return False
            await self._count(cursor, before)
            return True

    def _start(self) -> asyncio.Task[bool]:
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._refresh_logged())
        return self._counting

    async def _refresh_logged(self) -> bool:
        try:
            return await self.refresh()
        except QuartermasterError:
            # The page goes on showing the figures that there are, with their time; the next reader tries again.
            log.warning("the figures could not be counted", exc_info=True)
            return False

    def _due(self, found: Snapshot) -> bool:
        return self._old(found.as_of, found.seconds)

    def _old(self, as_of: datetime, seconds: Decimal) -> bool:
        age = (datetime.now(UTC) - as_of).total_seconds()
        return age >= max(self._every, LOAD_SHARE * float(seconds) if self._every else 0)

    async def _read(self) -> Snapshot | None:
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT document FROM figure_snapshot")
            row = await cursor.fetchone()
        return Snapshot.model_validate_json(row["document"]) if row else None

    async def _count(self, cursor: Cursor, before: DictRow | None) -> None:
        as_of, started = datetime.now(UTC), perf_counter()
        # Read by itself: a first policy is written on reading, and nobody may wait for that while we count.
        cap = (await read_policy(self._database)).cover_cap_days or DEFAULT_CAP_DAYS
        sales_as_of, sales_seconds = await _sales(cursor, before, as_of)
        places = await _places(cursor, cap)
        snapshot = Snapshot(
            as_of=as_of, seconds=Decimal(0), currency=await facts.setting(cursor, "currency", "EUR"), cap_days=cap,
            places=places, counts=await PostgresDesk(self._database).counts(),
            stability=await PostgresPlanning(self._database).stability(), money=await self._money.report(),
        )  # fmt: skip
        seconds = Decimal(str(round(perf_counter() - started, 3)))
        document = canonical(snapshot.model_copy(update={"seconds": seconds}))
        await cursor.execute(
            """INSERT INTO figure_snapshot AS f (as_of, seconds, sales_as_of, sales_seconds, document)
               VALUES (%(as_of)s, %(seconds)s, %(sales_as_of)s, %(sales_seconds)s, %(document)s)
               ON CONFLICT (only_one) DO UPDATE SET as_of = excluded.as_of, seconds = excluded.seconds,
                   sales_as_of = excluded.sales_as_of, sales_seconds = excluded.sales_seconds,
                   document = excluded.document
               WHERE f.as_of <= excluded.as_of""",
            {"as_of": as_of, "seconds": seconds, "document": document, "sales_as_of": sales_as_of,
             "sales_seconds": sales_seconds},
        )  # fmt: skip


async def _sales(cursor: Cursor, before: DictRow | None, now: datetime) -> tuple[datetime, float]:
    """Add up the newest days; all of them when that is due, and seldom enough where it takes long."""
    last = before["sales_as_of"] if before else None
    took = float(before["sales_seconds"]) if before else 0.0
    if last is not None and (now - last).total_seconds() < max(SALES_EVERY.total_seconds(), LOAD_SHARE * took):
        await sales_rollup.add_up(cursor, newest=True)
        return last, took
    started = perf_counter()
    await sales_rollup.add_up(cursor, newest=False)
    return now, round(perf_counter() - started, 3)


async def _places(cursor: Cursor, cap: int) -> tuple[PlaceFigures, ...]:
    await cursor.execute(_OLDEST_WINDOW, {"window": WINDOW_DAYS})
    since = (await cursor.fetchone() or {}).get("since")
    given = {"cap": cap, "window": WINDOW_DAYS, "weeks": WEEKS, "since": since or "infinity"}
    found: dict[str, dict[str, Any]] = {}
    await cursor.execute("SELECT location FROM location")
    for row in await cursor.fetchall():
        found[row["location"]] = {}
    for query in (_POSITIONS, _SOLD, _LOST, _HELD, _TIERS, _WAITING, _AVOIDED):
        await cursor.execute(query, given)
        for row in await cursor.fetchall():
            found.setdefault(row["location"], {}).update(row)
    places = [PlaceFigures.model_validate({**sums, "location": name}) for name, sums in sorted(found.items())]
    return tuple(places)
