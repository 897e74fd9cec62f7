"""Opens, voids and lays to rest what a person is asked about, inside the caller's transaction."""

from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from workflows.domain.decisions import Decided, Proposal
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.policies import Policy

Cursor = psycopg.AsyncCursor[DictRow]
ENGINE = "engine"


async def rest(cursor: Cursor, location: str, item: str, *, days: int = 3) -> None:
    """After a no, the same question is not asked again at once."""
    await cursor.execute(
        """UPDATE position p SET quiet_until = c.watermark + make_interval(days => %s)
           FROM business_clock c WHERE c.location = p.location AND p.location = %s AND p.item = %s""",
        [days, location, item],
    )


async def open_task(cursor: Cursor, decided: Decided, result: Proposal, policy: Policy) -> NewEntry:
    """Ask a person, with deadlines on the business clock; the entry to append.

    What the inbox shows of it, the cost of waiting too, the database takes from the stored decision (0017).
    """
    decision, position = decided.decision, decided.inputs.position
    opened = decision.decided_at
    remind, escalate, expire = (
        opened + timedelta(hours=hours)
        for hours in (policy.remind_after_hours, policy.escalate_after_hours, policy.expire_after_hours)
    )
    await cursor.execute(
        """INSERT INTO task (decision_id, revision, proposal_hash, location, item, value, opened_at, remind_at,
                             escalate_at, expire_at, available_units, tolerance_units)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        [
            decision.decision_id, decision.revision, decision.proposal_hash, position.location, position.item,
            result.value, opened, remind, escalate, expire, position.available_units,
            tolerance(policy, result),
        ],
    )  # fmt: skip
    for instant in (remind, escalate, expire):
        await cursor.execute(
            """INSERT INTO clock_wait (subject, subject_id, instant, location)
               VALUES ('replenishment', %s, %s, %s) ON CONFLICT DO NOTHING""",
            [decision.decision_id, instant, position.location],
        )
    body = {
        "hash": decision.proposal_hash,
        "rules": [str(rule.code) for rule in result.rules],
        "expires": rfc3339(expire),
    }
    return entry_of(decided, EntryType.TASK_OPENED, body)


def tolerance(policy: Policy, result: Proposal) -> int:
    """Units by which available stock may move before the proposal is scored again."""
    return max(1, int(policy.tolerance_share * result.units))


async def void_approvals(cursor: Cursor, decided: Decided) -> None:
    """An approval stands for the hash that it was given for, and for nothing else."""
    await cursor.execute(
        """UPDATE approval SET voided_at = clock_timestamp(), void_reason = 'the proposal was replaced'
           WHERE decision_id = %s AND voided_at IS NULL RETURNING approval_id, proposal_hash""",
        [decided.decision.decision_id],
    )
    entries = [
        entry_of(decided, EntryType.APPROVAL_VOIDED, {"approval": row["approval_id"], "hash": row["proposal_hash"]})
        for row in await cursor.fetchall()
    ]
    await ledger.append(cursor, entries)
    if entries:
        await cursor.execute(
            "UPDATE task SET first_signature_by = NULL WHERE decision_id = %s", [decided.decision.decision_id]
        )


async def void(cursor: Cursor, decided: Decided, reason: str) -> None:
    """Nothing can or need be ordered any more; the item rests unless the forecast itself says that stock suffices."""
    decision, position = decided.decision, decided.inputs.position
    if isinstance(decision.result, Proposal):
        await rest(cursor, position.location, position.item)
    await cursor.execute(
        "UPDATE task SET state = 'voided', answered_at = clock_timestamp() WHERE decision_id = %s",
        [decision.decision_id],
    )
    await cursor.execute(
        "UPDATE replenishment SET state = 'voided', closed_at = clock_timestamp() WHERE decision_id = %s",
        [decision.decision_id],
    )
    await cursor.execute("UPDATE need SET state = 'closed' WHERE need_id = %s", [decision.decision_id])
    body = {"state": "voided", "reason": reason, "revision": decision.revision, "hash": decision.proposal_hash}
    await ledger.append(cursor, [entry_of(decided, EntryType.DECISION_CLOSED, body)])


def entry_of(decided: Decided, kind: EntryType, body: dict[str, Any]) -> NewEntry:
    """An entry in the decision's own chain."""
    stream, at = decided.decision.decision_id, decided.decision.decided_at
    return NewEntry(stream=stream, type=kind, actor=ENGINE, occurred_at=at, body=body)
