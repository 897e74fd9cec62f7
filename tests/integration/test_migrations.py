"""Migrations apply to an empty database, once, whoever else is migrating, and never on a server that may lose data."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from connectors.postgres.migrating import migrate, migrations_folder
from connectors.postgres.pool import Database, UnsafeDatabase, connect
from tests.databases import DatabaseServer
from workflows.domain.errors import InvalidInput, Unavailable


def test_every_migration_applies_once(server: DatabaseServer) -> None:
    with server.empty() as dsn:
        assert migrate(dsn) == sorted(path.stem for path in migrations_folder().glob("*.sql"))
        assert migrate(dsn) == []


def test_two_processes_may_migrate_at_once(server: DatabaseServer) -> None:
    with server.empty() as dsn, ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(migrate, [dsn, dsn]))
        assert sorted(map(len, applied)) == [0, len(list(migrations_folder().glob("*.sql")))]


@pytest.mark.parametrize("setting", ["synchronous_commit"])
def test_a_server_that_may_lose_what_it_acknowledged_is_refused(server: DatabaseServer, setting: str) -> None:
    with server.empty() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            name = connection.info.dbname
            change = sql.SQL("ALTER DATABASE {} SET {} = off").format(sql.Identifier(name), sql.Identifier(setting))
            connection.execute(change)
        with pytest.raises(UnsafeDatabase, match=f"{setting}=off"):
            migrate(dsn)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        connect("host=127.0.0.1 port=9 dbname=nothing", name="test")


async def test_a_value_that_no_column_holds_is_the_callers_fault(database: Database) -> None:
    with pytest.raises(InvalidInput):
        async with database.transaction() as cursor:
            await cursor.execute("SELECT %s::text", ["a\x00b"])


async def test_a_server_that_only_reads_is_unavailable(database: Database) -> None:
    async def write() -> None:
        async with database.transaction() as cursor:
            await cursor.execute("SET TRANSACTION READ ONLY")
            await cursor.execute("INSERT INTO setting VALUES ('a', 'b')")

    with pytest.raises(Unavailable):
        await write()
