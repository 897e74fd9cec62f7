"""Records that somebody read the record: what was asked and how much was given, in the reader's own chain."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.postgres import ledger
from connectors.postgres.pool import connect, transaction
from workflows.domain.approvals import Actor
from workflows.domain.identity import plain
from workflows.domain.ledger import EntryType, NewEntry


def note(dsn: str, actor: Actor, kind: EntryType, body: Mapping[str, Any]) -> None:
    """Append one entry to `audit:PERSON`.

    Raises:
        Unavailable: the server does not answer.
    """
    entry = NewEntry(
        stream=f"audit:{actor.name}", type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=plain(body)
    )
    with (
        connect(dsn, name="quartermaster-audit-note") as connection,
        transaction(connection, "audit.note_now") as cursor,
    ):
        ledger.append_now(cursor, [entry])
