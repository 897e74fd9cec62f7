"""Shows orders in doubt and carries out what a person says of one: once, with a reason, and on the record."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger, operator_commands, requests
from connectors.postgres.authorising import order_entry
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.capabilities import Manifest, settles_in
from workflows.domain.doubt import (
    ASSUMED,
    Doubt,
    SentRequest,
    is_in_doubt,
    sends_again_itself,
    why_not_confirm,
    why_not_look,
    why_not_send,
)
from workflows.domain.errors import Conflict, NotFound
from workflows.domain.ledger import EntryType
from workflows.domain.operations import OrderDone
from workflows.domain.requests import Request

Cursor = psycopg.AsyncCursor[DictRow]
Carried = Callable[[Cursor, DictRow], Awaitable[OrderDone]]
_ROW = """
SELECT o.*, clock_timestamp() AS as_of, coalesce(o.lease_until > clock_timestamp(), false) AS leased
FROM purchase_order o
"""
_IN_DOUBT = (
    _ROW
    + """WHERE o.request IN ('unknown', 'reconciling', 'duplicate_detected')
            OR o.awaits_operator_at IS NOT NULL AND o.request = 'absent'
         ORDER BY o.awaits_operator_at NULLS LAST, o.last_sent_at, o.order_id LIMIT %s"""
)
_SENT = """
SELECT * FROM (SELECT * FROM order_request WHERE order_id = %s ORDER BY seq DESC LIMIT 50) AS newest ORDER BY seq
"""


class PostgresOrderWords:
    """The `OrderWords` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def in_doubt(self, *, limit: int = 100) -> list[Doubt]:
        async with self._database.reading() as cursor:
            await cursor.execute(_IN_DOUBT, [min(limit, 500)])
            return [_doubt(row) for row in await cursor.fetchall()]

    async def doubt(self, order_id: str) -> Doubt:
        async with self._database.reading() as cursor:
            await cursor.execute(_ROW + "WHERE o.order_id = %s", [order_id])
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"there is no order {order_id}")
            await cursor.execute(_SENT, [order_id])
            sent = tuple(SentRequest.model_validate(one) for one in await cursor.fetchall())
        return _doubt(row).model_copy(update={"sent": sent})

    async def look_again(self, order_id: str, reason: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        async def carried(cursor: Cursor, order: DictRow) -> OrderDone:
            _allowed(order, why_not_look(_request(order), _manifest(order), leased=order["leased"]))
            waits = order["awaits_operator_at"] is not None
            if waits:
                await cursor.execute(
                    "UPDATE purchase_order SET wake_at = clock_timestamp() WHERE order_id = %s", [order_id]
                )
            body = {"word": "look", "reason": reason}
            await ledger.append(cursor, [order_entry(order, EntryType.ORDER_RETRIED, body, actor.name)])
            when = "now" if waits else "by itself, within five minutes"
            return OrderDone(order_id=order_id, state=order["state"], done=f"it is looked for at the supplier {when}")

        async with self._database.transaction("order_words.look_again") as cursor:
            return await _once(cursor, order_id, "look", actor, command_id, {"reason": reason}, carried)

    async def confirm_by_hand(
        self, order_id: str, number: str, reason: str, actor: Actor, *, command_id: str | None = None
    ) -> OrderDone:
        async def carried(cursor: Cursor, order: DictRow) -> OrderDone:
            _allowed(order, why_not_confirm(_request(order), leased=order["leased"]))
            await cursor.execute(
                """SELECT order_id FROM purchase_order
                   WHERE supplier_number = %s AND supplier = %s AND order_id <> %s LIMIT 1""",
                [number, order["supplier"], order_id],
            )
            if (other := await cursor.fetchone()) is not None:
                raise Conflict(f"{number} is the number of the order {other['order_id']}")
            body = {"n": order["requests"], "rests_on": "a person's word", "by": actor.name, "reason": reason}
            state = await requests.placed(cursor, order, number, None, body)
            await cursor.execute(
                """UPDATE purchase_order SET wake_at = clock_timestamp(), held_by = NULL, held_at = NULL
                   WHERE order_id = %s""",
                [order_id],
            )
            return OrderDone(
                order_id=order_id, state=state, done=f"placed: {actor.name} says that it is their {number}"
            )

        async with self._database.transaction("order_words.confirm_by_hand") as cursor:
            told = {"reason": reason, "number": number}
            return await _once(cursor, order_id, "confirm", actor, command_id, told, carried)

    async def send_again(self, order_id: str, reason: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        async def carried(cursor: Cursor, order: DictRow) -> OrderDone:
            refusal = why_not_send(_request(order), _manifest(order), order["as_of"], leased=order["leased"])
            _allowed(order, refusal)
            # Nothing is in doubt any more: whoever said so answers for it, and the next request says whose word it was.
            # What was drafted stays noted: should the supplier list that draft all the same, it must be what may go.
            await cursor.execute(
                """UPDATE purchase_order SET request = 'absent', open_requests = 0, first_sent_at = NULL, draft = NULL,
                       word_by = %s, word_at = clock_timestamp(), wake_at = clock_timestamp()
                   WHERE order_id = %s""",
                [actor.name, order_id],
            )
            body = {"word": "absent", "reason": reason, "n": order["requests"]}
            await ledger.append(cursor, [order_entry(order, EntryType.ORDER_RETRIED, body, actor.name)])
            return OrderDone(order_id=order_id, state=order["state"], done="it is sent again if it is not there")

        async with self._database.transaction("order_words.send_again") as cursor:
            return await _once(cursor, order_id, "send", actor, command_id, {"reason": reason}, carried)


async def _once(
    cursor: Cursor, order_id: str, do: str, actor: Actor, command_id: str | None, told: Mapping[str, object],
    carried: Carried,
) -> OrderDone:  # fmt: skip
    asked: dict[str, object] = {"do": f"order.{do}", "by": actor.name, "order": order_id, **told}
    before = await operator_commands.answered(cursor, command_id, asked, OrderDone)
    if before is not None:
        return before
    await cursor.execute(_ROW + "WHERE o.order_id = %s FOR UPDATE", [order_id])
    order = await cursor.fetchone()
    if order is None:
        raise NotFound(f"there is no order {order_id}")
    done = await carried(cursor, order)
    await operator_commands.keep(cursor, command_id, asked, done)
    return done


def _allowed(order: DictRow, refusal: str) -> None:
    if refusal:
        raise Conflict(f"{order['order_id']}: {refusal}")


def _request(row: DictRow) -> Request | None:
    return None if row["request"] is None else requests.request_of(row)


def _manifest(row: DictRow) -> Manifest:
    return ASSUMED if row["capability"] is None else Manifest.model_validate(row["capability"])


def _doubt(row: DictRow) -> Doubt:
    request, manifest, leased = _request(row), _manifest(row), row["leased"]
    sent_at = row["last_sent_at"]
    known: dict[str, Any] = {name: row[name] for name in ("order_id", "supplier", "location", "reason")}
    return Doubt(
        **known, request=None if request is None else request.state, n=row["requests"],
        level=None if row["capability"] is None else manifest.level,
        awaits_operator_at=row["awaits_operator_at"], last_sent_at=sent_at,
        in_doubt=is_in_doubt(request), drafts=manifest.drafts_first,
        settles_in_seconds=0 if sent_at is None else settles_in(manifest, sent_at, row["as_of"]),
        settles_at=None if sent_at is None else sent_at + timedelta(seconds=manifest.settle_s),
        sends_again_itself=sends_again_itself(request, manifest, row["as_of"]),
        why_not_look=why_not_look(request, manifest, leased=leased),
        why_not_confirm=why_not_confirm(request, leased=leased),
        why_not_send=why_not_send(request, manifest, row["as_of"], leased=leased),
    )  # fmt: skip
