"""Holds an order that would exceed a value cap, in the transaction that would have let it go, and counts what left.

Whoever is asked for a capped order waits for whoever was asked before, until that one's commit: of two that both would
fit alone, the second is counted with the first. Without a cap nobody waits, and what leaves is noted all the same, so
that a cap counts from the moment it is set.
"""

from datetime import UTC, datetime
from decimal import Decimal

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts, ledger
from connectors.postgres.pool import Database
from workflows.domain.caps import DAY_SECONDS, HOUR_SECONDS, CapName, CapUsed, Exceeded, Left, capped, exceeded
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.orders import PurchaseOrder
from workflows.domain.policies import Policy
from workflows.domain.stops import StopScope

Cursor = psycopg.AsyncCursor[DictRow]
CAPS = 0x76616C7565
"""The advisory lock between all who let capped orders go."""

_SPANS = {"hour": HOUR_SECONDS, "day": DAY_SECONDS}
_LEFT = """
SELECT coalesce(sum(value) FILTER (WHERE sent_at > clock_timestamp() - make_interval(secs => %(hour)s)), 0) AS hour,
       coalesce(sum(value), 0) AS day,
       coalesce(sum(value) FILTER (WHERE supplier = %(supplier)s), 0) AS supplier_day
FROM sent_value
WHERE sent_at > clock_timestamp() - make_interval(secs => %(day)s) AND currency = %(currency)s
  AND order_id <> %(order)s
"""
_USED = """
SELECT currency, supplier, sum(value) AS day,
       coalesce(sum(value) FILTER (WHERE sent_at > clock_timestamp() - make_interval(secs => %(hour)s)), 0) AS hour
FROM sent_value WHERE sent_at > clock_timestamp() - make_interval(secs => %(day)s)
GROUP BY currency, supplier ORDER BY currency, supplier
"""


async def hold(cursor: Cursor, order: DictRow, payload: PurchaseOrder) -> bool:
    """Whether a value cap holds this (locked) order now: then a switch of its own is set, which a person lifts to let
    it go. Otherwise what it is worth counts from now on."""
    policy = await facts.current_policy(cursor)
    if capped(policy, payload.supplier):
        await cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CAPS])
        # A statement of its own: its snapshot is taken after the lock was waited for.
        over = exceeded(policy, payload.supplier, payload.total, payload.currency, await _left(cursor, payload))
        if over is not None and not await _let_go(cursor, payload.order_id):
            await _set(cursor, order, over)
            return True
    await cursor.execute(
        """INSERT INTO sent_value (order_id, supplier, currency, value, sent_at)
           VALUES (%s, %s, %s, %s, clock_timestamp())
           ON CONFLICT (order_id) DO UPDATE SET value = excluded.value, sent_at = excluded.sent_at""",
        [payload.order_id, payload.supplier, payload.currency, payload.total],
    )
    return False


async def _left(cursor: Cursor, payload: PurchaseOrder) -> Left:
    asked = {"supplier": payload.supplier, "currency": payload.currency, "order": payload.order_id, **_SPANS}
    await cursor.execute(_LEFT, asked)
    row = await cursor.fetchone()
    return Left(**row) if row else Left()


async def _let_go(cursor: Cursor, order_id: str) -> bool:
    """Whether a person lifted a switch that a cap had set for this order. That holds for every cap: who lifted it had
    the order before them."""
    await cursor.execute(
        """SELECT 1 FROM send_stop WHERE scope = 'order' AND subject = %s AND over_cap IS NOT NULL
             AND lifted_at IS NOT NULL LIMIT 1""",
        [order_id],
    )
    return await cursor.fetchone() is not None


async def _set(cursor: Cursor, order: DictRow, over: Exceeded) -> None:
    await cursor.execute(
        """INSERT INTO send_stop (stop_id, scope, subject, reason, stopped_by, stopped_via, over_cap)
           SELECT concat_ws(':', %(scope)s::text, %(order)s::text, count(*) + 1), %(scope)s, %(order)s, %(words)s,
                  'engine', 'policy', %(cap)s
           FROM send_stop WHERE scope = %(scope)s AND subject = %(order)s
           RETURNING stop_id""",
        {"scope": StopScope.ORDER, "order": order["order_id"], "words": over.words, "cap": over.cap},
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an INSERT from an aggregate always gives its row
    await cursor.execute(
        """UPDATE purchase_order SET held_by = %s, held_at = clock_timestamp(), awaits_operator_at = NULL
           WHERE order_id = %s""",
        [row["stop_id"], order["order_id"]],
    )
    body = {
        "stop": row["stop_id"], "reason": over.words, "cap": str(over.cap), "limit": str(over.limit),
        "left": str(over.left),
    }  # fmt: skip
    entry = NewEntry(
        stream=f"order:{order['order_id']}", type=EntryType.ORDER_HELD, actor="engine", occurred_at=datetime.now(UTC),
        body=body,
    )  # fmt: skip
    await ledger.append(cursor, [entry])


class PostgresCaps:
    """The `CapsDesk` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used(self) -> list[CapUsed]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT document FROM policy_version ORDER BY version DESC LIMIT 1")
            row = await cursor.fetchone()
            policy = Policy.model_validate_json(row["document"]) if row else Policy()
            await cursor.execute(_USED, _SPANS)
            rows = await cursor.fetchall()
        found = []
        for currency in sorted({one["currency"] for one in rows}):
            mine = [one for one in rows if one["currency"] == currency]
            for cap, limit in capped(policy, "").items():
                if cap is not CapName.SUPPLIER_DAY:
                    used = sum((one["hour" if cap is CapName.HOUR else "day"] for one in mine), Decimal(0))
                    found.append(CapUsed(cap=cap, currency=currency, limit=limit, used=used))
            for one in mine:
                limit_of_supplier = capped(policy, one["supplier"]).get(CapName.SUPPLIER_DAY)
                if limit_of_supplier is not None:
                    found.append(CapUsed(
                        cap=CapName.SUPPLIER_DAY, supplier=one["supplier"], currency=currency, limit=limit_of_supplier,
                        used=one["day"],
                    ))  # fmt: skip
        return found
