"""Each process of ours connects as a role of its own, which may what it needs; what each may is in the migrations."""

from contextlib import nullcontext, suppress
from enum import StrEnum
from typing import LiteralString
from urllib.parse import urlsplit, urlunsplit

from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connectors.postgres.pool import Connection, connect


class DatabaseRole(StrEnum):
    """Who may what in the database; see deploy/migrations and deploy/README.md."""

    INTAKE = "qm_intake"
    WORKER = "qm_worker"
    CONSOLE = "qm_console"
    NOTARY = "qm_notary"
    AUDITOR = "qm_auditor"
    RETENTION = "qm_retention"
    OPERATOR = "qm_operator"
    """Commands of the command line: what intake, worker and console may, and loading catalogs and histories."""


APPEND_ONLY = (
    "ledger_entry", "ledger_leaf", "ledger_node", "ledger_checkpoint", "notary_key", "evidence", "evidence_part",
)  # fmt: skip
"""Tables of which no role may change, remove or empty a row."""


TRIES = 20
_MET = errors.DuplicateObject, errors.UniqueViolation, errors.InternalError_
"""What PostgreSQL says when somebody else changes the same role at the same moment."""


def let_in(dsn: str) -> None:
    """Let every role log in to the server that `dsn` reaches as its superuser; those that are missing are made.

    For a server of our own on a private socket, where whoever reaches it is let in without a password. Roles belong to
    the whole server, so two callers may meet: the second finds done what the first did.

    Raises:
        Unavailable: the server cannot be reached.
    """
    with connect(dsn, name="quartermaster-roles") as connection:
        for role in DatabaseRole:
            for again in range(TRIES - 1, -1, -1):
                change = _needed(connection, role)
                if change is None:
                    break
                with suppress(*_MET) if again else nullcontext():
                    connection.execute(sql.SQL(change).format(sql.Identifier(role)))


def _needed(connection: Connection, role: DatabaseRole) -> LiteralString | None:
    known = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if known is None:
        return "CREATE ROLE {} LOGIN"
    return None if known["rolcanlogin"] else "ALTER ROLE {} LOGIN"


def user_of(dsn: str) -> str | None:
    """Whom a DSN connects as; None when it leaves that to the environment."""
    user = conninfo_to_dict(dsn).get("user")
    return str(user) if user else None


def as_role(dsn: str, role: str) -> str:
    """The same database, as this role; without the password of whoever it was before."""
    if "://" not in dsn:
        return make_conninfo(dsn, user=str(role), password=None)
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))
