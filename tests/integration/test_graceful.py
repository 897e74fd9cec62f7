"""Who is asked to stop finishes what has left the house: a send is carried to its answer and recorded, whoever asks."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from connectors.postgres.pool import Connection, connect
from tests.bench.bench_sends import SUPPLIERS, fill, open_orders
from tests.command_line import eventually
from workers import temporal
from workers.preparing import prepare_schema
from workers.session import Silence
from workers.settings import Settings
from workers.stack import PATIENCE_S, EngineStack
from workers.wiring import required
from workers.wiring_worker import GRACEFUL_SHUTDOWN, LEARNING_SHUTDOWN
from workflows.domain.needs import ClockMode
from workflows.domain.orders import OrderRef

pytestmark = pytest.mark.timeout(300)
SLOW_S = 4.0
"""How long the supplier takes to answer: longer than anything takes to be told to stop."""


class House:
    """Servers, a worker and slow suppliers, with orders that are due."""

    def __init__(self, stack: EngineStack, supplier: str, connection: Connection) -> None:
        self.stack, self.supplier, self.connection = stack, supplier, connection
        self.orders = open_orders(connection, 10)

    async def send(self, *refs: OrderRef) -> None:
        """Start these orders' workflows, as the relay does."""
        client = await temporal.connect(required(self.stack.settings, "temporal_address"), "default")
        starter = temporal.Starter(client, ClockMode.REPLAYED)
        for ref in refs:
            await starter.purchasing(ref.model_copy(update={"due": True}), None, again=True)

    def slowly(self, requests: int) -> None:
        """The next requests are carried out and answered late."""
        fault = {"mode": "slow", "on": "place", "requests": requests, "delay_s": SLOW_S}
        httpx.post(f"{self.supplier}/faults", json=fault, timeout=30).raise_for_status()

    def states(self, *refs: OrderRef) -> set[str]:
        """Where the orders are."""
        rows = self.connection.execute(
            "SELECT DISTINCT state FROM purchase_order WHERE order_id = ANY(%s)", [[ref.order_id for ref in refs]]
        ).fetchall()
        return {row["state"] for row in rows}

    def booked(self) -> list[str]:
        """The keys in the suppliers' own journal."""
        journal = self.stack.state_dir.parent / "journal.jsonl"
        entries = [json.loads(line) for line in journal.read_text().splitlines()]
        return [entry["order"]["key"] for entry in entries if "order" in entry]

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
    settings = Settings(home=home, temporal_port=0, temporal_ui_port=0, kafka_port=0, clock="replayed", undo_seconds=0)
    behaviours = home / "behaviours.json"
    behaviours.write_text(json.dumps([{"supplier": f"SUP-{n}", "lead_days": [3]} for n in range(SUPPLIERS)]))
    supplier = subprocess.Popen(
        [sys.executable, "-m", "connectors.erp.simulated", "--port", "0", "--journal", str(home / "journal.jsonl"),
         "--behaviours", str(behaviours), "--allow-faults"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert supplier.stdout is not None
    address = supplier.stdout.readline().split()[-1]
    try:
        with EngineStack(home / "state", settings, Silence()) as stack:
            stack.start()
            stack.settings = stack.settings.model_copy(update={"supplier_url": address})
            prepare_schema(stack.settings, Silence())
            with connect(required(stack.settings, "postgres_dsn"), name="test") as connection:
                fill(connection, 10)
                yield House(stack, address, connection)
    finally:
        supplier.terminate()
        supplier.wait()
        supplier.stdout.close()


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
