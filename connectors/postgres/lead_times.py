"""Reads what suppliers have done with orders: one observation per order, only what was known on the day asked for."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow

from workflows.domain.deliveries import DeliveryRecord
from workflows.domain.scores import KeptPromises, LeadTimes, OpenReceipt

Cursor = psycopg.AsyncCursor[DictRow]
Lane = tuple[str, str]
"""(supplier, location)."""

YEAR_DAYS = 365
"""Orders older than this teach nothing: suppliers change."""
SUPPLIER_ORDERS = 1_000
"""So many of a supplier's newest orders make its law; a lane cannot have more than about one a day."""
EVERYONE_RECEIPTS = 2_000
SETTLED_LINES = 400
PARTS = 4
"""An order's lead time is told by the days on which each quarter of its units was there."""

# One row per order: ours by their id; recorded ones, which have none, by lane and day. It was late or not by the day on
# which most of it came: a few units that follow days later are no late order. Cohorts are cut by the day of ordering:
# a cut by the day of arrival would see the slow ones of an older time beside the open ones of today.
_ORDERS = """
WITH part AS (
    SELECT t.order_id, t.supplier, t.location, t.ordered_on, t.received_on, sum(t.units) AS units,
           {of_lines}
    WHERE (%(suppliers)s::text[] IS NULL OR t.supplier = ANY(%(suppliers)s))
      AND t.ordered_on > %(since)s AND t.ordered_on <= %(today)s AND t.received_on <= %(today)s
    GROUP BY t.order_id, t.supplier, t.location, t.ordered_on, t.received_on
), came AS (
    SELECT DISTINCT ON (supplier, location, ordered_on, order_id) supplier, location, ordered_on, order_id, received_on,
           array_agg(received_on) OVER whole AS days, array_agg(units) OVER whole AS shares,
           sum(units) OVER whole AS units, max(lines) OVER whole AS lines, sum(value) OVER whole AS value
    FROM part WINDOW whole AS (PARTITION BY supplier, location, ordered_on, order_id)
    ORDER BY supplier, location, ordered_on, order_id, part.units DESC, received_on
), known AS (
    SELECT supplier, location, ordered_on, order_id, received_on, units, lines, value, days, shares FROM came
    UNION ALL
    SELECT o.supplier, o.location, (o.ordered_at AT TIME ZONE 'UTC')::date, o.order_id, NULL, NULL, NULL, NULL, NULL,
           NULL
    FROM purchase_order o
    WHERE (%(suppliers)s::text[] IS NULL OR o.supplier = ANY(%(suppliers)s))
      AND (o.ordered_at AT TIME ZONE 'UTC')::date BETWEEN %(since)s::date + 1 AND %(today)s
      AND NOT EXISTS (SELECT 1 FROM came c WHERE c.order_id = o.order_id)
      -- What is over and never brought anything (refused, shortened to nothing) is on no way.
      AND (o.state = 'placed' OR EXISTS (SELECT 1 FROM observed_lead_time t WHERE t.order_id = o.order_id))
), lane AS (
    SELECT supplier, location, percentile_disc(0.5) WITHIN GROUP (ORDER BY lead_time_days) AS lead_time_days
    FROM sourcing WHERE %(suppliers)s::text[] IS NULL OR supplier = ANY(%(suppliers)s) GROUP BY supplier, location
)
SELECT k.supplier, k.location, k.ordered_on, k.received_on, k.days, k.shares,
       coalesce((o.first_promised_at AT TIME ZONE 'UTC')::date, k.ordered_on + lane.lead_time_days) AS promised_on,
       o.first_promised_at IS NOT NULL AS dated,
       CASE WHEN (o.shipped_at AT TIME ZONE 'UTC')::date <= %(today)s THEN (o.shipped_at AT TIME ZONE 'UTC')::date END
           AS shipped_on,
       (o.promised_at AT TIME ZONE 'UTC')::date AS expected_on,
       o.delayed OR o.promised_at::date <> o.first_promised_at::date AS revised,
       {lines} lane.lead_time_days
FROM known k LEFT JOIN lane USING (supplier, location) LEFT JOIN purchase_order o ON o.order_id = k.order_id
{ordered}
WHERE o.first_promised_at IS NOT NULL OR lane.lead_time_days IS NOT NULL
ORDER BY k.supplier, k.ordered_on DESC, k.location, k.order_id
"""

DELIVERIES = _ORDERS.format(
    of_lines="""count(DISTINCT t.item) AS lines, sum(t.units * s.unit_cost) AS value
    FROM observed_lead_time t LEFT JOIN sourcing s USING (supplier, location, item)""",
    lines="""coalesce(l.lines, k.lines, 1)::int AS lines, coalesce(l.units, k.units, 0)::bigint AS units,
       coalesce(l.value, k.value, 0) AS value,""",
    ordered="""LEFT JOIN LATERAL (
    SELECT count(*) AS lines, sum(n.units) AS units, sum(n.units * n.unit_cost) AS value
    FROM order_line n WHERE n.order_id = k.order_id AND n.refused_reason IS NULL
) l ON k.order_id IS NOT NULL""",
)
"""With lines, units and value of each order: for training."""
# Every batch of a sweep asks, and of all deliveries of its suppliers: what was on them is no part of the answer.
_DAYS = _ORDERS.format(
    of_lines="0 AS lines, 0 AS value FROM observed_lead_time t", lines="", ordered=""
)  # fmt: skip

# The newest receipts of anybody: the prior of a supplier without history. A lane's day counts once.
_EVERYONE = """
SELECT DISTINCT t.supplier, t.location, t.ordered_on, t.received_on,
       t.received_on - t.ordered_on - s.lead_time_days AS slip
FROM (SELECT supplier, location, item, ordered_on, received_on FROM observed_lead_time WHERE received_on <= %s
      ORDER BY received_on DESC LIMIT %s) t
JOIN sourcing s USING (supplier, location, item)
ORDER BY slip, t.supplier, t.location, t.ordered_on, t.received_on
"""

_SETTLED = """
SELECT s.supplier, t.permille FROM unnest(%s::text[]) AS s (supplier) CROSS JOIN LATERAL (
    SELECT 1000 * l.received_units / l.units AS permille, o.ordered_at, l.need_id
    FROM purchase_order o JOIN order_line l USING (order_id)
    WHERE o.supplier = s.supplier AND o.state IN ('received', 'closed') AND l.refused_reason IS NULL
      AND (o.ordered_at AT TIME ZONE 'UTC')::date <= %s
    ORDER BY o.ordered_at DESC, l.need_id LIMIT %s
) t ORDER BY s.supplier, t.ordered_at DESC, t.need_id
"""

_OPEN = """
SELECT l.location, l.item, o.supplier, l.units - l.received_units - l.short_units AS units,
       greatest(0, %(today)s - (coalesce(o.ordered_at, %(clock)s) AT TIME ZONE 'UTC')::date) AS age,
       (o.promised_at AT TIME ZONE 'UTC')::date - %(today)s AS expected,
       o.delayed OR coalesce(o.promised_at::date <> o.first_promised_at::date, false) AS revised,
       CASE WHEN o.shipped_at IS NOT NULL THEN greatest(0, %(today)s - (o.shipped_at AT TIME ZONE 'UTC')::date) END
           AS shipped,
       (o.first_promised_at AT TIME ZONE 'UTC')::date
           - (coalesce(o.ordered_at, %(clock)s) AT TIME ZONE 'UTC')::date AS promised,
       w.units AS order_units, w.lines AS order_lines, w.value AS order_value
FROM order_line l JOIN unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item) USING (location, item)
JOIN purchase_order o USING (order_id)
CROSS JOIN LATERAL (
    SELECT sum(n.units)::bigint AS units, count(*)::int AS lines, sum(n.units * n.unit_cost) AS value
    FROM order_line n WHERE n.order_id = o.order_id AND n.refused_reason IS NULL
) w
WHERE l.refused_reason IS NULL AND o.state IN ('collecting', 'sending', 'in_doubt', 'placed')
  AND l.units > l.received_units + l.short_units
ORDER BY l.need_id
"""


@dataclass
class _Tally:
    """What one lane, or one supplier, has shown."""

    days: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    transport: list[int] = field(default_factory=list)
    handling: list[int] = field(default_factory=list)
    slips: list[int] = field(default_factory=list)
    revised: list[int] = field(default_factory=list)
    judged: int = 0
    late: int = 0

    def add(self, row: DictRow, today: date) -> None:
        """One order. Each list holds the newest orders first, and no more than SUPPLIER_ORDERS."""
        came, ordered = row["received_on"], row["ordered_on"]
        # Judged once the promised day is over: early ones first would make every supplier look punctual.
        if today > row["promised_on"]:
            self.judged += 1
            self.late += came is None or came > row["promised_on"]
        if len(self.days) // PARTS + len(self.waiting) >= SUPPLIER_ORDERS:
            return
        if came is None:
            self.waiting.append((today - ordered).days)
            return
        self.days += [max(0, (day - ordered).days) for day in parts(row["days"], row["shares"])]
        if row["dated"]:
            self.slips.append((came - row["promised_on"]).days)
            if row["revised"]:
                self.revised.append((came - row["expected_on"]).days)
        if row["shipped_on"] is not None and ordered <= row["shipped_on"] <= came:
            self.transport.append((came - row["shipped_on"]).days)
            self.handling.append((row["shipped_on"] - ordered).days)

    @property
    def kept(self) -> KeptPromises:
        """The promises of the year."""
        return KeptPromises(judged=self.judged, late=self.late)


def parts(days: Sequence[date], units: Sequence[int]) -> list[date]:
    """The days on which the middle unit of each of PARTS equal parts of a delivery came, ascending."""
    arrivals = sorted(zip(days, units, strict=True))
    total, there = sum(units), 0
    found: list[date] = []
    for day, share in arrivals:
        there += share
        while len(found) < PARTS and (2 * len(found) + 1) * total <= 2 * PARTS * there:
            found.append(day)
    return found


async def lane_times(cursor: Cursor, lanes: Iterable[Lane], today: date) -> dict[Lane, LeadTimes]:
    """What each lane, its supplier and everybody have shown by `today`; the lane's usual promise is filled in."""
    wanted = sorted(set(lanes))
    suppliers = sorted({supplier for supplier, _ in wanted})
    lane: dict[Lane, _Tally] = defaultdict(_Tally)
    supplier: dict[str, _Tally] = defaultdict(_Tally)
    promised: dict[Lane, int] = {}
    since = today - timedelta(days=YEAR_DAYS)
    await cursor.execute(_DAYS, {"suppliers": suppliers, "today": today, "since": since})
    for row in await cursor.fetchall():
        lane[row["supplier"], row["location"]].add(row, today)
        supplier[row["supplier"]].add(row, today)
        promised[row["supplier"], row["location"]] = row["lead_time_days"] or 0
    await cursor.execute(_EVERYONE, [today, EVERYONE_RECEIPTS])
    everyone = tuple(row["slip"] for row in await cursor.fetchall())
    await cursor.execute(_SETTLED, [suppliers, today, SETTLED_LINES])
    delivered: dict[str, list[int]] = defaultdict(list)
    for row in await cursor.fetchall():
        delivered[row["supplier"]].append(int(row["permille"]))
    return {
        key: _seen(lane[key], supplier[key[0]], promised.get(key, 0), everyone, delivered[key[0]]) for key in wanted
    }


def _seen(
    lane: _Tally, supplier: _Tally, promised: int, everyone: tuple[int, ...], delivered: Sequence[int]
) -> LeadTimes:
    return LeadTimes(
        lane_days=tuple(lane.days), supplier_days=tuple(supplier.days), promised_days=promised, parts_per_order=PARTS,
        lane_waiting=tuple(lane.waiting), supplier_waiting=tuple(supplier.waiting), everyone_slips=everyone,
        lane_transport_days=tuple(lane.transport), supplier_transport_days=tuple(supplier.transport),
        supplier_handling_days=tuple(supplier.handling), slips=tuple(supplier.slips),
        revised_slips=tuple(supplier.revised), delivered_permille=tuple(delivered), lane_kept=lane.kept,
        supplier_kept=supplier.kept,
    )  # fmt: skip


async def delivery_records(cursor: Cursor, today: date, *, years: int = 2) -> list[DeliveryRecord]:
    """Every order of the last years as it was known at the end of `today`, oldest first: for training."""
    since = today - timedelta(days=years * YEAR_DAYS)
    await cursor.execute(DELIVERIES, {"suppliers": None, "today": today, "since": since})
    rows = await cursor.fetchall()
    rows.sort(key=lambda row: (row["ordered_on"], row["supplier"], row["location"]))
    return [
        DeliveryRecord(
            supplier=row["supplier"], location=row["location"], ordered_on=row["ordered_on"],
            promised_on=row["promised_on"], dated=row["dated"], received_on=row["received_on"],
            shipped_on=row["shipped_on"], lines=row["lines"], units=row["units"], value=row["value"],
        )
        for row in rows
    ]  # fmt: skip


async def open_receipts(cursor: Cursor, keys: Mapping[str, Any]) -> dict[tuple[str, str], tuple[OpenReceipt, ...]]:
    """What is still owed to each (location, item) of `keys`, as of its `today` and `clock`."""
    await cursor.execute(_OPEN, keys)
    found: dict[tuple[str, str], list[OpenReceipt]] = defaultdict(list)
    for row in await cursor.fetchall():
        # A day that has passed stays negative: to call it today would promise the same goods anew every morning.
        receipt = OpenReceipt(
            units=row["units"], ordered_days_ago=row["age"], expected_in_days=row["expected"],
            supplier=row["supplier"], revised=row["revised"], shipped_days_ago=row["shipped"],
            promised_days=row["promised"], dated=row["promised"] is not None, order_units=row["order_units"],
            order_lines=row["order_lines"], order_value=row["order_value"],
        )  # fmt: skip
        found[row["location"], row["item"]].append(receipt)
    return {key: tuple(receipts) for key, receipts in found.items()}


def owed(receipts: Sequence[OpenReceipt], times: Mapping[Lane, LeadTimes], location: str) -> tuple[OpenReceipt, ...]:
    """The receipts of one position, each with the lead times of the supplier that owes it: the row that they are on may
    ask what another supplier would do."""
    return tuple(
        receipt.model_copy(update={"lead_times": times[receipt.supplier or "", location]}) for receipt in receipts
    )
