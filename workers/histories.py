"""Lists closed executions of the engine and reads their histories as they are."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from workers.temporal import RPC_TIMEOUT, translated
from workflows import naming
from workflows.domain.histories import ClosedRun, Histories, Override, RunStatus, canonical_history
from workflows.domain.identity import rfc3339

PAGE = 500
OURS = f'TaskQueue = "{naming.ENGINE_QUEUE}"'
"""Every workflow of the engine is on this queue; other tenants of the namespace are none of our business."""
_STATUS = {
    WorkflowExecutionStatus.COMPLETED: RunStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED: RunStatus.FAILED,
    WorkflowExecutionStatus.CANCELED: RunStatus.CANCELED,
    WorkflowExecutionStatus.TERMINATED: RunStatus.TERMINATED,
    WorkflowExecutionStatus.CONTINUED_AS_NEW: RunStatus.CONTINUED_AS_NEW,
    WorkflowExecutionStatus.TIMED_OUT: RunStatus.TIMED_OUT,
}


class TemporalRuns:
    """The `ClosedRuns` port."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def retention(self) -> timedelta:
        """What the namespace is set to."""
        with translated():
            found = await self._client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=self._client.namespace), timeout=RPC_TIMEOUT
            )
        return found.config.workflow_execution_retention_ttl.ToTimedelta()

    async def closed(self, after: datetime, through: datetime, page: str) -> tuple[Sequence[ClosedRun], str]:
        """A page, newest first. The page's name is Temporal's own, as hexadecimal digits."""
        query = f'{OURS} AND CloseTime > "{rfc3339(after)}" AND CloseTime <= "{rfc3339(through)}"'
        pages = self._client.list_workflows(
            query, page_size=PAGE, next_page_token=bytes.fromhex(page) or None, rpc_timeout=RPC_TIMEOUT
        )
        with translated():
            await pages.fetch_next_page()
        runs = [closed for found in pages.current_page or () if (closed := closed_run(found)) is not None]
        return runs, (pages.next_page_token or b"").hex()

    async def history(self, run: ClosedRun) -> bytes | None:
        """As Temporal has it, whole: failures keep their stack traces."""
        handle = self._client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
        try:
            with _unless_gone():
                history = await handle.fetch_history(rpc_timeout=RPC_TIMEOUT)
        except Gone:
            return None
        return await asyncio.to_thread(lambda: canonical_history(history.to_json_dict()))

    async def exists(self, workflow_id: str) -> bool:
        """Whether Temporal has any execution of this workflow, open or closed."""
        try:
            with _unless_gone():
                await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        except Gone:
            return False
        return True

    async def started_again(self, after: datetime, known: Histories) -> Sequence[Override]:
        """A reset goes on as a new run, whose first run is another: only resets and runs continued as new have that.

        Asked of those alone of whose workflow an earlier run is kept, which are few.
        """
        query = f'{OURS} AND ExecutionStatus = "Running" AND StartTime > "{rfc3339(after)}"'
        pages = self._client.list_workflows(query, page_size=PAGE, rpc_timeout=RPC_TIMEOUT)
        resets: list[Override] = []
        with translated():
            while True:
                await pages.fetch_next_page()
                found = {one.id: one for one in pages.current_page or ()}
                for identity in sorted(await known.seen_before(list(found))):
                    resets += await self._resets(found[identity])
                if not pages.next_page_token:
                    return resets

    async def _resets(self, run: WorkflowExecution) -> Sequence[Override]:
        handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
        try:
            with _unless_gone():
                told = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except Gone:
            return ()
        first = told.raw_description.workflow_execution_info.first_run_id
        if not first or first == run.run_id or run.workflow_type == naming.HISTORIES_WORKFLOW:
            return ()
        return (
            Override(
                workflow_id=run.id, run_id=run.run_id, type=run.workflow_type, what="reset", at=run.start_time,
                base_run_id=first,
            ),
        )  # fmt: skip


class Gone(Exception):
    """Temporal has this execution no more."""


@contextmanager
def _unless_gone() -> Iterator[None]:
    with translated():
        try:
            yield
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Gone from error
            raise


def closed_run(found: WorkflowExecution) -> ClosedRun | None:
    """As the engine speaks of it; None while it is open."""
    status = _STATUS.get(found.status) if found.status is not None else None
    if status is None or found.close_time is None:
        return None
    return ClosedRun(
        workflow_id=found.id, run_id=found.run_id, type=found.workflow_type, status=status,
        started_at=found.start_time, closed_at=found.close_time, events=found.history_length,
    )  # fmt: skip
