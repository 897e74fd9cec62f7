"""Who is asked to stop finishes what has left the house: a send is carried to its answer and recorded, whoever asks."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from connectors.kafka.producer import EventProducer
from connectors.kafka.topics import ensure_topics
from connectors.postgres.pool import Connection, connect
from console.auth import sign_in_token
from tests.bench.bench_sends import SUPPLIERS, fill, open_orders
from tests.command_line import ANY_PORT, CommandLine, eventually
from tests.fakes.supplier_server import SupplierServer
from workers import temporal
from workers.enrolling import enrol
from workers.preparing import prepare_schema
from workers.session import Silence, running
from workers.settings import Settings
from workers.stack import PATIENCE_S, EngineStack
from workers.wiring import console_key, required
from workers.wiring_worker import GRACEFUL_SHUTDOWN, LEARNING_SHUTDOWN
from workflows.domain.events import Event, SaleRecorded
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.needs import ClockMode
from workflows.domain.orders import OrderRef

pytestmark = pytest.mark.timeout(900)
SLOW_S = 4.0
"""How long the supplier takes to answer: longer than anything takes to be told to stop."""


class House:
    """Servers, a worker and slow suppliers, with orders that are due."""

    def __init__(self, stack: EngineStack, supplier: SupplierServer, connection: Connection) -> None:
        self.stack, self.supplier, self.connection = stack, supplier, connection
        self.orders = open_orders(connection, 10)

    async def send(self, *refs: OrderRef) -> None:
        """Start these orders' workflows, as the relay does."""
        await _send(required(self.stack.settings, "temporal_address"), *refs)

    def slowly(self, requests: int) -> None:
        """The next requests are carried out and answered late."""
        self.supplier.post("/faults", {"mode": "slow", "on": "place", "requests": requests, "delay_s": SLOW_S})

    def states(self, *refs: OrderRef) -> set[str]:
        """Where the orders are."""
        rows = self.connection.execute(
            "SELECT DISTINCT state FROM purchase_order WHERE order_id = ANY(%s)", [[ref.order_id for ref in refs]]
        ).fetchall()
        return {row["state"] for row in rows}

    def booked(self) -> list[str]:
        """The keys in the suppliers' own journal."""
        return _booked(self.supplier)

    def left(self, *refs: OrderRef) -> bool:
        """Whether a request for each has left and none was answered."""
        rows = self.connection.execute(
            "SELECT 1 FROM purchase_order WHERE order_id = ANY(%s) AND last_sent_at IS NOT NULL AND state = 'sending'",
            [[ref.order_id for ref in refs]],
        ).fetchall()
        return len(rows) == len(refs)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Up to, and without, its worker: each test runs one of its own."""
    home = tmp_path_factory.mktemp("house")
    with _suppliers(home) as supplier, EngineStack(home / "state", _on_any_port(home), Silence()) as stack:
        stack.start()
        stack.settings = stack.settings.model_copy(update={"supplier_url": supplier.url})
        prepare_schema(stack.settings, Silence())
        with connect(required(stack.settings, "postgres_dsn"), name="test") as connection:
            fill(connection, 10)
            yield House(stack, supplier, connection)


def _on_any_port(home: Path) -> Settings:
    return Settings.from_environment({**ANY_PORT, "QM_HOME": str(home), "QM_CLOCK": "replayed", "QM_UNDO_SECONDS": "0"})


@contextmanager
def _suppliers(home: Path) -> Iterator[SupplierServer]:
    """Simulated suppliers whose journal is in this folder."""
    server = SupplierServer(home, [SupplierBehaviour(supplier=f"SUP-{n}", lead_days=(3,)) for n in range(SUPPLIERS)])
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _booked(server: SupplierServer) -> list[str]:
    """The keys in the suppliers' own journal."""
    entries = [json.loads(line) for line in server.journal.read_text().splitlines()]
    return [entry["order"]["key"] for entry in entries if "order" in entry]


async def _send(address: str, *refs: OrderRef) -> None:
    """Start these orders' workflows, as the relay does."""
    starter = temporal.Starter(await temporal.connect(address, "default"), ClockMode.REPLAYED)
    for ref in refs:
        await starter.purchasing(ref.model_copy(update={"due": True}), None, again=True)


def test_nobody_is_ended_before_their_own_patience_is_over() -> None:
    assert PATIENCE_S["worker"] > GRACEFUL_SHUTDOWN.total_seconds() + LEARNING_SHUTDOWN.total_seconds()


@pytest.mark.parametrize("twice", [False, True])
async def test_a_worker_that_is_asked_to_stop_while_it_sends_records_the_answers(house: House, twice: bool) -> None:
    chosen, house.orders = house.orders[:3], house.orders[3:]
    house.slowly(len(chosen))
    house.stack.start_process("worker")
    pid = house.stack.pid("worker")
    await house.send(*chosen)
    eventually(lambda: house.left(*chosen), 60, what="the requests")

    stopping = threading.Thread(target=house.stack.stop_process, args=("worker",))
    began = time.monotonic()
    stopping.start()
    if twice:
        os.kill(pid, signal.SIGTERM)
    stopping.join()

    assert house.states(*chosen) == {"placed"}, "nothing is in doubt, and nobody else recorded it"
    assert time.monotonic() - began < PATIENCE_S["worker"], "it ended by itself"
    keys = house.booked()
    assert len(keys) == len(set(keys))


async def test_what_a_stopped_worker_had_not_begun_is_done_by_the_next_one(house: House) -> None:
    ref = house.orders.pop()
    await house.send(ref)
    assert house.states(ref) == {"collecting"}

    house.stack.start_process("worker")
    try:
        eventually(lambda: house.states(ref) == {"placed"}, 60, what="the order")
    finally:
        house.stack.stop_process("worker")


def test_an_intake_that_is_asked_to_stop_in_mid_batch_finishes_it(house: House) -> None:
    bootstrap, count = required(house.stack.settings, "kafka_bootstrap"), 50
    ensure_topics(bootstrap)
    dsn = required(house.stack.settings, "postgres_dsn")
    waits = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'quartermaster-intake' AND wait_event_type = 'Lock'"
    )

    def taken(source: str) -> int:
        (row,) = house.connection.execute("SELECT count(*) AS n FROM inbox WHERE source = %s", [source]).fetchall()
        return int(row["n"])

    house.stack.start_process("intake")
    with connect(dsn, name="test-holds") as holder, closing(EventProducer(bootstrap)) as producer:
        with holder.transaction():
            holder.execute("LOCK TABLE inbox IN SHARE ROW EXCLUSIVE MODE")
            producer.publish([_sold("before", number) for number in range(count)])
            eventually(lambda: bool(house.connection.execute(waits).fetchall()), 60, what="a batch in hand")
            stopping = threading.Thread(target=house.stack.stop_process, args=("intake",))
            pid = house.stack.pid("intake")
            stopping.start()
            os.kill(pid, signal.SIGTERM)
            assert taken("before") == 0
        stopping.join()
        first = taken("before")
        assert first > 0, "what it had in hand is in, and not left to the next one"

        producer.publish([_sold("after", 1)])
        house.stack.start_process("intake")
        try:
            eventually(lambda: (taken("before"), taken("after")) == (count, 1), 60, what="the rest")
        finally:
            house.stack.stop_process("intake")
    rows = house.connection.execute(
        "SELECT sum((convert_from(body, 'UTF8')::jsonb->>'duplicates')::int) AS n FROM ledger_entry "
        "WHERE type = 'events.accepted'"
    ).fetchall()
    assert rows[0]["n"] == 0, "nothing was taken a second time: its position went in with the batch"


def _sold(source: str, number: int) -> Event:
    sale = SaleRecorded(item="SKU-0", location="LEEDS", sale_id=f"{source}-{number}", units=1)
    return Event.of(sale, id=str(number), source=source, time=datetime(2025, 3, 3, 5, 30, tzinfo=UTC))


def test_a_console_that_is_asked_to_stop_ends_its_open_streams(house: House) -> None:
    enrol(house.stack.settings, "planner")
    address = house.stack.start_console()
    link = sign_in_token(console_key(house.stack.settings), "planner")
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as browser:
        assert browser.get("/sign-in", params={"token": link}).has_redirect_location
        with browser.stream("GET", "/live/events") as stream:
            assert stream.status_code == 200
            frames = stream.iter_text()
            assert "hello" in next(frames)
            house.stack.stop_process("console")
            assert "event: bye" in "".join(frames), "a stream that is cut, as when its patience ends, would raise here"


async def test_up_that_is_asked_to_stop_while_it_sends_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    commands, points = CommandLine(tmp_path / "home"), tmp_path / "points"
    for folder in (tmp_path / "suppliers", points / "armed"):
        folder.mkdir(parents=True)
    (points / "armed" / "supplier.place:after").write_text(json.dumps({"mode": "delay", "seconds": SLOW_S}))
    said = tmp_path / "err"
    with _suppliers(tmp_path / "suppliers") as supplier:
        up = commands.begin(
            "up", "--empty", out=tmp_path / "out", err=said, QM_SUPPLIER_URL=supplier.url, QM_FAILPOINTS=str(points),
            QM_UNDO_SECONDS="0", QM_CLOCK="replayed",
        )  # fmt: skip
        try:
            eventually(lambda: "Ctrl-C stops everything." in said.read_text(), 90, what="the welcome")
            run = running(commands.home / "up")
            assert run is not None
            assert run.addresses is not None
            with connect(run.addresses.postgres_dsn, name="test") as connection:
                fill(connection, 3)
                await _send(run.addresses.temporal_address, *open_orders(connection, 3))
            eventually(lambda: any((points / "fired").iterdir()), 60, what="a request that left")
            up.send_signal(signal.SIGINT)
            assert up.wait(2 * PATIENCE_S["worker"]) == 0
        finally:
            for process in commands.processes():
                process.kill()
            up.wait()
        with EngineStack(commands.home / "up", _on_any_port(commands.home), Silence()) as stack:
            stack.start()
            with connect(required(stack.settings, "postgres_dsn"), name="test") as connection:
                states = connection.execute("SELECT order_id, state, key FROM purchase_order").fetchall()
    assert {row["state"] for row in states} <= {"placed", "collecting"}, "the others' turn comes with the next `up`"
    booked = _booked(supplier)
    assert sorted(row["key"] for row in states if row["state"] == "placed") == sorted(booked)
    assert booked


LEARNS = """
import asyncio, threading, time
from concurrent.futures import ThreadPoolExecutor
from workers.processes import THREADS, _leave_learning

async def main():
    threads = ThreadPoolExecutor(thread_name_prefix=THREADS)
    asyncio.get_running_loop().set_default_executor(threads)
    busy = asyncio.get_running_loop().run_in_executor(None, time.sleep, {seconds})
    await asyncio.sleep(0.1)
    threads.shutdown(wait=False, cancel_futures=True)
    await _leave_learning()
    print("left in order")

asyncio.run(main())
"""


@pytest.mark.parametrize(("seconds", "said"), [(600, ""), (0.2, "left in order\n")])
def test_a_computation_is_not_waited_for_at_the_end(seconds: float, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEARNS.format(seconds=seconds)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
