"""First signatures: stored beside the task that stays open, and void as soon as they stand for nothing any more."""

from datetime import UTC, datetime

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from workflows.domain.ledger import EntryType, NewEntry

Cursor = psycopg.AsyncCursor[DictRow]


async def first_signature(cursor: Cursor, decision_id: str) -> DictRow | None:
    """The first signature that stands and waits for a second one, or stands behind a complete approval."""
    await cursor.execute(
        "SELECT * FROM approval WHERE decision_id = %s AND voided_at IS NULL AND NOT complete", [decision_id]
    )
    return await cursor.fetchone()


async def show_first(cursor: Cursor, decision_id: str, name: str | None, needed: int) -> None:
    """What the inbox says of signatures."""
    await cursor.execute(
        "UPDATE task SET first_signature_by = %s, signatures_needed = %s WHERE decision_id = %s",
        [name, needed, decision_id],
    )


async def void(cursor: Cursor, approval: DictRow, reason: str) -> None:
    """It counts no more; that it was given stays on the record."""
    await cursor.execute(
        "UPDATE approval SET voided_at = clock_timestamp(), void_reason = %s WHERE approval_id = %s",
        [reason, approval["approval_id"]],
    )
    body = {"approval": approval["approval_id"], "hash": approval["proposal_hash"], "reason": reason}
    entry = NewEntry(
        stream=approval["decision_id"], type=EntryType.APPROVAL_VOIDED, actor="engine",
        occurred_at=datetime.now(UTC), body=body,
    )  # fmt: skip
    await ledger.append(cursor, [entry])
