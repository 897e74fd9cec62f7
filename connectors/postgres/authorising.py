"""Fixes what an order says: every line through the send gate, the bytes with their hash, and what each rests on."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from connectors.postgres import ceilings, cycles, evidence, ledger
from workflows.domain.capabilities import Manifest
from workflows.domain.errors import PersonNeeded
from workflows.domain.identity import canonical, digest
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.orders import OrderLine, OrderState, PurchaseOrder
from workflows.domain.recordable import by_reference

Cursor = psycopg.AsyncCursor[DictRow]
_AUTHORITY = """
SELECT l.need_id, l.units, l.proposal_hash, r.revision, r.tier,
       coalesce((SELECT jsonb_agg(a.approval_id ORDER BY a.recorded_at, a.approval_id) FROM approval a
                 WHERE a.decision_id = l.need_id AND a.proposal_hash = l.proposal_hash AND a.voided_at IS NULL
                   AND a.meaning IN ('approve', 'approve_edited')), '[]') AS approvals
FROM order_line l JOIN replenishment r ON r.decision_id = l.need_id
WHERE l.order_id = %s AND l.refused_reason IS NULL ORDER BY l.need_id
"""


async def authorised(
    cursor: Cursor, order: DictRow, manifest: Manifest | None = None, *, left_something: bool = False
) -> PurchaseOrder | None:
    """Every line of this (locked) order through the send gate, and the payload fixed from those that pass. None: none
    did; the order is over.

    In the ledger a payload stands once, however often it is authorised. The manifest is noted with the first one.

    Raises:
        PersonNeeded: no line passed, and the order `left_something` at the supplier.
    """
    lines = await _lines(cursor, order)
    if not lines and left_something:
        # An order without lines is over, and its needs are ordered again. A confirmation that we lost sight of may
        # still make an order of the draft, so this one is not over before somebody has seen to that.
        raise PersonNeeded(
            "nothing of it may be ordered any more, and a draft of it is at the supplier: it must be cancelled there"
        )
    if not lines:
        await settle(cursor, order, OrderState.EMPTY, "no authorised line")
        return None
    payload = PurchaseOrder(
        order_id=order["order_id"], key=order["key"], supplier=order["supplier"], location=order["location"],
        cycle=order["cycle"], currency=order["currency"], ordered_at=order["cutoff_at"], lines=tuple(lines),
    )  # fmt: skip
    body = canonical(payload)
    if order["payload"] is None or bytes(order["payload"]) != body:
        await cursor.execute(_AUTHORITY, [order["order_id"]])
        authority = await cursor.fetchall()
        await cursor.execute(
            """UPDATE purchase_order SET state = 'sending', request = coalesce(request, 'prepared'), payload = %s,
                   payload_sha256 = %s, lines_digest = %s, authorised = %s, ordered_at = cutoff_at,
                   capability = coalesce(capability, %s)
               WHERE order_id = %s""",
            [
                body, digest(body), payload.lines_digest, Jsonb(authority),
                manifest and Jsonb(manifest.model_dump(mode="json")), order["order_id"],
            ],
        )  # fmt: skip
        whole: dict[str, Any] = {
            "key": payload.key, "lines_digest": payload.lines_digest, "order": payload.model_dump(mode="json")
        }  # fmt: skip
        if manifest is not None:
            whole["level"] = str(manifest.level)
        entry, kept = by_reference(whole, "order")
        await evidence.keep(cursor, kept)
        await ledger.append(cursor, [order_entry(order, EntryType.ORDER_PREPARED, entry)])
    return payload


async def settle(cursor: Cursor, order: DictRow, state: OrderState, reason: str) -> None:
    """End the order without one at the supplier: nothing of it left, or the supplier refused it."""
    request = "rejected" if state is OrderState.REFUSED else "withdrawn"
    await cursor.execute(
        """UPDATE purchase_order SET state = %s, reason = %s, lease_until = NULL, settled_at = clock_timestamp(),
               ordered_at = coalesce(ordered_at, cutoff_at), open_requests = 0,
               request = CASE WHEN request IS NULL THEN NULL ELSE %s END
           WHERE order_id = %s""",
        [state, reason, request, order["order_id"]],
    )
    await cursor.execute("SELECT refresh_on_order(%s)", [order["order_id"]])
    await ledger.append(cursor, [order_entry(order, EntryType.ORDER_CLOSED, {"state": str(state), "reason": reason})])


async def _lines(cursor: Cursor, order: DictRow) -> list[OrderLine]:
    """Every line through the send gate; refused ones are marked, recorded and leave the position."""
    await cursor.execute(
        """SELECT need_id, item, units, unit_cost, line_no, line_refusal(need_id) AS refusal FROM order_line
           WHERE order_id = %s AND refused_reason IS NULL ORDER BY need_id FOR UPDATE""",
        [order["order_id"]],
    )
    rows = await cursor.fetchall()
    above = await ceilings.refusals_of_lines(cursor, order, rows)
    rows = [{**row, "refusal": row["refusal"] or above.get(row["need_id"])} for row in rows]
    too_small = await cycles.below_minimum(cursor, order, rows)
    lines: list[OrderLine] = []
    changed = False
    for row in rows:
        refusal = row["refusal"] or too_small
        if refusal is None:
            line = OrderLine(
                line_no=len(lines) + 1, need_id=row["need_id"], item=row["item"], units=row["units"],
                unit_cost=row["unit_cost"],
            )  # fmt: skip
            lines.append(line)
            if row["line_no"] != line.line_no:
                await cursor.execute(
                    "UPDATE order_line SET line_no = %s WHERE need_id = %s", [line.line_no, line.need_id]
                )
        else:
            changed = True
            await cursor.execute(
                "UPDATE order_line SET refused_reason = %s WHERE need_id = %s", [refusal, row["need_id"]]
            )
            body = {"order": order["order_id"], "reason": refusal}
            await ledger.append(
                cursor, [entry(row["need_id"], EntryType.LINE_REFUSED, "send gate", order["cutoff_at"], body)]
            )
    if changed:
        await cursor.execute("SELECT refresh_on_order(%s)", [order["order_id"]])
    return lines


def entry(stream: str, kind: EntryType, actor: str, at: datetime, body: dict[str, Any]) -> NewEntry:
    """An entry for any stream."""
    return NewEntry(stream=stream, type=kind, actor=actor, occurred_at=at, body=body)


def order_entry(order: DictRow, kind: EntryType, body: dict[str, Any], actor: str = "engine") -> NewEntry:
    """An entry for the order's own stream."""
    return entry(f"order:{order['order_id']}", kind, actor, order["cutoff_at"], body)
