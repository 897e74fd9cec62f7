"""Wakes snoozed tasks when what they wait for has come, and says which ones people want scored again."""

from datetime import UTC, datetime

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.pool import Connection, reading, transaction
from connectors.postgres.task_work import AWAKE
from workflows.domain.decisions import Decided
from workflows.domain.ledger import EntryType, NewEntry

Cursor = psycopg.AsyncCursor[DictRow]

_ON_CLOCK = f"""
UPDATE task SET {AWAKE} WHERE decision_id IN (
    SELECT t.decision_id FROM task t JOIN business_clock c USING (location)
    WHERE t.state = 'open' AND t.snoozed_until IS NOT NULL AND t.snoozed_until <= c.watermark
    FOR UPDATE OF t SKIP LOCKED)
RETURNING decision_id, 'its instant came' AS why
"""  # noqa: S608 - our own words
# Whoever holds a task works on it at this moment: it wakes with the next round.
# Receipts only grow, so a count says whether there was another one; whoever was first to commit does not matter.
_ON_RECEIPT = f"""
UPDATE task SET {AWAKE} WHERE decision_id IN (
    SELECT t.decision_id FROM task t
    WHERE t.state = 'open' AND t.snoozed_receipts IS NOT NULL AND t.snoozed_receipts <
          (SELECT count(*) FROM movement m WHERE m.location = t.location AND m.item = t.item AND m.kind = 'receipt')
    FOR UPDATE OF t SKIP LOCKED)
RETURNING decision_id, 'something of the item arrived' AS why
"""  # noqa: S608 - our own words
_ON_FORECAST = f"""
UPDATE task t SET {AWAKE}
WHERE t.decision_id = %(task)s AND t.state = 'open' AND t.snoozed_percent IS NOT NULL
      AND abs(%(daily)s - t.snoozed_daily_units) * 100 > t.snoozed_percent * t.snoozed_daily_units
RETURNING t.decision_id, 'the forecast moved' AS why
"""  # noqa: S608 - our own words


def wake_due(connection: Connection) -> int:
    """Wake what waited for an instant of the business clock or for a receipt; how many woke. For the relay."""
    woken = 0
    for query in (_ON_CLOCK, _ON_RECEIPT):
        with transaction(connection, "task_waking.wake_due") as cursor:
            cursor.execute(query.encode())
            rows = cursor.fetchall()
            ledger.append_now(cursor, [_woken(row) for row in rows])
            woken += len(rows)
    return woken


async def wake_on_forecast(cursor: Cursor, decided: Decided) -> None:
    """Wake the task of a proposal that was scored again if its median demand moved as far as somebody waits for."""
    scores = decided.inputs.scores
    daily = scores.demand_p50 / max(1, scores.protection_days)
    await cursor.execute(_ON_FORECAST.encode(), {"task": decided.decision.decision_id, "daily": daily})
    await ledger.append(cursor, [_woken(row) for row in await cursor.fetchall()])


def rescores_wanted(connection: Connection) -> dict[str, str]:
    """Tasks that people want scored again and whose workflows have not been told, each with the state of its row."""
    with reading(connection) as cursor:
        cursor.execute(
            "SELECT decision_id, xmin::text AS state FROM task WHERE state = 'open' AND rescore_wanted LIMIT 200"
        )
        return {row["decision_id"]: row["state"] for row in cursor.fetchall()}


def rescore_told(connection: Connection, decision_id: str, state: str) -> None:
    """Note that the workflow was told of what was asked for in this state; what was asked for since is told next."""
    with transaction(connection, "task_waking.rescore_told") as cursor:
        cursor.execute(
            "UPDATE task SET rescore_wanted = false WHERE decision_id = %s AND xmin::text = %s", [decision_id, state]
        )


def _woken(row: DictRow) -> NewEntry:
    return NewEntry(
        stream=row["decision_id"], type=EntryType.TASK_WOKEN, actor="engine", occurred_at=datetime.now(UTC),
        body={"why": row["why"]},
    )  # fmt: skip
