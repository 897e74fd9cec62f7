"""No role of ours may rewrite what was recorded, nothing is open to everybody, and each process is held to its role."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from connectors.postgres import ledger
from connectors.postgres.pool import Connection, Database, UnsafeDatabase, connect, transaction, unsafe_settings
from connectors.postgres.roles import APPEND_ONLY, DatabaseRole, as_role, let_in
from tests.databases import DatabaseServer
from workflows.domain.errors import Unavailable
from workflows.domain.ledger import EntryType, NewEntry

APPENDING = {role for role in DatabaseRole if role is not DatabaseRole.OPERATOR}
"""The operator's rights are those of intake, worker and console, and few of its own."""
WRITING = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
AUDITED = {
    "ledger_entry", "ledger_leaf", "ledger_node", "ledger_checkpoint", "notary_key", "notary_alarm", "evidence",
    "evidence_part", "workflow_history",
}  # fmt: skip
LIBRARY = {"applied_migration", "_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock"}
"""Tables of the library that applies migrations."""
OWN = {
    DatabaseRole.NOTARY: EntryType.KEY_INSTALLED, DatabaseRole.AUDITOR: EntryType.AUDIT_READ,
    DatabaseRole.RETENTION: EntryType.PERSON_ERASED,
}  # fmt: skip
"""A type that each role has to tell; of the others, one that all of them have."""


def entry_of(role: DatabaseRole) -> NewEntry:
    """An entry that is this role's to append."""
    return NewEntry(
        stream="audit:somebody", type=OWN.get(role, EntryType.ORDER_CLOSED), actor="somebody",
        occurred_at=datetime(2025, 3, 3, tzinfo=UTC), body={"what": "all of it"},
    )  # fmt: skip


@pytest.fixture
def owner(server: DatabaseServer, dsn: str) -> Iterator[Connection]:
    """The owner of the tables, on a server where every role may log in."""
    let_in(dsn)
    with connect(dsn, name="owner") as connection:
        yield connection


def tables(owner: Connection) -> list[str]:
    """Every table and view of ours."""
    rows = owner.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')"
    ).fetchall()
    return sorted(row["relname"] for row in rows if row["relname"] not in LIBRARY)


def may(owner: Connection, role: str, table: str, right: str) -> bool:
    """Whether this role has the right on the table or on a column of it."""
    asked = (
        "has_any_column_privilege" if right in {"SELECT", "INSERT", "UPDATE", "REFERENCES"} else "has_table_privilege"
    )
    row = owner.execute(f"SELECT {asked}(%s, %s, %s) AS has".encode(), [role, table, right]).fetchone()
    return bool(row and row["has"])


def test_every_table_is_granted_to_somebody(owner: Connection) -> None:
    nobody = [t for t in tables(owner) if not any(may(owner, role, t, "SELECT") for role in DatabaseRole)]
    assert nobody == [], "their migration grants nothing: every process would be refused"


def test_no_role_may_rewrite_what_was_recorded(owner: Connection) -> None:
    forbidden = [right for right in WRITING if right != "INSERT"]
    found = [
        (role.value, table, right)
        for role in DatabaseRole for table in APPEND_ONLY for right in forbidden
        if may(owner, role, table, right)
    ]  # fmt: skip
    assert found == []
    assert [role for role in DatabaseRole if may(owner, role, "ledger_entry", "INSERT")] == []
    notary = [t for t in ("ledger_leaf", "ledger_node", "ledger_checkpoint", "notary_key") for role in DatabaseRole
              if role is not DatabaseRole.NOTARY and may(owner, role, t, "INSERT")]  # fmt: skip
    assert notary == [], "only the notary adds to its tables"


def test_no_role_owns_anything_or_is_more_than_a_role(owner: Connection) -> None:
    roles = [role.value for role in DatabaseRole]
    owned = owner.execute(
        "SELECT relname FROM pg_class WHERE relowner = ANY(SELECT oid FROM pg_roles WHERE rolname = ANY(%s))", [roles]
    ).fetchall()
    strong = owner.execute(
        """SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)
           AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)""",
        [roles],
    ).fetchall()
    member = owner.execute(
        """SELECT r.rolname, m.rolname AS of FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.member
           JOIN pg_roles m ON m.oid = a.roleid WHERE r.rolname = ANY(%s)""",
        [roles],
    ).fetchall()
    assert (owned, strong) == ([], [])
    assert {(row["rolname"], row["of"]) for row in member} == {
        ("qm_operator", "qm_intake"), ("qm_operator", "qm_worker"), ("qm_operator", "qm_console"),
        ("qm_console", "pg_read_all_stats"),
    }  # fmt: skip


def test_nothing_is_open_to_everybody(owner: Connection) -> None:
    relations = owner.execute(
        """SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a
           WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = 0"""
    ).fetchall()
    functions = owner.execute(
        """SELECT DISTINCT p.oid::regprocedure::text AS name
           FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
           WHERE p.pronamespace = 'public'::regnamespace AND a.grantee = 0"""
    ).fetchall()
    assert (relations, functions) == ([], [])
    owner.execute("CREATE FUNCTION added_later() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    open_later = owner.execute("SELECT has_function_privilege('qm_auditor', 'added_later()', 'EXECUTE') AS may")
    assert open_later.fetchone() == {"may": False}


def test_functions_with_their_owners_rights_look_names_up_where_they_mean(owner: Connection) -> None:
    loose = owner.execute(
        """SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
           AND NOT EXISTS (SELECT 1 FROM unnest(proconfig) AS one WHERE one LIKE 'search_path=%')"""
    ).fetchall()
    assert loose == []


def test_an_auditor_reads_the_record_and_nothing_else(owner: Connection) -> None:
    readable = {table for table in tables(owner) if may(owner, DatabaseRole.AUDITOR, table, "SELECT")}
    assert readable == AUDITED & set(tables(owner))
    assert [(t, r) for t in tables(owner) for r in WRITING if may(owner, DatabaseRole.AUDITOR, t, r)] == []
    callable_ = owner.execute(
        """SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
           AND has_function_privilege('qm_auditor', oid, 'EXECUTE')"""
    ).fetchall()
    assert [row["proname"] for row in callable_] == ["ledger_append"]


@pytest.mark.parametrize("role", list(DatabaseRole))
def test_a_role_appends_and_can_neither_write_nor_change_an_entry(
    owner: Connection, dsn: str, role: DatabaseRole
) -> None:
    with connect(as_role(dsn, role), name="role") as connection:
        with transaction(connection) as cursor:
            ledger.append_now(cursor, [entry_of(role)])
        for statement in (
            "INSERT INTO ledger_entry SELECT 'x', 1, '', '', '', '', '', '', '', '', 0",
            "UPDATE ledger_entry SET actor = 'me'", "DELETE FROM ledger_entry", "TRUNCATE ledger_entry",
            "ALTER TABLE ledger_entry DISABLE TRIGGER ALL", "DROP TABLE ledger_entry",
            "SET session_replication_role = replica", "DELETE FROM evidence", "UPDATE ledger_leaf SET hash = ''",
            "CREATE FUNCTION ledger_append(text[]) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
    assert ledger.verify(ledger.read_entries(owner)).ok


def test_who_proposes_does_not_approve(owner: Connection, dsn: str) -> None:
    answer = """INSERT INTO approval (approval_id, decision_id, revision, proposal_hash, meaning, actor, channel,
                                      command_digest) VALUES ('a', 'LEEDS:ITEM:1', 1, 'h', %s, 'x', 'y', '')"""
    with connect(as_role(dsn, DatabaseRole.WORKER), name="worker") as worker:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the worker answers no task"):
            worker.execute(answer, ["approve"])
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            worker.execute(answer, ["expire"])
        for column in ("meaning", "units", "actor", "complete", "proposal_hash"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                worker.execute(sql.SQL("UPDATE approval SET {} = DEFAULT").format(sql.Identifier(column)))
    with connect(as_role(dsn, DatabaseRole.CONSOLE), name="console") as console:
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            console.execute(answer, ["approve"])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            console.execute("UPDATE approval SET meaning = 'approve'")
    assert not may(owner, DatabaseRole.INTAKE, "approval", "INSERT")


def test_what_a_role_may_not_do_is_said_in_words(owner: Connection, dsn: str) -> None:
    with (
        connect(as_role(dsn, DatabaseRole.INTAKE), name="role") as connection,
        pytest.raises(Unavailable, match=r"quartermaster migrate.*permission denied for table decision"),
        transaction(connection) as cursor,
    ):
        cursor.execute("DELETE FROM decision")


def test_letting_roles_in_twice_or_at_once_changes_nothing(owner: Connection, dsn: str) -> None:
    async def both() -> None:
        await asyncio.gather(*[asyncio.to_thread(let_in, dsn) for _ in range(4)])

    owner.execute("ALTER ROLE qm_retention NOLOGIN")
    asyncio.run(both())
    connect(as_role(dsn, DatabaseRole.RETENTION), name="role").close()


UNSAFE = [("synchronous_commit", "off"), ("synchronous_commit", "local"), ("synchronous_commit", "remote_write")]


@pytest.mark.parametrize(("name", "value"), UNSAFE)
async def test_a_process_does_not_start_in_a_session_that_may_lose_what_it_acknowledged(
    owner: Connection, dsn: str, name: str, value: str
) -> None:
    worker, intake = as_role(dsn, DatabaseRole.WORKER), as_role(dsn, DatabaseRole.INTAKE)
    owner.execute(
        sql.SQL("ALTER ROLE qm_worker IN DATABASE {} SET {} = {}").format(
            sql.Identifier(owner.info.dbname), sql.Identifier(name), sql.Literal(value)
        )
    )
    said = rf"{name}={value} for qm_worker \(ALTER ROLE qm_worker IN DATABASE \.\.\. RESET {name}\)"
    with pytest.raises(UnsafeDatabase, match=said):
        connect(worker, name="worker")
    with pytest.raises(UnsafeDatabase, match=said):
        await Database(worker, name="worker", size=1).__aenter__()
    assert len(unsafe_settings(worker)) == 1
    assert unsafe_settings(intake) == []
    connect(intake, name="intake").close()
    await _gone(owner, "worker")


async def _gone(owner: Connection, name: str) -> None:
    """What was refused leaves no connection behind."""
    deadline = time.monotonic() + 60
    while owner.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", [name]).fetchone():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_a_guard_is_not_shown_a_table_of_the_session_s_own(owner: Connection, dsn: str) -> None:
    # The installation's own first version: nothing stands before it.
    owner.execute("INSERT INTO policy_version (version, digest, document) VALUES (1, 'first', '{}')")
    with connect(as_role(dsn, DatabaseRole.CONSOLE), name="console") as console:
        console.execute("CREATE TEMP TABLE policy_change (state text, digest text, base_digest text, document bytea)")
        console.execute("INSERT INTO policy_change VALUES ('adopted', 'mine', 'first', '{}')")
        with pytest.raises(psycopg.errors.RaiseException, match="only through an approved change"):
            console.execute("INSERT INTO policy_version (version, digest, document) VALUES (2, 'mine', '{}')")
