"""Opens needs set-wise, gathers them into batches and keeps the business clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import exposure, rhythm, sweeping
from workflows.domain.identity import digest
from workflows.domain.needs import MAX_BATCH, NeedBatch, NeedCause

SMALL_BATCH, SMALL_AT_WORK = 100, 2
WAITS_FOR_SMALL_S = 10.0
"""A batch that is at work for longer is held up by something, and nobody waits for it."""

# A position is due when it was never assessed, is below its watch level (the hourly sweep: the level as today's sales
# have moved it), or (in a daily sweep) was not looked at for a week; never while a need is open, while it rests after a
# rejection, or twice within an hour of the business clock (a daily sweep: within one tick), so that a busy till on a
# live clock does not ask the same question with every sale.
_OPEN = """
WITH due AS (
    SELECT p.location, p.item, c.watermark, k.traceparent
    FROM position p
    JOIN business_clock c USING (location)
    JOIN item USING (item)
    JOIN {keys}
    WHERE (p.last_assessed_at IS NULL
           OR (p.last_assessed_at < c.watermark
               AND (%(sweep)s OR p.last_assessed_at <= c.watermark - interval '1 hour')
               AND (p.on_hand_units + p.on_order_units - p.reserved_units < coalesce(k.level, p.watch_level_units)
                    OR (%(sweep)s AND p.last_assessed_at < c.watermark - interval '7 days'))))
      AND (p.quiet_until IS NULL OR p.quiet_until <= c.watermark)
      AND EXISTS (SELECT 1 FROM sourcing s WHERE s.location = p.location AND s.item = p.item)
      AND NOT EXISTS (SELECT 1 FROM need n WHERE n.location = p.location AND n.item = p.item
                      AND n.state IN ('open', 'proposed'))
    ORDER BY p.location, p.item
    FOR UPDATE OF p
), numbered AS (
    UPDATE position p SET need_number = p.need_number + 1 FROM due
    WHERE p.location = due.location AND p.item = due.item
    RETURNING p.location, p.item, p.need_number, due.watermark, due.traceparent, p.last_assessed_at
)
INSERT INTO need (need_id, location, item, number, cause, opened_at, traceparent)
SELECT location || ':' || item || ':' || need_number, location, item, need_number,
       CASE WHEN last_assessed_at IS NULL THEN 'first_sight' ELSE %(cause)s END, watermark, traceparent
FROM numbered
ON CONFLICT DO NOTHING
RETURNING need_id, traceparent
"""
_GIVEN = _OPEN.format(
    keys="""unnest(%(locations)s::text[], %(items)s::text[], %(traceparents)s::text[], %(levels)s::bigint[])
        AS k (location, item, traceparent, level) USING (location, item)"""
)
_OF_LOCATION = _OPEN.format(
    keys="""(SELECT %(location)s::text AS location, %(traceparent)s::text AS traceparent, NULL::bigint AS level) k
        USING (location)"""
)


@dataclass(frozen=True)
class OpenedNeed:
    """A need that was opened now, and the trace of the event that opened it."""

    need_id: str
    traceparent: str | None


def open_needs(
    cursor: psycopg.Cursor[DictRow],
    keys: Sequence[tuple[str, str]],
    cause: NeedCause,
    traceparents: Sequence[str | None] | None = None,
    *,
    levels: Sequence[int] | None = None,
) -> list[OpenedNeed]:
    """Open a need for each of these (location, item) that is due; what was opened.

    `levels`: watch levels that stand in for the stored ones; only the hourly sweep has any.
    """
    if not keys:
        return []
    cursor.execute(
        _GIVEN,
        {
            "locations": [location for location, _ in keys],
            "items": [item for _, item in keys],
            "traceparents": list(traceparents) if traceparents else [None] * len(keys),
            "levels": list(levels) if levels is not None else [None] * len(keys),
            "cause": str(cause),
            "sweep": cause is NeedCause.SWEEP and levels is None,
        },
    )
    return [OpenedNeed(**row) for row in cursor.fetchall()]


def advance_clock(
    cursor: psycopg.Cursor[DictRow], location: str, through: datetime, traceparent: str | None = None
) -> list[OpenedNeed]:
    """Move a location's business clock forward (never back). When a day has closed: note which items ended it without
    stock, learn at which hours it sold, and sweep the location for needs; when only an hour has: sweep what moved in
    it. Returns the needs that the sweep opened."""
    cursor.execute(
        """INSERT INTO business_clock AS c (location, watermark) VALUES (%(location)s, %(through)s)
           ON CONFLICT (location) DO UPDATE SET watermark = %(through)s, moved_at = clock_timestamp()
           WHERE c.watermark < %(through)s
           RETURNING swept_hour, date_trunc('hour', watermark, 'UTC') AS hour""",
        {"location": location, "through": through},
    )
    moved = cursor.fetchone()
    if moved is None:
        return []
    hour_closed = moved["swept_hour"] is None or moved["swept_hour"] < moved["hour"]
    if hour_closed:
        cursor.execute("UPDATE business_clock SET swept_hour = %s WHERE location = %s", [moved["hour"], location])
    cursor.execute(
        """WITH before AS (
               SELECT location, swept_through, (watermark AT TIME ZONE 'UTC')::date - 1 AS day FROM business_clock
               WHERE location = %(location)s
           ), closed AS (
               UPDATE business_clock c SET swept_through = b.day FROM before b
               WHERE c.location = b.location AND (b.swept_through IS NULL OR b.swept_through < b.day)
               RETURNING greatest(coalesce(b.swept_through + 1, b.day), b.day - 30) AS first, b.day
           ), stockout AS (
               -- Stock at the end of each day that closed: what moved after midnight and is known already is undone.
               INSERT INTO stockout_day (location, item, day)
               SELECT p.location, p.item, d.day::date
               FROM closed, generate_series(closed.first, closed.day, interval '1 day') AS d (day),
                   LATERAL (SELECT (d.day + interval '1 day') AT TIME ZONE 'UTC' AS midnight) e,
                   position p
               WHERE p.location = %(location)s AND p.counted_at < e.midnight
                 AND p.on_hand_units <= (SELECT coalesce(sum(m.on_hand_delta), 0) FROM movement m
                     WHERE m.location = p.location AND m.item = p.item AND m.occurred_at >= e.midnight)
                 -- What was never counted is not known to be out: every day of a till without counts would be missing.
                 AND p.counted_at > '-infinity'
                 AND EXISTS (SELECT 1 FROM movement m
                     WHERE m.location = p.location AND m.item = p.item AND m.occurred_at < e.midnight)
               ON CONFLICT DO NOTHING
           )
           SELECT first, day FROM closed""",
        {"location": location},
    )
    closed = cursor.fetchone()
    if closed is None:
        if not hour_closed or moved["swept_hour"] is None:
            return []
        levels = sweeping.moved_levels(cursor, location, moved["swept_hour"], moved["hour"])
        keys = [(location, item) for item in levels]
        return open_needs(cursor, keys, NeedCause.SWEEP, [traceparent] * len(keys), levels=list(levels.values()))
    rhythm.learn(cursor, location, closed["first"], closed["day"])
    exposure.expose(cursor, location, closed["first"], closed["day"])
    sweep = {"location": location, "traceparent": traceparent, "cause": str(NeedCause.SWEEP), "sweep": True}
    cursor.execute(_OF_LOCATION, sweep)
    return [OpenedNeed(**row) for row in cursor.fetchall()]


def make_batches(cursor: psycopg.Cursor[DictRow]) -> list[NeedBatch]:
    """Gather needs that belong to no batch yet, one location at a time; the batch's id is a function of its needs.

    A location of which enough small batches are at work waits, and its next one is larger: a batch costs what it costs
    whatever is in it, and where they came faster than they are done, each would wait behind ever more of them.
    """
    cursor.execute(
        """SELECT n.location, array_agg(n.need_id ORDER BY n.need_id) AS needs, max(c.watermark) AS clock
           FROM (SELECT need_id, location FROM need WHERE batch_id IS NULL AND state = 'open' AND location NOT IN (
                     SELECT b.location FROM need_batch b WHERE b.finished_at IS NULL AND b.needs < %(small)s
                        AND coalesce(b.started_at, b.created_at)
                            > clock_timestamp() - make_interval(secs => %(patience)s)
                        AND EXISTS (SELECT FROM need u WHERE u.batch_id = b.batch_id AND u.state = 'open')
                     GROUP BY b.location HAVING count(*) >= %(at_work)s)
                 ORDER BY location, need_id LIMIT %(most)s FOR UPDATE SKIP LOCKED) n
           JOIN business_clock c USING (location) GROUP BY n.location""",
        {"most": MAX_BATCH, "small": SMALL_BATCH, "at_work": SMALL_AT_WORK, "patience": WAITS_FOR_SMALL_S},
    )
    batches = []
    for row in cursor.fetchall():
        batch_id = f"{row['location']}:{digest(row['needs'])[:16]}"
        batch = NeedBatch(batch_id=batch_id, location=row["location"], clock=row["clock"], needs=len(row["needs"]))
        cursor.execute(
            "INSERT INTO need_batch (batch_id, location, clock, needs) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [batch_id, batch.location, batch.clock, batch.needs],
        )
        cursor.execute("UPDATE need SET batch_id = %s WHERE need_id = ANY(%s)", [batch_id, row["needs"]])
        batches.append(batch)
    return batches


def unfinished_batches(cursor: psycopg.Cursor[DictRow], older_than_s: float) -> list[NeedBatch]:
    """Batches whose workflow was never noted as started, or that a lost workflow left behind."""
    cursor.execute(
        """SELECT batch_id, location, clock, needs FROM need_batch
           WHERE finished_at IS NULL
             AND (started_at IS NULL OR started_at < clock_timestamp() - make_interval(secs => %s))
           ORDER BY created_at LIMIT 50""",
        [older_than_s],
    )
    return [NeedBatch(**row) for row in cursor.fetchall()]
