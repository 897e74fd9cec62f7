"""Keeps purchase orders: lines join while an order collects, the send gate authorises each, attempts carry a lease."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ceilings, cycles, evidence, ledger, releasing, stops
from connectors.postgres.pool import Database
from workflows.domain.identity import canonical
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.orders import OrderLine, OrderState, PlacementResult, PurchaseOrder
from workflows.domain.ports import ReleaseResult
from workflows.domain.recordable import by_reference
from workflows.domain.stops import Held

Cursor = psycopg.AsyncCursor[DictRow]
WITHHELD = "passive mode: nothing is sent"


class PostgresOrders:
    """The `Orders` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def release(self, decision_id: str, proposal_hash: str) -> ReleaseResult:
        async with self._database.transaction() as cursor:
            return await releasing.release(cursor, decision_id, proposal_hash)

    async def close_rejected(self, decision_id: str) -> bool:
        async with self._database.transaction() as cursor:
            return await releasing.close_rejected(cursor, decision_id)

    async def prepare(self, order_id: str, *, passive: bool) -> PurchaseOrder | None:
        async with self._database.transaction() as cursor:
            order = await cycles.lock(cursor, order_id)
            state = OrderState(order["state"])
            never_sent = state is OrderState.COLLECTING or (state is OrderState.SENDING and order["attempts"] == 0)
            if not never_sent:
                resend = state in {OrderState.SENDING, OrderState.IN_DOUBT}
                return PurchaseOrder.model_validate_json(order["payload"]) if resend else None
            if not passive and await stops.hold(cursor, order):
                return None
            payload = await _authorised(cursor, order)
            if payload is not None and passive:
                await _settle(cursor, order, OrderState.WITHHELD, WITHHELD)
                return None
            return payload

    async def state(self, order_id: str) -> OrderState:
        async with self._database.transaction() as cursor:
            return OrderState((await cycles.lock(cursor, order_id))["state"])

    async def held(self, order_id: str) -> Held | None:
        async with self._database.transaction() as cursor:
            return await stops.held(cursor, order_id)

    async def await_operator(self, order_id: str) -> None:
        async with self._database.transaction() as cursor:
            await stops.await_operator(cursor, await cycles.lock(cursor, order_id))

    async def begin_attempt(self, order_id: str, lease_token: str, lease_seconds: int) -> int | None:
        async with self._database.transaction() as cursor:
            await cursor.execute(
                """UPDATE purchase_order SET attempts = attempts + 1, lease_token = %(token)s, state = 'sending',
                       awaits_operator_at = NULL, lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
                   WHERE order_id = %(order)s AND state IN ('sending', 'in_doubt')
                     AND (lease_until IS NULL OR lease_until < clock_timestamp() OR lease_token = %(token)s)
                   RETURNING *""",
                {"token": lease_token, "seconds": lease_seconds, "order": order_id},
            )
            row = await cursor.fetchone()
            return None if row is None else int(row["attempts"])

    async def about_to_send(self, order_id: str, lease_token: str, *, passive: bool) -> PurchaseOrder | None:
        async with self._database.transaction() as cursor:
            order = await cycles.lock(cursor, order_id)
            await cursor.execute(
                """UPDATE purchase_order SET last_sent_at = clock_timestamp(), open_requests = 1
                   WHERE order_id = %s AND lease_token = %s AND lease_until > clock_timestamp() AND state = 'sending'
                   RETURNING *""",
                [order_id, lease_token],
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            if passive:
                await _unsent(cursor, order)
                await _settle(cursor, order, OrderState.WITHHELD, WITHHELD)
                return None
            payload = None if await stops.hold(cursor, order) else await _authorised(cursor, order)
            if payload is None:
                await _unsent(cursor, order)
                return None
            await ledger.append(cursor, [_order_entry(row, EntryType.ORDER_SENT, {"attempt": row["attempts"]})])
            return payload

    async def end_attempt(self, order_id: str, lease_token: str) -> None:
        async with self._database.transaction() as cursor:
            await cursor.execute(
                "UPDATE purchase_order SET lease_until = NULL, open_requests = 0 "
                "WHERE order_id = %s AND lease_token = %s",
                [order_id, lease_token],
            )

    async def seconds_since_last_send(self, order_id: str) -> float | None:
        async with self._database.transaction() as cursor:
            await cursor.execute(
                "SELECT extract(epoch FROM clock_timestamp() - last_sent_at)::float AS seconds FROM purchase_order "
                "WHERE order_id = %s",
                [order_id],
            )
            row = await cursor.fetchone()
            return None if row is None else row["seconds"]

    async def record_placed(
        self, order_id: str, lease_token: str, supplier_number: str, promised_at: datetime | None
    ) -> PlacementResult:
        async with self._database.transaction() as cursor:
            order = await cycles.lock(cursor, order_id)
            if order["state"] not in ("sending", "in_doubt") or order["lease_token"] != lease_token:
                return _result(order)
            await cursor.execute(
                """UPDATE purchase_order SET state = 'placed', supplier_number = %s, lease_until = NULL, reason = '',
                       promised_at = coalesce(promised_at, %s),
                       first_promised_at = coalesce(first_promised_at, promised_at, %s) WHERE order_id = %s""",
                [supplier_number, promised_at, promised_at, order_id],
            )
            body = {"answer": "placed", "supplier_number": supplier_number, "lines_digest": order["lines_digest"]}
            await ledger.append(cursor, [_order_entry(order, EntryType.ORDER_ANSWERED, body)])
            # Goods may have arrived before this answer was noted.
            await cursor.execute("SELECT settle_order(%s) AS state", [order_id])
            row = await cursor.fetchone()
            state = OrderState(row["state"]) if row and row["state"] else OrderState.PLACED
            if state is not OrderState.PLACED:
                closed = {"state": str(state), "reason": "nothing more is outstanding"}
                await ledger.append(cursor, [_order_entry(order, EntryType.ORDER_CLOSED, closed)])
            return PlacementResult(order_id=order_id, state=state, supplier_number=supplier_number)

    async def record_refused(self, order_id: str, lease_token: str, reason: str) -> PlacementResult:
        async with self._database.transaction() as cursor:
            order = await cycles.lock(cursor, order_id)
            if order["state"] not in ("sending", "in_doubt") or order["lease_token"] != lease_token:
                return _result(order)
            await _settle(cursor, order, OrderState.REFUSED, reason[:500])
            return PlacementResult(order_id=order_id, state=OrderState.REFUSED, reason=reason[:500])

    async def record_in_doubt(self, order_id: str, lease_token: str, reason: str) -> None:
        async with self._database.transaction() as cursor:
            await cursor.execute(
                """UPDATE purchase_order SET state = 'in_doubt', reason = %s, lease_until = NULL
                   WHERE order_id = %s AND state = 'sending' AND lease_token = %s RETURNING *""",
                [reason[:500], order_id, lease_token],
            )
            row = await cursor.fetchone()
            if row is not None:
                body = {"answer": "unknown", "reason": reason[:500]}
                await ledger.append(cursor, [_order_entry(row, EntryType.ORDER_ANSWERED, body)])


async def _authorised(cursor: Cursor, order: DictRow) -> PurchaseOrder | None:
    """Every line through the send gate, and the payload fixed from those that pass. None: none did; the order is over.

    In the ledger a payload stands once, however often it is authorised.
    """
    lines = await _authorised_lines(cursor, order)
    if not lines:
        await _settle(cursor, order, OrderState.EMPTY, "no authorised line")
        return None
    payload = PurchaseOrder(
        order_id=order["order_id"], key=order["key"], supplier=order["supplier"], location=order["location"],
        cycle=order["cycle"], currency=order["currency"], ordered_at=order["cutoff_at"], lines=tuple(lines),
    )  # fmt: skip
    body = canonical(payload)
    if order["payload"] is None or bytes(order["payload"]) != body:
        await cursor.execute(
            """UPDATE purchase_order SET state = 'sending', payload = %s, lines_digest = %s, ordered_at = cutoff_at
               WHERE order_id = %s""",
            [body, payload.lines_digest, order["order_id"]],
        )
        whole = {"key": payload.key, "lines_digest": payload.lines_digest, "order": payload.model_dump(mode="json")}
        entry, kept = by_reference(whole, "order")
        await evidence.keep(cursor, kept)
        await ledger.append(cursor, [_order_entry(order, EntryType.ORDER_PREPARED, entry)])
    return payload


async def _unsent(cursor: Cursor, order: DictRow) -> None:
    """No request left after all, and this attempt is over."""
    await cursor.execute(
        "UPDATE purchase_order SET last_sent_at = %s, open_requests = 0, lease_until = NULL WHERE order_id = %s",
        [order["last_sent_at"], order["order_id"]],
    )


async def _authorised_lines(cursor: Cursor, order: DictRow) -> list[OrderLine]:
    """Every line through the send gate; refused ones are marked, recorded and leave the position."""
    await cursor.execute(
        """SELECT need_id, item, units, unit_cost, line_refusal(need_id) AS refusal FROM order_line
           WHERE order_id = %s AND refused_reason IS NULL ORDER BY need_id FOR UPDATE""",
        [order["order_id"]],
    )
    rows = await cursor.fetchall()
    above = await ceilings.refusals_of_lines(cursor, order, rows)
    rows = [{**row, "refusal": row["refusal"] or above.get(row["need_id"])} for row in rows]
    too_small = await cycles.below_minimum(cursor, order, rows)
    lines: list[OrderLine] = []
    for row in rows:
        refusal = row["refusal"] or too_small
        if refusal is None:
            line = OrderLine(
                line_no=len(lines) + 1, need_id=row["need_id"], item=row["item"], units=row["units"],
                unit_cost=row["unit_cost"],
            )  # fmt: skip
            lines.append(line)
            await cursor.execute("UPDATE order_line SET line_no = %s WHERE need_id = %s", [line.line_no, line.need_id])
        else:
            await cursor.execute(
                "UPDATE order_line SET refused_reason = %s WHERE need_id = %s", [refusal, row["need_id"]]
            )
            body = {"order": order["order_id"], "reason": refusal}
            await ledger.append(
                cursor, [_entry(row["need_id"], EntryType.LINE_REFUSED, "send gate", order["cutoff_at"], body)]
            )
    await cursor.execute("SELECT refresh_on_order(%s)", [order["order_id"]])
    return lines


async def _settle(cursor: Cursor, order: DictRow, state: OrderState, reason: str) -> None:
    await cursor.execute(
        """UPDATE purchase_order SET state = %s, reason = %s, lease_until = NULL, settled_at = clock_timestamp(),
               ordered_at = coalesce(ordered_at, cutoff_at) WHERE order_id = %s""",
        [state, reason, order["order_id"]],
    )
    await cursor.execute("SELECT refresh_on_order(%s)", [order["order_id"]])
    await ledger.append(cursor, [_order_entry(order, EntryType.ORDER_CLOSED, {"state": str(state), "reason": reason})])


def _result(order: DictRow) -> PlacementResult:
    return PlacementResult(
        order_id=order["order_id"],
        state=order["state"],
        supplier_number=order["supplier_number"],
        reason=order["reason"],
    )


def _entry(stream: str, kind: EntryType, actor: str, at: datetime, body: dict[str, Any]) -> NewEntry:
    return NewEntry(stream=stream, type=kind, actor=actor, occurred_at=at, body=body)


def _order_entry(order: DictRow, kind: EntryType, body: dict[str, Any]) -> NewEntry:
    return _entry(f"order:{order['order_id']}", kind, "engine", order["cutoff_at"], body)
