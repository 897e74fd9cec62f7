"""Folds movements into positions and daily demand, set-wise, in the caller's transaction.

The fold follows workflows/domain/positions.py: any order of arrival gives the same position. Of most positions only
sums travel, and one statement adds them where the newest count is older than all that came, or newer than all of it.
The rest are read, folded and written back: new ones, those that were counted, and those with something on both sides of
their count.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.columns import joined, split
from workflows.domain.identity import rfc3339
from workflows.domain.positions import Movement

Key = tuple[str, str]
"""(location, item)."""

_BASE, _MICROSECOND = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

_COPY_MOVEMENTS = """
COPY movement (source, event_id, location, item, kind, occurred_at, on_hand_delta, reserved_delta, counted_units,
               demand_day, demand_units, unit_price, promotion, order_id, reason) FROM STDIN (FORMAT BINARY)
"""
_MOVEMENT_TYPES = (
    "text", "text", "text", "text", "text", "timestamptz", "int4", "int4", "int4", "date", "int4", "numeric", "bool",
    "text", "text",
)  # fmt: skip

# Everybody locks positions in name order, and so does this: one pass changes what it may and leaves the rest as it was,
# locked. The planner is left no way but the key's index (`_BY_KEYS`), whose order is that of the names. A position
# counts as folded if its newest count lies before or after all of its movements here; a row that somebody changes
# meanwhile is looked at again. What is due for a look is told, so that needs are sought among those few.
_FOLDS = "u.sums AND (p.counted_at < u.earliest OR p.counted_at >= u.latest)"
_ADD = f"""
WITH u AS MATERIALIZED (
    SELECT location, item, delta, coalesce(reserved, 0) AS reserved, counted IS NULL AND delta IS NOT NULL AS sums, n,
        %(base)s::timestamptz + earliest * interval '1 microsecond' AS earliest,
        %(base)s::timestamptz + coalesce(latest, earliest) * interval '1 microsecond' AS latest
    FROM unnest({split("locations")}, {split("items")}, {split("deltas", "bigint")}, {split("reserved", "bigint")},
        {split("earliest", "bigint")}, {split("latest", "bigint")}, {split("counted")})
        WITH ORDINALITY AS u (location, item, delta, reserved, earliest, latest, counted, n)
    ORDER BY location, item
), looked_at AS (
    UPDATE position p SET
        reserved_units = CASE WHEN {_FOLDS} THEN p.reserved_units + u.reserved ELSE p.reserved_units END,
        moved_units = p.moved_units + CASE WHEN u.sums AND p.counted_at < u.earliest THEN u.delta ELSE 0 END,
        data_through = CASE WHEN {_FOLDS} THEN greatest(p.data_through, u.latest) ELSE p.data_through END
    FROM u WHERE p.location = u.location AND p.item = u.item
    RETURNING u.n, {_FOLDS} AS folded,
        p.last_assessed_at IS NULL OR p.on_hand_units + p.on_order_units - p.reserved_units < p.watch_level_units AS due
)
SELECT array_agg(n) FILTER (WHERE folded AND due) AS due, array_agg(n) FILTER (WHERE folded IS NOT TRUE) AS rest,
       count(*) AS found, CASE WHEN count(*) < %(count)s THEN array_agg(n) END AS known
FROM looked_at
"""  # noqa: S608 - our own names, here and below
_BY_KEYS = "SET LOCAL enable_hashjoin TO off; SET LOCAL enable_seqscan TO off"
_ANYHOW = "SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_seqscan TO DEFAULT"

_READ = f"""
SELECT location, item, counted_units, nullif(counted_at, '-infinity') AS counted_at, counted_source, counted_event,
       moved_units, reserved_units, nullif(data_through, '-infinity') AS data_through
FROM position JOIN unnest({split("locations")}, {split("items")}) AS k (location, item) USING (location, item)
ORDER BY location, item FOR NO KEY UPDATE OF position
"""  # noqa: S608

_SINCE_COUNTS = f"""
SELECT k.location, k.item, coalesce((SELECT sum(m.on_hand_delta) FROM movement m WHERE m.location = k.location
    AND m.item = k.item AND m.occurred_at > k.at), 0)::bigint AS units
FROM unnest({split("locations")}, {split("items")}, {split("moments", "timestamptz")}) AS k (location, item, at)
"""  # noqa: S608

_UPDATE_POSITIONS = """
UPDATE position p SET counted_units = u.counted_units, counted_at = u.counted_at, counted_source = u.counted_source,
    counted_event = u.counted_event, moved_units = u.moved_units, reserved_units = u.reserved_units,
    data_through = u.data_through
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
            %s::timestamptz[]) AS u (location, item, counted_units, counted_at, counted_source, counted_event,
                                     moved_units, reserved_units, data_through)
WHERE p.location = u.location AND p.item = u.item
"""

_ADD_DEMAND = f"""
INSERT INTO daily_demand AS d (location, item, day, units, promotion, priced_units, revenue)
SELECT * FROM unnest({split("locations")}, {split("items")}, {split("days", "date")}, {split("units", "bigint")},
                     {split("promotion", "boolean")}, {split("priced", "bigint")}, {split("revenue", "numeric")})
ON CONFLICT (location, item, day) DO UPDATE
SET units = d.units + excluded.units, promotion = d.promotion OR excluded.promotion,
    priced_units = d.priced_units + excluded.priced_units, revenue = d.revenue + excluded.revenue
"""  # noqa: S608


def fold(cursor: psycopg.Cursor[DictRow], movements: Sequence[Movement], also_lock: Iterable[Key] = ()) -> list[Key]:
    """Store new movements and bring their positions up to date; of the positions touched, in order, those that may
    need a look: `open_needs` decides.

    `also_lock`: positions that the caller changes later in this transaction; all are locked here, in name order.
    """
    if not movements:
        return []
    with cursor.copy(_COPY_MOVEMENTS) as rows:
        rows.set_types(_MOVEMENT_TYPES)
        for movement in movements:
            rows.write_row(movement)
    due, rest = _add(cursor, movements, also_lock)
    if rest:
        by_key: dict[Key, list[Movement]] = defaultdict(list)
        for movement in movements:
            if (key := (movement.location, movement.item)) in rest:
                by_key[key].append(movement)
        _fold_exactly(cursor, by_key)
    _fold_demand(cursor, movements)
    return sorted(due | rest)


def _add(
    cursor: psycopg.Cursor[DictRow], movements: Sequence[Movement], also_lock: Iterable[Key]
) -> tuple[set[Key], set[Key]]:
    """Lock all and fold most; the folded ones that may need a look, and those that are not folded yet."""
    deltas: dict[Key, int] = {}
    reserved: dict[Key, int] = defaultdict(int)
    earliest: dict[Key, datetime] = {}
    latest: dict[Key, datetime] = {}
    counted = set()
    for m in movements:
        key, at = (m.location, m.item), m.occurred_at
        if key not in deltas:
            deltas[key], earliest[key] = m.on_hand_delta, at
        else:
            deltas[key] += m.on_hand_delta
            if at > latest.get(key, earliest[key]):
                latest[key] = at
            elif at < earliest[key]:
                latest.setdefault(key, earliest[key])
                earliest[key] = at
        if m.reserved_delta:
            reserved[key] += m.reserved_delta
        if m.counted_units is not None:
            counted.add(key)
    mentioned = list(deltas)
    keys = mentioned + sorted(set(also_lock) - deltas.keys())
    none = [""] * (len(keys) - len(mentioned))
    cursor.execute(_BY_KEYS)
    cursor.execute(
        _ADD,
        {
            "locations": joined([location for location, _ in keys]),
            "items": joined([item for _, item in keys]),
            "deltas": joined([str(delta) for delta in deltas.values()] + none),
            "reserved": joined([str(reserved[key]) if key in reserved else "" for key in keys]),
            "earliest": joined([_microseconds(at) for at in earliest.values()] + none),
            "latest": joined([_microseconds(latest[key]) if key in latest else "" for key in keys]),
            "counted": joined(["counted" if key in counted else "" for key in keys]),
            "count": len(keys),
            "base": _BASE,
        },
    )
    row = cursor.fetchone()
    assert row is not None  # noqa: S101 - an aggregate of all always has its row
    cursor.execute(_ANYHOW)
    due, rest = ({keys[n - 1] for n in row[told] or ()} for told in ("due", "rest"))
    if row["found"] < len(keys):
        there = set(row["known"] or ())
        rest |= {key for n, key in enumerate(keys, 1) if n not in there}
    return due, rest & deltas.keys()


@lru_cache(maxsize=1 << 14)
def _microseconds(at: datetime) -> str:
    """Since `_BASE`: a number is written and read in a fraction of the time that an instant's text takes."""
    return str((at - _BASE) // _MICROSECOND)


def _fold_exactly(cursor: psycopg.Cursor[DictRow], by_key: dict[Key, list[Movement]]) -> None:
    keys = sorted(by_key)
    named = {"locations": joined([location for location, _ in keys]), "items": joined([item for _, item in keys])}
    cursor.execute(
        f"""INSERT INTO position (location, item) SELECT * FROM unnest({split("locations")}, {split("items")})
            ON CONFLICT DO NOTHING""".encode(),  # noqa: S608
        named,
    )
    cursor.execute(_READ, named)
    rows = cursor.fetchall()
    counts = {(row["location"], row["item"]): _newer_count(row, by_key[row["location"], row["item"]]) for row in rows}
    since = _since(cursor, {key: count for key, count in counts.items() if count})
    updated = []
    for row in rows:
        key = row["location"], row["item"]
        updated.append(_folded(row, by_key[key], counts[key], since.get(key, 0)))
    cursor.execute(_UPDATE_POSITIONS, [list(column) for column in zip(*updated, strict=True)])


def _newer_count(row: DictRow, movements: list[Movement]) -> Movement | None:
    """The newest of these counts, if it is newer than the one that the position rests on."""
    counts = [m for m in movements if m.counted_units is not None]
    newest = max(counts, key=lambda m: (m.occurred_at, m.source, m.event_id), default=None)
    if newest is None or row["counted_at"] is None:
        return newest
    mark = row["counted_at"], row["counted_source"], row["counted_event"]
    return newest if (newest.occurred_at, newest.source, newest.event_id) > mark else None


def _since(cursor: psycopg.Cursor[DictRow], counts: dict[Key, Movement]) -> dict[Key, int]:
    """What moved after each of these counts, these movements included: they are stored, and the positions locked."""
    if not counts:
        return {}
    cursor.execute(
        _SINCE_COUNTS,
        {
            "locations": joined([location for location, _ in counts]),
            "items": joined([item for _, item in counts]),
            "moments": joined([count.occurred_at.isoformat() for count in counts.values()]),
        },
    )
    return {(row["location"], row["item"]): row["units"] for row in cursor.fetchall()}


def _folded(row: DictRow, movements: list[Movement], count: Movement | None, since: int) -> tuple[object, ...]:
    """The position's row after these movements: a newer count and what came after it, else what it was and these."""
    at, source, event = row["counted_at"], row["counted_source"], row["counted_event"]
    if count:
        at, source, event = count.occurred_at, count.source, count.event_id
        counted, moved = count.counted_units, since
    else:
        counted = row["counted_units"]
        moved = row["moved_units"] + sum(m.on_hand_delta for m in movements if at is None or m.occurred_at > at)
    reserved = row["reserved_units"] + sum(m.reserved_delta for m in movements)
    through = max([m.occurred_at for m in movements] + ([row["data_through"]] if row["data_through"] else []))
    counted_at = rfc3339(at) if at else "-infinity"
    return row["location"], row["item"], counted, counted_at, source, event, moved, reserved, rfc3339(through)


def _fold_demand(cursor: psycopg.Cursor[DictRow], movements: Sequence[Movement]) -> None:
    demand: dict[tuple[str, str, date], tuple[int, bool, int, Decimal]] = {}
    for m in movements:
        if m.demand_day is not None:
            key, units, price = (m.location, m.item, m.demand_day), m.demand_units, m.unit_price
            told = (units, m.promotion, 0, _NOTHING) if price is None else (units, m.promotion, units, units * price)
            if before := demand.get(key):
                told = before[0] + told[0], before[1] or told[1], before[2] + told[2], before[3] + told[3]
            demand[key] = told
    if demand:
        keys, values = list(demand), list(demand.values())
        cursor.execute(
            _ADD_DEMAND,
            {
                "locations": joined([key[0] for key in keys]),
                "items": joined([key[1] for key in keys]),
                "days": joined([key[2].isoformat() for key in keys]),
                "units": joined([str(value[0]) for value in values]),
                "promotion": joined(["t" if value[1] else "f" for value in values]),
                "priced": joined([str(value[2]) for value in values]),
                "revenue": joined([str(value[3]) for value in values]),
            },
        )


_NOTHING = Decimal(0)
