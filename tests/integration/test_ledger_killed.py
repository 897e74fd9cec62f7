"""Kill -9 of PostgreSQL under writers, over and over: no acknowledged entry is lost, chains and tree are whole.

The whole server is killed in the middle of commits: whatever was acknowledged and lay only in its memory would be gone.
That the disk keeps what it was told to keep (fsync) is the operating system's part, and is refused to be turned off.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from connectors.postgres import ledger
from connectors.postgres.migrating import migrate
from connectors.postgres.pool import Connection, connect, transaction
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.integration.test_notary import House
from workers.certifying import Notary
from workers.servers.postgres import PostgresServer
from workers.servers.process import ManagedProcess, within
from workflows.domain.errors import Unavailable
from workflows.domain.ledger import EntryType, NewEntry

pytestmark = pytest.mark.timeout(900)
ROUNDS, MOST_ROUNDS, WRITERS = 6, 40, 5
"""After the least it goes on until a commit was cut off in its middle, which every third kill does."""
ACKNOWLEDGED_A_ROUND = 150
WITHIN_S = 60.0
AT = datetime(2025, 3, 3, 5, tzinfo=UTC)


class Event(NamedTuple):
    """What a writer was told is there."""

    stream: str
    seq: int
    hash: str


class Server:
    """PostgreSQL as a child of ours: nobody but the test starts it again."""

    def __init__(self, state: Path) -> None:
        self._server = PostgresServer(state)
        self._log = state / "postgres.log"
        self._process: ManagedProcess | None = None
        self.dsn = self._server.dsn

    def start(self) -> None:
        """After a kill, too: recovery is over when this returns."""
        self._server.prepare(lambda _: None)
        self._process = ManagedProcess(self._server.spec(), self._log)
        self._process.start()
        assert within(WITHIN_S, self._server.ready), self._process.tail()

    def kill(self) -> None:
        """Kill -9 of the postmaster and of every process of its; each of them leads a process group of its own."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        everybody = [parent, *parent.children(recursive=True)]
        for one in everybody:
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                os.kill(one.pid, signal.SIGKILL)
        psutil.wait_procs(everybody[1:], timeout=WITHIN_S)
        assert self._process.exit_code() is not None or within(WITHIN_S, lambda: self._ended())

    def _ended(self) -> bool:
        return self._process is not None and self._process.exit_code() is not None

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()


class Writer(threading.Thread):
    """Appends as the worker does, to a chain of its own and to one that all share, and notes what was acknowledged."""

    def __init__(self, dsn: str, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._dsn, self._number, self._stop_asked = as_role(dsn, DatabaseRole.WORKER), number, stop
        self.acknowledged: list[Event] = []
        self.unknown = 0
        """Transactions of which nobody can say whether they are there."""

    def run(self) -> None:
        """Until told to stop; whoever is cut off tries again."""
        while not self._stop_asked.is_set():
            try:
                with connect(self._dsn, name="writer") as connection:
                    while not self._stop_asked.is_set():
                        self._append(connection)
            except Unavailable:
                self._stop_asked.wait(0.02)

    def _append(self, connection: Connection) -> None:
        count = len(self.acknowledged)
        streams = [f"LEEDS:SKU-{self._number}-{count // 30}:1", "shared", f"LEEDS:SKU-{self._number}-{count // 30}:1"]
        entries = [
            NewEntry(stream=stream, type=EntryType.DECISION_CLOSED, actor="a", occurred_at=AT, body={"count": count})
            for stream in streams
        ]
        told: list[Event] = []
        try:
            with transaction(connection) as cursor:
                ledger.append_now(cursor, entries)
                cursor.execute(
                    """SELECT stream, seq, hash FROM ledger_entry
                       WHERE stream = ANY(%s) AND written_by = pg_current_xact_id()::text::bigint""",
                    [sorted(set(streams))],
                )
                told = [Event(**row) for row in cursor.fetchall()]
                assert len(told) == len(entries)
        except Unavailable:
            self.unknown += bool(told)
            raise
        self.acknowledged += told


class Certifier(threading.Thread):
    """The notary, round after round; one that was cut off opens its connections again."""

    def __init__(self, notary: Notary, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._notary, self._stop_asked = notary, stop
        self.sizes: list[int] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Until told to stop."""
        try:
            while not self._stop_asked.wait(0.05):
                with suppress(Unavailable):
                    self.sizes.append(self._notary.round().size)
        except BaseException as error:
            self.failure = error
        finally:
            self._notary.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real server, migrated, with roles that may log in."""
    made = Server(tmp_path)
    made.start()
    try:
        migrate(made.dsn)
        let_in(made.dsn)
        yield made
    finally:
        made.stop()


def eventually(true: Callable[[], bool], what: str) -> None:
    """Wait for it, and not for ever."""
    assert within(WITHIN_S, true), f"{what} did not come true within {WITHIN_S:g} s"


def test_nothing_acknowledged_is_lost_when_the_server_is_killed_again_and_again(server: Server, tmp_path: Path) -> None:
    stop = threading.Event()
    writers = [Writer(server.dsn, number, stop) for number in range(WRITERS)]
    with connect(server.dsn, name="house") as first:
        house = House(as_role(server.dsn, DatabaseRole.NOTARY), first, tmp_path)
        certifier = Certifier(house.notary(), stop)

    def acknowledged() -> int:
        return sum(len(writer.acknowledged) for writer in writers)

    def cut_off() -> int:
        return sum(writer.unknown for writer in writers)

    for thread in (*writers, certifier):
        thread.start()
    try:
        for number in range(MOST_ROUNDS):
            if number >= ROUNDS and cut_off():
                break
            before, certified = acknowledged(), len(certifier.sizes)
            eventually(lambda: acknowledged() >= before + ACKNOWLEDGED_A_ROUND, f"round {number}: writing")  # noqa: B023
            eventually(lambda: certifier.failure is not None or len(certifier.sizes) > certified, "certifying")  # noqa: B023
            server.kill()
            server.start()
    finally:
        stop.set()
        for thread in (*writers, certifier):
            thread.join(WITHIN_S)
    assert certifier.failure is None, certifier.failure
    assert cut_off() > 0, "no transaction was cut off in its middle: too gentle a kill"

    with connect(server.dsn, name="house") as connection:
        rows = connection.execute("SELECT stream, seq, hash FROM ledger_entry").fetchall()
        told = {event for writer in writers for event in writer.acknowledged}
        assert len(told) >= ROUNDS * ACKNOWLEDGED_A_ROUND
        assert told - {Event(**row) for row in rows} == set(), "acknowledged entries are lost"
        verified = ledger.verify(ledger.read_entries(connection))
        assert verified.ok, verified.breaks
        house.connection = connection
        final = house.notary()
        assert final.round().size == verified.entries, "every entry has one leaf"
        assert house.verify()[-1] == verified.entries
        final.close()
    assert certifier.sizes == sorted(certifier.sizes)
