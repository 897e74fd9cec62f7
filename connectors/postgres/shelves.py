"""Finds shelves that should be counted, and settles what was found by the counts and sales that came since."""

from datetime import UTC, date, datetime

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.pool import Database
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.shelves import BASE_DAYS, MIN_SALE_DAYS, ShelfState, Silence

Cursor = psycopg.AsyncCursor[DictRow]
ENGINE = "engine"
LOOKBACK_DAYS = 200
MIN_SILENT_DAYS = 2
CATCH_UP_DAYS = 7
"""After a pause no more days than these are looked at: what is silent still is found on any of them."""

# Days on which the location sold nothing at all are nobody's silence: the shop was closed.
_SILENCES = """
WITH sale AS (
    SELECT item, day, sum(units) AS units FROM (
        SELECT item, day, units FROM daily_demand
            WHERE location = %(location)s AND day BETWEEN %(day)s::date - %(lookback)s::int AND %(day)s
        UNION ALL SELECT item, day, units FROM recorded_demand
            WHERE location = %(location)s AND day BETWEEN %(day)s::date - %(lookback)s::int AND %(day)s AND in_stock
    ) d GROUP BY item, day HAVING sum(units) > 0
), trading AS (
    SELECT day FROM sale GROUP BY day
), quiet AS (
    SELECT p.item, p.on_hand_units, greatest(s.last_sale, c.counted_on) AS last_seen, s.last_sale, s.first_sale
    FROM position p
    JOIN (SELECT item, max(day) AS last_sale, min(day) AS first_sale FROM sale GROUP BY item
          HAVING count(*) >= %(min_sale_days)s) s USING (item)
    -- A count above zero saw the goods: silence begins after it.
    CROSS JOIN LATERAL (
        SELECT (max(m.occurred_at) AT TIME ZONE 'UTC')::date AS counted_on FROM movement m
        WHERE m.location = p.location AND m.item = p.item AND m.counted_units > 0
          AND m.occurred_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC'
    ) c
    WHERE p.location = %(location)s AND p.on_hand_units > 0
      AND greatest(s.last_sale, c.counted_on) <= %(day)s::date - %(min_silent_days)s::int
      AND NOT EXISTS (SELECT 1 FROM shelf_finding f
                      WHERE f.location = p.location AND f.item = p.item AND f.state = 'open')
), stocked AS (
    SELECT q.*, t.day FROM quiet q CROSS JOIN trading t
    WHERE t.day >= q.first_sale AND t.day > q.last_sale - %(base_days)s::int
      AND NOT EXISTS (SELECT 1 FROM stockout_day o
                      WHERE o.location = %(location)s AND o.item = q.item AND o.day = t.day)
      AND NOT EXISTS (SELECT 1 FROM recorded_demand r
                      WHERE r.location = %(location)s AND r.item = q.item AND r.day = t.day AND NOT r.in_stock)
)
SELECT k.item, k.on_hand_units, k.last_seen + 1 AS silent_since,
       count(*) FILTER (WHERE k.day > k.last_seen) AS silent_days,
       count(*) FILTER (WHERE k.day <= k.last_sale) AS base_days,
       count(sale.item) FILTER (WHERE k.day <= k.last_sale) AS base_sale_days,
       coalesce(sum(sale.units) FILTER (WHERE k.day <= k.last_sale), 0)::bigint AS base_units
FROM stocked k LEFT JOIN sale ON sale.item = k.item AND sale.day = k.day
GROUP BY k.item, k.on_hand_units, k.last_seen ORDER BY k.item
"""
# What came first after the finding's first silent day decides: a sale, or a count after the day it was found.
_NEWS = """
SELECT f.finding_id, f.location, f.item, f.silent_since, f.found_on, m.kind, m.occurred_at, m.counted_units
FROM shelf_finding f CROSS JOIN LATERAL (
    SELECT kind::text, occurred_at, counted_units FROM movement m
    WHERE m.location = f.location AND m.item = f.item AND m.kind IN ('sale', 'count')
      AND m.occurred_at >= (f.silent_since)::timestamp AT TIME ZONE 'UTC'
      AND m.occurred_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC'
    ORDER BY m.occurred_at, m.event_id LIMIT 1
) m WHERE f.location = %(location)s AND f.state = 'open' FOR UPDATE OF f
"""


class PostgresShelves:
    """Findings about shelves; the `ShelfWatch` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watch(self, location: str, day: date) -> tuple[int, int]:
        """Look at a location as it stood at the end of a day: settle what can be settled, find what is new.

        Doing it again finds nothing more. Returns (settled, found).
        """
        async with self._database.transaction("shelves.watch") as cursor:
            lock = f"shelves:{location}"
            await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 13))", [lock])
            await cursor.execute(
                """INSERT INTO shelf_watch AS w (location, watched_through) VALUES (%s, %s) ON CONFLICT (location)
                   DO UPDATE SET watched_through = greatest(w.watched_through, excluded.watched_through)""",
                [location, day],
            )
            settled = await _settle(cursor, location, day)
            return settled, await _find(cursor, location, day)

    async def due(self) -> list[tuple[str, date]]:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT c.location, d.day::date AS day
                   FROM (SELECT location, (watermark AT TIME ZONE 'UTC')::date - 1 AS closed FROM business_clock) c
                   LEFT JOIN shelf_watch w USING (location) CROSS JOIN LATERAL generate_series(
                       greatest(coalesce(w.watched_through + 1, c.closed), c.closed - %s::int + 1), c.closed,
                       interval '1 day') AS d (day)
                   ORDER BY c.location, d.day""",
                [CATCH_UP_DAYS],
            )
            return [(row["location"], row["day"]) for row in await cursor.fetchall()]

    async def closed_days(self) -> dict[str, date]:
        """Each location's newest day that is over."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                "SELECT location, (watermark AT TIME ZONE 'UTC')::date - 1 AS day FROM business_clock ORDER BY location"
            )
            return {row["location"]: row["day"] for row in await cursor.fetchall()}

    async def findings(self, state: ShelfState | None = None) -> list[DictRow]:
        """Findings, the least likely silence first."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT * FROM shelf_finding WHERE %(state)s::text IS NULL OR state = %(state)s
                   ORDER BY silence_ppm, usual_units DESC, finding_id""",
                {"state": str(state) if state else None},
            )
            return await cursor.fetchall()


async def _find(cursor: Cursor, location: str, day: date) -> int:
    limits = {"lookback": LOOKBACK_DAYS, "min_sale_days": MIN_SALE_DAYS, "min_silent_days": MIN_SILENT_DAYS,
              "base_days": BASE_DAYS}  # fmt: skip
    await cursor.execute(_SILENCES, {"location": location, "day": day, **limits})
    found = [Silence.model_validate({**row, "location": location}) for row in await cursor.fetchall()]
    new = 0
    for one in found:
        if not one.suspicious:
            continue
        await cursor.execute(
            """INSERT INTO shelf_finding (finding_id, location, item, silent_since, found_on, silent_days, usual_units,
                                          silence_ppm, on_hand_units)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
            [f"{location}:{one.item}:{one.silent_since}", location, one.item, one.silent_since, day, one.silent_days,
             one.usual_units, one.chance_ppm, one.on_hand_units],
        )  # fmt: skip
        if cursor.rowcount == 1:
            new += 1
            body = {"words": one.words, "silence": one.model_dump(mode="json"), "chance_ppm": one.chance_ppm}
            await _record(cursor, one.item, location, EntryType.SHELF_SUSPECTED, day, body)
    return new


async def _settle(cursor: Cursor, location: str, day: date) -> int:
    await cursor.execute(_NEWS, {"location": location, "day": day})
    news = await cursor.fetchall()
    for row in news:
        counted = row["counted_units"] if row["kind"] == "count" else None
        state = ShelfState.SOLD if row["kind"] == "sale" else ShelfState.REFUTED if counted else ShelfState.CONFIRMED
        adjustment = await _missing(cursor, row) if state is ShelfState.CONFIRMED else None
        await cursor.execute(
            """UPDATE shelf_finding SET state = %s, settled_at = %s, counted_units = %s, adjustment_id = %s
               WHERE finding_id = %s""",
            [str(state), row["occurred_at"], counted, adjustment, row["finding_id"]],
        )
        body = {
            "finding": row["finding_id"], "state": str(state), "counted_units": counted, "adjustment_id": adjustment,
        }  # fmt: skip
        await _record(cursor, row["item"], location, EntryType.SHELF_SETTLED, day, body)
    return len(news)


async def _missing(cursor: Cursor, row: DictRow) -> str:
    """The silent days become phantom-stock days: nobody could buy what was not there."""
    adjustment_id = f"{row['finding_id']}:phantom"
    counted_on = row["occurred_at"].astimezone(UTC).date()
    await cursor.execute(
        """INSERT INTO demand_adjustment (adjustment_id, location, item, first_day, last_day, layer, reason, author)
           VALUES (%s, %s, %s, %s, %s, 'phantom_stock', %s, %s) ON CONFLICT DO NOTHING""",
        [adjustment_id, row["location"], row["item"], row["silent_since"], counted_on,
         f"counted 0 at {rfc3339(row['occurred_at'])} where the books said stock; no sale since {row['silent_since']}",
         ENGINE],
    )  # fmt: skip
    return adjustment_id


async def _record(
    cursor: Cursor, item: str, location: str, kind: EntryType, day: date, body: dict[str, object]
) -> None:
    stream, at = f"demand:{location}:{item}", datetime(day.year, day.month, day.day, tzinfo=UTC)
    await ledger.append(cursor, [NewEntry(stream=stream, type=kind, actor=ENGINE, occurred_at=at, body=body)])
