"""Finds or opens the purchase order that takes a line: one for each supplier, location and order cycle."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

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
    await cursor.execute("SELECT * FROM purchase_order WHERE order_id = %s FOR UPDATE", [order_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no order {order_id}")
    return row
