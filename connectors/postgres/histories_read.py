"""Reads kept histories and what the ledger says of them: nothing else, as an auditor may."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from connectors.postgres import ledger
from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.pool import Connection, reading, transaction
from workflows.domain.approvals import Actor
from workflows.domain.histories import STREAM, ClosedRun, KeptHistory
from workflows.domain.identity import digest
from workflows.domain.ledger import Break, EntryType, NewEntry, verify_stream

RunKey = tuple[str, str]
"""(workflow id, run id)."""

_HISTORIES = """
SELECT workflow_id, run_id, type, status, started_at, closed_at, events, sha256, size, body FROM workflow_history
WHERE (%(id)s::text IS NULL OR workflow_id = %(id)s) AND (%(since)s::timestamptz IS NULL OR closed_at >= %(since)s)
ORDER BY closed_at, workflow_id, run_id
"""


def kept_histories(
    connection: Connection, *, workflow_id: str | None = None, since: datetime | None = None
) -> Iterator[KeptHistory]:
    """Kept histories, oldest first, streamed from the server. Of a body that cannot be read, why."""
    with reading(connection), connection.cursor(name="histories_read") as cursor:
        cursor.itersize = 50
        cursor.execute(_HISTORIES, {"id": workflow_id, "since": since})
        for row in cursor:
            body, damage = _unpacked(row["body"], row["size"])
            if body is not None and digest(body) != row["sha256"]:
                damage = "its bytes are not those that were kept"
            yield KeptHistory(run=ClosedRun.model_validate(row), sha256=row["sha256"], body=body, damage=damage)


def recorded_histories(connection: Connection) -> tuple[dict[RunKey, str | None], Sequence[Break]]:
    """What the ledger says was exported: each run's SHA-256, None where it was lost; and where that chain is broken.

    Raises:
        EvidenceMissing, EvidenceDamaged: a list of items that an entry names.
    """
    entries, evidence = list(ledger.read_entries(connection, STREAM)), PostgresEvidence(connection)
    recorded: dict[RunKey, str | None] = {}
    for entry in entries:
        if entry.type != EntryType.HISTORIES_EXPORTED:
            continue
        body = json.loads(entry.body)
        items = body["histories"] if "histories" in body else json.loads(evidence.get(body["items"]))
        # The first word counts: a run is exported once.
        for workflow_id, run_id, sha256, _ in items:
            recorded.setdefault((workflow_id, run_id), sha256)
    return recorded, verify_stream(entries)


def _unpacked(packed: bytes | None, size: int | None) -> tuple[bytes | None, str]:
    """No more than was put in is taken out, whatever the bytes say."""
    if packed is None:
        return None, ""
    reader = zlib.decompressobj()
    try:
        body = reader.decompress(bytes(packed), (size or 0) + 1)
    except zlib.error as error:
        return None, f"its bytes cannot be read: {error}"
    if len(body) != size or not reader.eof:
        return None, "its bytes are not as many as were kept"
    return body, ""


def note_replayed(connection: Connection, actor: Actor, found: Mapping[str, object]) -> None:
    """An auditor's own reading is on the record too."""
    entry = NewEntry(
        stream=f"audit:{actor.name}", type=EntryType.AUDIT_READ, actor=actor.name, occurred_at=datetime.now(UTC),
        body={"what": "workflows", **found},
    )  # fmt: skip
    with transaction(connection, "histories_read.note_replayed") as cursor:
        ledger.append_now(cursor, [entry])
