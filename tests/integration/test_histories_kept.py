"""Histories of a real Temporal in a real PostgreSQL: kept once, named by the ledger, replayed, and complete."""

import json
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.histories import HistoryActivities
from connectors.postgres.histories_kept import PostgresHistories
from connectors.postgres.histories_read import kept_histories, recorded_histories
from connectors.postgres.ledger import read_entries
from connectors.postgres.pool import Connection, Database, connect
from tests.fakes.engine import until
from tests.fakes.histories import NOW, closed, document
from tests.fakes.waiting import Hasty, Renamed, Waiting
from tests.storeroom import Storeroom, clock, counted
from workers.completeness import completeness
from workers.histories import TemporalRuns
from workers.plugin import engine_plugin
from workers.replaying import replay_histories
from workers.servers.temporal import _program
from workflows.domain.histories import Fetched, Override, SweepPoint, Swept
from workflows.domain.histories_checked import HistoryOutcome, HistoryReplay
from workflows.domain.ledger import EntryType
from workflows.naming import ENGINE_QUEUE


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A Temporal of this test's own, with a worker."""
    async with (
        await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(_program()), dev_server_log_level="error", ui=False,
            plugins=[engine_plugin(tracing=False)],
        ) as server,
        Worker(server.client, task_queue=ENGINE_QUEUE, workflows=[Waiting]),
        Worker(server.client, task_queue="somebody-elses", workflows=[Waiting]),
    ):  # fmt: skip
        yield server.client


WAITS = 4
"""Events of a workflow that has taken its first step."""


async def ended(client: Client, *names: str, queue: str = ENGINE_QUEUE) -> None:
    """Workflows that came to their end."""
    for name in names:
        handle = await client.start_workflow(Waiting.run, id=name, task_queue=queue)
        await handle.signal(Waiting.go)
        await handle.result()


async def visible(client: Client, number: int, status: str = "") -> None:
    """Until visibility shows so many closed executions of ours."""
    query = f'TaskQueue = "{ENGINE_QUEUE}" AND ExecutionStatus != "Running"' + status

    async def shown() -> bool:
        return (await client.count_workflows(query)).count >= number

    await until(shown, f"{number} closed executions")


async def swept(client: Client, database: Database) -> Swept:
    return await HistoryActivities(TemporalRuns(client), PostgresHistories(database)).sweep()


def told(connection: Connection, kind: EntryType) -> list[Any]:
    return [json.loads(entry.body) for entry in read_entries(connection, "histories") if entry.type == kind]


async def replayed(connection: Connection, *workflows: type, **which: Any) -> list[HistoryReplay]:
    recorded, breaks = recorded_histories(connection)
    assert not breaks
    kept = kept_histories(connection, **which)
    return [one async for one in replay_histories(kept, recorded, workflows or (Waiting,))]


async def test_what_is_closed_is_kept_named_and_replays(client: Client, database: Database, dsn: str) -> None:
    await ended(client, "a", "b")
    await ended(client, "theirs", queue="somebody-elses")
    open_still = await client.start_workflow(Waiting.run, id="open", task_queue=ENGINE_QUEUE)
    await visible(client, 2)

    assert await swept(client, database) == Swept(exported=2)
    assert await swept(client, database) == Swept()
    with connect(dsn, name="test") as connection:
        (entry,) = told(connection, EntryType.HISTORIES_EXPORTED)
        assert (entry["exported"], entry["lost"]) == (2, 0)
        assert [(item[0], item[3]) for item in entry["histories"]] == [("a", "completed"), ("b", "completed")]
        (one, _) = kept_histories(connection)
        assert one.body is not None
        assert json.loads(one.body)["events"][0]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"
        assert [result.outcome for result in await replayed(connection)] == [HistoryOutcome.REPLAYED] * 2
        assert [result.workflow_id for result in await replayed(connection, workflow_id="b")] == ["b"]
        assert await replayed(connection, since=datetime.now(UTC)) == []
        changed = await replayed(connection, Hasty)
        assert {result.outcome for result in changed} == {HistoryOutcome.FAILED}
        assert "ondeterminis" in changed[0].why
        (unknown,) = {result.outcome for result in await replayed(connection, Renamed)}
        assert unknown is HistoryOutcome.FAILED
    await open_still.terminate()


async def test_what_an_operator_did_is_noticed_once(client: Client, database: Database, dsn: str) -> None:
    doomed = await client.start_workflow(Waiting.run, id="terminated", task_queue=ENGINE_QUEUE)
    await doomed.terminate("because")
    cancelled = await client.start_workflow(Waiting.run, id="cancelled", task_queue=ENGINE_QUEUE)
    await cancelled.cancel()
    with pytest.raises(WorkflowFailureError):
        await cancelled.result()
    earlier = await client.start_workflow(Waiting.run, id="reset", task_queue=ENGINE_QUEUE)

    async def waits() -> bool:
        return (await earlier.describe()).history_length >= WAITS

    await until(waits, "its first step")  # or the signal is before it, where a reset keeps it
    await earlier.signal(Waiting.go)
    await earlier.result()
    await visible(client, 3)
    assert (await swept(client, database)).overridden == 2

    base = (await earlier.describe()).run_id
    # After its start, so that what was told to it afterwards is told again; or not, and it runs.
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id="reset", run_id=base),
            reason="an operator's", request_id="r", workflow_task_finish_event_id=WAITS, 
            reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_NONE,
        )
    )  # fmt: skip
    again = (await earlier.describe()).run_id

    async def shown() -> bool:
        return (await client.count_workflows('WorkflowId = "reset" AND ExecutionStatus = "Running"')).count == 1

    await until(shown, "the run that was made by the reset")
    assert await swept(client, database) == Swept(overridden=1)
    await earlier.signal(Waiting.go)
    await earlier.result()
    await visible(client, 4)
    assert await swept(client, database) == Swept(exported=1), "noticed while it ran, and so not again"

    with connect(dsn, name="test") as connection:
        noted = {
            (body["workflow_id"], body["status"]): body for body in told(connection, EntryType.WORKFLOW_OVERRIDDEN)
        }
        assert set(noted) == {("terminated", "terminated"), ("cancelled", "canceled"), ("reset", "reset")}
        assert noted["terminated", "terminated"]["by"], "the client says who it is"
        assert (noted["reset", "reset"]["run_id"], noted["reset", "reset"]["base_run_id"]) == (again, base)


async def test_the_three_counts_tell_the_same_or_say_why_not(client: Client, storeroom: Storeroom) -> None:
    database, runs = storeroom.database, TemporalRuns(client)
    await storeroom.stock()
    storeroom.take(counted(9), counted(9, item="ITEM-002"), counted(9, item="ITEM-003"), clock())
    await storeroom.assess()
    storeroom.connection.execute("UPDATE replenishment SET workflow_started_at = now()")
    storeroom.connection.execute("UPDATE replenishment SET state = 'released' WHERE item <> 'ITEM-003'")
    await ended(client, "replenishment/LEEDS:ITEM-001:1", "another")
    await visible(client, 2)

    before = await completeness(database, runs)
    assert (before.visible, before.kept, before.waiting) == (2, 0, 2)
    assert (before.decisions, before.decisions_kept, before.decisions_waiting) == (2, 0, 1)
    assert before.decisions_without == ("LEEDS:ITEM-002:1",)
    assert not before.complete

    await swept(client, database)
    storeroom.connection.execute("UPDATE replenishment SET state = 'proposed' WHERE item = 'ITEM-002'")
    after = await completeness(database, runs)
    assert (after.visible, after.kept, after.removed, after.waiting) == (2, 2, 0, 0)
    assert (after.decisions, after.decisions_kept, after.decisions_waiting, after.explained) == (1, 1, 0, ())
    assert after.complete

    await ended(client, "unswept")
    await visible(client, 3)
    point = await PostgresHistories(database).point()
    assert point is not None
    ahead = point.model_copy(update={"swept_through": datetime.now(UTC) + timedelta(hours=2)})
    await PostgresHistories(database).move(ahead)
    late = await completeness(database, runs)
    assert [name.split()[0] for name in late.overdue] == ["unswept"]
    assert not late.complete


async def test_what_temporal_has_no_more_is_lost_and_said_so(client: Client, database: Database, dsn: str) -> None:
    await ended(client, "a")
    await visible(client, 1)
    runs = TemporalRuns(client)
    (gone,), _ = await runs.closed(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1), "")
    gone = gone.model_copy(update={"run_id": "00000000-0000-4000-8000-000000000000"})
    assert await runs.history(gone) is None
    assert await PostgresHistories(database).keep([Fetched(run=gone, body=None)], []) == Swept(lost=1)

    with connect(dsn, name="test") as connection:
        (entry,) = told(connection, EntryType.HISTORIES_EXPORTED)
        assert entry["histories"] == [["a", gone.run_id, None, "completed"]]
        assert [one.outcome for one in await replayed(connection)] == [HistoryOutcome.LOST]


async def test_a_history_that_somebody_changed_is_not_replayed(client: Client, database: Database, dsn: str) -> None:
    await ended(client, "a", "b", "c", "d")
    await visible(client, 4)
    await swept(client, database)
    with connect(dsn, name="test") as connection:
        body = zlib.compress(document())
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            """UPDATE workflow_history SET body = overlay(body PLACING '\\x00' FROM octet_length(body)/2)
               WHERE workflow_id = 'a'"""
        )
        connection.execute("UPDATE workflow_history SET body = %s WHERE workflow_id = 'b'", [body])
        connection.execute(
            "UPDATE workflow_history SET body = %s, size = 13, sha256 = %s WHERE workflow_id = 'c'",
            [body, "7" * 64],
        )
        connection.execute("RESET session_replication_role")
        outcomes = {one.workflow_id: one for one in await replayed(connection)}
    assert [outcomes[name].outcome for name in "abcd"] == [HistoryOutcome.DAMAGED] * 3 + [HistoryOutcome.REPLAYED]
    assert "the ledger names" in outcomes["c"].why


async def test_keeping_again_or_at_once_changes_nothing(database: Database, dsn: str) -> None:
    kept = PostgresHistories(database)
    batch = [Fetched(run=closed(n), body=document()) for n in range(3)]
    override = Override(workflow_id="w", run_id="r", type="t", what="terminated", at=NOW)
    assert await kept.keep(batch, [override]) == Swept(exported=3, overridden=1)
    assert await kept.keep(batch, [override]) == Swept()
    assert await kept.unknown([closed(n) for n in range(5)]) == [closed(4), closed(3)]
    point = SweepPoint(swept_through=NOW, passed_through=NOW, relisted_at=NOW, retention_seconds=60)
    await kept.move(point)
    await kept.move(point)
    assert await kept.point() == point
    with connect(dsn, name="test") as connection:
        assert len(told(connection, EntryType.HISTORIES_EXPORTED)) == 1
        assert len(told(connection, EntryType.WORKFLOW_OVERRIDDEN)) == 1


async def test_a_failure_in_the_middle_of_a_batch_keeps_nothing_of_it(
    database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = PostgresHistories(database)

    async def breaks(*_: object) -> None:
        raise psycopg.errors.AdminShutdown("killed")

    with monkeypatch.context() as patch:
        patch.setattr("connectors.postgres.ledger.append", breaks)
        with pytest.raises(Exception, match="killed"):
            await kept.keep([Fetched(run=closed(1), body=document())], [])
    assert await kept.unknown([closed(1)]) == [closed(1)]
    assert await kept.keep([Fetched(run=closed(1), body=document())], []) == Swept(exported=1)


async def test_a_long_list_is_kept_beside_the_entry(database: Database, dsn: str) -> None:
    long = [
        closed(n).model_copy(update={"workflow_id": f"{n:03}" + "x" * 900, "run_id": f"run-{n}"}) for n in range(80)
    ]
    await PostgresHistories(database).keep([Fetched(run=run, body=document()) for run in long], [])
    with connect(dsn, name="test") as connection:
        (entry,) = told(connection, EntryType.HISTORIES_EXPORTED)
        assert set(entry) == {"exported", "lost", "items"}
        recorded, _ = recorded_histories(connection)
        assert len(recorded) == 80
        assert {one.outcome for one in await replayed(connection)} == {HistoryOutcome.FAILED}, "they are empty"
