"""The engine's workflows and activities on a time-skipping server of their own, over fakes that tests can make fail."""

import asyncio
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, UnlockTimeSkippingRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.approvals import ApprovalActivities
from activities.counterfactual import Counterfactuals
from activities.histories import HistoryActivities
from activities.launching import Launching
from activities.models import ModelActivities
from activities.monitoring import MonitoringActivities
from activities.orders import OrderActivities
from activities.outcomes import OutcomeActivities
from activities.placing import PlacingAtOnce
from activities.replaying import ReplayActivities
from activities.scores import AssessmentActivities
from tests.fakes.careless import UNIQUE, CarelessSupplier
from tests.fakes.faults import Faulty
from tests.fakes.histories import NOW, MemoryHistories, ToldRuns
from tests.fakes.learning import EchoLearner, EchoScoring, MemoryModelStore, TrainableModels
from tests.fakes.monitoring import MemoryMonitoring, MemoryShelves, ToldWatching
from tests.fakes.recordings import MemoryRecordings
from tests.fakes.records import (
    OrderRow,
    RecordedApprovals,
    RecordedAssessments,
    RecordedOrders,
    RecordedOutcomes,
    Records,
    ref_of,
)
from tests.fakes.replays import ToldReplays
from tests.fakes.running import RUNNING, NoCalendars
from tests.fakes.shop import CLOCK, decided
from tests.unit.recorded_batch import TwoModels, bodies
from workers.plugin import engine_plugin
from workers.registered import WORKFLOWS
from workers.temporal import Messenger, Starter, TemporalVerdicts
from workflows import naming
from workflows.domain.identity import order_id
from workflows.domain.needs import ClockMode
from workflows.domain.orders import OrderRef, order_cycle
from workflows.domain.policies import RiskTier
from workflows.domain.ports import ReplenishmentRef
from workflows.options import SUPPLIER_LEASE_SECONDS
from workflows.purchasing import PurchasingWorkflow
from workflows.replenishment import ReplenishmentWorkflow

TEST_SERVER = Path(sys.executable).with_name("temporal-test-server")
SETTLE_SECONDS = 12.0
PATIENCE_SECONDS = 60.0
IDENTITY = "test"


class _Launches:
    """`Launches`: the engine's own starter over the recorded proposals."""

    def __init__(self, records: Records, starter: Starter) -> None:
        self._records = records
        self._starter = starter

    async def replenishments(self, batch_id: str) -> int:
        _, facts = self._records.batches[batch_id]
        proposed = [self._records.proposals.get(fact.need.need_id) for fact in facts]
        found = [row for row in proposed if row is not None]
        for row in found:
            await self._starter.replenishment(row.ref, None)
        return len(found)


@dataclass
class Engine:
    """One server with its workers. The fakes are open: tests set them up, make them fail and look into them."""

    env: WorkflowEnvironment
    passive: bool = False
    needs_approval: bool = False
    settle_seconds: float = SETTLE_SECONDS
    undo_seconds: int = 0
    records: Records = field(init=False)
    supplier: CarelessSupplier = field(init=False)
    models: TrainableModels = field(default_factory=TrainableModels)
    store: MemoryModelStore = field(default_factory=MemoryModelStore)
    scoring: EchoScoring = field(default_factory=EchoScoring)
    learner: EchoLearner = field(default_factory=EchoLearner)
    recordings: MemoryRecordings = field(default_factory=MemoryRecordings)
    rescoring: TwoModels = field(default_factory=TwoModels)
    """What a candidate expects where the champion recorded decisions."""
    _workers: AsyncExitStack | None = None

    def __post_init__(self) -> None:
        self.records = Records(server_now, CLOCK)
        # Without its checks: a test plants a settle window of nothing.
        settled = {"longest_transaction_s": self.settle_seconds - UNIQUE.http_timeout_s}
        self.supplier = CarelessSupplier(server_now, UNIQUE.model_copy(update=settled))
        self.approvals = Faulty(RecordedApprovals(self.records))
        self.orders = Faulty(RecordedOrders(self.records))
        self.assessments = Faulty(RecordedAssessments(self.records))
        self.outcomes = Faulty(RecordedOutcomes(self.records))
        self.monitoring = Faulty(MemoryMonitoring())
        self.watching = ToldWatching()
        self.shelves = MemoryShelves()
        self.closed_runs = Faulty(ToldRuns())
        self.histories = Faulty(MemoryHistories())
        self.replays = ToldReplays()
        self.launches = Faulty(_Launches(self.records, self.starter(ClockMode.REPLAYED)))

    @property
    def client(self) -> Client:
        """A client whose waiting for results lets time skip."""
        return self.env.client

    @property
    def verdicts(self) -> TemporalVerdicts:
        """The engine's own channel to waiting workflows."""
        return TemporalVerdicts(self.client)

    @property
    def messenger(self) -> Messenger:
        """The relay's own voice."""
        return Messenger(self.client)

    def starter(self, clock: ClockMode) -> Starter:
        """The engine's own starter."""
        return Starter(self.client, clock, undo_seconds=self.undo_seconds)

    async def replenish(self, ref: ReplenishmentRef) -> WorkflowHandle[Any, Any]:
        """Start the workflow of a proposal as the engine does."""
        await self.starter(ref.clock).replenishment(ref, None)
        return self.client.get_workflow_handle_for(ReplenishmentWorkflow.run, naming.replenishment_id(ref.decision_id))

    async def purchase(self, ref: OrderRef) -> WorkflowHandle[Any, Any]:
        """Start the workflow of an order as the relay does."""
        await self.starter(ref.clock).purchasing(ref, None)
        return self.client.get_workflow_handle_for(PurchasingWorkflow.run, naming.purchasing_id(ref.order_id))

    def task(
        self,
        *,
        clock: ClockMode = ClockMode.REPLAYED,
        opened_at: datetime = CLOCK,
        days: tuple[int, int, int] = (1, 2, 4),
    ) -> ReplenishmentRef:
        """A stored proposal that waits for a person; `days` until reminder, escalation and expiry."""
        remind, escalate, expire = (opened_at + timedelta(days=n) for n in days)
        ref = ref_of(
            decided(), tier=RiskTier.REVIEW, clock=clock, remind_at=remind, escalate_at=escalate, expire_at=expire
        )
        self.records.propose(ref)
        return ref.model_copy(update={"brief": True})  # as the starter has it

    def order(self, *, lines: int = 2, clock: ClockMode = ClockMode.REPLAYED) -> OrderRef:
        """A stored order that collects."""
        cycle, cutoff = order_cycle(CLOCK)
        row = OrderRow(order_id("northern-foods", "LEEDS", cycle, 1), "northern-foods", "LEEDS", cutoff)
        row.lines = {f"LEEDS:ITEM-{n}:1": 24 * n for n in range(1, lines + 1)}
        self.records.orders[row.order_id] = row
        return OrderRef(
            order_id=row.order_id, location=row.location, supplier=row.supplier, cutoff_at=cutoff, clock=clock
        )

    async def result(self, handle: WorkflowHandle[Any, Any], *, skip: bool = False) -> Any:
        """How the workflow ended. With `skip`, time runs ahead to whatever comes next.

        That is the workflow's own end by timeout, ten years ahead, if nothing else comes: let time run free only
        for what ends, and pass time with `env.sleep` for what goes on waiting.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            if not skip:
                return await handle.result()
            async with self._skipping():
                return await handle.result()

    @asynccontextmanager
    async def _skipping(self) -> AsyncIterator[None]:
        """Let the server's clock run ahead to its next timer."""
        await self.client.test_service.unlock_time_skipping(UnlockTimeSkippingRequest())
        try:
            yield
        finally:
            await self.client.test_service.lock_time_skipping(LockTimeSkippingRequest())

    async def start_workers(self) -> None:
        """One worker per queue, with the activities that the queue is for."""
        assessments = AssessmentActivities(
            self.assessments.port, self.models, self.store, self.scoring, self.launches.port, RUNNING,
            NoCalendars(),
        )  # fmt: skip
        approvals = ApprovalActivities(self.approvals.port)
        orders = OrderActivities(
            self.orders.port, self.supplier, passive=self.passive, lease_seconds=SUPPLIER_LEASE_SECONDS,
        )  # fmt: skip
        again = Counterfactuals(self.recordings, self.rescoring, bodies)
        models = ModelActivities(self.models, self.store, self.learner, self._needs_approval, again=again)
        outcomes = OutcomeActivities(self.outcomes.port)
        monitoring = MonitoringActivities(self.monitoring.port, self.watching, self.shelves)
        histories = HistoryActivities(self.closed_runs.port, self.histories.port, lambda: NOW)
        replays = ReplayActivities(self.replays.opened)
        queues: dict[str, list[Callable[..., Any]]] = {
            naming.ENGINE_QUEUE: [
                assessments.launch, approvals.stands, approvals.remind, approvals.escalate, approvals.expire,
                orders.release, orders.close_rejected, orders.order_state, orders.await_operator, outcomes.close_due,
                PlacingAtOnce(orders.place).place_at_once,
                models.promote, monitoring.retraining_started, histories.sweep,
            ],
            naming.LEARNING_QUEUE: [
                Launching(assessments.assess, assessments.launch).assess_and_launch,
                assessments.assess, assessments.rescore, models.plan, models.train, models.judge, monitoring.watch,
                replays.plan_replay, replays.replay_some, replays.note_replay,
            ],
            naming.SUPPLIER_QUEUE: [orders.place],
        }  # fmt: skip
        # Where nothing is cached, what a workflow did within its step is given up once more when the step is over.
        warnings.filterwarnings("ignore", message="Cannot find activity to cancel for token b'local_act")
        self._workers = AsyncExitStack()
        for queue, activities in queues.items():
            workflows = WORKFLOWS if queue == naming.ENGINE_QUEUE else ()
            # Nothing is cached: each task replays its workflow from the start, so every test is a replay test too.
            worker = Worker(
                self.client, task_queue=queue, workflows=workflows, activities=activities, identity=IDENTITY,
                max_cached_workflows=0,
            )  # fmt: skip
            await self._workers.enter_async_context(worker)

    async def stop_workers(self) -> None:
        """As when a process is replaced: nothing of a workflow stays in memory."""
        if self._workers is not None:
            await self._workers.aclose()
        self._workers = None

    async def replace_workers(self) -> None:
        """Stop them and start new ones, which know nothing but the histories."""
        await self.stop_workers()
        await self.start_workers()

    async def _needs_approval(self) -> bool:
        return self.needs_approval


@asynccontextmanager
async def running_engine(**options: Any) -> AsyncIterator[Engine]:
    """A fresh server, search attributes registered, workers polling."""
    env = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(TEST_SERVER), plugins=[engine_plugin(tracing=False)], identity=IDENTITY
    )
    async with env:
        request = AddSearchAttributesRequest(namespace=env.client.namespace)
        for key in naming.SEARCH_ATTRIBUTES:
            request.search_attributes[key.name] = int(key.indexed_value_type)  # type: ignore[assignment]
        await env.client.operator_service.add_search_attributes(request)
        engine = Engine(env, **options)
        await engine.start_workers()
        try:
            yield engine
        finally:
            await engine.stop_workers()


def server_now() -> datetime:
    """What the server's skipping clock says inside an activity; the wall clock elsewhere."""
    return activity.info().started_time if activity.in_activity() else datetime.now(UTC)


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Wait for a condition, for at most `PATIENCE_SECONDS`.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert asyncio.get_running_loop().time() < deadline, f"in vain: {what}"
        await asyncio.sleep(0.01)
