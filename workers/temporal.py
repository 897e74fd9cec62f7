"""Starts workflows, tells them what happened: the ports that need a Temporal client."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from opentelemetry import trace
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from workers.plugin import engine_plugin
from workers.telemetry import context_from
from workflows import naming
from workflows.assessment import AssessmentWorkflow
from workflows.domain.approvals import VerdictNotice
from workflows.domain.errors import Unavailable
from workflows.domain.failpoints import Effect
from workflows.domain.models import TrainingRequest
from workflows.domain.needs import ClockMode, NeedBatch
from workflows.domain.orders import OrderRef, PlacementResult
from workflows.domain.policies import RiskTier
from workflows.domain.ports import ReplenishmentRef
from workflows.purchasing import PurchasingWorkflow
from workflows.replenishment import ReplenishmentClosed, ReplenishmentState, ReplenishmentWorkflow
from workflows.retraining import RetrainingClosed, RetrainingWorkflow

log = logging.getLogger(__name__)

RPC_TIMEOUT = timedelta(seconds=10)


async def connect(address: str, namespace: str) -> Client:
    """A client with the engine's plugin; workers made from it inherit the plugin.

    Raises:
        Unavailable: nothing answers at this address.
    """
    try:
        return await Client.connect(address, namespace=namespace, plugins=[engine_plugin()])
    except RuntimeError as error:
        raise Unavailable(f"Temporal did not answer at {address}: {str(error)[:200]}") from error


@contextmanager
def translated() -> Iterator[None]:
    """Whatever Temporal refuses or does not answer is Unavailable."""
    try:
        yield
    except RPCError as error:
        raise Unavailable(f"Temporal: {error.status.name} {error.message[:200]}") from error


@contextmanager
def _gone_on(traceparent: str | None, identity: str) -> Iterator[None]:
    """The trace of whoever caused this (a Kafka message, hours ago perhaps) goes on in what is started, with a link to
    the batch or the round of the relay that starts it."""
    if traceparent is None:
        yield
        return
    here = trace.get_current_span().get_span_context()
    with trace.get_tracer(__name__).start_as_current_span(
        "launch", context_from(traceparent), links=[trace.Link(here)] if here.is_valid else [],
        attributes={"workflow_id": identity},
    ):  # fmt: skip
        yield


class Starter:
    """Starts workflows from stored rows under ids made from the rows; starting twice is starting once."""

    def __init__(
        self, client: Client, clock: ClockMode, lag: timedelta = timedelta(), *, undo_seconds: int = 0,
        eager: bool = False,
    ) -> None:  # fmt: skip
        """`lag` is how far a live business clock stays behind the wall clock; for `undo_seconds` nothing comes of an
        answer yet. `eager`: a worker of this process takes the first task of what it starts, without asking for it."""
        self._client = client
        self._eager = eager
        self._timing = {"clock": clock, "clock_lag_seconds": int(lag.total_seconds())}
        self._undo_seconds = undo_seconds

    async def assessment(self, batch: NeedBatch) -> None:
        """Assess a batch. A batch left behind by a lost workflow may be started again: deciding twice is harmless."""
        brief = batch.model_copy(update={"brief": True})
        async with Effect("assessment.start"):
            await self._start(
                AssessmentWorkflow.run, brief, naming.assessment_id(batch.batch_id), None,
                [SearchAttributePair(naming.LOCATION, batch.location)], again=True,
            )  # fmt: skip

    async def replenishment(self, ref: ReplenishmentRef, traceparent: str | None, *, again: bool = False) -> None:
        """Carry a proposal. `again`: even after a workflow that ended in order, for Postgres says that it is open."""
        waits = ref.tier is not RiskTier.AUTO
        attributes = [
            SearchAttributePair(naming.DECISION_STATE, str(ReplenishmentState.WAITING) if waits else "proposed"),
            SearchAttributePair(naming.RISK_TIER, str(ref.tier)),
            SearchAttributePair(naming.LOCATION, ref.location),
            SearchAttributePair(naming.SUPPLIER, ref.supplier),
        ]
        timed = ref.model_copy(update={**self._timing, "undo_seconds": self._undo_seconds, "brief": True})
        identity = naming.replenishment_id(ref.decision_id)
        async with Effect("replenishment.start"):
            await self._start(ReplenishmentWorkflow.run, timed, identity, traceparent, attributes, again=again)

    async def purchasing(self, ref: OrderRef, traceparent: str | None, *, again: bool = False) -> None:
        """Carry an order. `again`: as for a proposal; an order that may have left is looked for before it is sent."""
        attributes = [
            SearchAttributePair(naming.DECISION_STATE, "collecting"),
            SearchAttributePair(naming.LOCATION, ref.location),
            SearchAttributePair(naming.SUPPLIER, ref.supplier),
        ]
        timed = ref.model_copy(update={**self._timing, "brief": True})
        identity = naming.purchasing_id(ref.order_id)
        async with Effect("purchasing.start"):
            await self._start(PurchasingWorkflow.run, timed, identity, traceparent, attributes, again=again)

    async def retraining(self, request: TrainingRequest, day: str) -> RetrainingClosed:
        """Run a round of training to its end; the round of one day and seed runs once at a time."""
        async with Effect("retraining.start"):
            with translated():
                return await self._client.execute_workflow(
                    RetrainingWorkflow.run,
                    request,
                    id=naming.retraining_id(day, request.seed),
                    task_queue=naming.ENGINE_QUEUE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                )

    async def training_progress(self, request: TrainingRequest, day: str) -> tuple[str, int, int] | None:
        """What a round of training last said of itself (what, done, total); None while it says nothing."""
        handle = self._client.get_workflow_handle(naming.retraining_id(day, request.seed))
        try:
            pending = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).raw_description.pending_activities
        except RPCError:
            return None  # progress is a courtesy: whoever waits for the result hears of real trouble there
        for activity in pending:
            if activity.heartbeat_details.payloads:
                what, done, total = await self._client.data_converter.decode(
                    activity.heartbeat_details.payloads, [str, int, int]
                )
                return what, done, total
        return None

    async def _start(
        self,
        workflow: Any,
        argument: Any,
        identity: str,
        traceparent: str | None,
        attributes: Sequence[SearchAttributePair[Any]],
        *,
        again: bool = False,
    ) -> None:
        # One that was terminated or failed has left its work undone, and may always be followed by another.
        reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE if again else WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
        with translated(), _gone_on(traceparent, identity), suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(
                workflow,
                argument,
                id=identity,
                task_queue=naming.ENGINE_QUEUE,
                id_reuse_policy=reuse,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=TypedSearchAttributes(list(attributes)),
                rpc_timeout=RPC_TIMEOUT,
                request_eager_start=self._eager,
            )


class TemporalVerdicts:
    """The `VerdictChannel` port: an Update whose id is the approval's, so that telling twice is telling once."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tell(self, decision_id: str, notice: VerdictNotice) -> bool:
        """Tell the waiting workflow. False for anything but its yes: the relay tells it again."""
        handle = _replenishment(self._client, decision_id)
        try:
            async with Effect("verdict.tell"):
                return await handle.execute_update(
                    ReplenishmentWorkflow.submit_verdict, notice, id=notice.approval_id, rpc_timeout=RPC_TIMEOUT
                )
        except (Unavailable, RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            log.info("verdict %s was not heard yet: %s", notice.approval_id, type(error).__name__)
            return False

    async def taken_back(self, decision_id: str, approval_id: str) -> bool:
        """Tell it that this answer counts no more. False: not reached, or it orders already and asks Postgres there."""
        handle = _replenishment(self._client, decision_id)
        try:
            async with Effect("verdict.take_back"):
                await handle.execute_update(
                    ReplenishmentWorkflow.undo_verdict, approval_id, id=f"undo-{approval_id}", rpc_timeout=RPC_TIMEOUT
                )
        except (Unavailable, RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            log.info("the undo of %s was not heard: %s", approval_id, type(error).__name__)
            return False
        return True


class Messenger:
    """Tells running workflows what the relay found. False when there is nobody to tell any more."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tick(self, subject: str, subject_id: str, watermark: datetime) -> bool:
        """The business clock passed an instant that this workflow waits for."""
        if subject == "order":
            order = _purchasing(self._client, subject_id)
            async with Effect("order.tick"):
                return await self._tell(order.signal(PurchasingWorkflow.tick, watermark, rpc_timeout=RPC_TIMEOUT))
        waiting = _replenishment(self._client, subject_id)
        async with Effect("task.tick"):
            return await self._tell(waiting.signal(ReplenishmentWorkflow.tick, watermark, rpc_timeout=RPC_TIMEOUT))

    async def runs(self, subject: str, subject_id: str) -> bool:
        """Whether the workflow of this order or proposal is there and has not ended in any way."""
        name = naming.purchasing_id if subject == "order" else naming.replenishment_id
        try:
            found = await self._client.get_workflow_handle(name(subject_id)).describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise Unavailable(f"Temporal: {error.status.name} {error.message[:200]}") from error
        return found.status is WorkflowExecutionStatus.RUNNING

    async def order_settled(self, order_id: str) -> bool:
        """Nothing more is outstanding on this order."""
        order = _purchasing(self._client, order_id)
        async with Effect("order.settle"):
            return await self._tell(order.signal(PurchasingWorkflow.settled, rpc_timeout=RPC_TIMEOUT))

    async def world_moved(self, decision_id: str) -> bool:
        """Stock moved past tolerance while this task waits."""
        waiting = _replenishment(self._client, decision_id)
        async with Effect("task.world_moved"):
            return await self._tell(waiting.signal(ReplenishmentWorkflow.world_moved, rpc_timeout=RPC_TIMEOUT))

    async def try_order_again(self, order_id: str) -> bool:
        """An operator has looked at an order that could not be placed."""
        order = _purchasing(self._client, order_id)
        async with Effect("order.try_again"):
            return await self._tell(order.signal(PurchasingWorkflow.try_again, rpc_timeout=RPC_TIMEOUT))

    async def _tell(self, signal: Any) -> bool:
        try:
            await signal
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise Unavailable(f"Temporal: {error.status.name} {error.message[:200]}") from error
        return True


def _replenishment(client: Client, decision_id: str) -> WorkflowHandle[ReplenishmentWorkflow, ReplenishmentClosed]:
    return client.get_workflow_handle(naming.replenishment_id(decision_id))


def _purchasing(client: Client, order_id: str) -> WorkflowHandle[PurchasingWorkflow, PlacementResult]:
    return client.get_workflow_handle(naming.purchasing_id(order_id))
