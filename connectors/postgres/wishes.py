"""Keeps from whom a person wants a proposal, inside the caller's transaction; where that cannot be had, it says so."""

from datetime import datetime

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from workflows.domain.ledger import EntryType, NewEntry

Cursor = psycopg.AsyncCursor[DictRow]


async def offered(cursor: Cursor, task: DictRow) -> tuple[str, ...]:
    """Suppliers that sell the task's item to its location and are not blocked, in the catalog's order of preference."""
    await cursor.execute(
        """SELECT supplier FROM sourcing JOIN supplier USING (supplier)
           WHERE location = %s AND item = %s AND NOT blocked ORDER BY rank, unit_cost, supplier""",
        [task["location"], task["item"]],
    )
    return tuple(row["supplier"] for row in await cursor.fetchall())


async def drop(
    cursor: Cursor, decision_id: str, supplier: str | None, why: str, at: datetime, *, again: bool = False
) -> None:
    """Forget a wish that cannot be met, unless another one took its place; `again`: have the proposal scored without.

    A wish is a person's, so what became of it is in the task's record.
    """
    await cursor.execute(
        """UPDATE task SET wanted_supplier = NULL, rescore_wanted = rescore_wanted OR %s
           WHERE decision_id = %s AND wanted_supplier = %s AND state = 'open'""",
        [again, decision_id, supplier],
    )
    if cursor.rowcount:
        entry = NewEntry(
            stream=decision_id, type=EntryType.TASK_WISH_DROPPED, actor="engine", occurred_at=at,
            body={"supplier": supplier, "why": why},
        )  # fmt: skip
        await ledger.append(cursor, [entry])
