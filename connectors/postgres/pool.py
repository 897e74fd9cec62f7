"""Opens connections and transactions, and turns the driver's errors into ours in one place."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from connectors.postgres.personal import Vault
from workflows.domain.errors import InvalidInput, QuartermasterError, Unavailable
from workflows.domain.failpoints import AFTER, BEFORE, reach, reached

Connection = psycopg.Connection[DictRow]
AsyncConnection = psycopg.AsyncConnection[DictRow]

_UNSAFE = {"fsync": {"off"}, "full_page_writes": {"off"}, "synchronous_commit": {"off", "local", "remote_write"}}
_DURABILITY = "SELECT name, setting, source, current_user AS role FROM pg_settings WHERE name = ANY(%s)"
_WHERE = {
    "user": "ALTER ROLE {role} RESET {name}",
    "database": "ALTER DATABASE ... RESET {name}",
    "database user": "ALTER ROLE {role} IN DATABASE ... RESET {name}",
    "client": "take {name} out of the connection's options",
    "environment variable": "take {name} out of PGOPTIONS",
    "command line": "take {name} off the server's command line",
}
"""What to do about a setting, by where it was made; otherwise it is in the server's configuration."""
_SESSION = "-c timezone=UTC"
_ANOTHER_SCHEMA = psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction


class UnsafeDatabase(QuartermasterError):
    """The server may lose what it has acknowledged; nothing is started on it."""


class Collided(Unavailable):
    """The server broke this transaction off, because two waited for each other: nothing of it was written."""


class _ServerCursor(psycopg.ServerCursor[DictRow]):
    """Closed also when the server is gone: the driver's own stays open then, and warns when it is thrown away."""

    def close(self) -> None:
        try:
            super().close()
        except psycopg.OperationalError:
            super().close()  # by now the connection knows that it is over: nothing is sent
            raise


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver leave as ours."""
    try:
        yield
    except psycopg.errors.DeadlockDetected as error:
        raise Collided(f"PostgreSQL ended a deadlock: {str(error).splitlines()[0][:300]}") from error
    except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, PoolTimeout) as error:
        raise Unavailable(f"PostgreSQL did not answer: {str(error).strip()[:300]}") from error
    except _ANOTHER_SCHEMA as error:
        raise Unavailable(
            "the schema of the database is not this version's: `quartermaster migrate` brings it up to date, and so "
            f"does a start of `quartermaster up` ({str(error).splitlines()[0][:200]})"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise Unavailable(
            "the database role of this process may not do that. What a role may comes with the schema: `quartermaster "
            f"migrate` brings it up to date ({str(error).splitlines()[0][:200]})"
        ) from error
    except psycopg.DataError as error:
        raise InvalidInput(f"PostgreSQL cannot hold this value: {str(error).strip()[:300]}") from error


@contextmanager
def _nothing_written() -> Iterator[None]:
    """A write where none was announced is our mistake, not the server's state: nobody should try it again."""
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise RuntimeError("this transaction was opened to read; to write, take `transaction`") from error


def connect(dsn: str, *, name: str) -> Connection:
    """One synchronous connection (intake's thread, short commands); `name` shows in pg_stat_activity.

    Raises:
        Unavailable: the server cannot be reached.
        UnsafeDatabase: see `refuse_unsafe`.
    """
    with translated():
        connection = psycopg.connect(
            dsn, row_factory=dict_row, application_name=name, options=_SESSION, autocommit=True
        )
        connection.server_cursor_factory = _ServerCursor
        try:
            refuse_unsafe(connection)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def transaction(connection: Connection, at: str = "") -> Iterator[psycopg.Cursor[DictRow]]:
    """One transaction on a synchronous connection that may write; `at` names its failpoint (`noun.verb`).

    Raises:
        Unavailable: the connection was lost; whether the commit happened is unknown, so callers repeat idempotently.
    """
    with translated():
        with connection.transaction(), connection.cursor() as cursor:
            yield cursor
            reach(at, BEFORE)
        reach(at, AFTER)


@contextmanager
def reading(connection: Connection) -> Iterator[psycopg.Cursor[DictRow]]:
    """One transaction that only reads: the server refuses it to write, so it needs no failpoint.

    Inside another transaction it is a part of that one, and may what that one may.

    Raises:
        Unavailable: the connection was lost.
    """
    outermost = connection.info.transaction_status is TransactionStatus.IDLE
    with translated():
        if outermost:
            connection.read_only = True
        try:
            with _nothing_written(), connection.transaction(), connection.cursor() as cursor:
                yield cursor
        finally:
            if outermost and not connection.closed:
                connection.read_only = None


class Database:
    """A pool of connections for asynchronous processes. `personal`: the key file of personal data."""

    def __init__(self, dsn: str, *, name: str, size: int = 8, personal: Path | None = None) -> None:
        self._dsn, self._name = dsn, name
        self.vault = Vault(personal)
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=size,
            open=False,
            name=name,
            kwargs={"row_factory": dict_row, "application_name": name, "options": _SESSION, "autocommit": True},
        )

    async def __aenter__(self) -> "Database":
        """Open the pool.

        Raises:
            Unavailable: the server cannot be reached.
            UnsafeDatabase: see `refuse_unsafe`.
        """
        with translated():
            await self._pool.open(wait=True, timeout=30)
            try:
                async with self._pool.connection() as connection:
                    found = await (await connection.execute(_DURABILITY, [list(_UNSAFE)])).fetchall()
                _refuse(unsafe_of(found))
            except BaseException:
                await self._pool.close()
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, at: str = "") -> AsyncIterator[psycopg.AsyncCursor[DictRow]]:
        """One transaction that may write; `at` names its failpoint (`noun.verb`).

        Raises:
            Unavailable: the server did not answer, or the connection was lost: whether the commit happened is unknown.
        """
        with translated():
            async with self._pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
                yield cursor
                await reached(at, BEFORE)
            await reached(at, AFTER)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[psycopg.AsyncCursor[DictRow]]:
        """One transaction that only reads: the server refuses it to write, so it needs no failpoint.

        Raises:
            Unavailable: the server did not answer, or the connection was lost.
        """
        with translated():
            async with self._pool.connection() as connection:
                await connection.set_read_only(True)
                try:
                    with _nothing_written():
                        async with connection.transaction(), connection.cursor() as cursor:
                            yield cursor
                finally:
                    if not connection.closed:
                        await connection.set_read_only(None)

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[Callable[[float], Awaitable[bool]]]:
        """A connection of its own that listens: the function waits for a notification, or for so many seconds.

        Raises:
            Unavailable: the server did not answer, or the connection was lost.
        """
        with translated():
            name = f"{self._name}-listening"
            async with await psycopg.AsyncConnection.connect(
                self._dsn, autocommit=True, application_name=name
            ) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

                async def heard(seconds: float) -> bool:
                    if [one async for one in connection.notifies(timeout=seconds, stop_after=1)]:
                        return True
                    await connection.execute("SELECT 1")  # a connection that died quietly is found out here
                    return False

                yield heard


def refuse_unsafe(connection: Connection) -> None:
    """Refuse a session in which what is acknowledged may be lost. A role or a database can have settings of its own, so
    this is asked on each process's own connection.

    Raises:
        UnsafeDatabase: naming each setting, and what to do about it.
    """
    _refuse(unsafe_of(connection.execute(_DURABILITY, [list(_UNSAFE)]).fetchall()))


def unsafe_settings(dsn: str) -> list[str]:
    """What `refuse_unsafe` would refuse in a session of this DSN, in words; for a report.

    Raises:
        Unavailable: the server cannot be reached.
    """
    with translated(), psycopg.connect(dsn, row_factory=dict_row, application_name="quartermaster-doctor") as asked:
        return unsafe_of(asked.execute(_DURABILITY, [list(_UNSAFE)]).fetchall())


def unsafe_of(rows: Sequence[DictRow]) -> list[str]:
    """Each unsafe setting among these rows of pg_settings: what it is, and what to do."""
    words = "{name}={setting} for {role} ({do})"
    otherwise = "ALTER SYSTEM SET {name} = 'on', and reload the configuration"
    return [
        words.format(**row, do=_WHERE.get(row["source"], otherwise).format(**row))
        for row in rows
        if row["setting"] in _UNSAFE[row["name"]]
    ]


def _refuse(unsafe: Sequence[str]) -> None:
    if unsafe:
        raise UnsafeDatabase(
            f"PostgreSQL may lose what it has acknowledged, and nothing is started on it: {'; '.join(unsafe)}"
        )
