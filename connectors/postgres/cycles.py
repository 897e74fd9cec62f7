"""Finds or opens the purchase order that takes a line: one for each supplier, location and order cycle."""

from datetime import timedelta

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts
from workflows.domain.errors import NotFound
from workflows.domain.identity import order_id, order_key
from workflows.domain.orders import order_cycle

Cursor = psycopg.AsyncCursor[DictRow]
CYCLES_AHEAD = 3


async def collecting_order(cursor: Cursor, row: DictRow) -> str:
    """The order that takes this line: its cycle's, or the next one's when that cycle is closed already."""
    supplier, location, clock = row["supplier"], row["location"], row["watermark"]
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 11))", [f"{supplier}/{location}"])
    currency = await facts.setting(cursor, "currency", "EUR")
    for _ in range(CYCLES_AHEAD):
        cycle, cutoff = order_cycle(clock)
        identity = order_id(supplier, location, cycle, 1)
        await cursor.execute(
            """INSERT INTO purchase_order (order_id, key, supplier, location, cycle, part, currency, cutoff_at,
                                           traceparent)
               VALUES (%s, %s, %s, %s, %s, 1, %s, %s, %s) ON CONFLICT DO NOTHING""",
            [identity, order_key(supplier, location, cycle, 1), supplier, location, cycle, currency, cutoff,
             row["traceparent"]],
        )  # fmt: skip
        if cursor.rowcount == 1:
            await cursor.execute(
                "INSERT INTO clock_wait (subject, subject_id, instant, location) VALUES ('order', %s, %s, %s)",
                [identity, cutoff, location],
            )
        if (await lock(cursor, identity))["state"] == "collecting":
            return identity
        clock += timedelta(days=1)
    raise NotFound(f"no open order cycle for {supplier} at {location}")


async def lock(cursor: Cursor, order_id: str) -> DictRow:
    """The order's row, locked until the transaction ends.

    Raises:
        NotFound: there is no such order.
    """
    await cursor.execute("SELECT * FROM purchase_order WHERE order_id = %s FOR UPDATE", [order_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no order {order_id}")
    return row
