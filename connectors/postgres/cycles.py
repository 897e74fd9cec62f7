"""Finds or opens the purchase orders that take lines: one for each supplier, location, order cycle and part.

Daily, lines wait for the day's cutoff, and one that comes later joins the next day. At once, an order is due in the
moment in which it opens; lines that come before it goes join it, and the next one is the day's next part.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts
from workflows.domain.errors import NotFound
from workflows.domain.identity import order_id, order_key
from workflows.domain.orders import order_cycle

Cursor = psycopg.AsyncCursor[DictRow]
CYCLES_AHEAD = 3
ROUNDS = 20
"""At once, an order that is sent in this very moment lets its line go on to the next part; so often at most."""
Place = tuple[str, str]
"""(supplier, location)."""


class _Offer(NamedTuple):
    """An order that would take a line."""

    order_id: str
    key: str
    supplier: str
    location: str
    cycle: str
    part: int
    cutoff: datetime
    traceparent: str | None

    @classmethod
    def of(cls, row: DictRow, clock: datetime, part: int | None) -> "_Offer":
        """`part` None: the day's order, due at its cutoff; else due at once."""
        cycle, cutoff = order_cycle(clock)
        if part is not None:
            cutoff = clock
        names = row["supplier"], row["location"], cycle, part or 1
        return cls(order_id(*names), order_key(*names), *names, cutoff, row["traceparent"])


async def collecting_order(cursor: Cursor, row: DictRow, *, at_once: bool = False) -> str:
    """The order that takes this line: its cycle's, or the next one's when that cycle is closed already."""
    found = await collecting_orders(cursor, [row], at_once=at_once)
    return found[row["supplier"], row["location"]]


async def collecting_orders(cursor: Cursor, rows: Sequence[DictRow], *, at_once: bool = False) -> Mapping[Place, str]:
    """The same for many lines, set-wise: the order of each (supplier, location). The orders are locked.

    Raises:
        NotFound: a place has no open order cycle.
    """
    places: dict[Place, DictRow] = {}
    for row in rows:  # the order's trace is that of its first line, whichever order rows come in
        places.setdefault((row["supplier"], row["location"]), row)
    # In name order, as everybody takes them: two batches that want the same orders never wait for each other.
    await cursor.execute(
        """SELECT pg_advisory_xact_lock(hashtextextended(place, 11))
           FROM (SELECT place FROM unnest(%s::text[]) AS place ORDER BY place) AS sorted""",
        [[f"{supplier}/{location}" for supplier, location in sorted(places)]],
    )
    currency = await facts.setting(cursor, "currency", "EUR")
    found: dict[Place, str] = {}
    for ahead in range(ROUNDS if at_once else CYCLES_AHEAD):
        missing = {place: row for place, row in sorted(places.items()) if place not in found}
        if not missing:
            break
        parts = await _next_parts(cursor, missing) if at_once else {}
        days = timedelta(days=0 if at_once else ahead)
        offers = {place: _Offer.of(row, row["watermark"] + days, parts.get(place)) for place, row in missing.items()}
        collecting = await _opened(cursor, list(offers.values()), currency, at_once=at_once)
        found |= {place: offer.order_id for place, offer in offers.items() if offer.order_id in collecting}
    for supplier, location in places:
        if (supplier, location) not in found:
            raise NotFound(f"no open order cycle for {supplier} at {location}")
    return found


async def _next_parts(cursor: Cursor, places: Mapping[Place, DictRow]) -> dict[Place, int]:
    """Of each place the part of its day that still collects, or the one after the last."""
    cycles = [order_cycle(row["watermark"])[0] for row in places.values()]
    await cursor.execute(
        """SELECT w.supplier, w.location, o.part, o.state
           FROM unnest(%s::text[], %s::text[], %s::text[]) AS w (supplier, location, cycle)
           LEFT JOIN LATERAL (SELECT part, state FROM purchase_order p WHERE p.supplier = w.supplier
                AND p.location = w.location AND p.cycle = w.cycle ORDER BY part DESC LIMIT 1) o ON true""",
        [[supplier for supplier, _ in places], [location for _, location in places], cycles],
    )
    return {
        (row["supplier"], row["location"]): (row["part"] or 0) + (row["state"] != "collecting")
        for row in await cursor.fetchall()
    }


async def _opened(cursor: Cursor, offers: Sequence[_Offer], currency: str, *, at_once: bool) -> set[str]:
    """Open what is not there yet; the ids of those that collect, all locked. What is due at once waits for no clock."""
    await cursor.execute(
        """WITH opened AS (
               INSERT INTO purchase_order (order_id, key, supplier, location, cycle, part, cutoff_at, traceparent,
                                           currency)
               SELECT *, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[],
                                        %s::timestamptz[], %s::text[])
               ON CONFLICT DO NOTHING RETURNING order_id, cutoff_at, location
           )
           INSERT INTO clock_wait (subject, subject_id, instant, location)
           SELECT 'order', order_id, cutoff_at, location FROM opened WHERE %s""",
        [currency, *([getattr(offer, name) for offer in offers] for name in _Offer._fields), not at_once],
    )
    await cursor.execute(
        "SELECT order_id, state FROM purchase_order WHERE order_id = ANY(%s) ORDER BY order_id FOR UPDATE",
        [[offer.order_id for offer in offers]],
    )
    return {row["order_id"] for row in await cursor.fetchall() if row["state"] == "collecting"}


async def below_minimum(cursor: Cursor, order: DictRow, lines: Sequence[DictRow]) -> str | None:
    """Why nothing of this order can go: its authorised lines are worth less than the supplier takes. None: it can.

    Its lines are needed again at the next review, where they are topped up or find company.
    """
    await cursor.execute("SELECT minimum_order_value FROM supplier WHERE supplier = %s", [order["supplier"]])
    row = await cursor.fetchone()
    least = row["minimum_order_value"] if row else Decimal(0)
    value = sum((line["units"] * line["unit_cost"] for line in lines if line["refusal"] is None), Decimal(0))
    if value >= least:
        return None
    return f"the order comes to {value:.2f}, and {order['supplier']} takes none below {least:.2f}"


async def lock(cursor: Cursor, order_id: str) -> DictRow:
    """The order's row, locked until the transaction ends.

    Raises:
        NotFound: there is no such order.
    """
    return await _order(cursor, b"SELECT * FROM purchase_order WHERE order_id = %s FOR UPDATE", order_id)


async def read(cursor: Cursor, order_id: str) -> DictRow:
    """The order's row, as it is now.

    Raises:
        NotFound: there is no such order.
    """
    return await _order(cursor, b"SELECT * FROM purchase_order WHERE order_id = %s", order_id)


async def _order(cursor: Cursor, query: bytes, order_id: str) -> DictRow:
    await cursor.execute(query, [order_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no order {order_id}")
    return row
