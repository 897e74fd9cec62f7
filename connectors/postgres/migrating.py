"""Brings the schema up to date from plain SQL files: forward only, one process at a time."""

from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict
from yoyo import get_backend, read_migrations
from yoyo.connections import DatabaseURI

import connectors
from connectors.postgres.pool import connect, translated
from workflows.domain.failpoints import Effect


def migrations_folder() -> Path:
    """Where the plain SQL files are: beside the packages, in a checkout and in a wheel alike."""
    return Path(connectors.__file__).resolve().parent.parent / "deploy" / "migrations"


def migrate(dsn: str) -> list[str]:
    """Bring the schema up to date, forward only; the names of the migrations that were applied now.

    Two processes may call this at once: one waits for the other.

    Raises:
        Unavailable: the server cannot be reached.
        UnsafeDatabase: see `refuse_unsafe`.
    """
    connect(dsn, name="quartermaster-migrate").close()
    migrations = read_migrations(str(migrations_folder()))
    with translated():
        backend = get_backend(_yoyo_uri(dsn), migration_table="applied_migration")
        try:
            with backend.lock():
                pending = backend.to_apply(migrations)
                with Effect("schema.migrate"):
                    backend.apply_migrations(pending)
                return [migration.id for migration in pending]
        finally:
            backend.connection.close()


def _yoyo_uri(dsn: str) -> str:
    """The migration library takes URLs only; a libpq string becomes one."""
    given: dict[str, Any] = dict(conninfo_to_dict(dsn))
    host = given.pop("host", None)
    args = {key: str(value) for key, value in given.items() if key not in {"user", "password", "port", "dbname"}}
    if host and str(host).startswith("/"):
        args["host"], host = str(host), None
    return str(
        DatabaseURI(
            scheme="postgresql+psycopg",
            username=given.get("user"),
            password=given.get("password"),
            hostname=host,
            port=int(given["port"]) if given.get("port") else None,
            database=given.get("dbname") or "postgres",
            args=args,
        )
    )
