"""Remembers at which hours each location sells, from the times of its sale events; what is older fades.

The query is a constant that both kinds of connection run: intake's, which sweeps, and the worker's, which scores.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypedDict

import psycopg
from psycopg.rows import DictRow

from workflows.domain.rhythm import HOURS, PERMILLE, DayRhythm

SELECT = """
SELECT location, sales, same_sale_pairs, same_day_pairs FROM day_rhythm
"""

# A day counts a little less with every day that closes after it (27/28: half of it is gone after three weeks).
_LEARN = """
WITH sale AS (
    SELECT item, demand_day, extract(hour FROM occurred_at AT TIME ZONE 'UTC')::int AS hour,
           demand_units::bigint AS units
    FROM movement
    WHERE location = %(location)s AND kind = 'sale'
      AND occurred_at >= %(first)s::date::timestamp AT TIME ZONE 'UTC'
      AND occurred_at < (%(last)s::date + 1)::timestamp AT TIME ZONE 'UTC'
), hourly AS (
    SELECT array_agg(coalesce(n, 0) ORDER BY h) AS sales
    FROM generate_series(0, 23) AS h LEFT JOIN (SELECT hour, count(*) AS n FROM sale GROUP BY hour) s ON s.hour = h
), seen AS (
    SELECT hourly.sales,
           (SELECT coalesce(sum(units * (units - 1)), 0) FROM sale)::bigint AS same_sale,
           (SELECT coalesce(sum(day * (day - 1)), 0)
            FROM (SELECT sum(units) AS day FROM sale GROUP BY item, demand_day) d)::bigint AS same_day
    FROM hourly
)
INSERT INTO day_rhythm AS r (location, sales, same_sale_pairs, same_day_pairs)
SELECT %(location)s, sales, same_sale, same_day FROM seen
ON CONFLICT (location) DO UPDATE SET
    sales = (SELECT array_agg(27 * r.sales[h] / 28 + excluded.sales[h] ORDER BY h) FROM generate_series(1, 24) AS h),
    same_sale_pairs = 27 * r.same_sale_pairs / 28 + excluded.same_sale_pairs,
    same_day_pairs = 27 * r.same_day_pairs / 28 + excluded.same_day_pairs
"""


class SoFar(TypedDict):
    """The fields of a scoring row that say how far the day is."""

    day_elapsed_permille: int | None
    day_clump_permille: int | None


def learn(cursor: psycopg.Cursor[DictRow], location: str, first: date, last: date) -> None:
    """Take in the sales of the days (inclusive) that have closed. They are read through an index, once."""
    cursor.execute(_LEARN, {"location": location, "first": first, "last": last})


def of_location(rows: Sequence[DictRow], location: str) -> DayRhythm:
    """One location's rhythm among those of all (rows of `SELECT`)."""
    own = next((row for row in rows if row["location"] == location), None)
    return DayRhythm(
        own_sales=tuple(own["sales"]) if own else (0,) * HOURS,
        all_sales=_sums(row["sales"] for row in rows),
        same_sale_pairs=own["same_sale_pairs"] if own else 0,
        same_day_pairs=own["same_day_pairs"] if own else 0,
    )


def so_far(rows: Sequence[DictRow], location: str, clock: datetime, data_through: datetime) -> SoFar:
    """How much of the clock's day is done, for a scoring row: up to the newest fact that is known of the location."""
    rhythm = of_location(rows, location)
    if not rhythm.known:
        return {"day_elapsed_permille": None, "day_clump_permille": None}
    until, today = max(clock, data_through), clock.astimezone(UTC).date()
    over = until.astimezone(UTC).date() > today
    done = PERMILLE if over else rhythm.elapsed_permille(until)
    return {"day_elapsed_permille": done, "day_clump_permille": rhythm.clump_permille}


def day_of(hour: datetime) -> date:
    """The (UTC) day that the stretch before this instant belongs to."""
    return (hour.astimezone(UTC) - timedelta(microseconds=1)).date()


def _sums(hourly: Iterable[Sequence[int]]) -> tuple[int, ...]:
    columns = list(zip(*hourly, strict=True))
    return tuple(sum(column) for column in columns) if columns else (0,) * HOURS
