"""Nobody appends what is not theirs to tell: a leaked role writes no false word of another process into the ledger."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from connectors.postgres import ledger
from connectors.postgres.pool import Connection, connect
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.databases import DatabaseServer
from workflows.domain.ledger import EntryType

AT = "2025-03-03T00:00:00.000000Z"
FALSE_WORDS = [
    (DatabaseRole.WORKER, "verdict.signed"), (DatabaseRole.WORKER, "person.changed"),
    (DatabaseRole.WORKER, "policy.approved"), (DatabaseRole.WORKER, "events.accepted"),
    (DatabaseRole.WORKER, "session.opened"), (DatabaseRole.INTAKE, "decision.proposed"),
    (DatabaseRole.INTAKE, "verdict.recorded"), (DatabaseRole.INTAKE, "order.sent"),
    (DatabaseRole.CONSOLE, "decision.proposed"), (DatabaseRole.CONSOLE, "holds.recorded"),
    (DatabaseRole.CONSOLE, "order.sent"), (DatabaseRole.CONSOLE, "notary.key_rotated"),
    (DatabaseRole.CONSOLE, "schema.changed"), (DatabaseRole.NOTARY, "verdict.recorded"),
    (DatabaseRole.NOTARY, "events.accepted"), (DatabaseRole.AUDITOR, "verdict.recorded"),
    (DatabaseRole.AUDITOR, "person.erased"), (DatabaseRole.RETENTION, "verdict.recorded"),
    (DatabaseRole.OPERATOR, "notary.key_installed"), (DatabaseRole.OPERATOR, "schema.changed"),
    (DatabaseRole.OPERATOR, "made.up"),
]  # fmt: skip


@pytest.fixture
def owner(server: DatabaseServer, dsn: str) -> Iterator[Connection]:
    """The owner of the tables, on a server where every role may log in."""
    let_in(dsn)
    with connect(dsn, name="owner") as connection:
        yield connection


def append(connection: Connection, kind: str | None, stream: str = "S", body: bytes = b"{}", **other: str) -> None:
    """Append one entry past the engine's own code."""
    connection.execute(
        "SELECT ledger_append(%s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])",
        [[stream], [kind], [other.get("actor", "somebody")], [other.get("at", AT)], [body]],
    )


def test_every_type_is_somebody_s_to_tell(owner: Connection) -> None:
    rows = owner.execute(
        "SELECT DISTINCT unnest(ledger_types(rolname)) AS type FROM pg_roles WHERE rolname LIKE 'qm~_%' ESCAPE '~'"
    )
    told = {row["type"] for row in rows.fetchall()}
    # Who changes the schema owns it, and is not held back.
    assert told == {str(kind) for kind in EntryType} - {str(EntryType.SCHEMA_CHANGED)}


@pytest.mark.parametrize(("role", "kind"), FALSE_WORDS)
def test_a_role_tells_nothing_that_is_another_s(owner: Connection, dsn: str, role: DatabaseRole, kind: str) -> None:
    with connect(as_role(dsn, role), name="role") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=rf"{role} does not append {kind}"):
            append(connection, kind)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="ledger_chain"):
            connection.execute("SELECT ledger_chain('{S}', '{order.closed}', '{x}', '{x}', '{}')")
    assert list(ledger.read_entries(owner)) == []


def test_taking_a_lesser_role_on_gives_nothing(owner: Connection, dsn: str) -> None:
    with connect(as_role(dsn, DatabaseRole.OPERATOR), name="role") as connection:
        connection.execute("SET ROLE qm_worker")
        append(connection, "task.opened")  # it is theirs too
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            append(connection, "notary.key_installed")


def test_a_login_of_the_user_s_own_is_held_to_the_role_that_it_was_given(owner: Connection, dsn: str) -> None:
    owner.execute("CREATE ROLE somebodys_worker LOGIN IN ROLE qm_worker")
    try:
        with connect(as_role(dsn, "somebodys_worker"), name="role") as connection:
            append(connection, "decision.closed")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                append(connection, "person.changed")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="who proposes does not approve"):
                append(connection, "verdict.recorded", body=b'{"meaning":"approve"}')
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the worker answers no task"):
                connection.execute(
                    """INSERT INTO approval (approval_id, decision_id, revision, proposal_hash, meaning, actor, channel,
                                             command_digest) VALUES ('a', 'D', 1, 'h', 'approve', 'x', 'y', '')"""
                )
    finally:
        owner.execute("DROP ROLE somebodys_worker")


def test_the_worker_records_no_answer_but_that_nobody_gave_one(owner: Connection, dsn: str) -> None:
    with connect(as_role(dsn, DatabaseRole.WORKER), name="role") as worker:
        append(worker, "verdict.recorded", body=b'{"meaning":"expire"}')
        for body in (b'{"meaning":"approve"}', b"{}", b'{"meaning":null}', b'{"meaning":["expire"]}'):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="who proposes does not approve"):
                append(worker, "verdict.recorded", body=body)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("audit.read", {"stream": "LEEDS:ITEM:1"}), ("audit.read", {"stream": "audit:somebody else"}),
        ("export.made", {"stream": "exports"}), ("audit.read", {"body": b"[1]"}),
        ("audit.read", {"body": b"{not json"}),
        ("audit.read", {"body": b'{"a":"\xff"}'}), ("audit.read", {"at": "yesterday"}), ("audit.read", {"actor": ""}),
        (None, {}),
    ],
)  # fmt: skip
def test_what_no_reader_could_read_or_belongs_elsewhere_is_refused(
    owner: Connection, dsn: str, kind: str | None, given: dict[str, Any]
) -> None:
    with connect(as_role(dsn, DatabaseRole.AUDITOR), name="role") as auditor:
        append(auditor, "audit.read", "audit:somebody")
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.DataError)):
            append(auditor, kind, **{"stream": "audit:somebody", **given})
    assert len(list(ledger.read_entries(owner))) == 1
