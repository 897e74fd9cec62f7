"""Reads sales for people: sums by day that were added up before, single items from their own days."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts, rhythm
from connectors.postgres.pool import Database
from workflows.domain.errors import NotFound
from workflows.domain.rhythm import PERMILLE
from workflows.domain.sales_views import Mover, SalesBy, SalesPeriod, SalesPoint, SalesQuery, SalesReport, Today

Cursor = psycopg.AsyncCursor[DictRow]
SHOWN = 8
"""Items in each list of movers."""
BEST_ITEMS = 20
"""Best sellers that a report by item tells of, where no item is named."""
MOST_LINES = 1000
"""Locations or categories that one report tells of."""

_SUMS = """
SELECT {name} AS name, {period} AS first_day, sum(units)::bigint AS units, sum(priced_units)::bigint AS priced_units,
       sum(revenue) AS revenue
FROM sales_day
WHERE day >= %(first)s AND day <= %(last)s AND (%(location)s = '' OR location = %(location)s)
  AND (%(category)s = '' OR category = %(category)s)
GROUP BY 1, 2 ORDER BY 1, 2
"""
# By look-ups, one per location and item.
_ITEMS = """
SELECT {name} AS name, {period} AS first_day, sum(units)::bigint AS units, sum(priced_units)::bigint AS priced_units,
       sum(revenue) AS revenue
FROM (
    SELECT d.location, d.item, d.day, d.units, d.priced_units, d.revenue
    FROM location l CROSS JOIN unnest(%(items)s::text[]) AS i (item) JOIN daily_demand d
        ON d.location = l.location AND d.item = i.item AND d.day >= %(first)s AND d.day <= %(last)s
    UNION ALL
    SELECT r.location, r.item, r.day, r.units, CASE WHEN r.unit_price IS NULL THEN 0 ELSE r.units END,
           coalesce(r.unit_price, 0) * r.units
    FROM location l CROSS JOIN unnest(%(items)s::text[]) AS i (item) JOIN recorded_demand r
        ON r.location = l.location AND r.item = i.item AND r.day >= %(first)s AND r.day <= %(last)s
) d WHERE %(location)s = '' OR location = %(location)s
GROUP BY 1, 2 ORDER BY 1, 2
"""
_LINE = {SalesBy.LOCATION: "location", SalesBy.CATEGORY: "category", SalesBy.ITEM: "item"}
_PERIOD = {SalesPeriod.DAY: "day", SalesPeriod.WEEK: "date_trunc('week', day)::date"}
_NEWEST = """
SELECT coalesce(c.today, (SELECT max(day) FROM sales_day)) AS last, c.today IS NOT NULL AS running
FROM (SELECT max((watermark AT TIME ZONE 'UTC')::date) AS today FROM business_clock) c
"""
_TODAY = """
SELECT c.location, c.watermark AS clock, coalesce(sum(s.units) FILTER (WHERE s.day = c.today), 0)::bigint AS sold_units,
       sum(s.units) FILTER (WHERE s.day < c.today)::numeric
           / nullif(count(DISTINCT s.day) FILTER (WHERE s.day < c.today), 0) AS usual_units
FROM (SELECT location, watermark, (watermark AT TIME ZONE 'UTC')::date AS today FROM business_clock) c
LEFT JOIN sales_day s ON s.location = c.location
                     AND s.day = ANY(ARRAY[c.today, c.today - 7, c.today - 14, c.today - 21, c.today - 28])
WHERE %(location)s = '' OR c.location = %(location)s
GROUP BY c.location, c.watermark ORDER BY c.location LIMIT %(most)s
"""
_LEADERS = """
SELECT s.item, coalesce(i.name, s.item) AS item_name, s.newest_units, s.before_units
FROM sales_leader s LEFT JOIN item i USING (item)
WHERE s.scope = %(scope)s AND (%(category)s = '' OR i.category = %(category)s)
"""


class PostgresSales:
    """The `Sales` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, query: SalesQuery) -> SalesReport:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT as_of FROM figure_snapshot")
            row = await cursor.fetchone()
            currency = await facts.setting(cursor, "currency", "EUR")
            if query.item:
                await _known_item(cursor, query.item)
            await cursor.execute(_NEWEST)
            newest = await cursor.fetchone() or {"last": None, "running": False}
            last: date | None = newest["last"]
            first = first_day(last, query) if last else None
            today = [] if query.item or query.category else await _today(cursor, query.location)
            await cursor.execute(_LEADERS, {"scope": query.location, "category": query.category})
            leaders = [Mover.model_validate(one) for one in await cursor.fetchall()]
            best = sorted((one for one in leaders if one.newest_units > 0), key=lambda one: -one.newest_units)
            items = [query.item] if query.item else [one.item for one in best[:BEST_ITEMS]]
            points = await _points(cursor, query, items, first, last)
        return SalesReport(
            as_of=row["as_of"] if row else None, currency=currency, points=tuple(points), today=tuple(today),
            first_day=first, last_day=last, running=newest["running"],
            risers=tuple(sorted((m for m in leaders if m.change_units > 0), key=lambda m: -m.change_units)[:SHOWN]),
            fallers=tuple(sorted((m for m in leaders if m.change_units < 0), key=lambda m: m.change_units)[:SHOWN]),
            best=tuple(best[:SHOWN]),
        )  # fmt: skip


async def _known_item(cursor: Cursor, item: str) -> None:
    await cursor.execute("SELECT 1 FROM item WHERE item = %s", [item])
    if await cursor.fetchone() is None:
        raise NotFound(f"The catalog has no item {item}.")


async def _points(
    cursor: Cursor, query: SalesQuery, items: list[str], first: date | None, last: date | None
) -> list[SalesPoint]:
    if first is None or last is None:
        return []
    given: dict[str, Any] = {
        "first": first, "last": last, "location": query.location,
        "category": query.category, "items": items,
    }  # fmt: skip
    single = query.item or query.by is SalesBy.ITEM
    by = SalesBy.ITEM if query.item and query.by is SalesBy.CATEGORY else query.by
    select = (_ITEMS if single else _SUMS).format(name=_LINE[by], period=_PERIOD[query.period])
    await cursor.execute(select, given)
    return [SalesPoint.model_validate(one) for one in await cursor.fetchall()]


def first_day(last: date, query: SalesQuery) -> date:
    """The first day of the oldest period: weeks begin on Mondays, the running one is the newest."""
    if query.period is SalesPeriod.DAY:
        return last - timedelta(days=query.periods - 1)
    return last - timedelta(days=last.weekday() + 7 * (query.periods - 1))


async def _today(cursor: Cursor, location: str) -> list[Today]:
    await cursor.execute(rhythm.SELECT)
    rhythms = await cursor.fetchall()
    await cursor.execute(_TODAY, {"location": location, "most": MOST_LINES})
    found = []
    for row in await cursor.fetchall():
        usual, known = row["usual_units"], rhythm.of_location(rhythms, row["location"])
        done = known.elapsed_permille(row["clock"]) if known.known else None
        expected = None if usual is None or done is None else (usual * done / PERMILLE).quantize(Decimal("0.1"))
        found.append(Today.model_validate({
            **row, "usual_units": None if usual is None else usual.quantize(Decimal("0.1")), "expected_units": expected,
        }))  # fmt: skip
    return found
