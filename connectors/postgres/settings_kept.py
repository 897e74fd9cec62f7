"""Puts changes of settings and of the schema on the record: what is as it was is no news."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.migrating import migrations_folder
from connectors.postgres.pool import Connection, transaction
from workflows.domain.ledger import EntryType, NewEntry

SCHEMA = "schema"
"""The ledger's chain of what the database was made of."""
_EVENT_TRIGGERS = (
    ("schema_noted", "CREATE EVENT TRIGGER schema_noted ON ddl_command_end EXECUTE FUNCTION schema_note_change()"),
    ("schema_drop_noted", "CREATE EVENT TRIGGER schema_drop_noted ON sql_drop EXECUTE FUNCTION schema_note_drop()"),
)


def note_settings(connection: Connection, process: str, values: Mapping[str, str]) -> bool:
    """Append what changed since this process last said so, or everything when it never did; whether there was news.

    Several processes of one kind may start at once: the stream is locked, and the same is said once.
    """
    stream = f"setting:{process}"
    with transaction(connection, "settings_kept.note_settings") as cursor:
        _lock(cursor, stream)
        cursor.execute("SELECT setting_last_recorded(%s) AS body", [stream])
        row = cursor.fetchone()
        last: dict[str, Any] = json.loads(bytes(row["body"]))["settings"] if row and row["body"] else {}
        if last == dict(values):
            return False
        changed = sorted(name for name in {*last, *values} if last.get(name) != values.get(name))
        body = {
            "process": process, "release": values.get("release", ""), "settings": dict(values),
            "before": {name: last[name] for name in changed if name in last},
            "after": {name: values[name] for name in changed if name in values},
        }  # fmt: skip
        _append(cursor, stream, EntryType.SETTING_CHANGED, process, body)
    return True


def note_schema(connection: Connection) -> int:
    """Append the migrations that were applied and that the ledger does not name yet, by the SHA-256 of their files; how
    many. One whose file is another than was named is named again.

    What was applied by a process that died before it said so is said by the next one.
    """
    with transaction(connection, "settings_kept.note_schema") as cursor:
        _lock(cursor, SCHEMA)
        cursor.execute("SELECT migration_id AS name FROM applied_migration ORDER BY migration_id")
        applied = {row["name"]: _file_digest(row["name"]) for row in cursor.fetchall()}
        known: dict[str, str] = {}
        cursor.execute("SELECT body FROM ledger_entry WHERE stream = %s ORDER BY seq", [SCHEMA])
        for row in cursor.fetchall():
            known |= json.loads(bytes(row["body"])).get("migrations", {})
        news = {name: sha256 for name, sha256 in applied.items() if known.get(name) != sha256}
        if news:
            before = {name: known[name] for name in news if name in known}
            body = {"migrations": news, **({"before": before} if before else {})}
            _append(cursor, SCHEMA, EntryType.SCHEMA_CHANGED, "migrate", body)
    return len(news)


def watch_schema(connection: Connection) -> bool:
    """Have the database itself note whoever changes the tables of the record; False where this role may not.

    Only a superuser may set event triggers. Without them, changes of the schema past `quartermaster migrate` are not
    noted; what they change in the ledger is still found against the notary's checkpoints.
    """
    for name, create in _EVENT_TRIGGERS:
        if connection.execute("SELECT 1 FROM pg_event_trigger WHERE evtname = %s", [name]).fetchone():
            continue
        try:
            connection.execute(create.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
        except psycopg.errors.DuplicateObject:  # another process migrates at the same time
            continue
    return True


def _lock(cursor: psycopg.Cursor[DictRow], stream: str) -> None:
    """As `ledger_append` locks a stream, but before it is read."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [stream])


def _append(
    cursor: psycopg.Cursor[DictRow], stream: str, kind: EntryType, actor: str, body: Mapping[str, object]
) -> None:
    entry = NewEntry(stream=stream, type=kind, actor=actor, occurred_at=datetime.now(UTC), body=dict(body))
    ledger.append_now(cursor, [entry])


def _file_digest(name: str) -> str:
    """Empty for a migration of a newer release, whose file is not here."""
    path: Path = migrations_folder() / f"{name}.sql"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
