"""What an assessment leaves to start: proposals within the policy are released set-wise, the others wait for people."""

from collections.abc import Sequence

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import cycles
from connectors.postgres.pool import Database
from connectors.postgres.releasing import Released, put_on_orders
from workflows.domain.orders import OrderRef
from workflows.domain.ports import ReplenishmentRef

Cursor = psycopg.AsyncCursor[DictRow]

UNSTARTED_REF = """
SELECT r.decision_id, r.revision, r.proposal_hash, r.location, r.supplier, r.tier, r.traceparent,
       t.remind_at, t.escalate_at, t.expire_at
FROM replenishment r LEFT JOIN task t USING (decision_id)
"""
DUE_ORDER = """
SELECT o.order_id, o.location, o.supplier, o.cutoff_at, o.traceparent,
       coalesce(o.cutoff_at <= c.watermark, false) AS due
FROM purchase_order o LEFT JOIN business_clock c USING (location)
"""
Started = tuple[OrderRef, str | None]
"""An order to start, and the trace that it goes on with."""


class Launched:
    """What the launching activity reads and notes. `at_once`: orders wait for no cutoff."""

    def __init__(self, database: Database, *, at_once: bool = False) -> None:
        self._database = database
        self._at_once = at_once

    async def release(self, batch_id: str) -> None:
        """Put what the policy releases by itself on its orders, all in one transaction.

        Nobody is asked about such a proposal and nothing of it waits, so no workflow of its own carries it: its order
        has one. An order that is due is noted as started here, for the caller starts it next.
        """
        async with self._database.transaction("batch.release") as cursor:
            await _release(cursor, batch_id, at_once=self._at_once)

    async def orders(self, batch_id: str) -> list[Started]:
        """The due orders of what was released, unless they went already. A repeated attempt gets them again."""
        async with self._database.reading() as cursor:
            query = f"""{DUE_ORDER} WHERE o.state = 'collecting' AND o.order_id IN (
                SELECT r.order_id FROM need n JOIN replenishment r ON r.decision_id = n.need_id
                WHERE n.batch_id = %s AND r.state = 'released')"""  # noqa: S608 - our own words
            await cursor.execute(query.encode(), [batch_id])
            return [(OrderRef.model_validate(row), row["traceparent"]) for row in await cursor.fetchall() if row["due"]]

    async def unstarted(self, batch_id: str) -> list[tuple[ReplenishmentRef, str | None]]:
        """Proposals of a batch whose workflow is not noted as started, with their trace context."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                (
                    UNSTARTED_REF
                    + """JOIN need n ON n.need_id = r.decision_id
                           WHERE n.batch_id = %s AND r.workflow_started_at IS NULL AND r.state = 'proposed'
                           ORDER BY r.decision_id"""
                ).encode(),
                [batch_id],
            )
            return [(ReplenishmentRef.model_validate(row), row["traceparent"]) for row in await cursor.fetchall()]

    async def finished(self, batch_id: str, decision_ids: Sequence[str]) -> None:
        """Note that the workflows of these proposals run, and that the batch is done."""
        async with self._database.transaction("batch.finish") as cursor:
            await cursor.execute(
                """UPDATE replenishment SET workflow_started_at = clock_timestamp()
                   WHERE decision_id = ANY(%s) AND workflow_started_at IS NULL""",
                [list(decision_ids)],
            )
            await cursor.execute(
                "UPDATE need_batch SET finished_at = clock_timestamp() WHERE batch_id = %s", [batch_id]
            )


async def _release(cursor: Cursor, batch_id: str, *, at_once: bool) -> None:
    """In the order in which everybody locks: proposals, orders, positions; each in name order."""
    await cursor.execute(
        """SELECT r.*, c.watermark FROM need n JOIN replenishment r ON r.decision_id = n.need_id
           JOIN business_clock c ON c.location = r.location
           WHERE n.batch_id = %s AND r.tier = 'auto' AND r.state = 'proposed' AND r.workflow_started_at IS NULL
           ORDER BY r.decision_id FOR UPDATE OF r""",
        [batch_id],
    )
    rows = await cursor.fetchall()
    if not rows:
        return
    found = await cycles.collecting_orders(cursor, rows, at_once=at_once)
    released = [Released(row, found[row["supplier"], row["location"]], row["units"]) for row in rows]
    await put_on_orders(cursor, released)
    await cursor.execute(
        """UPDATE purchase_order o SET workflow_started_at = clock_timestamp() FROM business_clock c
           WHERE o.order_id = ANY(%s) AND o.workflow_started_at IS NULL
             AND c.location = o.location AND o.cutoff_at <= c.watermark""",
        [[one.order_id for one in released]],
    )
