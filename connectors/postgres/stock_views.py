"""Reads positions for people: a page at a time through an index, worst first; one of them with all that moved it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.pool import Database
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.stock_views import (
    CRITICAL_RISK,
    SEARCHED_ITEMS,
    Choices,
    DecisionRow,
    MovementRow,
    OpenLine,
    PositionQuery,
    PositionRow,
)

Cursor = psycopg.AsyncCursor[DictRow]
MOST_CHOICES = 500

_ROW = """
SELECT p.location, p.item, coalesce(i.name, p.item) AS item_name, coalesce(i.category, '') AS category, s.supplier,
       s.unit_cost, p.on_hand_units, p.on_order_units, p.reserved_units, p.watch_level_units, o.decision_id,
       o.kind AS decision_kind, o.decided_at, CASE WHEN o.decision_id IS NOT NULL THEN o.risk END AS risk,
       o.demand_p50 / greatest(1, o.protection_days) AS demand_p50_per_day,
       nullif(p.data_through, '-infinity') AS data_through
FROM {outlook} o JOIN position p USING (location, item) LEFT JOIN item i ON i.item = o.item
LEFT JOIN LATERAL (SELECT supplier, unit_cost FROM sourcing WHERE location = o.location AND item = o.item
                   ORDER BY rank, supplier LIMIT 1) s ON true
"""
_ORDER = "ORDER BY o.risk DESC, o.lost_value DESC, o.location DESC, o.item DESC"
_FILTERS = {
    "location": "o.location = %(location)s",
    "category": "o.item IN (SELECT item FROM item WHERE category = %(category)s)",
    "supplier": """(o.location, o.item) IN (
        SELECT a.location, a.item FROM sourcing a WHERE a.supplier = %(supplier)s AND NOT EXISTS (
            SELECT 1 FROM sourcing b WHERE b.location = a.location AND b.item = a.item
            AND (b.rank, b.supplier) < (a.rank, a.supplier)))""",
    "critical": "o.risk >= %(critical_risk)s",
    "items": "o.item = ANY(%(items)s)",
    "after": "(o.risk, o.lost_value, o.location, o.item) < "
    "(%(risk)s::numeric, %(lost)s::numeric, %(at)s::text, %(of)s::text)",
}
_MOVEMENTS = """
SELECT event_id, source, kind, occurred_at, on_hand_delta, reserved_delta, counted_units, order_id, reason
FROM movement WHERE location = %(location)s AND item = %(item)s AND {before}
ORDER BY occurred_at DESC, event_id DESC LIMIT %(limit)s
"""
_BEFORE = "(occurred_at, event_id) < (%(occurred_at)s, %(event_id)s)"
_OPEN_LINES = """
SELECT o.order_id, o.supplier, o.state, l.units, l.received_units, o.promised_at
FROM order_line l JOIN purchase_order o USING (order_id)
WHERE l.location = %s AND l.item = %s AND l.refused_reason IS NULL
  AND o.state IN ('collecting', 'sending', 'in_doubt', 'placed') AND l.received_units + l.short_units < l.units
ORDER BY o.promised_at NULLS LAST, o.order_id LIMIT 50
"""
_DECISIONS = """
SELECT decision_id, revision, kind, decided_at, body FROM decision
WHERE location = %s AND item = %s ORDER BY decided_at DESC, revision DESC LIMIT %s
"""


class PostgresStock:
    """The `Stock` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def positions(self, query: PositionQuery) -> list[PositionRow]:
        """See the port."""
        async with self._database.reading() as cursor:
            wanted, given = await _conditions(cursor, query)
            # The page is chosen first: everything else is looked up for its rows only.
            chosen = f"""(SELECT * FROM position_outlook o WHERE {" AND ".join(wanted) or "true"}
                          {_ORDER} LIMIT %(limit)s)"""  # noqa: S608 - our own conditions
            await cursor.execute(f"{_ROW.format(outlook=chosen)} {_ORDER}", given)
            return [PositionRow.model_validate(row) for row in await cursor.fetchall()]

    async def position(self, location: str, item: str) -> PositionRow:
        async with self._database.reading() as cursor:
            query = f"{_ROW.format(outlook='position_outlook')} WHERE o.location = %s AND o.item = %s"
            await cursor.execute(query, [location, item])
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"No event ever spoke of {item} at {location}.")
        return PositionRow.model_validate(row)

    async def movements(
        self, location: str, item: str, limit: int = 50, before: tuple[datetime, str] | None = None
    ) -> list[MovementRow]:
        given: dict[str, Any] = {"location": location, "item": item, "limit": limit}
        if before is not None:
            given |= {"occurred_at": before[0], "event_id": before[1]}
        async with self._database.reading() as cursor:
            await cursor.execute(_MOVEMENTS.format(before=_BEFORE if before else "true"), given)
            return [MovementRow.model_validate(row) for row in await cursor.fetchall()]

    async def open_lines(self, location: str, item: str) -> list[OpenLine]:
        async with self._database.reading() as cursor:
            await cursor.execute(_OPEN_LINES, [location, item])
            return [OpenLine.model_validate(row) for row in await cursor.fetchall()]

    async def decisions(self, location: str, item: str, limit: int = 10) -> list[DecisionRow]:
        async with self._database.reading() as cursor:
            await cursor.execute(_DECISIONS, [location, item, limit])
            rows = await cursor.fetchall()
        return [
            DecisionRow.model_validate({**row, "sentence": json.loads(row["body"])["result"]["sentence"]})
            for row in rows
        ]

    async def choices(self) -> Choices:
        async with self._database.reading() as cursor:
            found: dict[str, tuple[str, ...]] = {}
            for name, query in _CHOICES.items():
                await cursor.execute(query, [MOST_CHOICES])
                found[name] = tuple(row["name"] for row in await cursor.fetchall())
            return Choices.model_validate(found)


_CHOICES: Mapping[str, str] = {
    "locations": "SELECT location AS name FROM location ORDER BY 1 LIMIT %s",
    # One look-up per category, not a pass over all items.
    "categories": """WITH RECURSIVE c AS (
        (SELECT category FROM item ORDER BY category LIMIT 1)
        UNION ALL SELECT (SELECT i.category FROM item i WHERE i.category > c.category ORDER BY i.category LIMIT 1)
        FROM c WHERE c.category IS NOT NULL
    ) SELECT category AS name FROM c WHERE category IS NOT NULL LIMIT %s""",
    "suppliers": "SELECT supplier AS name FROM supplier ORDER BY 1 LIMIT %s",
}


async def _conditions(cursor: Cursor, query: PositionQuery) -> tuple[list[str], dict[str, Any]]:
    given: dict[str, Any] = {
        "limit": query.limit, "location": query.location, "category": query.category, "supplier": query.supplier,
        "critical_risk": CRITICAL_RISK,
    }  # fmt: skip
    wanted = [_FILTERS[name] for name in ("location", "category", "supplier", "critical") if getattr(query, name)]
    if query.text:
        given["items"] = await items_like(cursor, query.text)
        wanted.append(_FILTERS["items"])
    if query.after:
        location, _, item = query.after.partition(":")
        await cursor.execute(
            "SELECT risk, lost_value FROM position_outlook WHERE location = %s AND item = %s", [location, item]
        )
        row = await cursor.fetchone()
        if row is None:
            raise InvalidInput(f"after: {query.after} is no position; take `next` of the page before")
        given |= {"risk": row["risk"], "lost": row["lost_value"], "at": location, "of": item}
        wanted.append(_FILTERS["after"])
    return wanted, given


async def items_like(cursor: Cursor, text: str) -> list[str]:
    """Items whose id or name has this text in it, at most `SEARCHED_ITEMS`; by id."""
    pattern = "%" + text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    await cursor.execute(
        "SELECT item FROM item WHERE item ILIKE %(like)s OR name ILIKE %(like)s ORDER BY item LIMIT %(most)s",
        {"like": pattern, "most": SEARCHED_ITEMS},
    )
    return [row["item"] for row in await cursor.fetchall()]
