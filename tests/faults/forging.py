"""What can be asked of Temporal behind the engine's back: whoever reaches its port can, and so can a cell."""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, UpdateWorkflowExecutionLifecycleStage
from temporalio.api.update.v1 import UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from tests.faults.world import World
from workflows import naming

COMMAND_WITHIN_S = 60.0
NAMESPACE = "default"
_ADMITTED = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
T = TypeVar("T")


def temporal(world: World, *arguments: str) -> str:
    """A command of Temporal's own command line, straight to the server; what it printed.

    Raises:
        AssertionError: it was not carried out; the message has what it said.
    """
    program = world.children["temporal"].argv[0]
    told = ["--address", world.temporal_address, "--namespace", NAMESPACE, "--output", "json"]
    done = subprocess.run(
        [program, *arguments, *told], capture_output=True, text=True, check=False, timeout=COMMAND_WITHIN_S
    )
    assert done.returncode == 0, f"temporal {' '.join(arguments)}: {done.stdout} {done.stderr}"
    return done.stdout


def nobody_is_asked(world: World, task: Mapping[str, Any]) -> str:
    """Start a workflow of one's own for the proposal of this task, which claims that no person is needed; its id."""
    claim = {
        **{key: task[key] for key in ("decision_id", "revision", "proposal_hash", "location")},
        "supplier": "acme", "tier": "auto",
    }  # fmt: skip
    alias = f"{naming.replenishment_id(task['decision_id'])}/{uuid.uuid4().hex[:8]}"
    temporal(
        world, "workflow", "start", "--type", "replenishment", "--task-queue", naming.ENGINE_QUEUE,
        "--workflow-id", alias, "--input", json.dumps(claim),
    )  # fmt: skip
    return alias


def updated(world: World, workflow: str, name: str, argument: Any) -> Any:
    """Send an update by the command line and wait; the workflow's answer."""
    said = temporal(
        world, "workflow", "update", "execute", "--workflow-id", workflow, "--name", name,
        "--input", json.dumps(argument),
    )  # fmt: skip
    return json.loads(said)["result"]


def admitted(world: World, workflow: str, update: str) -> bool | None:
    """Whether the server has this update and no worker has taken it yet; None: it knows of no such update."""

    async def ask(client: Client) -> bool | None:
        asked = PollWorkflowExecutionUpdateRequest(
            namespace=NAMESPACE, identity="harness",
            update_ref=UpdateRef(workflow_execution=WorkflowExecution(workflow_id=workflow), update_id=update),
            wait_policy=WaitPolicy(lifecycle_stage=_ADMITTED),
        )  # fmt: skip
        try:
            told = await client.workflow_service.poll_workflow_execution_update(asked, timeout=timedelta(seconds=10))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return told.stage == _ADMITTED

    return _asked(world, ask)


def happened(world: World, workflow: str, *kinds: EventType.ValueType) -> int:
    """How many events of these kinds the workflow's history has."""

    async def count(client: Client) -> int:
        history = await client.get_workflow_handle(workflow).fetch_history()
        return sum(event.event_type in kinds for event in history.events)

    return _asked(world, count)


def result_of(world: World, workflow: str) -> Any:
    """What a workflow returned, once it has ended."""

    async def wait(client: Client) -> Any:
        return await client.get_workflow_handle(workflow).result(rpc_timeout=timedelta(seconds=60))

    return _asked(world, wait)


def _asked(world: World, ask: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    async def connected() -> T:
        return await ask(await world.client())

    return asyncio.run(connected())
