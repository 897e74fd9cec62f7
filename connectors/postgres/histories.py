"""Demand histories: periods without sales are zeros, not gaps; periods without stock are missing, not zeros."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import DictRow

from workflows.domain.scores import DemandHistory, Promotion

_KEYS = "JOIN unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item) USING (location, item)"

Cursor = psycopg.AsyncCursor[DictRow]
Key = tuple[str, str]


async def histories_of(
    cursor: Cursor, keys: dict[str, Any]
) -> tuple[dict[Key, DemandHistory], dict[Key, tuple[Promotion, ...]]]:
    """Periods without sales are zeros, not gaps; periods without stock are missing, not zeros."""
    await cursor.execute(
        f"""SELECT location, item, day, sum(units) AS units, bool_and(in_stock) AS in_stock,
                   bool_or(promotion) AS promotion
            FROM (
                SELECT location, item, day, units, in_stock, promotion FROM recorded_demand {_KEYS}
                UNION ALL SELECT location, item, day, units, true, promotion FROM daily_demand {_KEYS}
                UNION ALL SELECT location, item, day, 0, false, false FROM stockout_day {_KEYS}
            ) d WHERE day >= %(since)s AND day < %(today)s GROUP BY location, item, day ORDER BY location, item, day""",  # noqa: S608
        keys,
    )
    days: dict[Key, list[tuple[date, int | None]]] = defaultdict(list)
    promoted: dict[Key, list[Promotion]] = defaultdict(list)
    for row in await cursor.fetchall():
        key = row["location"], row["item"]
        days[key].append((row["day"], max(0, int(row["units"])) if row["in_stock"] else None))
        if row["promotion"]:
            promoted[key].append(Promotion(first_day=row["day"], last_day=row["day"]))
    histories = {key: fill(known, keys["today"]) for key, known in days.items()}
    return histories, {key: tuple(spans) for key, spans in promoted.items()}


def fill(known: Sequence[tuple[date, int | None]], end: date) -> DemandHistory:
    """Days from the first known one to the day before `end`; a day without a row sold nothing."""
    first = known[0][0]
    units: list[int | None] = [0] * (end - first).days
    for day, value in known:
        units[(day - first).days] = value
    return DemandHistory(first_day=first, daily_units=tuple(units))
