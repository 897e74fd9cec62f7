"""Adds sales up by day, location and category, and ranks items by their newest week; pages only read the sums."""

import psycopg
from psycopg.rows import DictRow

Cursor = psycopg.AsyncCursor[DictRow]
NEWEST_DAYS = 8
"""Late sales and sales taken back mostly change the days since the same weekday of last week."""
KEPT_DAYS = 800
"""Two years and what a year before is compared with."""
LEADERS = 100
"""Items per location, and over all, that are kept as best sellers; as many as rose, as many as fell."""

_FIRST = """
SELECT coalesce((SELECT max((watermark AT TIME ZONE 'UTC')::date) FROM business_clock),
                (SELECT max(day) FROM recorded_demand)) - %(days)s AS first
"""
_FORGET = "DELETE FROM sales_day WHERE day >= %(first)s OR day < %(first)s - %(forget)s"
_SUMS = """
INSERT INTO sales_day (day, location, category, units, recorded_units, priced_units, revenue)
SELECT day, location, coalesce(i.category, 'uncategorised'), sum(units), sum(recorded), sum(priced_units), sum(revenue)
FROM (
    SELECT day, location, item, units, 0 AS recorded, priced_units, revenue FROM daily_demand WHERE day >= %(first)s
    UNION ALL
    SELECT day, location, item, units, units, CASE WHEN unit_price IS NULL THEN 0 ELSE units END,
           coalesce(unit_price, 0) * units
    FROM recorded_demand WHERE day >= %(first)s
) d LEFT JOIN item i USING (item)
GROUP BY day, location, coalesce(i.category, 'uncategorised')
"""
# The newest closed week beside the four before it, by each location's own clock.
_LEADERS = """
INSERT INTO sales_leader (scope, item, newest_units, before_units)
WITH clock AS (
    SELECT location, (watermark AT TIME ZONE 'UTC')::date AS today FROM business_clock
), sold AS (
    SELECT d.location, d.item, coalesce(sum(d.units) FILTER (WHERE d.day >= c.today - 7), 0)::bigint AS newest,
           coalesce(sum(d.units) FILTER (WHERE d.day < c.today - 7), 0)::bigint AS before
    FROM (SELECT location, item, day, units FROM daily_demand
          WHERE day >= (SELECT min(today) FROM clock) - 35
          UNION ALL SELECT location, item, day, units FROM recorded_demand
          WHERE day >= (SELECT min(today) FROM clock) - 35) d
    JOIN clock c ON c.location = d.location AND d.day >= c.today - 35 AND d.day < c.today
    GROUP BY d.location, d.item
), scoped AS (
    SELECT location AS scope, item, newest, before FROM sold
    UNION ALL SELECT '', item, sum(newest)::bigint, sum(before)::bigint FROM sold GROUP BY item
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY scope ORDER BY newest DESC, item) AS best,
           row_number() OVER (PARTITION BY scope ORDER BY newest - before / 4.0 DESC, item) AS rise,
           row_number() OVER (PARTITION BY scope ORDER BY newest - before / 4.0, item) AS fall
    FROM scoped
)
SELECT scope, item, newest, before FROM ranked
WHERE best <= %(leaders)s OR rise <= %(leaders)s OR fall <= %(leaders)s
"""


async def add_up(cursor: Cursor, *, newest: bool) -> None:
    """Add up the newest days, or all that are kept and the leaders. In one transaction: nobody sees half of it."""
    await cursor.execute(_FIRST, {"days": NEWEST_DAYS if newest else KEPT_DAYS})
    row = await cursor.fetchone()
    if row is None or row["first"] is None:
        return
    given = {"first": row["first"], "forget": KEPT_DAYS, "leaders": LEADERS}
    await cursor.execute(_FORGET, given)
    await cursor.execute(_SUMS, given)
    if not newest:
        await cursor.execute("DELETE FROM sales_leader")
        await cursor.execute(_LEADERS, given)
