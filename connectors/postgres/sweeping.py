"""Finds what an hour has moved, and how today's sales have moved its watch level: bounded by movements, never by stock.

A location may keep a million positions; an hour moves some of them. Only those are looked at, through an index.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import rhythm
from workflows.domain.rhythm import DayRhythm, TodaysForecast

# What moved in the hours that closed, with its level, today's sales up to the end of the hour and up to its assessment,
# and the newest decision's forecast of today. `movement_by_moment` gives the items, `movement_by_demand_day` their
# sales, `decision_by_position` the forecast: the cost is in movements of the hour, whatever the location keeps.
# A fact that comes later than its hour moved its position when it came: intake itself looks at each that it touches.
_MOVED = """
WITH moved AS (
    SELECT DISTINCT item FROM movement
    WHERE location = %(location)s AND occurred_at > %(since)s AND occurred_at <= %(until)s
)
SELECT p.item, p.watch_level_units, p.last_assessed_at, today.sold, today.sold_before, d.forecast
FROM moved JOIN position p ON p.location = %(location)s AND p.item = moved.item
CROSS JOIN LATERAL (
    SELECT coalesce(sum(m.demand_units), 0)::bigint AS sold,
           coalesce(sum(m.demand_units) FILTER (WHERE m.occurred_at <= p.last_assessed_at), 0)::bigint AS sold_before
    FROM movement m
    WHERE m.location = p.location AND m.item = p.item AND m.demand_day = %(today)s AND m.occurred_at <= %(until)s
) today
LEFT JOIN LATERAL (
    SELECT (SELECT one FROM jsonb_array_elements(convert_from(e.body, 'UTF8')::jsonb -> 'scores' -> 'days') AS one
            WHERE one ->> 'day' = %(today)s::date::text) AS forecast
    FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
    WHERE d.location = p.location AND d.item = p.item ORDER BY d.decided_at DESC, d.revision DESC LIMIT 1
) d ON true
WHERE p.watch_level_units IS NOT NULL AND p.last_assessed_at IS NOT NULL
ORDER BY p.item
"""


def moved_levels(cursor: psycopg.Cursor[DictRow], location: str, since: datetime, until: datetime) -> dict[str, int]:
    """The watch level, moved by the day's signal, of each item that moved after `since` and up to `until` (hours)."""
    today = rhythm.day_of(until)
    cursor.execute(_MOVED, {"location": location, "since": since, "until": until, "today": today})
    moved = cursor.fetchall()
    if not moved:
        return {}
    cursor.execute(rhythm.SELECT)
    seen = rhythm.of_location(cursor.fetchall(), location)
    return {row["item"]: signalled_level(row, seen, until) for row in moved}


def signalled_level(row: Mapping[str, Any], seen: DayRhythm, until: datetime) -> int:
    """The watch level as the day has moved it: w + E[rest of today | sales so far] - what w holds of today, units.

    The level was set to cover demand from its assessment on, today's included. What it holds of today is the whole day,
    or, if it was set today, what was then expected of the rest. Rounded up; at least 1, as every level is. Without a
    forecast of today, or before the location's rhythm is known, the level is what it was.
    """
    level, forecast = int(row["watch_level_units"]), row["forecast"]
    if forecast is None or not seen.known:
        return level
    day = TodaysForecast(**{f"{name}_milli": round(float(forecast[name]) * 1_000) for name in ("p10", "p50", "p90")})
    rest = day.expected_rest_milli(max(0, row["sold"]), seen.elapsed_permille(until))
    assessed: datetime = row["last_assessed_at"]
    held = day.expected_rest_milli(0, 0)
    if assessed.astimezone(UTC).date() == rhythm.day_of(until):
        held = day.expected_rest_milli(max(0, row["sold_before"]), seen.elapsed_permille(assessed))
    return max(1, level + math.ceil((rest - held) / 1_000))
