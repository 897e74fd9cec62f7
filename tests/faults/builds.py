"""Other code for a worker: copies of the checkout with a changed workflow, and which build carried what."""

import asyncio
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest

from tests.faults.children import Child
from tests.faults.planted import tracked
from tests.faults.seed import DEAR
from tests.faults.story import Story
from tests.faults.waiting import until
from tests.faults.world import World
from workers.wiring_worker import DEPLOYMENT

WITHIN_S = 120.0
TRIES = 5
FILE = "workflows/replenishment.py"
BEGINS = "        if ref.tier is RiskTier.AUTO:\n"
CHANGED = (
    '        if workflow.patched("the-harness-rests-first"):\n'
    "            await workflow.sleep(timedelta(milliseconds=1))\n" + BEGINS
)
"""One more command at the beginning, for those that begin from now on."""
UNGUARDED = "        await workflow.sleep(timedelta(milliseconds=1))\n" + BEGINS
"""The same for all: what began before cannot be replayed by it."""
PATCH = "core_patch"


def changed_copy(world: World, child: Child, text: str) -> None:
    """Let this worker run a copy of the code from its next start on, with other words where workflows begin.

    Raises:
        AssertionError: the place to change is not there, or not there once.
    """
    copy = Path(world.state / f"code-{len(list(world.state.glob('code-*')))}")
    for name in tracked(world.code):
        if (world.code / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(world.code / name, copy / name)
    body = (copy / FILE).read_text()
    assert body.count(BEGINS) == 1, f"{FILE} begins otherwise: the change must be written anew"
    (copy / FILE).write_text(body.replace(BEGINS, text))
    child.folder, child.env = copy, {**child.env, "PYTHONPATH": str(copy)}


class Builds:
    """What Temporal says of builds and of what they carried."""

    def __init__(self, world: World) -> None:
        self._world = world

    def waiting(self, story: Story) -> None:
        """Return when its workflow has taken its first step."""
        until(partial(self._steps, story), WITHIN_S, f"the first step of {story.place}")

    def make_current(self, build: str) -> None:
        """New workflows begin with this build from now on."""
        until(lambda: asyncio.run(self._made_current(build)), WITHIN_S, f"{build} as the current build")

    def begun_under(self, build: str) -> Story:
        """A story whose workflow began with this build. Temporal tells its queues of a new build one after the other:
        until then some begin with the earlier one, and end with it as well."""
        for _ in range(TRIES):
            story = Story(self._world, DEAR, within_s=WITHIN_S)
            story.empty()
            self.waiting(story)
            if self.under(story) == {build}:
                return story
        raise AssertionError(f"no workflow began with build {build}")

    def patches(self, story: Story) -> int:
        """How many patches its history has."""
        marks = [event.marker_recorded_event_attributes.marker_name for event in self._history(story)]
        return marks.count(PATCH)

    def workers(self, story: Story) -> set[str]:
        """Who took its steps."""
        return {step.identity for step in self._steps(story)}

    def under(self, story: Story) -> set[str]:
        """The builds that took its steps."""
        return {step.deployment_version.build_id for step in self._steps(story)}

    def _steps(self, story: Story) -> list[Any]:
        return [
            event.workflow_task_completed_event_attributes
            for event in self._history(story)
            if event.HasField("workflow_task_completed_event_attributes")
        ]

    def _history(self, story: Story) -> Sequence[Any]:
        return asyncio.run(self._fetched(f"replenishment/{story.needed()}"))

    async def _fetched(self, name: str) -> Sequence[Any]:
        return (await (await self._world.client()).get_workflow_handle(name).fetch_history()).events

    async def _made_current(self, build: str) -> bool:
        client = await self._world.client()
        await client.workflow_service.set_worker_deployment_current_version(
            SetWorkerDeploymentCurrentVersionRequest(
                namespace=client.namespace, deployment_name=DEPLOYMENT, build_id=build, identity="harness"
            )
        )
        return True
