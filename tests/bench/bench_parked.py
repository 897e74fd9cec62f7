"""100,000 decisions wait for people: what that takes of memory and disk, how long a restart is, and one is approved.

    quartermaster bench parked --state DIR [--count 100000] [--seconds 500]

The decisions and tasks are copies, made in SQL, of a few that the engine took; their workflows are started by the
engine itself, as its relay starts whatever it finds without one, and wait for their deadlines and for a person. Started
again on the same directory it goes on where it was, also after it was killed. Memory is what each process holds beyond
what it shares (PSS) while all of them wait; a restart is timed until the server answers, until the worker has taken a
first answer, and until that answer's order is confirmed by the suppliers.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from connectors.kafka.topics import ensure_topics
from connectors.postgres.pool import Connection, Database, connect
from console.auth import api_token
from tests.bench import console_world
from tests.bench.measuring import machine, progress, publish
from tests.bench.resuming import resumable
from workers import temporal
from workers.enrolling import enrol
from workers.preparing import prepare_schema
from workers.progress import QuietLines
from workers.settings import Settings
from workers.stack import EngineStack
from workers.wiring import console_key, required
from workflows.domain.feeds import SupplierBehaviour
from workflows.naming import ENGINE_QUEUE

QUICK = 40
LOCATIONS, QUICK_LOCATIONS = 100, 4
PLANNER = "planner"
ANSWERS = 20
LOOK_S, PATIENCE_S = 0.05, 300.0
MEBI = 2**20
PROCESSES = ("temporal", "postgres", "broker", "supplier", "intake", "worker", "console")

_UNSTARTED = "SELECT count(*) AS n FROM replenishment WHERE workflow_started_at IS NULL AND state = 'proposed'"
_FRESH = (
    """UPDATE replenishment SET workflow_started_at = NULL, recorded_at = now() - interval '1 hour'
       WHERE decision_id LIKE 'STORE-%%'""",
    # Their deadlines, as an assessment would have left them; the clock that they are on stands still.
    """INSERT INTO clock_wait (subject, subject_id, instant, location)
       SELECT 'replenishment', t.decision_id, w.instant, t.location FROM task t,
              LATERAL (VALUES (t.remind_at), (t.escalate_at), (t.expire_at)) AS w (instant)
       WHERE t.decision_id LIKE 'STORE-%%' ON CONFLICT DO NOTHING""",
    # The orders among the copies are over: nobody carries them, and the relay would look after them.
    "UPDATE purchase_order SET state = 'received', settled_at = now(), told_at = now() WHERE state = 'placed'",
    "UPDATE task SET claimed_by = NULL, claim_ends_at = NULL WHERE decision_id LIKE 'STORE-%%'",
)


class Parked:
    """An engine on a kept state, with so many tasks."""

    def __init__(self, state: Path, count: int, *, quick: bool) -> None:
        self._locations = QUICK_LOCATIONS if quick else LOCATIONS
        self._items = max(1, count // self._locations)
        self.count = self._items * self._locations
        self._settings = Settings(
            home=state, console_port=0, temporal_port=0, temporal_ui_port=0, kafka_port=0, supplier_port=0,
            clock="replayed", undo_seconds=0, order_cycle="at_once",
        )  # fmt: skip
        self.state = state
        self.took: dict[str, float] = {}

    def opened(self) -> EngineStack:
        """The servers, up; their start is timed."""
        stack = EngineStack(self.state, self._settings, QuietLines())
        begun = time.monotonic()
        stack.start()
        self.took["servers_up_s"] = time.monotonic() - begun
        prepare_schema(stack.settings, QuietLines())
        return stack

    def run(self, stack: EngineStack) -> None:
        """Suppliers, intake with its relay, worker and console."""
        behaviours = [SupplierBehaviour(supplier=f"SUP-{n:03}", lead_days=(3,)) for n in range(console_world.SUPPLIERS)]
        stack.start_supplier(behaviours)
        for name in ("intake", "worker"):
            stack.start_process(name)
        stack.start_console()

    def fill(self, stack: EngineStack) -> None:
        """The decisions and their tasks, once."""
        dsn = required(stack.settings, "postgres_dsn")
        enrol(stack.settings, PLANNER)
        ensure_topics(required(stack.settings, "kafka_bootstrap"))
        with connect(dsn, name="bench") as connection:
            if _number(connection, "SELECT count(*) AS n FROM task WHERE decision_id LIKE 'STORE-%'") >= self.count:
                return
        progress(f"parked: making {self.count:,} decisions")
        asyncio.run(_patterns(dsn))
        with connect(dsn, name="bench") as connection:
            size = console_world.Size(locations=self._locations, items=self._items, tasks=self.count)
            console_world.enlarge(connection, size)
            for statement in _FRESH:
                connection.execute(statement.replace("%%", "%").encode())
            connection.execute("VACUUM ANALYZE")


def _number(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row["n"])


async def _patterns(dsn: str) -> None:
    async with Database(dsn, name="bench", size=2) as database:
        await console_world.patterns(dsn, database)


async def _backlog(client: Client) -> int:
    """Workflows that have not taken their first step, and wait for nobody yet."""
    asked = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=ENGINE_QUEUE), report_stats=True,
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )  # fmt: skip
    return int((await client.workflow_service.describe_task_queue(asked)).stats.approximate_backlog_count)


def started(connection: Connection, address: str, seconds: float) -> tuple[int, float]:
    """Wait until each has its workflow and that waits, or for so long: (how many do not, how many began a second)."""
    with asyncio.Runner() as runner:
        client = runner.run(temporal.connect(address, "default"))

        def to_begin() -> int:
            return _number(connection, _UNSTARTED) + runner.run(_backlog(client))

        return _until_begun(to_begin, seconds)


def _until_begun(to_begin: Callable[[], int], seconds: float) -> tuple[int, float]:
    first, begun, said = to_begin(), time.monotonic(), time.monotonic()
    best, since = first, begun
    while left := to_begin():
        now = time.monotonic()
        if now - said > 10:
            progress(f"parked: {left:,} to begin")
            said = now
        if left < best:
            best, since = left, now
        if now - since > PATIENCE_S:
            raise TimeoutError(f"{left} do not wait for a person yet, and none began to for {PATIENCE_S:.0f} s")
        if seconds and now - begun > seconds:
            break
        time.sleep(0.5)
    return left, (first - left) / max(time.monotonic() - begun, 0.001)


def answered(stack: EngineStack, connection: Connection, number: int) -> list[dict[str, float]]:
    """Approve so many of them over REST, one after the other: seconds until the answer, and until the order is placed.

    Raises:
        TimeoutError: an order was not confirmed.
    """
    token = api_token(console_key(stack.settings), PLANNER)
    rows = connection.execute(
        "SELECT decision_id, proposal_hash FROM task WHERE state = 'open' AND decision_id LIKE 'STORE-%' "
        "ORDER BY md5(decision_id) LIMIT %s".replace("'STORE-%'", "'STORE-%%'").encode(),
        [number],
    ).fetchall()
    taken = []
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.settings.console_port}", timeout=120) as client:
        for row in rows:
            begun = time.monotonic()
            answer = client.post(
                f"/api/v1/tasks/{row['decision_id']}/verdict",
                json={"proposal_hash": row["proposal_hash"], "meaning": "approve"},
                headers={"Authorization": f"Bearer {token}", "Idempotency-Key": f"bench-{row['decision_id']}"},
            )
            if answer.status_code != 200:
                raise RuntimeError(f"{row['decision_id']}: {answer.status_code} {answer.text[:300]}")
            heard = time.monotonic() - begun
            while not connection.execute(
                "SELECT 1 FROM replenishment r JOIN purchase_order o USING (order_id) "
                "WHERE r.decision_id = %s AND o.state = 'placed'",
                [row["decision_id"]],
            ).fetchone():
                if time.monotonic() - begun > PATIENCE_S:
                    raise TimeoutError(f"{row['decision_id']} was approved, and no order was confirmed")
                time.sleep(LOOK_S)
            taken.append({"answer_s": round(heard, 3), "confirmed_s": round(time.monotonic() - begun, 3)})
    return taken


def memory(stack: EngineStack) -> dict[str, float]:
    """MiB of each process and its children, shared pages divided among those who share them."""
    held = {}
    for name in PROCESSES:
        try:
            held[name] = round(sum(_pss(pid) for pid in _family(stack.pid(name))) / MEBI, 1)
        except (KeyError, OSError):
            continue
    return held


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except ProcessLookupError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def disk(state: Path, connection: Connection) -> dict[str, float]:
    """MiB on the disk: Temporal's file with its log, and the whole database."""
    temporal = sum(one.stat().st_size for one in (state / "temporal").iterdir())
    database = _number(connection, "SELECT pg_database_size(current_database()) AS n")
    return {"temporal_mib": round(temporal / MEBI, 1), "postgres_mib": round(database / MEBI, 1)}


def measure(parked: Parked, told: argparse.Namespace) -> dict[str, Any]:
    """Park, look, restart, answer."""
    figures: dict[str, Any] = {"decisions": parked.count}
    with parked.opened() as stack:
        parked.fill(stack)
        parked.run(stack)
        with connect(required(stack.settings, "postgres_dsn"), name="bench") as connection:
            left, rate = started(connection, required(stack.settings, "temporal_address"), told.seconds)
            figures |= {"parked": parked.count - left, "started_per_s": round(rate, 1)}
            if left:
                return figures
            time.sleep(0 if told.quick else 10)  # what was just started is written out
            figures |= {"memory_mib": memory(stack), "disk": disk(parked.state, connection)}
        begun = time.monotonic()
    figures["stop_s"] = round(time.monotonic() - begun, 1)
    progress("parked: restarting")
    with parked.opened() as stack:
        begun = time.monotonic()
        parked.run(stack)
        with connect(required(stack.settings, "postgres_dsn"), name="bench") as connection:
            (first,) = answered(stack, connection, 1)
            figures["restart"] = {
                "servers_up_s": round(parked.took["servers_up_s"], 1),
                "first_answer_confirmed_s": round(time.monotonic() - begun, 1),
            }
            others = answered(stack, connection, 2 if told.quick else ANSWERS)
            confirmed = [one["confirmed_s"] for one in others]
            figures |= {
                "approved": len(others) + 1, "first": first,
                "approve_to_confirmed_s": {"median": round(statistics.median(confirmed), 3), "highest": max(confirmed)},
                "memory_after_restart_mib": memory(stack),
            }  # fmt: skip
    return figures


def main() -> None:
    """Measure and print."""
    told, begun, before = resumable(__doc__ or "", QUICK), time.monotonic(), machine()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda number, _: sys.exit(128 + number))
    with ExitStack() as kept:
        state = told.state or Path(kept.enter_context(TemporaryDirectory(prefix="qm-bench-")))
        figures = measure(Parked(state.absolute(), told.count, quick=told.quick), told)
    publish(told, "parked", before, begun, figures)


if __name__ == "__main__":
    main()
