"""Works out, when a day closes, for which share of the usual sales hours an item was in stock on it.

Two kinds of days are told from the movements' times. The shelf ran empty: nothing but sales moved the stock, and the
day ended without any; it was in stock until the last sale. The shelf was filled: the day before ended without stock,
goods came or were found, and the day ended with stock; it was in stock from then on. Counts that saw goods disturb
neither. Other days without stock stay unknown.
"""

from datetime import date

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import rhythm
from workflows.domain.rhythm import PERMILLE

ALL_DAY_PERMILLE = 990
"""Filled before practically anybody buys: a whole day."""

_MOMENTS = """
WITH d AS (
    SELECT day::date AS day, day::timestamp AT TIME ZONE 'UTC' AS begins,
           (day + interval '1 day')::timestamp AT TIME ZONE 'UTC' AS ends
    FROM generate_series(%(first)s::date, %(last)s::date, interval '1 day') AS g (day)
), emptied AS (
    SELECT o.item, d.day, max(m.occurred_at) FILTER (WHERE m.kind = 'sale') AS moment
    FROM d JOIN stockout_day o ON o.location = %(location)s AND o.day = d.day
    JOIN movement m ON m.location = o.location AND m.item = o.item
        AND m.occurred_at >= d.begins AND m.occurred_at < d.ends
    WHERE NOT EXISTS (SELECT 1 FROM stockout_day b
                      WHERE b.location = o.location AND b.item = o.item AND b.day = d.day - 1)
    GROUP BY o.item, d.day
    HAVING bool_or(m.kind = 'sale') AND bool_and(m.kind = 'sale' OR coalesce(m.counted_units, 0) > 0)
), filled AS (
    SELECT b.item, d.day, min(m.occurred_at) AS moment
    FROM d JOIN stockout_day b ON b.location = %(location)s AND b.day = d.day - 1
    JOIN movement m ON m.location = b.location AND m.item = b.item
        AND m.occurred_at >= d.begins AND m.occurred_at < d.ends
    WHERE NOT EXISTS (SELECT 1 FROM stockout_day o
                      WHERE o.location = b.location AND o.item = b.item AND o.day = d.day)
    GROUP BY b.item, d.day
    HAVING bool_or(m.kind <> 'sale') AND bool_and(m.kind IN ('receipt', 'sale') OR coalesce(m.counted_units, 0) > 0)
)
SELECT item, day, moment, true AS emptied FROM emptied UNION ALL SELECT item, day, moment, false FROM filled
ORDER BY item, day
"""


def expose(cursor: psycopg.Cursor[DictRow], location: str, first: date, last: date) -> int:
    """Note the exposure of the days (inclusive) that have closed; how many were noted.

    Where nobody knows yet at which hours the location sells, nothing is.
    """
    cursor.execute(rhythm.SELECT)
    usual = rhythm.of_location(cursor.fetchall(), location)
    if not usual.known:
        return 0
    cursor.execute(_MOMENTS, {"location": location, "first": first, "last": last})
    noted = []
    for row in cursor.fetchall():
        done = usual.elapsed_permille(row["moment"])
        exposure = done if row["emptied"] else PERMILLE - done
        if row["emptied"] or exposure < ALL_DAY_PERMILLE:
            noted.append((location, row["item"], row["day"], exposure))
    cursor.executemany(
        """INSERT INTO day_exposure (location, item, day, exposure_permille) VALUES (%s, %s, %s, %s)
           ON CONFLICT DO NOTHING""",
        noted,
    )
    return len(noted)
