"""Reads purchase orders for operators, a page at a time, and carries out their word about one of them."""

import json
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import cycles, ledger, operator_commands
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.operations import (
    Attention,
    OrderDone,
    OrderFilters,
    OrderLineRow,
    OrderRow,
    OrdersPage,
    OrdersRetried,
    OrderView,
    WaitingOrders,
)
from workflows.domain.order_steps import steps, why_not_close
from workflows.domain.orders import OrderState
from workflows.domain.requests import RequestState
from workflows.domain.stops import Held, StopScope, why_held

Cursor = psycopg.AsyncCursor[DictRow]

_MATTERS = {
    Attention.FAILED: """o.attended_at IS NULL
        AND (o.state IN ('refused', 'in_doubt') OR o.awaits_operator_at IS NOT NULL)""",
    Attention.AWAITS_OPERATOR: "o.awaits_operator_at IS NOT NULL AND o.attended_at IS NULL",
    Attention.HELD: "o.held_by IS NOT NULL",
    Attention.OVERDUE: """o.state IN ('collecting', 'sending', 'in_doubt') AND o.held_by IS NULL AND EXISTS (
        SELECT 1 FROM business_clock c WHERE c.location = o.location AND c.watermark >= o.cutoff_at)""",
}

# The page first, its lines after: however many orders there are, no more are added up than are shown.
_ORDERS = """
WITH page AS (
    SELECT o.order_id FROM purchase_order o WHERE {where} ORDER BY o.cutoff_at DESC, o.order_id LIMIT %(limit)s
)
SELECT o.*, s.stop_id, s.scope, s.subject, s.reason AS stop_reason, s.over_cap, l.lines, l.value, l.units,
       l.received_units
FROM page JOIN purchase_order o USING (order_id) LEFT JOIN send_stop s ON s.stop_id = o.held_by
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE refused_reason IS NULL) AS lines,
           coalesce(sum(units * unit_cost) FILTER (WHERE refused_reason IS NULL), 0) AS value,
           coalesce(sum(units) FILTER (WHERE refused_reason IS NULL), 0)::bigint AS units,
           coalesce(sum(received_units), 0)::bigint AS received_units
    FROM order_line WHERE order_id = o.order_id
) l ORDER BY o.cutoff_at DESC, o.order_id
"""
_LINES = """
SELECT l.need_id, l.item, coalesce(i.name, '') AS item_name, l.units, l.unit_cost, l.received_units, l.short_units,
       l.refused_reason, r.closed_at
FROM order_line l JOIN replenishment r ON r.decision_id = l.need_id LEFT JOIN item i ON i.item = l.item
WHERE l.order_id = %s ORDER BY l.need_id LIMIT 2000
"""

_WAITING = """
FROM purchase_order WHERE awaits_operator_at IS NOT NULL AND wake_at IS NULL AND state = ANY(%(may_leave)s)
  AND %(supplier)s IN ('', supplier) AND %(location)s IN ('', location)
"""
# The lock of each row is taken here, longest waiting first; one that somebody is at is left to the next word.
_RETRY = f"""
WITH waiting AS (
    SELECT order_id {_WAITING}
    ORDER BY awaits_operator_at, order_id LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
UPDATE purchase_order o SET wake_at = clock_timestamp() FROM waiting w WHERE o.order_id = w.order_id RETURNING o.*
"""  # noqa: S608 - our own words
MOST_RETRIED = 500
"""Orders in one word: their rows are locked until it is kept."""


class PostgresOrderDesk:
    """The part of the `Operations` port that is about orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def orders(self, filters: OrderFilters, *, limit: int = 100, after: str | None = None) -> OrdersPage:
        where = ["true"]
        arguments: dict[str, Any] = {"limit": min(limit, 500) + 1}
        if isinstance(filters.state, Attention):
            where.append(_MATTERS[filters.state])
        for column in ("state", "supplier", "location"):
            value = getattr(filters, column)
            if value and not isinstance(value, Attention):
                where.append(f"o.{column} = %({column})s")
                arguments[column] = value
        async with self._database.reading() as cursor:
            if after is not None:
                await cursor.execute("SELECT cutoff_at FROM purchase_order WHERE order_id = %s", [after])
                last = await cursor.fetchone()
                if last is None:
                    raise InvalidInput(f"after: there is no order {after[:100]}")
                where.append("o.cutoff_at <= %(at)s AND (o.cutoff_at < %(at)s OR o.order_id > %(after)s)")
                arguments |= {"at": last["cutoff_at"], "after": after}
            await cursor.execute(_ORDERS.format(where=" AND ".join(where)).encode(), arguments)
            rows = [_order_row(row) for row in await cursor.fetchall()]
        shown = rows[: arguments["limit"] - 1]
        return OrdersPage(orders=tuple(shown), next=shown[-1].order_id if len(rows) > len(shown) else None)

    async def order(self, order_id: str) -> OrderView:
        async with self._database.reading() as cursor:
            await cursor.execute(
                _ORDERS.format(where="o.order_id = %(order)s").encode(), {"order": order_id, "limit": 1}
            )
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"there is no order {order_id}")
            await cursor.execute(_LINES, [order_id])
            lines = await cursor.fetchall()
            refusal = await _why_not_close(cursor, row)
        entries = await ledger.timeline(self._database, f"order:{order_id}")
        view = OrderView(
            order=_order_row(row), lines=tuple(OrderLineRow.model_validate(line) for line in lines), steps=(),
            timeline=tuple(
                {"seq": e.seq, "at": e.recorded_at, "type": e.type, "actor": e.actor, "body": json.loads(e.body)}
                for e in entries
            ),
            approved_at=max((line["closed_at"] for line in lines if line["closed_at"]), default=None),
            last_sent_at=row["last_sent_at"], acknowledged_at=row["acknowledged_at"], shipped_at=row["shipped_at"],
            settled_at=row["settled_at"], can_retry=row["awaits_operator_at"] is not None and row["wake_at"] is None,
            can_close=not refusal, why_not_close=refusal,
            can_attend=row["state"] == "refused" and row["attended_at"] is None,
        )  # fmt: skip
        return view.model_copy(update={"steps": steps(view)})

    async def retry(self, order_id: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        asked: dict[str, object] = {"do": "retry", "by": actor.name, "order": order_id}
        async with self._database.transaction("operations.retry") as cursor:
            before = await operator_commands.answered(cursor, command_id, asked, OrderDone)
            if before is not None:
                return before
            order = await cycles.lock(cursor, order_id)
            if order["awaits_operator_at"] is None or not OrderState(order["state"]).may_leave:
                raise Conflict(f"nothing waits for an operator: the order {order_id} is {order['state']}")
            await cursor.execute(
                "UPDATE purchase_order SET wake_at = clock_timestamp() WHERE order_id = %s", [order_id]
            )
            if order["wake_at"] is None:
                await ledger.append(cursor, [_entry(order, EntryType.ORDER_RETRIED, actor, {})])
            done = OrderDone(
                order_id=order_id, state=order["state"],
                done="it is looked for at the supplier, and sent if it is not there",
            )  # fmt: skip
            await operator_commands.keep(cursor, command_id, asked, done)
            return done

    async def retry_waiting(
        self, which: WaitingOrders, actor: Actor, *, command_id: str | None = None
    ) -> OrdersRetried:
        asked: dict[str, object] = {"do": "retry waiting", "by": actor.name, **which.model_dump()}
        told = {**which.model_dump(), "may_leave": [one for one in OrderState if one.may_leave], "most": MOST_RETRIED}
        async with self._database.transaction("operations.retry_waiting") as cursor:
            before = await operator_commands.answered(cursor, command_id, asked, OrdersRetried)
            if before is not None:
                return before
            await cursor.execute(_RETRY.encode(), told)
            orders = sorted(await cursor.fetchall(), key=lambda row: str(row["order_id"]))
            await ledger.append(cursor, [_entry(one, EntryType.ORDER_RETRIED, actor, {}) for one in orders])
            await cursor.execute(f"SELECT count(*) AS n {_WAITING}".encode(), told)
            row = await cursor.fetchone()
            done = OrdersRetried(orders=len(orders), left=row["n"] if row else 0)
            await operator_commands.keep(cursor, command_id, asked, done)
            return done

    async def close_unordered(
        self, order_id: str, reason: str, actor: Actor, *, command_id: str | None = None
    ) -> OrderDone:
        asked: dict[str, object] = {"do": "close", "by": actor.name, "order": order_id, "reason": reason}
        async with self._database.transaction("operations.close_unordered") as cursor:
            before = await operator_commands.answered(cursor, command_id, asked, OrderDone)
            if before is not None:
                return before
            order = await cycles.lock(cursor, order_id)
            # Whoever sends must hold this row's lock while it commits that a request leaves: nobody can be at it now.
            refusal = await _why_not_close(cursor, order)
            if refusal:
                raise Conflict(f"the order {order_id} cannot be closed as not ordered: {refusal}")
            words = f"closed as not ordered by {actor.name}: {reason}"
            await self._end(cursor, order, words, actor)
            done = OrderDone(order_id=order_id, state=OrderState.EMPTY, done=words)
            await operator_commands.keep(cursor, command_id, asked, done)
            return done

    async def attend(self, order_id: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        asked: dict[str, object] = {"do": "attend", "by": actor.name, "order": order_id}
        async with self._database.transaction("operations.attend") as cursor:
            before = await operator_commands.answered(cursor, command_id, asked, OrderDone)
            if before is not None:
                return before
            order = await cycles.lock(cursor, order_id)
            if order["state"] != OrderState.REFUSED:
                raise Conflict(f"only a refused order is marked as seen: the order {order_id} is {order['state']}")
            if order["attended_at"] is None:
                await cursor.execute(
                    "UPDATE purchase_order SET attended_at = clock_timestamp(), attended_by = %s WHERE order_id = %s",
                    [actor.name, order_id],
                )
                await ledger.append(cursor, [_entry(order, EntryType.ORDER_ATTENDED, actor, {})])
            seen_by = order["attended_by"] or actor.name
            done = OrderDone(order_id=order_id, state=OrderState.REFUSED, done=f"seen by {seen_by}")
            await operator_commands.keep(cursor, command_id, asked, done)
            return done

    @staticmethod
    async def _end(cursor: Cursor, order: DictRow, words: str, actor: Actor) -> None:
        """Refuse every line and settle the order as empty; its workflow is told, and finds nothing to send."""
        order_id = order["order_id"]
        await cursor.execute(
            "UPDATE order_line SET refused_reason = %s WHERE order_id = %s AND refused_reason IS NULL",
            [words[:500], order_id],
        )
        await cursor.execute(
            """UPDATE purchase_order SET state = 'empty', reason = %s, lease_until = NULL, held_by = NULL,
                   held_at = NULL, awaits_operator_at = NULL, wake_at = clock_timestamp(),
                   settled_at = clock_timestamp(), ordered_at = coalesce(ordered_at, cutoff_at),
                   request = CASE WHEN request IS NULL THEN NULL ELSE 'withdrawn' END
               WHERE order_id = %s""",
            [words[:500], order_id],
        )
        await cursor.execute("SELECT refresh_on_order(%s)", [order_id])
        body = {"state": "empty", "reason": words[:500]}
        await ledger.append(cursor, [_entry(order, EntryType.ORDER_CLOSED, actor, body)])


def _entry(order: DictRow, kind: EntryType, actor: Actor, body: dict[str, Any]) -> NewEntry:
    stream = f"order:{order['order_id']}"
    return NewEntry(stream=stream, type=kind, actor=actor.name, occurred_at=order["cutoff_at"], body=body)


async def _why_not_close(cursor: Cursor, row: DictRow) -> str:
    await cursor.execute("SELECT %s::timestamptz > clock_timestamp() AS leased", [row["lease_until"]])
    found = await cursor.fetchone()
    leased = bool(found and found["leased"])
    request = None if row["request"] is None else RequestState(row["request"])
    return why_not_close(OrderState(row["state"]), open_requests=row["open_requests"], leased=leased, request=request)


def _order_row(row: DictRow) -> OrderRow:
    held = None
    if row["stop_id"] is not None:
        reason = why_held(StopScope(row["scope"]), row["subject"], row["stop_reason"])
        held = Held(order_id=row["order_id"], stop_id=row["stop_id"], reason=reason, over_cap=row["over_cap"])
    return OrderRow.model_validate({**row, "held": held})
