"""What is done to an audit table before PostgreSQL is killed is found after it, guards or none."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.checker import Evidence
from tests.faults.checker_ledger import audit_tables_untouched
from tests.faults.checker_wal import FIRST_SEGMENT
from tests.faults.children import Child
from tests.faults.starting import KEEPS_ITS_LOG
from workers.servers.postgres import PostgresServer

READY_WITHIN_S = 300.0
PLANTED = {
    "ledger_entry": ("UPDATE ledger_entry SET body = '{}' WHERE seq = 2", "UPDATE of 1 rows"),
    "ledger_leaf": ("DELETE FROM ledger_leaf WHERE seq > 1", "has DELETE of 2 rows"),
    "ledger_node": ("SET session_replication_role = replica; DELETE FROM ledger_node WHERE seq = 1", "has DELETE of 1"),
    "ledger_checkpoint": ("TRUNCATE ledger_checkpoint", "was truncated"),
    "notary_key": ("BEGIN; DELETE FROM notary_key WHERE seq = 3; ROLLBACK", "has DELETE of 1 rows"),
    "evidence_part": ("UPDATE evidence_part SET body = body WHERE seq = 1", "UPDATE of 1 rows"),
}
"""To each audit table, what should never happen to it, and what is said of it then."""


class Killable:
    """A PostgreSQL of this test's own with one audit table, and what the checker goes by."""

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer(folder)
        self._server.prepare(lambda _: None)
        spec = self._server.spec()
        self.child = Child(
            "postgres", [*spec.argv, *KEEPS_ITS_LOG], spec.env, folder / "log", self._server.ready,
            stop_signal=spec.stop_signal,
        )  # fmt: skip
        self.segments = folder / "postgres" / "pg_wal"
        self.evidence = Evidence(self._server.dsn, folder / "journal", folder / "produced")

    def start(self) -> None:
        """Start it, also after a kill."""
        self._server.prepare(lambda _: None)
        self.child.start()
        self.child.await_ready(READY_WITHIN_S)

    def run(self, statements: str) -> None:
        """As somebody who may do anything."""
        with psycopg.connect(self.evidence.dsn, autocommit=True) as connection:
            connection.execute(statements.encode())


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Killable]:
    one = Killable(tmp_path)
    one.start()
    yield one
    one.child.stop()


def test_segments_that_the_server_made_ahead_say_nothing(postgres: Killable) -> None:
    # Over the first segments of 16 MiB; the next one may be there already, whole.
    filled = "CREATE TABLE filled AS SELECT repeat(md5(n::text), 40) AS body FROM generate_series(1, 40000) n"
    postgres.run(f"{filled}; CREATE TABLE evidence_part (seq, body) AS VALUES (1, 'one')")
    postgres.run("UPDATE evidence_part SET seq = 2")
    assert len([one for one in postgres.segments.iterdir() if len(one.name) == len(FIRST_SEGMENT)]) > 2
    for number in range(20, 60):
        with (postgres.segments / f"00000001{number:016X}").open("xb") as made_ahead:
            made_ahead.truncate(16 * 1024 * 1024)
    found = list(audit_tables_untouched(postgres.evidence))
    assert any("has HOT_UPDATE of 1 rows" in one for one in found), found
    assert not any("server's log" in one and "HOT_UPDATE" not in one for one in found), found


def test_what_was_done_before_the_server_was_killed_is_found(postgres: Killable) -> None:
    # What is done rightly: rows come, the same row comes again, and a row that refers to another locks it.
    postgres.run("""CREATE TABLE evidence (sha256 text PRIMARY KEY);
                    CREATE TABLE rests_on (sha256 text REFERENCES evidence);
                    INSERT INTO evidence VALUES ('a'), ('b'); INSERT INTO rests_on VALUES ('a');
                    INSERT INTO evidence VALUES ('a') ON CONFLICT DO NOTHING; UPDATE rests_on SET sha256 = 'b'""")
    for table in PLANTED:
        postgres.run(f"CREATE TABLE {table} (seq, body) AS VALUES (1, 'one'), (2, 'two'), (3, 'three')")
    assert list(audit_tables_untouched(postgres.evidence)) == []
    for statement, _ in PLANTED.values():
        postgres.run(statement)
    # What was rolled back is sure to be in the log only when something after it was committed.
    postgres.run("INSERT INTO rests_on VALUES ('a')")
    postgres.child.kill()
    postgres.start()
    counted = "SELECT sum(n_tup_upd + n_tup_del) AS n FROM pg_stat_user_tables WHERE relname = ANY(%s)"
    assert postgres.evidence.rows(counted, list(PLANTED)) == [{"n": 0}], "the counters know of nothing"

    found = list(audit_tables_untouched(postgres.evidence))

    for table, (_, words) in PLANTED.items():
        assert [words in one for one in found if one.startswith(table)] == [True], f"{table}: {found}"
    assert len(found) == len(PLANTED), found
    os.unlink(postgres.segments / FIRST_SEGMENT)
    assert ["nobody can say what was changed" in one for one in audit_tables_untouched(postgres.evidence)] == [
        False, True
    ]  # fmt: skip
