"""Carries the request of an order from state to state: what leaves is committed first, and nothing is noted without the
lease. Each function is one part of a transaction; the database refuses every move that the state machine does not know.
"""

from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import caps, cycles, ledger, stops
from connectors.postgres.authorising import authorised, order_entry, settle
from workflows.domain.capabilities import Manifest
from workflows.domain.errors import PersonNeeded
from workflows.domain.ledger import EntryType
from workflows.domain.orders import OrderState, PlacementResult, PurchaseOrder
from workflows.domain.requests import AskedDraft, Attempt, Do, Request, RequestKind, RequestState, Step, planners_word

Cursor = psycopg.AsyncCursor[DictRow]
WITHHELD = "passive mode: nothing is sent"
MAX_REASON = 500

_TAKE = """
UPDATE purchase_order SET attempts = attempts + 1, lease_token = %(token)s, state = 'sending',
    awaits_operator_at = NULL, lease_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    first_sent_at = CASE WHEN open_requests > 0 THEN coalesce(first_sent_at, last_sent_at) ELSE first_sent_at END,
    -- Whoever sent it did not come to note what it came to; or a process of an earlier release did.
    request = CASE WHEN request = 'sending' OR coalesce(request, 'prepared') = 'prepared' AND open_requests > 0
                   THEN 'unknown' ELSE coalesce(request, 'prepared') END
WHERE order_id = %(order)s AND state IN ('sending', 'in_doubt')
  AND (lease_until IS NULL OR lease_until < clock_timestamp() OR lease_token = %(token)s)
RETURNING *, clock_timestamp() AS as_of
"""
_LEAVES = """
WITH row AS (
    UPDATE purchase_order SET request = 'sending', requests = requests + 1, open_requests = open_requests + 1,
        last_sent_at = clock_timestamp(), first_sent_at = coalesce(first_sent_at, clock_timestamp()),
        draft = CASE WHEN %(kind)s = 'confirm' THEN %(draft)s ELSE draft END,
        drafted_digest = CASE WHEN %(kind)s = 'draft' THEN lines_digest ELSE drafted_digest END,
        word_by = NULL, word_at = NULL
    WHERE order_id = %(order)s RETURNING *
), kept AS (
    INSERT INTO order_request (order_id, seq, n, kind, lease_token, draft, rests_on, lines_digest, sent_at)
    SELECT order_id, (SELECT coalesce(max(seq), 0) + 1 FROM order_request WHERE order_id = %(order)s), requests,
           %(kind)s, lease_token, %(draft)s, %(rests_on)s, lines_digest, last_sent_at
    FROM row
)
SELECT requests, attempts FROM row
"""
_ASKS = """
INSERT INTO order_request (order_id, seq, n, kind, lease_token, draft, rests_on, lines_digest)
SELECT order_id, (SELECT coalesce(max(seq), 0) + 1 FROM order_request WHERE order_id = %(order)s), requests,
       'reconcile', lease_token, draft, '', lines_digest
FROM purchase_order WHERE order_id = %(order)s
"""
_ANSWERED = """
UPDATE order_request SET answered_at = clock_timestamp(), outcome = %s, said = %s
WHERE order_id = %s AND lease_token = %s AND answered_at IS NULL
"""

# The name is what the supplier answered. Rows of an earlier release have none.
_DRAFTED = """
SELECT CASE WHEN outcome = 'drafted' THEN nullif(said, '') END AS draft, coalesce(lines_digest, '') AS lines_digest
FROM order_request WHERE order_id = %s AND kind = 'draft' ORDER BY seq
"""


async def take(cursor: Cursor, order_id: str, token: str, seconds: int) -> Attempt | None:
    """Take the order's lease. None while another attempt has it, or nothing is to be sent."""
    await cursor.execute(_TAKE, {"token": token, "seconds": seconds, "order": order_id})
    row = await cursor.fetchone()
    if row is None:
        return None
    kept, request = row["capability"], request_of(row)
    manifest = None if kept is None else Manifest.model_validate(kept)
    if row["drafted_digest"] is not None:
        await cursor.execute(_DRAFTED, [order_id])
        drafted = tuple(AskedDraft.model_validate(one) for one in await cursor.fetchall())
        request = request.model_copy(update={"drafted": drafted})
    return Attempt(request=request, manifest=manifest, as_of=row["as_of"], attempt=row["attempts"])


def request_of(row: DictRow) -> Request:
    """The request as its order's row has it."""
    return Request(
        state=RequestState(row["request"] or "prepared"), n=row["requests"], open=row["open_requests"],
        first_sent_at=row["first_sent_at"], last_sent_at=row["last_sent_at"], draft=row["draft"],
        lines_digest=row["lines_digest"],
    )  # fmt: skip


async def leave(
    cursor: Cursor, order_id: str, token: str, *, passive: bool, kind: RequestKind, draft: str | None,
    holds: str | None = None,
) -> PurchaseOrder | None:  # fmt: skip
    """Commit that a request leaves now, and what it says. None: nothing may be sent, and the lease is given back.

    Raises:
        PersonNeeded: the order is not what was drafted; or it is over, and something of it is at the supplier.
    """
    order = await held(cursor, order_id, token)
    if order is None or order["request"] not in ("prepared", "absent"):
        return None
    left_something = order["open_requests"] > 0 or kind in (RequestKind.CANCEL, RequestKind.CONFIRM)
    if passive and left_something:
        raise PersonNeeded(f"{WITHHELD}, and a draft of it is at the supplier")
    if passive:
        await settle(cursor, order, OrderState.WITHHELD, WITHHELD)
        return None
    stopped = await stops.hold(cursor, order)
    payload = None if stopped else await authorised(cursor, order, left_something=left_something)
    if payload is None or await caps.hold(cursor, order, payload):
        await give_back(cursor, order_id, token)
        return None
    if kind is RequestKind.CONFIRM and holds != payload.lines_digest:
        raise PersonNeeded(
            "a line may not be ordered any more that is in the draft at the supplier: it must be cancelled there"
        )
    rests_on = _rests_on(order)
    known: dict[str, Any] = {"order": order_id, "kind": str(kind), "draft": draft, "rests_on": rests_on}
    await cursor.execute(_LEAVES, known)
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the row is locked
    body: dict[str, Any] = {
        "attempt": row["attempts"], "n": row["requests"], "kind": str(kind), "lease": token, "rests_on": rests_on
    }  # fmt: skip
    if order["capability"] is not None:
        body["level"] = order["capability"]["level"]
    await ledger.append(cursor, [order_entry(order, EntryType.ORDER_SENT, body)])
    return payload


def _rests_on(order: DictRow) -> str:
    if order["requests"] == 0:
        return "nothing left before"
    if order["word_by"] is not None:
        return f"{order['word_by']} says that the supplier does not have it"
    return "nothing of it is at the supplier"


async def look(cursor: Cursor, order_id: str, token: str) -> bool:
    """Note that the supplier is asked now. False: the lease is lost."""
    order = await held(cursor, order_id, token)
    if order is None:
        return False
    await cursor.execute("UPDATE purchase_order SET request = 'reconciling' WHERE order_id = %s", [order_id])
    await cursor.execute(_ASKS, {"order": order_id})
    return True


async def note(cursor: Cursor, order_id: str, token: str, request: Request, outcome: str, said: str) -> bool:
    """What an answer made of the request, while the attempt goes on. False: the lease is lost."""
    order = await held(cursor, order_id, token)
    if order is None:
        return False
    await _become(cursor, order, request)
    await answered(cursor, order_id, token, outcome, said)
    return True


async def give_back(cursor: Cursor, order_id: str, token: str) -> None:
    """The attempt is over, and nothing else changes."""
    await cursor.execute(
        """UPDATE purchase_order SET lease_until = NULL,
               state = CASE WHEN state = 'sending' AND (request = 'unknown' OR open_requests > 0) THEN 'in_doubt'
                            ELSE state END
           WHERE order_id = %s AND lease_token = %s""",
        [order_id, token],
    )


async def not_carried_out(cursor: Cursor, order_id: str, token: str, said: str) -> None:
    """Certainly nothing came of what left last, and the attempt is over."""
    await cursor.execute(
        """UPDATE purchase_order SET lease_until = NULL, open_requests = greatest(0, open_requests - 1),
               first_sent_at = CASE WHEN open_requests <= 1 AND requests <= 1 THEN NULL ELSE first_sent_at END,
               request = 'absent'
           WHERE order_id = %s AND lease_token = %s AND state = 'sending'
             AND (request = 'sending' OR request = 'reconciling' AND open_requests = 0)""",
        [order_id, token],
    )
    if cursor.rowcount:
        await answered(cursor, order_id, token, "not_carried_out", said)
    else:
        await give_back(cursor, order_id, token)


async def placed(cursor: Cursor, order: DictRow, number: str, promised_at: Any, body: dict[str, Any]) -> OrderState:
    """The supplier has the (locked) order under this number, whoever says so. Goods may have arrived before."""
    await cursor.execute(
        """UPDATE purchase_order SET state = 'placed', request = 'confirmed', supplier_number = %s, lease_until = NULL,
               reason = '', open_requests = 0, awaits_operator_at = NULL, promised_at = coalesce(promised_at, %s),
               first_promised_at = coalesce(first_promised_at, promised_at, %s) WHERE order_id = %s""",
        [number, promised_at, promised_at, order["order_id"]],
    )
    told = {"answer": "placed", "supplier_number": number, "lines_digest": order["lines_digest"], **body}
    actor = str(body.get("by") or "engine")
    await ledger.append(cursor, [order_entry(order, EntryType.ORDER_ANSWERED, told, actor)])
    await cursor.execute("SELECT settle_order(%s) AS state", [order["order_id"]])
    row = await cursor.fetchone()
    state = OrderState(row["state"]) if row and row["state"] else OrderState.PLACED
    if state is not OrderState.PLACED:
        closed = {"state": str(state), "reason": "nothing more is outstanding"}
        await ledger.append(cursor, [order_entry(order, EntryType.ORDER_CLOSED, closed)])
    return state


async def in_doubt(cursor: Cursor, order_id: str, token: str, reason: str, open_requests: int | None) -> None:
    """Nobody knows, and the attempt is over."""
    order = await held(cursor, order_id, token, ended_too=True)
    if order is None or order["state"] != "sending" or order["request"] not in ("sending", "reconciling", "unknown"):
        return
    await cursor.execute(
        """UPDATE purchase_order SET state = 'in_doubt', request = 'unknown', reason = %s, lease_until = NULL,
               open_requests = coalesce(%s, open_requests) WHERE order_id = %s""",
        [reason[:MAX_REASON], open_requests, order_id],
    )
    body = {"answer": "unknown", "reason": reason[:MAX_REASON], "n": order["requests"]}
    await ledger.append(cursor, [order_entry(order, EntryType.ORDER_ANSWERED, body)])
    await answered(cursor, order_id, token, "unknown", reason)


async def asks(cursor: Cursor, order_id: str, token: str, step: Step) -> None:
    """Nothing more happens by itself: a person must say, and the attempt is over."""
    order = await held(cursor, order_id, token, ended_too=True)
    if order is None or step.do is not Do.ASK:
        return
    await _become(cursor, order, step.request)
    await cursor.execute(
        "UPDATE purchase_order SET state = 'in_doubt', reason = %s, lease_until = NULL WHERE order_id = %s",
        [step.reason[:MAX_REASON], order_id],
    )
    body: dict[str, Any] = {"answer": "unknown", "reason": step.reason[:MAX_REASON], "n": order["requests"]}
    if step.numbers:
        body |= {"answer": "duplicate", "supplier_numbers": list(step.numbers)}
    await ledger.append(cursor, [order_entry(order, EntryType.ORDER_ANSWERED, body)])
    known = step.request.state in {RequestState.DUPLICATE_DETECTED, RequestState.ABSENT}
    await answered(cursor, order_id, token, str(step.request.state) if known else "unknown", step.reason)
    await stops.await_operator(cursor, {**order, "state": "in_doubt", "reason": step.reason[:MAX_REASON]})


async def answered(cursor: Cursor, order_id: str, token: str, outcome: str, said: str) -> None:
    """Fill in what the requests of this attempt came to that have no answer yet."""
    await cursor.execute(_ANSWERED, [outcome, said[:MAX_REASON], order_id, token])


async def held(cursor: Cursor, order_id: str, token: str, *, ended_too: bool = False) -> DictRow | None:
    """The order's row, locked, if the attempt has its lease still; `ended_too`: or had it last."""
    await cursor.execute(
        """SELECT * FROM purchase_order WHERE order_id = %s AND lease_token = %s
               AND (lease_until > clock_timestamp() OR %s) AND state IN ('sending', 'in_doubt') FOR UPDATE""",
        [order_id, token, ended_too],
    )
    return await cursor.fetchone()


async def _become(cursor: Cursor, order: DictRow, request: Request) -> None:
    await cursor.execute(
        """UPDATE purchase_order SET request = %s, open_requests = %s, draft = %s, state = %s WHERE order_id = %s""",
        [request.state, request.open, request.draft, planners_word(request.state), order["order_id"]],
    )


async def locked(cursor: Cursor, order_id: str, token: str) -> tuple[DictRow, bool]:
    """The order's row, locked, and whether this attempt may note a supplier's answer: something left, it has the lease,
    and nobody has noted one. The lease may have run out meanwhile, as long as nobody else took it."""
    order = await cycles.lock(cursor, order_id)
    ours = order["state"] in ("sending", "in_doubt") and order["lease_token"] == token and order["requests"] > 0
    return order, ours


def result_of(order: DictRow) -> PlacementResult:
    """What became of an order that somebody else carried on."""
    return PlacementResult(
        order_id=order["order_id"], state=order["state"], supplier_number=order["supplier_number"],
        reason=order["reason"],
    )  # fmt: skip
