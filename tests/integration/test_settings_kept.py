"""Settings and schema: a change is on the record once, who started as before says nothing, and no secret is written."""

import json
from threading import Barrier, Thread
from typing import Any

import psycopg
import pytest

from connectors.postgres.ledger import read_entries, verify
from connectors.postgres.migrating import migrate
from connectors.postgres.pool import Connection, connect
from connectors.postgres.settings_kept import note_schema, note_settings, watch_schema
from tests.databases import DatabaseServer
from tests.storeroom import Storeroom
from workers.recording import HOSTS, RECORDED, origin
from workers.settings import Settings
from workflows.domain.identity import canonical

WHERE = ("_file", "_directory", "_port", "_dsn", "_address", "_host")
"""Where things lie and answer decides nothing about a decision, and may hold secrets."""
NOT_RECORDED = {
    "home", "model_store", "otlp_endpoint", "kafka_bootstrap", "log_level", "log_format",  # where, and how much is said
    "smtp_url", "mail_from",  # secrets and people
    "kafka_log_id",  # each accepted batch says it, and an embedded broker has a new one at each start
    "undo_seconds",  # recorded as it counts
    "intake_processes",  # how many share the work: what is accepted is the same
    "failpoints",  # recorded when there are any, without the folder's name
}  # fmt: skip


def told(connection: Connection, stream: str) -> list[Any]:
    return [json.loads(entry.body) for entry in read_entries(connection, stream)]


def test_a_change_is_told_once_with_before_and_after(dsn: str) -> None:
    with connect(dsn, name="test") as connection:
        assert note_settings(connection, "worker", {"mode": "active", "undo_seconds": "10", "release": "1"})
        assert not note_settings(connection, "worker", {"mode": "active", "undo_seconds": "10", "release": "1"})
        assert note_settings(connection, "worker", {"mode": "passive", "undo_seconds": "10", "release": "1"})
        assert note_settings(connection, "intake", {"mode": "passive"}), "another process"

        first, second = told(connection, "setting:worker")
        assert (first["before"], first["after"]["mode"]) == ({}, "active")
        assert (second["before"], second["after"], second["release"]) == ({"mode": "active"}, {"mode": "passive"}, "1")
        assert verify(read_entries(connection)).ok


def test_processes_that_start_at_once_say_the_same_once(dsn: str) -> None:
    together, news = Barrier(6), list[bool]()

    def start() -> None:
        with connect(dsn, name="test") as connection:
            together.wait()
            news.append(note_settings(connection, "worker", {"mode": "active"}))

    threads = [Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(news) == [False] * 5 + [True]


@pytest.mark.parametrize("role", ["qm_intake", "qm_worker", "qm_console", "qm_notary"])
def test_each_process_may_say_so_as_its_own_role(dsn: str, role: str) -> None:
    with connect(dsn, name="test") as connection:
        connection.execute(f"SET ROLE {role}".encode())
        assert note_settings(connection, "worker", {"mode": "active"})
        assert not note_settings(connection, "worker", {"mode": "active"})


def test_rows_of_settings_are_noted_whoever_changes_them(storeroom: Storeroom) -> None:
    nasty = 'a "quoted" \\ line\nwith\ttabs, \x01 and ümläuts \u2028'
    storeroom.connection.execute("INSERT INTO setting VALUES ('invented', %s)", [nasty])
    storeroom.connection.execute("UPDATE setting SET value = value WHERE key = 'invented'")
    storeroom.connection.execute("UPDATE setting SET value = 'nothing' WHERE key = 'invented'")
    storeroom.connection.execute("DELETE FROM setting")

    entries = list(read_entries(storeroom.connection, "setting:database"))
    bodies = [json.loads(entry.body) for entry in entries]
    assert [(b["before"].get("invented"), b["after"].get("invented")) for b in bodies] == [
        (None, nasty), (nasty, "nothing"), ("nothing", None),
    ]  # fmt: skip
    assert [canonical(json.loads(entry.body)) for entry in entries] == [entry.body for entry in entries]
    assert storeroom.verified().ok


def test_migrations_are_named_by_their_bytes_and_once(server: DatabaseServer) -> None:
    with server.empty() as dsn:
        applied = migrate(dsn)
        with connect(dsn, name="test") as connection:
            assert note_schema(connection) == len(applied)
            assert note_schema(connection) == 0
            (body,) = told(connection, "schema")
            assert body["migrations"].keys() == set(applied)
            assert all(len(sha256) == 64 for sha256 in body["migrations"].values())


def test_a_hand_on_the_record_s_tables_is_noted_by_the_database(dsn: str) -> None:
    with connect(dsn, name="test") as connection:
        assert watch_schema(connection)
        assert watch_schema(connection), "twice is once"
        connection.execute("CREATE TABLE somebodys (id int)")
        connection.execute("CREATE TEMP TABLE passing (id int)")
        assert told(connection, "schema") == []
        connection.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_no_change")
        connection.execute("DROP TRIGGER workflow_history_no_change ON workflow_history")
        connection.execute("GRANT UPDATE ON ledger_entry TO qm_worker")

        noted = [(body["command"], body["object"]) for body in told(connection, "schema")]
        assert noted[:2] == [
            ("ALTER TABLE", "public.ledger_entry"),
            ("DROP TRIGGER", "workflow_history_no_change on public.workflow_history"),
        ]
        assert noted[2][0] == "GRANT"
        assert verify(read_entries(connection)).ok


def test_who_may_not_watch_is_told_so(dsn: str) -> None:
    with connect(dsn, name="test") as connection:
        connection.execute("SET ROLE qm_worker")
        assert not watch_schema(connection)


def test_every_setting_is_recorded_or_known_not_to_be() -> None:
    recorded = {name for names in (*RECORDED.values(), *HOSTS.values()) for name in names}
    named = {name for name in Settings.model_fields if not name.endswith(WHERE)}
    assert named - NOT_RECORDED == recorded, "record it in workers/recording.py, or say here why not"


def test_of_an_address_only_its_origin_is_said() -> None:
    assert origin("https://user:secret@erp.example:8443/api?token=x") == "https://erp.example:8443"
    assert origin(None) == ""


def test_a_role_of_an_application_appends_no_event_trigger_and_changes_no_history(dsn: str) -> None:
    with connect(dsn, name="test") as connection:
        connection.execute(
            """INSERT INTO workflow_history (workflow_id, run_id, type, status, started_at, closed_at, events)
               VALUES ('a', 'b', 'c', 'completed', now(), now(), 1)"""
        )
        for statement in ("UPDATE workflow_history SET type = ''", "DELETE FROM workflow_history"):
            with pytest.raises(psycopg.errors.RaiseException, match="histories stay"):
                connection.execute(statement.encode())
            connection.execute("SET ROLE qm_worker")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
            connection.execute("RESET ROLE")
