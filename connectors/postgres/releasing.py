"""Puts an answered proposal on an order, or closes it: what is read was locked before, so no undo can slip between."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import approvals, cycles, ledger
from workflows.domain.approvals import TaskState
from workflows.domain.errors import NotFound
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.ports import ReleaseResult

Cursor = psycopg.AsyncCursor[DictRow]


class Released(NamedTuple):
    """A (locked) proposal with its location's watermark, the order that takes it and the units that were agreed on."""

    proposal: DictRow
    order_id: str
    units: int


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
    await put_on_orders(cursor, [Released(row, order, units)])
    return ReleaseResult(released=True, order_id=order)


async def put_on_orders(cursor: Cursor, released: Sequence[Released]) -> None:
    """Give each proposal its line, close its need and put it on the record, set-wise. The orders are locked; positions
    are here, in name order."""
    decisions = [one.proposal["decision_id"] for one in released]
    orders = [one.order_id for one in released]
    await cursor.execute(
        """INSERT INTO order_line (order_id, need_id, item, location, units, unit_cost, proposal_hash)
           SELECT w.order_id, r.decision_id, r.item, r.location, w.units, r.unit_cost, r.proposal_hash
           FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS w (order_id, decision_id, units)
           JOIN replenishment r USING (decision_id)""",
        [orders, decisions, [one.units for one in released]],
    )
    await cursor.execute(
        """UPDATE replenishment r SET state = 'released', order_id = w.order_id, closed_at = clock_timestamp()
           FROM unnest(%s::text[], %s::text[]) AS w (order_id, decision_id) WHERE r.decision_id = w.decision_id""",
        [orders, decisions],
    )
    await cursor.execute("UPDATE need SET state = 'closed' WHERE need_id = ANY(%s)", [decisions])
    await _refresh_on_order(cursor, [one.proposal for one in released])
    await ledger.append(cursor, [_entry(one) for one in released])


async def _refresh_on_order(cursor: Cursor, proposals: Sequence[DictRow]) -> None:
    """Bring the lines' positions up to date. Locked first and counted in a second statement, which sees what the
    transactions that it waited for have committed."""
    places = sorted({(row["location"], row["item"]) for row in proposals})
    names = [[location for location, _ in places], [item for _, item in places]]
    await cursor.execute(
        """SELECT 1 FROM position p JOIN unnest(%s::text[], %s::text[]) AS w (location, item) USING (location, item)
           ORDER BY p.location, p.item FOR UPDATE OF p""",
        names,
    )
    await cursor.execute(
        """UPDATE position p SET on_order_units = outstanding_units(p.location, p.item)
           FROM unnest(%s::text[], %s::text[]) AS w (location, item)
           WHERE p.location = w.location AND p.item = w.item""",
        names,
    )


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


def _entry(released: Released) -> NewEntry:
    row, order, units = released
    body: dict[str, Any] = {
        "order": order, "units": units, "proposal_hash": row["proposal_hash"], "tier": row["tier"]
    }  # fmt: skip
    return NewEntry(
        stream=row["decision_id"], type=EntryType.DECISION_RELEASED, actor="engine", occurred_at=row["watermark"],
        body=body,
    )  # fmt: skip
