"""A server that dies in the middle of a long look is an outage, and nothing of the look stays open."""

import gc
from contextlib import closing

import pytest

from connectors.postgres import ledger
from connectors.postgres.notary import BATCH, PostgresNotary
from connectors.postgres.pool import connect, transaction
from tests.integration.test_ledger import entry
from tests.storeroom import Storeroom
from workflows.domain.errors import Unavailable

_KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


def test_a_cursor_whose_server_was_killed_is_closed(dsn: str) -> None:
    with connect(dsn, name="killer") as killer, closing(connect(dsn, name="long look")) as connection:
        cursor = connection.cursor(name="numbers")
        with pytest.raises(Unavailable), transaction(connection):
            cursor.execute("SELECT generate_series(1, 1000)")
            cursor.fetchmany(10)
            killer.execute(_KILL, ["long look"])
            cursor.close()
        assert cursor.closed
        del cursor
        gc.collect()  # the driver would warn, and warnings are errors here


async def test_a_notarys_look_for_what_waits_ends_with_its_server(storeroom: Storeroom, dsn: str) -> None:
    async with storeroom.database.transaction() as cursor:
        await ledger.append(cursor, [entry(str(number)) for number in range(BATCH + 1)])
    with closing(PostgresNotary(dsn)) as store:
        with pytest.raises(Unavailable), closing(store.without_leaf(0)) as waiting:
            assert len(next(waiting)) == BATCH
            storeroom.connection.execute(_KILL, ["quartermaster-notary-reading"])
            next(waiting)
        gc.collect()
