"""Puts an answered proposal on an order, or closes it: what is read was locked before, so no undo can slip between."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import approvals, cycles, ledger
from workflows.domain.approvals import TaskState
from workflows.domain.errors import NotFound
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.ports import ReleaseResult

Cursor = psycopg.AsyncCursor[DictRow]


async def release(cursor: Cursor, decision_id: str, proposal_hash: str, *, at_once: bool = False) -> ReleaseResult:
    """Put an authorised proposal on the collecting order of its supplier and location; safe to repeat."""
    row = await _locked(cursor, decision_id)
    if row["state"] == "released":
        return ReleaseResult(released=True, order_id=row["order_id"])
    if row["state"] != "proposed":
        return ReleaseResult(released=False, reason=f"the proposal is {row['state']}")
    if row["proposal_hash"] != proposal_hash:
        return ReleaseResult(released=False, reason="the proposal changed")
    approval = await _approval(cursor, decision_id, proposal_hash)
    if row["tier"] != "auto" and approval is None:
        # Taken back, and perhaps rejected since: either way the workflow hears of what stands, or waits for it.
        waits = await _task_state(cursor, decision_id) in (TaskState.OPEN, TaskState.REJECTED)
        return ReleaseResult(released=False, reason="no standing approval for this proposal", waits=waits)
    units = (approval and approval["units"]) or row["units"]
    order = await cycles.collecting_order(cursor, row, at_once=at_once)
    await cursor.execute(
        """INSERT INTO order_line (order_id, need_id, item, location, units, unit_cost, proposal_hash)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        [order, decision_id, row["item"], row["location"], units, row["unit_cost"], proposal_hash],
    )
    await cursor.execute(
        "UPDATE replenishment SET state = 'released', order_id = %s, closed_at = clock_timestamp() "
        "WHERE decision_id = %s",
        [order, decision_id],
    )
    await cursor.execute("UPDATE need SET state = 'closed' WHERE need_id = %s", [decision_id])
    await cursor.execute("SELECT refresh_on_order(%s, %s)", [order, row["item"]])
    body = {"order": order, "units": units, "proposal_hash": proposal_hash, "tier": row["tier"]}
    await ledger.append(cursor, [_entry(decision_id, row["watermark"], body)])
    return ReleaseResult(released=True, order_id=order)


async def close_rejected(cursor: Cursor, decision_id: str) -> bool:
    """Close the need of a rejected proposal. False: the rejection was taken back before; the task waits, or another
    answer stands."""
    await _locked(cursor, decision_id)
    if await _task_state(cursor, decision_id) in (TaskState.OPEN, TaskState.APPROVED):
        return False
    await approvals.close(cursor, decision_id, TaskState.REJECTED, "rejected by a person")
    return True


async def _locked(cursor: Cursor, decision_id: str) -> DictRow:
    """The proposal with its location's clock. Whoever takes an answer back holds this lock too: only what is read in a
    later statement is what they left."""
    await cursor.execute(
        """SELECT r.*, c.watermark FROM replenishment r JOIN business_clock c ON c.location = r.location
           WHERE r.decision_id = %s FOR UPDATE OF r""",
        [decision_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no proposal {decision_id}")
    return row


async def _approval(cursor: Cursor, decision_id: str, proposal_hash: str) -> DictRow | None:
    await cursor.execute(
        """SELECT units, meaning FROM approval WHERE decision_id = %s AND proposal_hash = %s AND voided_at IS NULL
           AND complete AND meaning IN ('approve', 'approve_edited')""",
        [decision_id, proposal_hash],
    )
    return await cursor.fetchone()


async def _task_state(cursor: Cursor, decision_id: str) -> str | None:
    await cursor.execute("SELECT state FROM task WHERE decision_id = %s", [decision_id])
    row = await cursor.fetchone()
    return None if row is None else str(row["state"])


def _entry(stream: str, at: datetime, body: dict[str, Any]) -> NewEntry:
    return NewEntry(stream=stream, type=EntryType.DECISION_RELEASED, actor="engine", occurred_at=at, body=body)
