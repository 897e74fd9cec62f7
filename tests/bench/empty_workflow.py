"""A workflow that does nothing: what Temporal itself costs."""

import asyncio
import time

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "bench-empty"
CALLERS = 32


@workflow.defn(name="empty")
class EmptyWorkflow:
    """Ends at once."""

    @workflow.run
    async def run(self, number: int) -> int:
        """The number."""
        return number


async def empty_per_s(client: Client, name: str, seconds: float, *, eager: bool = False) -> float:
    """Empty workflows a second, from start to result, by so many callers at once on a worker like the engine's."""
    done, begun = 0, time.monotonic()

    async def call(caller: int) -> None:
        nonlocal done
        while time.monotonic() - begun < seconds:
            await client.execute_workflow(
                EmptyWorkflow.run, done, id=f"empty/{name}/{caller}/{done}", task_queue=QUEUE,
                request_eager_start=eager,
            )  # fmt: skip
            done += 1

    async with Worker(client, task_queue=QUEUE, workflows=[EmptyWorkflow], max_cached_workflows=500):
        begun = time.monotonic()
        await asyncio.gather(*(call(caller) for caller in range(CALLERS)))
        return done / (time.monotonic() - begun)
