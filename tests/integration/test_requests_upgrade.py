"""Orders that an earlier release left on their way: what it sent is in doubt, and nothing is sent twice for them."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.postgres import migrating
from connectors.postgres.migrating import migrate, migrations_folder
from connectors.postgres.orders import PostgresOrders
from connectors.postgres.pool import Database, connect
from tests.databases import DatabaseServer
from workflows.domain.requests import RequestState

NOW = datetime(2025, 2, 20, tzinfo=UTC)
LEFT = "clock_timestamp() - interval '1 hour'"
BEFORE: dict[str, tuple[str, str, int, str, RequestState | None]] = {
    # name: its state, when the last request left, open requests, payload, and the request's state since
    "collecting": ("collecting", "NULL", 0, "NULL", None),
    "prepared": ("sending", "NULL", 0, "'{}'", RequestState.PREPARED),
    "under way": ("sending", LEFT, 1, "'{}'", RequestState.SENDING),
    "certainly not there": ("sending", LEFT, 0, "'{}'", RequestState.ABSENT),
    "in doubt": ("in_doubt", LEFT, 1, "'{}'", RequestState.UNKNOWN),
    "placed": ("placed", LEFT, 1, "'{}'", RequestState.CONFIRMED),
    "received": ("received", LEFT, 1, "'{}'", RequestState.CONFIRMED),
    "refused": ("refused", LEFT, 1, "'{}'", RequestState.REJECTED),
    "empty": ("empty", "NULL", 0, "NULL", None),
    "withheld": ("withheld", "NULL", 0, "'{}'", RequestState.WITHDRAWN),
}


@pytest.fixture
def earlier(server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database as it was before requests had states, with an order in every state."""
    for file in sorted(migrations_folder().glob("*.sql")):
        if file.name < "0060":
            shutil.copy(file, tmp_path)
    with server.empty() as dsn:
        with monkeypatch.context() as patch:
            patch.setattr(migrating, "migrations_folder", lambda: tmp_path)
            migrate(dsn)
        with connect(dsn, name="test") as connection:
            for number, (name, (state, left, opened, payload, _)) in enumerate(BEFORE.items()):
                connection.execute(
                    f"""INSERT INTO purchase_order (order_id, key, supplier, location, cycle, part, state, currency,
                            cutoff_at, last_sent_at, open_requests, payload, attempts)
                        VALUES (%s, %s, 'acme', 'LEEDS', %s, 1, %s, 'EUR', %s, {left}, {opened}, {payload}, 1)
                     """.encode(),  # noqa: S608 - our own words
                    [name, f"k{number}", str(number), state, NOW],
                )
        yield dsn


async def test_each_order_goes_on_from_where_it_was_and_what_left_is_looked_for(earlier: str) -> None:
    migrate(earlier)
    async with Database(earlier, name="test", size=2) as database:
        orders = PostgresOrders(database)
        with connect(earlier, name="test") as connection:
            rows = connection.execute("SELECT order_id, request FROM purchase_order").fetchall()
            assert {row["order_id"]: row["request"] for row in rows} == {
                name: state and str(state) for name, (*_, state) in BEFORE.items()
            }
            kept = connection.execute("SELECT order_id, outcome FROM order_request ORDER BY order_id").fetchall()
        assert {row["order_id"]: row["outcome"] for row in kept} == {
            "under way": None, "certainly not there": "absent", "in doubt": "unknown", "placed": "confirmed",
            "received": "confirmed", "refused": "rejected",
        }  # fmt: skip
        for name, state in (
            ("under way", RequestState.UNKNOWN), ("in doubt", RequestState.UNKNOWN),
            ("certainly not there", RequestState.ABSENT), ("prepared", RequestState.PREPARED),
        ):  # fmt: skip
            taken = await orders.begin_attempt(name, "a", 60)
            assert taken is not None
            assert (taken.request.state, taken.manifest) == (state, None), name
            assert taken.request.in_doubt == (state is RequestState.UNKNOWN)


async def test_what_a_process_of_an_earlier_release_sends_meanwhile_is_unknown_and_never_unsent(earlier: str) -> None:
    migrate(earlier)
    with connect(earlier, name="test") as connection:
        # As its code does it: it knows neither the request's states nor their rows.
        connection.execute(
            """UPDATE purchase_order SET last_sent_at = clock_timestamp(), open_requests = 1
               WHERE order_id = 'prepared'"""
        )
        connection.execute(
            """UPDATE purchase_order SET state = 'sending', payload = '{}', last_sent_at = clock_timestamp(),
                   open_requests = 1 WHERE order_id = 'collecting'"""
        )
    async with Database(earlier, name="test", size=2) as database:
        for name in ("prepared", "collecting"):
            taken = await PostgresOrders(database).begin_attempt(name, "a", 60)
            assert taken is not None
            assert taken.request.state is RequestState.UNKNOWN, name
