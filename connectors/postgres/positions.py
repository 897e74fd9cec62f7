"""Folds movements into positions and daily demand, set-wise, in the caller's transaction.

The fold follows workflows/domain/positions.py: any order of arrival gives the same position.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import psycopg
from psycopg.rows import DictRow

from workflows.domain.identity import rfc3339
from workflows.domain.positions import Movement

Key = tuple[str, str]
"""(location, item)."""

_INSERT_MOVEMENTS = """
INSERT INTO movement (source, event_id, location, item, kind, occurred_at, on_hand_delta, reserved_delta, counted_units,
                      demand_day, demand_units, unit_price, promotion, order_id, reason)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::int[],
                     %s::int[], %s::int[], %s::date[], %s::int[], %s::numeric[], %s::boolean[], %s::text[], %s::text[])
"""

_UPDATE_POSITIONS = """
UPDATE position p SET counted_units = u.counted_units, counted_at = u.counted_at, counted_source = u.counted_source,
    counted_event = u.counted_event, moved_units = u.moved_units, reserved_units = u.reserved_units,
    data_through = u.data_through
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
            %s::timestamptz[]) AS u (location, item, counted_units, counted_at, counted_source, counted_event,
                                     moved_units, reserved_units, data_through)
WHERE p.location = u.location AND p.item = u.item
"""

_ADD_DEMAND = """
INSERT INTO daily_demand AS d (location, item, day, units, promotion, priced_units, revenue)
SELECT * FROM unnest(%s::text[], %s::text[], %s::date[], %s::bigint[], %s::boolean[], %s::bigint[], %s::numeric[])
ON CONFLICT (location, item, day) DO UPDATE
SET units = d.units + excluded.units, promotion = d.promotion OR excluded.promotion,
    priced_units = d.priced_units + excluded.priced_units, revenue = d.revenue + excluded.revenue
"""


def fold(cursor: psycopg.Cursor[DictRow], movements: Sequence[Movement], also_lock: Sequence[Key] = ()) -> list[Key]:
    """Store new movements and bring their positions up to date; the positions touched, in order.

    `also_lock`: positions that the caller changes later in this transaction; all are locked here, in name order.
    """
    if not movements:
        return []
    columns = (
        "source", "event_id", "location", "item", "kind", "occurred_at", "on_hand_delta", "reserved_delta",
        "counted_units", "demand_day", "demand_units", "unit_price", "promotion", "order_id", "reason",
    )  # fmt: skip
    cursor.execute(_INSERT_MOVEMENTS, [[getattr(m, column) for m in movements] for column in columns])
    by_key: dict[Key, list[Movement]] = defaultdict(list)
    for movement in movements:
        by_key[movement.location, movement.item].append(movement)
    keys = sorted(by_key)
    _fold_positions(cursor, sorted({*keys, *also_lock}), by_key)
    _fold_demand(cursor, movements)
    return keys


def _fold_positions(cursor: psycopg.Cursor[DictRow], keys: list[Key], by_key: dict[Key, list[Movement]]) -> None:
    locations, items = [location for location, _ in keys], [item for _, item in keys]
    cursor.execute(
        """INSERT INTO position (location, item) SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING""",
        [locations, items],
    )
    cursor.execute(
        """SELECT location, item, counted_units, nullif(counted_at, '-infinity') AS counted_at, counted_source,
                  counted_event, moved_units, reserved_units, nullif(data_through, '-infinity') AS data_through
           FROM position JOIN unnest(%s::text[], %s::text[]) AS k (location, item) USING (location, item)
           ORDER BY location, item FOR UPDATE OF position""",
        [locations, items],
    )
    locked = [row for row in cursor.fetchall() if (row["location"], row["item"]) in by_key]
    updated = [_folded(cursor, row, by_key[row["location"], row["item"]]) for row in locked]
    cursor.execute(_UPDATE_POSITIONS, [list(column) for column in zip(*updated, strict=True)])


def _folded(cursor: psycopg.Cursor[DictRow], row: DictRow, movements: list[Movement]) -> tuple[object, ...]:
    """The position's row after these movements: incremental, except that a newer count recomputes what came after."""
    counted_at: datetime | None = row["counted_at"]
    mark = (counted_at, row["counted_source"], row["counted_event"]) if counted_at else None
    counted, moved = row["counted_units"], row["moved_units"]
    counts = [m for m in movements if m.counted_units is not None]
    newest = max(counts, key=lambda m: (m.occurred_at, m.source, m.event_id), default=None)
    if newest and (mark is None or (newest.occurred_at, newest.source, newest.event_id) > mark):
        mark, counted = (newest.occurred_at, newest.source, newest.event_id), newest.counted_units
        cursor.execute(
            """SELECT coalesce(sum(on_hand_delta), 0) AS units FROM movement
               WHERE location = %s AND item = %s AND occurred_at > %s""",
            [row["location"], row["item"], newest.occurred_at],
        )
        found = cursor.fetchone()
        moved = found["units"] if found else 0
    else:
        moved += sum(m.on_hand_delta for m in movements if mark is None or m.occurred_at > mark[0])
    reserved = row["reserved_units"] + sum(m.reserved_delta for m in movements)
    through = max([m.occurred_at for m in movements] + ([row["data_through"]] if row["data_through"] else []))
    source, event = mark[1:] if mark else ("", "")
    at = rfc3339(mark[0]) if mark else "-infinity"
    return row["location"], row["item"], counted, at, source, event, moved, reserved, rfc3339(through)


def _fold_demand(cursor: psycopg.Cursor[DictRow], movements: Sequence[Movement]) -> None:
    nothing = (0, False, 0, Decimal(0))
    demand: dict[tuple[str, str, date], tuple[int, bool, int, Decimal]] = {}
    for m in movements:
        if m.demand_day is not None:
            units, promotion, priced, revenue = demand.get((m.location, m.item, m.demand_day), nothing)
            if m.unit_price is not None:
                priced, revenue = priced + m.demand_units, revenue + m.demand_units * m.unit_price
            told = units + m.demand_units, promotion or m.promotion, priced, revenue
            demand[m.location, m.item, m.demand_day] = told
    if demand:
        rows = sorted((*key, *value) for key, value in demand.items())
        cursor.execute(_ADD_DEMAND, [list(column) for column in zip(*rows, strict=True)])
