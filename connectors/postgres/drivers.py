"""What drives demand from outside: prices paid, and numbers that somebody gave, each as known at an instant."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.columns import literal
from connectors.postgres.pool import Connection, transaction
from workflows.domain.drivers import EVERYWHERE, PRICE, DriverSeries, ExternalValue
from workflows.domain.ledger import EntryType, NewEntry

Cursor = psycopg.AsyncCursor[DictRow]
Key = tuple[str, str]
PRICE_DAYS = 91
"""A decision compares the price with that of 13 weeks; training looks at every such stretch of the past."""
AHEAD_DAYS = 160
"""The furthest day for which a value known ahead is read."""

# Of a day that has begun only what was said before it: a later row is what came true, and no forecast had that.
_EXTERNAL = """
SELECT DISTINCT ON (location, name, day) location, name, day, value FROM external_driver
WHERE (location = ANY(%(locations)s::text[]) OR location = %(everywhere)s)
  AND day BETWEEN %(since)s AND %(until)s
  AND known_at <= least(%(clock)s::timestamptz, day::timestamp AT TIME ZONE 'UTC')
  AND recorded_at <= %(recorded_by)s::timestamptz
ORDER BY location, name, day, known_at DESC
"""
# A price that did not change in all that time is the usual one, and need not be told.
_PRICES = """
WITH paid AS (
    SELECT location, item, day, round(sum(revenue) / sum(units), 4) AS price FROM (
        {sales}
        UNION ALL
        SELECT location, item, day, unit_price * greatest(units, 1), greatest(units, 1) FROM recorded_demand
            {keys} WHERE unit_price IS NOT NULL AND recorded_at <= %(recorded_by)s::timestamptz
    ) p WHERE day >= %(since)s AND day < %(today)s GROUP BY location, item, day
)
SELECT location, item, day, price FROM paid JOIN (
    SELECT location, item FROM paid GROUP BY location, item HAVING min(price) < max(price)
) changing USING (location, item) ORDER BY location, item, day
"""
_PAID = """
SELECT location, item, demand_day AS day, unit_price * demand_units AS revenue, demand_units AS units FROM movement
    {keys} WHERE unit_price IS NOT NULL AND demand_units > 0 AND recorded_at <= %(recorded_by)s::timestamptz
"""
# The same sums, as intake keeps them: for decisions, which want what is known by now.
_PAID_BY_NOW = (
    "SELECT location, item, day, revenue, priced_units AS units FROM daily_demand {keys} WHERE priced_units > 0"
)
_KEYS = "JOIN unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item) USING (location, item)"


async def drivers_of(
    cursor: Cursor,
    keys: Sequence[Key],
    clock: datetime,
    since: date,
    recorded_by: datetime | None = None,
    *,
    priced: Collection[Key] | None = None,
) -> dict[Key, tuple[DriverSeries, ...]]:
    """The drivers of each (location, item) as known at the business instant `clock`, from the day `since` on.

    `recorded_by`: leave out what reached this database later (for training sets); None: all there is by now.
    `priced`: those of the keys of which a price was ever told, for who knows; None: any.
    """
    today = clock.astimezone(UTC).date()
    arguments: dict[str, Any] = {
        "locations": literal([location for location, _ in keys]), "items": literal([item for _, item in keys]),
        "clock": clock,
        "everywhere": EVERYWHERE, "since": since, "today": today, "until": today + timedelta(days=AHEAD_DAYS),
        "recorded_by": recorded_by or "infinity",
    }  # fmt: skip
    await cursor.execute(_EXTERNAL, arguments)
    by_place: dict[str, dict[str, dict[date, Decimal]]] = defaultdict(lambda: defaultdict(dict))
    for row in await cursor.fetchall():
        by_place[row["location"]][row["name"]][row["day"]] = row["value"]
    sales = (_PAID if recorded_by else _PAID_BY_NOW).format(keys=_KEYS)
    arguments["since"] = today - timedelta(days=PRICE_DAYS) if recorded_by is None else since
    told = sorted(keys if priced is None else priced)
    arguments |= {"locations": [location for location, _ in told], "items": [item for _, item in told]}
    await cursor.execute(_PRICES.format(keys=_KEYS, sales=sales), arguments)
    prices: dict[Key, dict[date, Decimal]] = defaultdict(dict)
    for row in await cursor.fetchall():
        prices[row["location"], row["item"]][row["day"]] = row["price"]
    places = {location: _series_of(by_place, location) for location in {location for location, _ in keys}}
    return {
        key: (*places[key[0]], *((DriverSeries.of(PRICE, prices[key], known_ahead=False),) if key in prices else ()))
        for key in keys
    }


async def calendars_of(cursor: Cursor) -> dict[str, dict[str, str | None]]:
    """Each location's country and subdivision: whose public holidays it keeps."""
    await cursor.execute("SELECT location, country, subdivision FROM location")
    return {
        row["location"]: {"country": row["country"], "subdivision": row["subdivision"]}
        for row in await cursor.fetchall()
    }  # fmt: skip


def _series_of(given: Mapping[str, Mapping[str, Mapping[date, Decimal]]], location: str) -> tuple[DriverSeries, ...]:
    """A location's own values come before those for everywhere, day by day."""
    own, shared = given.get(location, {}), given.get(EVERYWHERE, {})
    return tuple(
        DriverSeries.of(name, {**shared.get(name, {}), **own.get(name, {})}, known_ahead=True)
        for name in sorted({*own, *shared})
    )


def load_drivers(connection: Connection, values: Iterable[ExternalValue], *, actor: str) -> tuple[int, int]:
    """Store values from outside, on the record; what is there already stays. Returns (given, new)."""
    rows = list(values)
    with transaction(connection, "drivers.load_drivers") as cursor:
        cursor.execute("CREATE TEMP TABLE loading (LIKE external_driver INCLUDING DEFAULTS) ON COMMIT DROP")
        with cursor.copy("COPY loading (location, name, day, known_at, value) FROM STDIN") as copy:
            for one in rows:
                copy.write_row((one.location, one.name, one.day, one.known_at, one.value))
        cursor.execute("INSERT INTO external_driver SELECT * FROM loading ON CONFLICT DO NOTHING")
        new = cursor.rowcount
        if new:
            body = {"values": new, "names": sorted({one.name for one in rows}),
                    "first": min(one.day for one in rows), "last": max(one.day for one in rows)}  # fmt: skip
            entry = NewEntry(stream="drivers", type=EntryType.DRIVERS_IMPORTED, actor=actor,
                             occurred_at=datetime.now(UTC), body=body)  # fmt: skip
            ledger.append_now(cursor, [entry])
    return len(rows), new
