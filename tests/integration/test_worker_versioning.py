"""A named build of the worker keeps the workflows that it began, or hands them on, as the settings say."""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from temporalio import workflow
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from workers.embedded import EmbeddedStack
from workers.settings import Settings
from workers.wiring_worker import DEPLOYMENT, deployment_of

QUEUE = "versioned"
Behaviour = Literal["auto_upgrade", "pinned"]


@workflow.defn(sandboxed=False)  # this file imports what no workflow may
class Waits:
    """Waits for a word, and says under which build it heard it."""

    def __init__(self) -> None:
        self._heard = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self._heard)
        version = workflow.info().get_current_deployment_version()
        return version.build_id if version else ""

    @workflow.signal
    def hear(self) -> None:
        self._heard = True

    @workflow.signal
    def look(self) -> None:
        """Only makes it take a step."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Temporal alone."""
    home = tmp_path_factory.mktemp("versioning")
    elsewhere = Settings(
        home=home, postgres_dsn="postgresql://127.0.0.1:9/none", kafka_bootstrap="127.0.0.1:9", temporal_port=0,
        temporal_ui_port=0,
    )  # fmt: skip
    stack = EmbeddedStack(home, elsewhere)
    try:
        yield stack.start().temporal_address
    finally:
        stack.stop()


@asynccontextmanager
async def running(client: Client, build: str, behaviour: Behaviour) -> AsyncIterator[None]:
    """A worker of this build, which new workflows are begun with from now on."""
    settings = Settings(home=Path("/"), worker_build=build, worker_versioning=behaviour)
    async with Worker(client, task_queue=QUEUE, workflows=[Waits], deployment_config=deployment_of(settings)):
        await made_current(client, build)
        yield


@retry(retry=retry_if_exception_type(RPCError), stop=stop_after_delay(30), wait=wait_fixed(0.2), reraise=True)
async def made_current(client: Client, build: str) -> None:
    """Temporal must have seen the build first."""
    await client.workflow_service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace, deployment_name=DEPLOYMENT, build_id=build, identity="test"
        )
    )


@pytest.mark.parametrize(("behaviour", "ends_under"), [("pinned", "first"), ("auto_upgrade", "second")])
async def test_a_running_workflow_stays_with_its_build_or_goes_on_with_the_next(
    address: str, behaviour: Behaviour, ends_under: str
) -> None:
    client = await Client.connect(address)
    first, second = f"{behaviour}-first", f"{behaviour}-second"
    async with running(client, first, behaviour):
        handle = await client.start_workflow(Waits.run, id=f"waits-{uuid.uuid4()}", task_queue=QUEUE)
        await begun(client, handle.id)
        async with running(client, second, behaviour):
            if behaviour == "auto_upgrade":
                await stepped_under(client, handle.id, second)
            await handle.signal(Waits.hear)
            assert await handle.result() == f"{behaviour}-{ends_under}"


@retry(stop=stop_after_delay(30), wait=wait_fixed(0.1), reraise=True)
async def begun(client: Client, workflow_id: str) -> None:
    """The first build has taken it: only then is it its own."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    assert any(event.HasField("workflow_task_completed_event_attributes") for event in history.events)


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.2), reraise=True)
async def stepped_under(client: Client, workflow_id: str, build: str) -> None:
    """Temporal tells its task queues of a new build one after the other: until then the earlier one goes on."""
    handle = client.get_workflow_handle(workflow_id)
    await handle.signal(Waits.look)
    done = [
        event.workflow_task_completed_event_attributes.deployment_version.build_id
        for event in (await handle.fetch_history()).events
        if event.HasField("workflow_task_completed_event_attributes")
    ]
    assert build in done


def test_without_a_name_nothing_is_versioned() -> None:
    assert deployment_of(Settings(home=Path("/"))) is None
