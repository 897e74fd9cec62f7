"""A chain of any size, written set-wise in SQL: so many items at so many locations, each with a year of daily demand.

Velocities are those of a long tail: of 100 items 10 sell about daily, 30 every third day, 60 every other week. Most
shelves are full enough, so that most decisions are holds, as on any morning in a chain.
"""

from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg.rows import DictRow

FIRST_DAY = date(2026, 3, 2)
DAYS = 365
LOCATION_ITEMS = 5_000
"""Items of a location, at most."""
AT_ONCE = 25_000
"""Keys whose past is written by one statement."""

_CATALOG = """
INSERT INTO supplier (supplier, name, cost_per_order)
SELECT format('V%%s', lpad(n::text, 2, '0')), format('Supplier %%s', n), 5 + n %% 7 FROM generate_series(0, 39) AS n
ON CONFLICT DO NOTHING;
INSERT INTO item (item, name, category, price, goodwill_per_unit)
SELECT format('I%%s', lpad(n::text, 6, '0')), format('Item %%s', n), format('C%%s', n %% 12),
       2 + (n * 7919 %% 5000)::numeric / 100, (n %% 5)::numeric / 10
FROM generate_series(%(first)s::int, %(last)s::int - 1) AS n ON CONFLICT DO NOTHING;
INSERT INTO location (location, name)
SELECT format('L%%s', lpad(n::text, 4, '0')), format('Location %%s', n)
FROM generate_series(0, %(locations)s::int - 1) AS n ON CONFLICT DO NOTHING
"""
_KEYS = """
CREATE TEMP TABLE fresh ON COMMIT DROP AS
SELECT n, format('L%%s', lpad((n / %(wide)s)::text, 4, '0')) AS location,
       format('I%%s', lpad((n %% %(wide)s)::text, 6, '0')) AS item,
       -- Sales in ten thousand days, by the item: what sells well sells well everywhere.
       CASE WHEN n %% 10 = 0 THEN 8500 WHEN n %% 10 < 4 THEN 3300 ELSE 700 END
           * (80 + abs(hashint8extended(n, 5) %% 40)) / 100 AS rate
FROM generate_series(%(first)s::int, %(last)s::int - 1) AS n
"""
_SOURCING = """
INSERT INTO sourcing (item, location, supplier, rank, unit_cost, pack_units, minimum_order_units, lead_time_days,
                      review_days)
SELECT f.item, f.location, format('V%%s', lpad((((f.n %% 5000) * 13 + r * 17) %% 40)::text, 2, '0')), r + 1,
       round(i.price * (0.55 + 0.04 * r), 2), CASE WHEN f.n %% 3 = 0 THEN 6 ELSE 1 END, 0,
       3 + ((f.n %% 5000) * 13 %% 40) %% 8 - r, 1
FROM fresh f JOIN item i USING (item) CROSS JOIN generate_series(0, 1) AS r
-- One in eight can be had from two suppliers.
WHERE r = 0 OR f.n %% 8 = 0
"""
_RECEIPTS = """
INSERT INTO observed_lead_time (reference, supplier, location, item, ordered_on, received_on, units)
SELECT format('%%s:%%s:%%s', f.location, f.item, k), s.supplier, f.location, f.item, %(day)s::date - 20 - k * 40,
       %(day)s::date - 20 - k * 40 + s.lead_time_days + (f.n + k) %% 3, 24
FROM fresh f JOIN sourcing s ON s.location = f.location AND s.item = f.item AND s.rank = 1
CROSS JOIN generate_series(1, 2) AS k WHERE k = 1 OR f.n %% 10 = 0
"""
_PAST = """
INSERT INTO recorded_demand (location, item, day, units)
SELECT location, item, %(day)s::date - d, 1 + (chance / 10000 %% 100 < 30)::int * (chance / 1000000 %% 4)::int
FROM fresh f CROSS JOIN generate_series(%(days)s::int, 1, -1) AS d
CROSS JOIN LATERAL (SELECT abs(hashint8extended(f.n, d)) AS chance) c
WHERE chance %% 10000 < f.rate ORDER BY location, item, d DESC
"""
_POSITIONS = """
INSERT INTO position (location, item, counted_units, counted_at, data_through)
SELECT location, item,
       CASE WHEN n %% 40 = 7 THEN 0 ELSE 2 + rate * (28 + abs(hashint8extended(n, 3) %% 60)) / 10000 END,
       %(noon)s, %(noon)s
FROM fresh
"""


def prepare(connection: psycopg.Connection[DictRow], keys: int) -> int:
    """Catalog and clocks of a chain with so many SKU-locations; how many locations it has."""
    locations = -(-keys // LOCATION_ITEMS)
    with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
        for statement in _CATALOG.split(";"):
            cursor.execute(statement, {"first": 0, "last": min(keys, LOCATION_ITEMS), "locations": locations})
    return locations


def fill(connection: psycopg.Connection[DictRow], first: int, last: int) -> None:
    """The SKU-locations from number `first` up to `last`: where they come from, what they sold, what is there."""
    noon = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) - timedelta(hours=12)
    for begin in range(first, last, AT_ONCE):
        given = {"first": begin, "last": min(last, begin + AT_ONCE), "wide": LOCATION_ITEMS, "day": FIRST_DAY,
                 "days": DAYS, "noon": noon}  # fmt: skip
        # Parameters written out by the client: the planner should see them, and the numbers of the table just made.
        with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
            for statement in (_KEYS, "ANALYZE fresh", _SOURCING, _RECEIPTS, _PAST, _POSITIONS):
                cursor.execute(statement, given)
