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

# What moved in the hours that closed, with its level, today's sales up to the end of the hour, and the newest
# decision's forecast of today. The day's movements are read once, through `movement_by_moment`; positions and forecasts
# of what moved are looked up by their keys (OFFSET 0 keeps the planner from reading all positions instead). So the cost
# is in what moved today, whatever the location keeps.
# A fact that comes later than its hour moved its position when it came: intake itself looks at each that it touches.
_MOVED = """
WITH moved AS MATERIALIZED (
    SELECT m.item, array_agg(m.occurred_at) FILTER (WHERE m.demand_day = %(today)s) AS moments,
           array_agg(m.demand_units) FILTER (WHERE m.demand_day = %(today)s) AS units
    FROM movement m
    WHERE m.location = %(location)s AND m.occurred_at >= %(today)s::date::timestamp AT TIME ZONE 'UTC'
      AND m.occurred_at <= %(until)s
    GROUP BY m.item HAVING max(m.occurred_at) > %(since)s
)
SELECT moved.item, moved.moments, moved.units, p.watch_level_units, p.last_assessed_at, d.forecast
FROM moved CROSS JOIN LATERAL (
    SELECT * FROM position p WHERE p.location = %(location)s AND p.item = moved.item
      AND p.watch_level_units IS NOT NULL AND p.last_assessed_at IS NOT NULL OFFSET 0
) p
LEFT JOIN LATERAL (
    SELECT (SELECT one FROM jsonb_array_elements(convert_from(e.body, 'UTF8')::jsonb -> 'scores' -> 'days') AS one
            WHERE one ->> 'day' = %(today)s::date::text) AS forecast
    FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
    WHERE d.location = %(location)s AND d.item = moved.item ORDER BY d.decided_at DESC, d.revision DESC LIMIT 1
) d ON true
ORDER BY moved.item
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
    sales = list(zip(row["moments"] or (), row["units"] or (), strict=True))
    rest = day.expected_rest_milli(max(0, sum(units for _, units in sales)), seen.elapsed_permille(until))
    assessed: datetime = row["last_assessed_at"]
    held = day.expected_rest_milli(0, 0)
    if assessed.astimezone(UTC).date() == rhythm.day_of(until):
        before = sum(units for moment, units in sales if moment <= assessed)
        held = day.expected_rest_milli(max(0, before), seen.elapsed_permille(assessed))
    return max(1, level + math.ceil((rest - held) / 1_000))
