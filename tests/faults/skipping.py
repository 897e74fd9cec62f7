"""A wait of months on a server whose clock skips: the engine's own worker carries it, with all it keeps in PostgreSQL.

    with Skipped(world, decision_id) as skipped:
        skipped.next_change()       # (reminders, escalations, the task's state)
        skipped.days                # so many days later

The process that this module is (`python -m tests.faults.skipping ADDRESS DECISION`) runs the workers that the engine's
worker runs, but for the schedules, which that server does not have, and the workflow of one proposal as when live.
"""

import asyncio
import os
import sys
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import psycopg
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.testservice.v1 import SleepRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from connectors.model_store import DirectoryModelStore
from connectors.postgres.launching import UNSTARTED_REF
from connectors.postgres.roles import DatabaseRole, as_role
from tests.faults.children import Child
from tests.faults.waiting import until
from tests.faults.world import World
from workers import wiring_worker
from workers.connector import suppliers_of
from workers.personal_key import database_of
from workers.processes import process
from workers.servers.ports import claim
from workers.settings import Settings
from workers.temporal import Messenger
from workers.temporal import connect as connect_temporal
from workers.wiring import Engine
from workflows import naming
from workflows.domain.ports import ReplenishmentRef

DAYS = (timedelta(days=30), timedelta(days=60), timedelta(days=90))
"""Until the reminder, the escalation and the expiry."""
WITHIN_S = 120.0
SERVER = "temporal-test-server"
NAMESPACE = "default"


class Skipped:
    """The task of one decision, moved to now and given `DAYS`, and its workflow, live, on a server of its own."""

    def __init__(self, world: World, decision_id: str) -> None:
        self._world, self._decision_id = world, decision_id
        self.days = 0
        port = claim(0, "QM_TEMPORAL_PORT")
        self.address = f"127.0.0.1:{port}"
        server = os.path.join(os.path.dirname(sys.executable), SERVER)
        logs = world.state / "logs"
        # Without `--enable-time-skipping`: it would run ahead all by itself, and not only when it is told to.
        self._server = Child(
            SERVER, [server, str(port)], dict(os.environ), logs / "skipping-server.log",
            self._answers,
        )  # fmt: skip
        dsn = as_role(str(world.settings.postgres_dsn), DatabaseRole.WORKER)
        told = world.settings.model_copy(update={"postgres_dsn": dsn, "clock": "live"})
        argv = [sys.executable, "-m", "tests.faults.skipping", self.address, decision_id]
        self.worker = world.process("skipping", argv, told)
        self.worker.ready = lambda: self.worker.log.read_text().count("skipping runs") >= self.worker.starts

    def __enter__(self) -> Self:
        with psycopg.connect(self._world.dsn, autocommit=True) as connection:
            connection.execute(
                """UPDATE task SET opened_at = now(), remind_at = now() + %s, escalate_at = now() + %s,
                                   expire_at = now() + %s WHERE decision_id = %s""",
                [*DAYS, self._decision_id],
            )
        self._world.children[SERVER], self._world.children["skipping"] = self._server, self.worker
        self._server.start()
        self._server.await_ready()
        self.worker.start()
        self.worker.await_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name in ("skipping", SERVER):
            self._world.children.pop(name).stop()

    def next_change(self) -> tuple[int, int, str]:
        """Let day after day pass at the server until something became of the task; what its row says then."""
        before = self._row()
        while (found := self._row()) == before:
            assert self.days <= DAYS[-1].days + 2, f"after {self.days} days it is still {found}"
            until(self._a_day, WITHIN_S, f"the end of day {self.days}")
            self.days += 1
        until(lambda: not asyncio.run(self._busy()), WITHIN_S, "what is done about it")
        return found

    def kill_worker(self) -> None:
        """Kill -9, and start it again."""
        self.worker.kill()
        self.worker.start()
        self.worker.await_ready()

    def _row(self) -> tuple[int, int, str]:
        query = "SELECT reminded_at, escalated_at, state FROM task WHERE decision_id = %s"
        row = self._world.rows(query, self._decision_id)[0]
        return int(row["reminded_at"] is not None), int(row["escalated_at"] is not None), str(row["state"])

    def _a_day(self) -> bool:
        """Nothing is skipped while an activity runs, so the answer may take a while, or get lost: then one more day."""
        asyncio.run(self._slept(timedelta(days=1)))
        return True

    async def _slept(self, span: timedelta) -> None:
        client = await Client.connect(self.address)
        request = SleepRequest(duration=Duration(seconds=int(span.total_seconds())))
        await client.test_service.unlock_time_skipping_with_sleep(request)

    async def _busy(self) -> bool:
        client = await Client.connect(self.address)
        handle = client.get_workflow_handle(naming.replenishment_id(self._decision_id))
        return bool((await handle.describe()).raw_description.pending_activities)

    def _answers(self) -> bool:
        async def asked() -> bool:
            client = await Client.connect(self.address)
            await client.test_service.get_current_time(Empty())
            return True

        return asyncio.run(asked())


class Forgetful(Worker):
    """Keeps no workflow in memory. That server gives a step to who had the one before, also when they are dead."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{**more, "max_cached_workflows": 0})


async def run(address: str, decision_id: str, settings: Settings) -> None:
    """Run the engine's workers and this proposal's workflow there, until told to stop."""
    assert settings.model_store is not None
    client = await connect_temporal(address, NAMESPACE)
    await _know_attributes(client)
    async with (
        process("skipping", settings) as (stop, telemetry),
        database_of(settings, str(settings.postgres_dsn), name="quartermaster-worker", size=8) as database,
    ):
        parts = Engine(settings, database, client, DirectoryModelStore(settings.model_store))
        suppliers = suppliers_of(settings)
        wiring_worker.Worker = Forgetful  # type: ignore[attr-defined]
        workers = wiring_worker.workers_of(parts, suppliers, telemetry.instruments)
        running = [asyncio.ensure_future(worker.run()) for worker in workers]
        async with database.reading() as cursor:
            await cursor.execute((UNSTARTED_REF + "WHERE r.decision_id = %s").encode(), [decision_id])
            row = await cursor.fetchone()
        # That server skips no time any more once a start has met a workflow that runs.
        if not await Messenger(client).runs("replenishment", decision_id):
            await parts.starter.replenishment(ReplenishmentRef.model_validate(row), None)
        print("skipping runs", flush=True)
        await stop.wait()
        await asyncio.gather(*(worker.shutdown() for worker in workers))
        await asyncio.gather(*running)
        await suppliers.aclose()


async def _know_attributes(client: Client) -> None:
    request = AddSearchAttributesRequest(namespace=client.namespace)
    for key in naming.SEARCH_ATTRIBUTES:
        request.search_attributes[key.name] = int(key.indexed_value_type)  # type: ignore[assignment]
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        if "already exists" not in error.message:  # the worker before this one made them known
            raise


def main() -> int:
    """From the command line."""
    address, decision_id = sys.argv[1:]
    asyncio.run(run(address, decision_id, Settings.from_environment(os.environ)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
