"""Picks who plays which port. The only place where parts meet configuration."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from activities.approvals import ApprovalActivities
from activities.learning.learner import XgboostLearner
from activities.learning.scoring import XgboostScoring
from activities.models import ModelActivities
from activities.orders import OrderActivities
from activities.outcomes import OutcomeActivities
from activities.scores import AssessmentActivities
from connectors.erp.http_supplier import HttpSuppliers
from connectors.model_store import DirectoryModelStore
from connectors.postgres.approvals import PostgresApprovals
from connectors.postgres.decisions import PostgresAssessments
from connectors.postgres.desk import PostgresDesk
from connectors.postgres.models import PostgresModels
from connectors.postgres.orders import PostgresOrders
from connectors.postgres.outcomes import PostgresOutcomes
from connectors.postgres.policies import read_clocks, read_policy
from connectors.postgres.pool import Database, connect
from connectors.postgres.relay import Launched, RelayStore
from console.desk import AnswerDesk
from console.ports import ConsolePorts
from workers import temporal
from workers.relay import Relay
from workers.settings import Settings
from workers.telemetry import traceparent_of_current
from workflows.assessment import AssessmentWorkflow
from workflows.domain.errors import InvalidInput
from workflows.domain.needs import ClockMode
from workflows.naming import ENGINE_QUEUE, LEARNING_QUEUE, SUPPLIER_QUEUE
from workflows.options import SUPPLIER_LEASE_SECONDS
from workflows.outcomes import OutcomesWorkflow
from workflows.purchasing import PurchasingWorkflow
from workflows.replenishment import ReplenishmentWorkflow
from workflows.retraining import RetrainingWorkflow

WORKFLOWS = (AssessmentWorkflow, ReplenishmentWorkflow, PurchasingWorkflow, OutcomesWorkflow, RetrainingWorkflow)
HTTP_TIMEOUT_SECONDS = 10.0
SETTLE_SECONDS = 12.0
"""The HTTP timeout and two seconds for the supplier's own transaction: how long a lost request may still land."""
GRACEFUL_SHUTDOWN = timedelta(seconds=30)
KEY_BYTES = 32


@dataclass(frozen=True)
class Engine:
    """What every process of the engine has: the database, the registry, the model store and a Temporal client."""

    settings: Settings
    database: Database
    client: Client
    store: DirectoryModelStore

    @property
    def clock(self) -> ClockMode:
        """What moves an idle location's clock."""
        return ClockMode(self.settings.clock)

    @property
    def starter(self) -> temporal.Starter:
        """Starts workflows."""
        return temporal.Starter(self.client, self.clock)

    @property
    def approvals(self) -> PostgresApprovals:
        """Where verdicts are stored."""
        return PostgresApprovals(self.database)

    @property
    def models(self) -> PostgresModels:
        """The model registry."""
        return PostgresModels(self.database)

    @property
    def answers(self) -> AnswerDesk:
        """The one code path by which console, REST and command line answer a task."""
        return AnswerDesk(self.approvals, temporal.TemporalVerdicts(self.client))

    async def has_model(self) -> bool:
        """Whether there is a champion to assess with."""
        return await self.models.champion() is not None

    def relay(self, store: RelayStore) -> Relay:
        """The relay over this engine."""
        return Relay(
            store, self.approvals, self.starter, temporal.Messenger(self.client),
            temporal.TemporalVerdicts(self.client),
            clock=self.clock, lateness=timedelta(minutes=self.settings.allowed_lateness_minutes),
            has_model=self.has_model,
        )  # fmt: skip


@asynccontextmanager
async def engine(settings: Settings, *, name: str, pool_size: int = 8) -> AsyncIterator[Engine]:
    """Connect to everything that the settings name.

    Raises:
        InvalidInput: an address is missing.
        Unavailable: a server does not answer.
    """
    client = await temporal.connect(required(settings, "temporal_address"), settings.temporal_namespace)
    store = DirectoryModelStore(required_path(settings, "model_store"))
    async with Database(required(settings, "postgres_dsn"), name=name, size=pool_size) as database:
        yield Engine(settings=settings, database=database, client=client, store=store)


def required(settings: Settings, field: str) -> str:
    """A setting that this process cannot do without.

    Raises:
        InvalidInput: it is not set; the message names the variable.
    """
    value = getattr(settings, field)
    if value is None:
        raise InvalidInput(f"QM_{field.upper()} is not set; `quartermaster up` starts everything with its own servers")
    return str(value)


def required_path(settings: Settings, field: str) -> Path:
    """Like `required`, for a directory."""
    return Path(required(settings, field))


def workers_of(parts: Engine, suppliers: HttpSuppliers) -> list[Worker]:
    """One worker per queue: numeric work and supplier calls each have a queue of their own and starve nobody."""
    settings, database = parts.settings, parts.database
    launches = temporal.TemporalLaunches(parts.starter, Launched(database))
    threads = settings.training_threads
    assessments = AssessmentActivities(
        PostgresAssessments(database), parts.models, parts.store, XgboostScoring(nthread=threads), launches
    )
    orders = OrderActivities(
        PostgresOrders(database), suppliers, passive=settings.mode == "passive", settle_seconds=SETTLE_SECONDS,
        lease_seconds=SUPPLIER_LEASE_SECONDS,
    )  # fmt: skip

    async def needs_approval() -> bool:
        return (await read_policy(database)).promotion_needs_approval

    models = ModelActivities(parts.models, parts.store, XgboostLearner(nthread=threads), needs_approval)
    approvals, outcomes = ApprovalActivities(parts.approvals), OutcomeActivities(PostgresOutcomes(database))
    engine_worker = Worker(
        parts.client,
        task_queue=ENGINE_QUEUE,
        workflows=WORKFLOWS,
        activities=[
            assessments.launch, approvals.stands, approvals.remind, approvals.escalate, approvals.expire,
            orders.release, orders.close_rejected, orders.order_state, outcomes.close_due, models.plan, models.promote,
        ],
        max_cached_workflows=500,
        max_concurrent_activities=16,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )  # fmt: skip
    learning_worker = Worker(
        parts.client,
        task_queue=LEARNING_QUEUE,
        activities=[assessments.assess, assessments.rescore, models.train, models.judge],
        max_concurrent_activities=2,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )
    supplier_worker = Worker(
        parts.client,
        task_queue=SUPPLIER_QUEUE,
        activities=[orders.place],
        max_concurrent_activities=8,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )
    return [engine_worker, learning_worker, supplier_worker]


def suppliers_of(settings: Settings) -> HttpSuppliers:
    """The connector to whoever takes purchase orders; each request carries the trace of its order."""
    return HttpSuppliers(
        required(settings, "supplier_url"), timeout_seconds=HTTP_TIMEOUT_SECONDS, propagate=_trace_headers
    )


def _trace_headers() -> dict[str, str]:
    traceparent = traceparent_of_current()
    return {"traceparent": traceparent} if traceparent else {}


def console_of(parts: Engine) -> ConsolePorts:
    """What the console is given."""

    async def clocks() -> Mapping[str, datetime]:
        return await read_clocks(parts.database)

    return ConsolePorts(
        desk=PostgresDesk(parts.database),
        approvals=parts.approvals,
        verdicts=temporal.TemporalVerdicts(parts.client),
        models=parts.models,
        key=console_key(parts.settings),
        currency=parts.settings.currency,
        temporal_ui=parts.settings.temporal_ui_address,
        passive=parts.settings.mode == "passive",
        clocks=clocks,
    )


def console_key(settings: Settings) -> bytes:
    """The key that signs sessions, made on first use and readable by its owner only."""
    path = required_path(settings, "console_key_file")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) < KEY_BYTES:
            raise InvalidInput(f"{path} is too short to sign anything with; remove it to get a new key") from None
        return key
    with os.fdopen(handle, "wb") as file:
        key = secrets.token_bytes(KEY_BYTES)
        file.write(key)
    return key


def relay_store(settings: Settings) -> RelayStore:
    """The relay's own connection."""
    return RelayStore(connect(required(settings, "postgres_dsn"), name="quartermaster-relay"))
