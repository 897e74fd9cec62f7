"""Reads what happened to items at locations over a stretch of days, and what was known with each of their decisions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.histories import histories_of
from workflows.domain.decisions import SupplyOption
from workflows.domain.static_replay import YEAR, Delivery, Line, Place, PlaceDay, Standing
from workflows.domain.supplying import first_choice, preferred

Cursor = psycopg.AsyncCursor[DictRow]
Key = tuple[str, str]
"""(location, item)."""
LANES_BEFORE = timedelta(days=60)
_KEYS = "JOIN unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item) USING (location, item)"
_PLACED = "l.refused_reason IS NULL AND o.state IN ('placed', 'received', 'closed')"

# Only of decisions that were measured: the others' horizon has not passed.
_DECISIONS = f"""
SELECT d.location, d.item, (d.decided_at AT TIME ZONE 'UTC')::date AS day, d.horizon_end,
       b.inputs -> 'options' AS options, b.inputs ->> 'shortage_per_unit' AS shortage,
       b.inputs ->> 'holding_per_unit_day' AS holding,
       b.inputs #> '{{scores,days}}' AS days, b.inputs #>> '{{scores,demand_p50}}' AS demand,
       (b.inputs #>> '{{scores,protection_days}}')::int AS protection
FROM decision d {_KEYS} JOIN outcome USING (decision_id)
JOIN evidence e ON e.sha256 = d.inputs_sha256
CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS inputs) b
WHERE d.horizon_end > %(begin)s::date AND (d.decided_at AT TIME ZONE 'UTC')::date < %(end)s::date
  AND NOT EXISTS (SELECT 1 FROM decision n WHERE n.decision_id = d.decision_id AND n.revision > d.revision)
ORDER BY d.location, d.item, d.decided_at, d.decision_id
"""  # noqa: S608 - constants, here and below
# The newest count of a day is the truth at its instant: of the day's movements only those after it count.
_DAYS = f"""
WITH moved AS (
    SELECT m.location, m.item, (m.occurred_at AT TIME ZONE 'UTC')::date AS day, m.occurred_at, m.on_hand_delta,
           m.counted_units, m.source, m.event_id
    FROM movement m {_KEYS} WHERE m.occurred_at >= %(begin_at)s AND m.occurred_at < %(end_at)s
), counted AS (
    SELECT DISTINCT ON (location, item, day) location, item, day, occurred_at, counted_units FROM moved
    WHERE counted_units IS NOT NULL ORDER BY location, item, day, occurred_at DESC, source DESC, event_id DESC
)
SELECT m.location, m.item, m.day, max(c.counted_units) AS counted,
       coalesce(sum(m.on_hand_delta) FILTER (WHERE c.occurred_at IS NULL OR m.occurred_at > c.occurred_at), 0)::bigint
           AS moved
FROM moved m LEFT JOIN counted c USING (location, item, day) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608
_OPENING = f"""
SELECT k.location, k.item, (c.counted_units + coalesce((
    SELECT sum(m.on_hand_delta) FROM movement m WHERE m.location = k.location AND m.item = k.item
      AND m.occurred_at > c.occurred_at AND m.occurred_at < %(begin_at)s), 0))::bigint AS units
FROM (SELECT * FROM position {_KEYS}) k CROSS JOIN LATERAL (
    SELECT counted_units, occurred_at FROM movement m WHERE m.location = k.location AND m.item = k.item
      AND m.kind = 'count' AND m.occurred_at < %(begin_at)s
    ORDER BY occurred_at DESC, source DESC, event_id DESC LIMIT 1
) c
"""  # noqa: S608
_SOLD = f"""
SELECT location, item, day, greatest(0, sum(units))::bigint AS sold, bool_or(gone) AS gone FROM (
    SELECT location, item, day, units, false AS gone FROM daily_demand {_KEYS}
    UNION ALL SELECT location, item, day, 0, true FROM stockout_day {_KEYS}
) d WHERE day >= %(begin)s AND day < %(end)s GROUP BY location, item, day
"""  # noqa: S608
_DELIVERED = f"""
SELECT m.location, m.item, (m.occurred_at AT TIME ZONE 'UTC')::date AS arrived,
       (o.ordered_at AT TIME ZONE 'UTC')::date AS ordered, sum(m.on_hand_delta)::bigint AS units
FROM movement m {_KEYS} LEFT JOIN purchase_order o ON o.order_id = m.order_id
WHERE m.kind = 'receipt' AND m.occurred_at >= %(begin_at)s GROUP BY 1, 2, 3, 4
"""  # noqa: S608
_LINES = f"""
SELECT l.location, l.item, (o.ordered_at AT TIME ZONE 'UTC')::date AS ordered,
       greatest(0, l.units - l.received_units - l.short_units) AS owed
FROM order_line l {_KEYS} JOIN purchase_order o USING (order_id)
WHERE {_PLACED} AND o.ordered_at < %(end_at)s AND (o.ordered_at >= %(begin_at)s OR o.state = 'placed')
"""  # noqa: S608
_COMPANY = f"""
SELECT o.supplier, o.location, count(*)::numeric / count(DISTINCT o.order_id) AS lines
FROM purchase_order o JOIN order_line l USING (order_id)
WHERE {_PLACED} AND o.location = ANY(%(locations)s) GROUP BY o.supplier, o.location
"""  # noqa: S608
_LANES = """
SELECT supplier, location, ordered_on, percentile_disc(0.5) WITHIN GROUP (ORDER BY received_on - ordered_on) AS days
FROM observed_lead_time WHERE location = ANY(%(locations)s) AND ordered_on >= %(lanes_since)s
GROUP BY supplier, location, ordered_on ORDER BY supplier, location, ordered_on
"""


async def places_of(cursor: Cursor, keys: Sequence[Key], begin: date, end: date) -> dict[Key, Place]:
    """The stretch from `begin` to before `end` of each of these that has measured decisions reaching into it."""
    given: dict[str, Any] = {
        "locations": [location for location, _ in keys], "items": [item for _, item in keys],
        "begin": begin, "end": end, "begin_at": _midnight(begin), "end_at": _midnight(end),
        "since": begin - YEAR, "today": end, "lanes_since": begin - LANES_BEFORE,
    }  # fmt: skip
    company = {(row["supplier"], row["location"]): row["lines"] for row in await _all(cursor, _COMPANY, given)}
    decisions: dict[Key, list[Standing]] = defaultdict(list)
    for row in await _all(cursor, _DECISIONS, given):
        if (standing := _standing(row, company)) is not None:
            decisions[_key(row)].append(standing)
    opening = {_key(row): row["units"] for row in await _all(cursor, _OPENING, given)}
    moved: dict[Key, list[DictRow]] = defaultdict(list)
    for row in await _all(cursor, _DAYS, given):
        moved[_key(row)].append(row)
    sold: dict[Key, dict[date, DictRow]] = defaultdict(dict)
    for row in await _all(cursor, _SOLD, given):
        sold[_key(row)][row["day"]] = row
    deliveries: dict[Key, list[Delivery]] = defaultdict(list)
    for row in await _all(cursor, _DELIVERED, given):
        deliveries[_key(row)].append(Delivery(row["arrived"], row["ordered"], row["units"]))
    lines: dict[Key, list[Line]] = defaultdict(list)
    for row in await _all(cursor, _LINES, given):
        lines[_key(row)].append(Line(row["ordered"], row["owed"]))
    lanes: dict[str, dict[str, list[tuple[date, int]]]] = defaultdict(lambda: defaultdict(list))
    for row in await _all(cursor, _LANES, given):
        lanes[row["location"]][row["supplier"]].append((row["ordered_on"], row["days"]))
    known = await histories_of(cursor, given)
    found = {}
    for key, known_then in decisions.items():
        history = known.history(key)
        first = history.first_day if history else begin
        observed = history.daily_units if history else ()
        found[key] = Place(
            decisions=known_then, opening=opening.get(key, 0),
            days=_days(opening.get(key, 0), moved[key], sold[key]),
            demand={first + timedelta(days=n): units for n, units in enumerate(observed) if units is not None},
            deliveries=deliveries[key], lines=lines[key], lead_times=lanes[key[0]],
        )  # fmt: skip
    return found


async def _all(cursor: Cursor, query: str, given: Mapping[str, Any]) -> list[DictRow]:
    await cursor.execute(query.encode(), given)
    return await cursor.fetchall()


def _key(row: DictRow) -> Key:
    return row["location"], row["item"]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _standing(row: DictRow, company: Mapping[Key, Decimal]) -> Standing | None:
    """The decision's own words; the static order would go to the supplier that the catalog preferred then. None where
    there was nobody to order from: neither world could do anything."""
    options = [SupplyOption.model_validate(option) for option in row["options"]]
    option = preferred(options) or first_choice(options)
    usual = Decimal(row["demand"]) / max(1, row["protection"])
    told: dict[str, Any] = {
        "day": row["day"], "until": row["horizon_end"], "holding": Decimal(row["holding"]),
        "shortage": Decimal(row["shortage"]), "usual": usual,
        "medians": {date.fromisoformat(one["day"]): Decimal(one["p50"]) for one in row["days"]},
    }  # fmt: skip
    if option is None:
        return None
    sourcing = option.sourcing
    lines = company.get((sourcing.supplier, row["location"]), Decimal(1))
    return Standing(
        supplier=sourcing.supplier, lead_days=sourcing.lead_time_days, review_days=sourcing.review_days,
        pack_units=sourcing.pack_units, minimum_units=sourcing.minimum_order_units,
        line_cost=option.supplier.cost_per_order / lines, **told,
    )  # fmt: skip


def _days(
    opening: int, moved: Sequence[DictRow], sold: Mapping[date, DictRow]
) -> dict[date, PlaceDay]:  # fmt: skip
    """Each day on which something moved or was sold, with the stock at its end."""
    moves = {row["day"]: row for row in moved}
    found, stock = {}, opening
    for day in sorted(moves.keys() | sold.keys()):
        row = moves.get(day)
        if row is not None:
            stock = (stock if row["counted"] is None else row["counted"]) + row["moved"]
        said = sold.get(day)
        found[day] = PlaceDay(sold=said["sold"] if said else 0, closing=stock, empty=bool(said and said["gone"]))
    return found
