"""Reads for people: the inbox, one decision's whole story, and the running totals. Changes nothing."""

import json
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger, revisions
from connectors.postgres.answer_words import with_comments
from connectors.postgres.histories import definition_named
from connectors.postgres.pool import Database
from connectors.postgres.task_views import COLUMNS, ORDER, as_row
from workflows.domain.approvals import TaskState
from workflows.domain.decisions import Decided, Decision
from workflows.domain.desk import BlockedRow, DecisionView, TaskRow
from workflows.domain.errors import NotFound
from workflows.domain.identity import plain

Cursor = psycopg.AsyncCursor[DictRow]

_AFTER = f"""AND ({ORDER}) > (SELECT -cost_of_waiting, expire_at, decision_id COLLATE "C" FROM task
                               WHERE decision_id = %(after)s)"""  # noqa: S608 - our own names

_BLOCKED = """
SELECT d.body AS decision, r.location, r.item, i.name AS item_name FROM replenishment r
JOIN decision d USING (decision_id, revision) JOIN item i ON i.item = r.item
WHERE r.state = 'blocked' AND NOT EXISTS (SELECT 1 FROM decision n WHERE n.location = r.location AND n.item = r.item
                                          AND n.decided_at > r.decided_at)
ORDER BY r.decided_at DESC, r.decision_id LIMIT %s
"""

# The running totals, by their glossary names. The demo's exit code rests on these, so each is one plain count.
_COUNTS = """
SELECT
    (SELECT count(*) FROM inbox) AS events,
    (SELECT count(*) FROM dead_letter) AS dead_lettered,
    (SELECT count(*) FROM need) AS needs,
    (SELECT count(*) FROM need WHERE state = 'open') AS needs_open,
    (SELECT count(*) FROM need WHERE state = 'held') AS holds,
    (SELECT count(*) FROM replenishment) AS proposals,
    (SELECT count(*) FROM replenishment WHERE tier = 'auto' AND state = 'released') AS auto_released,
    (SELECT count(*) FROM replenishment WHERE state = 'blocked') AS blocked,
    (SELECT count(*) FROM task) AS tasks_opened,
    (SELECT count(*) FROM task WHERE state = 'open') AS open,
    (SELECT count(*) FROM task WHERE state = 'approved') AS approved,
    (SELECT count(*) FROM task WHERE state = 'rejected') AS rejected,
    (SELECT count(*) FROM task WHERE state = 'expired') AS expired,
    (SELECT count(*) FROM task WHERE state = 'voided') AS voided,
    (SELECT count(*) FROM purchase_order WHERE state IN ('placed', 'received', 'closed')) AS orders_placed,
    (SELECT count(*) FROM purchase_order WHERE state = 'refused') AS orders_refused,
    (SELECT count(*) FROM purchase_order WHERE state = 'in_doubt') AS orders_in_doubt,
    (SELECT count(*) FROM purchase_order WHERE state IN ('collecting', 'sending')) AS orders_open,
    (SELECT count(*) FROM movement WHERE kind = 'receipt') AS receipts,
    (SELECT count(*) FROM outcome) AS outcomes,
    (SELECT count(*) FROM model_version) AS models_trained,
    (SELECT count(*) FROM model_version WHERE comparison IS NOT NULL AND promoted_at IS NOT NULL) AS model_promoted,
    (SELECT count(*) FROM ledger_entry) AS ledger_entries
"""


class PostgresDesk:
    """The `Desk` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tasks(
        self, *, state: TaskState | None = TaskState.OPEN, limit: int = 100, after: str | None = None
    ) -> list[TaskRow]:
        where = "true" if state is None else "t.state = %(state)s"
        place = _AFTER if after is not None else ""
        query = f"SELECT {COLUMNS} FROM task t WHERE {where} {place} ORDER BY {ORDER} LIMIT %(limit)s"  # noqa: S608
        async with self._database.reading() as cursor:
            await cursor.execute(query.encode(), {"state": state, "limit": min(limit, 500), "after": after})
            return [as_row(row) for row in await cursor.fetchall()]

    async def blocked(self, limit: int = 100) -> list[BlockedRow]:
        async with self._database.reading() as cursor:
            await cursor.execute(_BLOCKED, [min(limit, 500)])
            return [_blocked_row(row) for row in await cursor.fetchall()]

    async def decision(self, decision_id: str) -> DecisionView:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT d.body, e.body AS inputs FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
                   WHERE d.decision_id = %s ORDER BY d.revision DESC LIMIT 1""",
                [decision_id],
            )
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"there is no decision {decision_id}")
            task = await _one(cursor, "SELECT * FROM task WHERE decision_id = %s", decision_id)
            order = await _one(
                cursor,
                """SELECT o.order_id, o.key, o.supplier, o.state, o.cycle, o.cutoff_at, o.supplier_number,
                          o.promised_at,
                          o.acknowledged_at, o.shipped_at, o.delayed, o.attempts, o.reason, l.units, l.received_units,
                          l.short_units, l.refused_reason
                   FROM order_line l JOIN purchase_order o USING (order_id) WHERE l.need_id = %s""",
                decision_id,
            )
            outcome = await _one(cursor, "SELECT body FROM outcome WHERE decision_id = %s", decision_id)
            await cursor.execute(
                """SELECT approval_id, revision, proposal_hash, meaning, units, reason, comment, actor, channel,
                          recorded_at, voided_at, void_reason, complete, signatures_needed, undo_until
                   FROM approval WHERE decision_id = %s ORDER BY recorded_at""",
                [decision_id],
            )
            given = await with_comments(cursor, self._database.vault, await cursor.fetchall())
            approvals = tuple(plain(approval) for approval in given)
            inputs = json.loads(row["inputs"])
            definition = await definition_named(cursor, inputs.get("demand_definition") or "")
        entries = await ledger.timeline(self._database, decision_id)
        if order:
            entries += await ledger.timeline(self._database, f"order:{order['order_id']}")
        timeline = tuple(
            {"at": e.recorded_at, "type": e.type, "actor": e.actor, "stream": e.stream, "seq": e.seq, "hash": e.hash,
             "body": json.loads(e.body)}
            for e in sorted(entries, key=lambda e: (e.recorded_at, e.stream, e.seq))
        )  # fmt: skip
        return DecisionView(
            decision=Decision.model_validate_json(row["body"]),
            inputs=inputs,
            task=task,
            approvals=approvals,
            order=order,
            outcome=json.loads(bytes.fromhex(outcome["body"])) if outcome else None,
            timeline=timeline,
            demand_words=definition.words if definition else "",
        )

    async def revision(self, decision_id: str, proposal_hash: str) -> Decided | None:
        return await revisions.revision(self._database, decision_id, proposal_hash)

    async def counts(self) -> dict[str, int]:
        async with self._database.reading() as cursor:
            await cursor.execute(_COUNTS)
            row = await cursor.fetchone()
            return {name: int(value) for name, value in (row or {}).items()}

    async def orders(self, limit: int = 100) -> list[dict[str, Any]]:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """WITH newest AS (SELECT order_id FROM purchase_order ORDER BY cutoff_at DESC, order_id LIMIT %s)
                   SELECT o.order_id, o.key, o.supplier, o.location, o.cycle, o.state, o.currency, o.cutoff_at,
                          o.ordered_at, o.supplier_number, o.promised_at, o.shipped_at, o.delayed, o.attempts, o.reason,
                          o.lines_digest, count(l.need_id) FILTER (WHERE l.refused_reason IS NULL) AS lines,
                          coalesce(sum(l.units * l.unit_cost) FILTER (WHERE l.refused_reason IS NULL), 0) AS value,
                          coalesce(sum(l.units) FILTER (WHERE l.refused_reason IS NULL), 0)::bigint AS units,
                          coalesce(sum(l.received_units), 0)::bigint AS received_units
                   FROM newest JOIN purchase_order o USING (order_id) LEFT JOIN order_line l USING (order_id)
                   GROUP BY o.order_id ORDER BY o.cutoff_at DESC, o.order_id""",
                [limit],
            )
            return [plain(row) for row in await cursor.fetchall()]

    async def order_lines(self) -> set[tuple[str, str]]:
        """(order key, hash of lines) of every order that the supplier should have, for reconciliation."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                "SELECT key, lines_digest FROM purchase_order WHERE state IN ('placed', 'received', 'closed')"
            )
            return {(row["key"], row["lines_digest"]) for row in await cursor.fetchall()}

    async def dead_letters(self, limit: int = 100) -> list[dict[str, Any]]:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT dead_letter_id, topic, partition, kafka_offset, message_key, error_code, error_detail,
                          length(payload) AS bytes, first_seen, redriven_at
                   FROM dead_letter ORDER BY dead_letter_id DESC LIMIT %s""",
                [limit],
            )
            return [plain(row) for row in await cursor.fetchall()]


async def _one(cursor: Cursor, query: str, decision_id: str) -> dict[str, Any] | None:
    await cursor.execute(query, [decision_id])
    row = await cursor.fetchone()
    if row is None:
        return None
    return {key: value.hex() if isinstance(value, bytes) else plain(value) for key, value in row.items()}


def _blocked_row(row: DictRow) -> BlockedRow:
    decision = Decision.model_validate_json(row["decision"])
    return BlockedRow.model_validate(
        {**row, **dict(decision.result), "decision_id": decision.decision_id, "decided_at": decision.decided_at}
    )
