"""Reads what is known of suppliers beyond their terms: who goes along anyway, and how well promises were kept."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from workflows.domain.catalog import Sourcing
from workflows.domain.decisions import SupplyOption
from workflows.domain.identity import changed
from workflows.domain.scores import LeadTimes, ScoringRow
from workflows.domain.supplying import cover_days, orderable

Cursor = psycopg.AsyncCursor[DictRow]
Key = tuple[str, str]
DELIVERIES = 60
"""The newest deliveries of each lane that are looked at, of at most a year."""


async def with_history(
    cursor: Cursor, options: Mapping[Key, Sequence[SupplyOption]], clock: datetime, today: date
) -> dict[Key, list[SupplyOption]]:
    """The options with the company that each would have and the promises that its supplier kept."""
    suppliers = sorted({option.supplier.supplier for offered in options.values() for option in offered})
    company = await _company(cursor, suppliers, clock)
    kept = await _kept(cursor, suppliers, today)
    return {
        key: [
            changed(
                option,
                {**company.get((option.supplier.supplier, key[0]), {}), **kept.get(option.supplier.supplier, {})},
            )
            for option in offered
        ]
        for key, offered in options.items()
    }


async def _company(cursor: Cursor, suppliers: Sequence[str], clock: datetime) -> dict[Key, dict[str, Any]]:
    """Lines that will go out whatever is decided: on an order that still collects, or about to be released to one.

    A proposal that waits for a person is no company: nobody knows whether it goes.
    """
    await cursor.execute(
        """SELECT supplier, location, count(*) AS lines, sum(units * unit_cost) AS value FROM (
               SELECT o.supplier, o.location, l.units, l.unit_cost FROM purchase_order o
               JOIN order_line l USING (order_id)
               WHERE o.state = 'collecting' AND o.cutoff_at > %(clock)s AND l.refused_reason IS NULL
               UNION ALL SELECT r.supplier, r.location, r.units, r.unit_cost FROM replenishment r
               WHERE r.state = 'proposed' AND r.tier = 'auto'
           ) going WHERE supplier = ANY(%(suppliers)s) GROUP BY supplier, location""",
        {"clock": clock, "suppliers": list(suppliers)},
    )
    return {
        (row["supplier"], row["location"]): {"company_lines": row["lines"], "company_value": row["value"]}
        for row in await cursor.fetchall()
    }


async def _kept(cursor: Cursor, suppliers: Sequence[str], today: date) -> dict[str, dict[str, int]]:
    """Deliveries of a year and those that kept their promise: all of it there within the promised days.

    A delivery is what was ordered from a supplier for a location on one day. It is late when its last goods came later
    than the longest lead time promised for the lane, and short when a line of it was closed short.
    """
    await cursor.execute(
        f"""SELECT s.supplier, count(*) AS deliveries,
                   count(*) FILTER (WHERE d.days <= p.promised AND NOT EXISTS (
                       SELECT 1 FROM purchase_order o JOIN order_line l USING (order_id)
                       WHERE o.supplier = s.supplier AND o.location = p.location AND l.short_units > 0
                         AND o.ordered_at >= d.ordered_on::timestamp AT TIME ZONE 'UTC'
                         AND o.ordered_at < (d.ordered_on + 1)::timestamp AT TIME ZONE 'UTC')) AS kept
            FROM unnest(%(suppliers)s::text[]) AS s (supplier) CROSS JOIN LATERAL (
                SELECT location, (SELECT max(lead_time_days) FROM sourcing g
                                  WHERE g.supplier = s.supplier AND g.location = location.location) AS promised
                FROM location
            ) p
            CROSS JOIN LATERAL (
                SELECT t.ordered_on, max(t.received_on - t.ordered_on) AS days FROM observed_lead_time t
                WHERE t.supplier = s.supplier AND t.location = p.location AND t.received_on <= %(today)s
                  AND t.received_on > %(today)s - 365
                GROUP BY t.ordered_on ORDER BY t.ordered_on DESC LIMIT {DELIVERIES}
            ) d WHERE p.promised IS NOT NULL GROUP BY s.supplier""",  # noqa: S608 - a constant
        {"suppliers": list(suppliers), "today": today},
    )
    return {
        row["supplier"]: {"deliveries": row["deliveries"], "deliveries_kept": row["kept"]}
        for row in await cursor.fetchall()
    }


def alternatives(
    row: ScoringRow, offered: Sequence[SupplyOption], lead_times: Callable[[Sourcing], LeadTimes]
) -> tuple[ScoringRow, ...]:
    """The row once more for each other supplier that may be asked: its lead times, and how long its order must last."""
    if len(offered) < 2:
        return ()
    return tuple(
        changed(row, {
            "supplier": option.sourcing.supplier, "review_days": cover_days(option, offered),
            "lead_times": lead_times(option.sourcing),
        })
        for option in orderable(offered)
        if option.sourcing.supplier != row.supplier
    )  # fmt: skip
