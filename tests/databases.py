"""A real PostgreSQL for tests: one server per session, and for each test a fresh database with the whole schema."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connectors.postgres.migrating import migrate
from connectors.postgres.pool import Database, connect
from tests.storeroom import Storeroom
from workers.embedded import EmbeddedStack
from workers.settings import Settings

TEMPLATE = "migrated"
_numbers = count(1)


class DatabaseServer:
    """PostgreSQL on a temporary state directory; databases are copies of one that was migrated once."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        migrate(self.dsn_of(TEMPLATE))

    def dsn_of(self, database: str) -> str:
        """Where this database is."""
        return make_conninfo(self._dsn, dbname=database)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The DSN of a database without any schema."""
        with self._created(sql.SQL("CREATE DATABASE {}")) as dsn:
            yield dsn

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The DSN of a database with the whole schema and no row."""
        with self._created(sql.SQL("CREATE DATABASE {} TEMPLATE migrated")) as dsn:
            yield dsn

    @contextmanager
    def copied(self, dsn: str) -> Iterator[str]:
        """The DSN of a copy of this database, to which nobody may be connected now."""
        source = str(conninfo_to_dict(dsn)["dbname"])
        with self._created(sql.SQL("CREATE DATABASE {} TEMPLATE {}"), source) as copy:
            yield copy

    @contextmanager
    def _created(self, statement: sql.SQL, *names: str) -> Iterator[str]:
        name = f"test_{next(_numbers)}"
        self._run(statement.format(*map(sql.Identifier, (name, *names))))
        try:
            yield self.dsn_of(name)
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def database_server(state: Path) -> Iterator[DatabaseServer]:
    """A running server; the other servers of the stack are not started."""
    elsewhere = "127.0.0.1:9"
    stack = EmbeddedStack(state, Settings(home=state, temporal_address=elsewhere, kafka_bootstrap=elsewhere))
    addresses = stack.start()
    try:
        yield DatabaseServer(addresses.postgres_dsn)
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseServer]:
    """PostgreSQL, started once."""
    with database_server(tmp_path_factory.mktemp("pg")) as running:
        yield running


@pytest.fixture
def dsn(server: DatabaseServer) -> Iterator[str]:
    """A database of this test's own, with the whole schema."""
    with server.migrated() as address:
        yield address


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Where the key of personal data is."""
    return tmp_path / "personal.key"


@pytest.fixture
async def database(dsn: str, key_file: Path) -> AsyncIterator[Database]:
    """A pool on it."""
    async with Database(dsn, name="test", size=8, personal=key_file) as opened:
        yield opened


@pytest.fixture
def storeroom(dsn: str, database: Database) -> Iterator[Storeroom]:
    """The engine's storage, driven by hand."""
    with connect(dsn, name="test-intake") as connection:
        yield Storeroom(connection, database)
