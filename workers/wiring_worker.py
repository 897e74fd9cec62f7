"""Picks who plays the ports of the worker's activities. Apart from `wiring`, because only the worker needs the numeric
libraries: they take seconds to load, and the command line should not."""

from datetime import timedelta

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.approvals import ApprovalActivities
from activities.counterfactual import Counterfactuals
from activities.histories import HistoryActivities
from activities.launching import Launching
from activities.learning.learner import XgboostLearner
from activities.learning.outside import LibraryCalendars
from activities.learning.scoring import XgboostScoring
from activities.learning.watching import DriftWatching
from activities.models import ModelActivities
from activities.monitoring import MonitoringActivities
from activities.orders import OrderActivities
from activities.outcomes import OutcomeActivities
from activities.placing import PlacingAtOnce
from activities.replaying import ReplayActivities
from activities.scores import AssessmentActivities
from connectors.erp.http_supplier import HttpSuppliers
from connectors.postgres.breakers import PostgresPermits
from connectors.postgres.counterfactual import PostgresRecordings
from connectors.postgres.decisions import PostgresAssessments
from connectors.postgres.deliveries import PostgresDeliveries
from connectors.postgres.histories_kept import PostgresHistories
from connectors.postgres.launching import Launched
from connectors.postgres.money import ComparedOutcomes, PostgresMoney
from connectors.postgres.monitoring import PostgresMonitoring
from connectors.postgres.orders import PostgresOrders
from connectors.postgres.outcomes import PostgresOutcomes
from connectors.postgres.policies import read_policy
from connectors.postgres.shelves import PostgresShelves
from workers.histories import TemporalRuns
from workers.launches import TemporalLaunches
from workers.measuring import MeasuredScoring
from workers.registered import WORKFLOWS
from workers.remaking import ReplayOpener
from workers.settings import Settings
from workers.source import running_source
from workers.telemetry import Instruments
from workers.wiring import Engine, required
from workers.wiring_limits import reconciliations_of
from workflows.naming import ENGINE_QUEUE, LEARNING_QUEUE, SUPPLIER_QUEUE
from workflows.options import SUPPLIER_LEASE_SECONDS

SUPPLIER_ATTEMPTS_PER_SECOND = 200.0
"""Of all workers together, kept by Temporal: the last fence around a storm of retries. What a supplier takes is in its
connector's manifest and asked for each request."""
GRACEFUL_SHUTDOWN = timedelta(seconds=45)
"""What an attempt to place an order may take: a worker that stops finishes and records those that it has begun."""
LEARNING_SHUTDOWN = timedelta(seconds=5)
"""Numeric work is not waited for: another worker does it again from the start, and nothing outside knows of it."""
STEPS = 24
"""Steps of workflows that are taken at the same time: what is taken must end in ten seconds also on a busy machine, or
Temporal gives it to another worker and it is done twice. Three times `AT_ONCE`, so that slow suppliers hold a third."""
DEPLOYMENT = "quartermaster"
"""What Temporal calls all builds of the worker together."""


def workers_of(parts: Engine, suppliers: HttpSuppliers, instruments: Instruments) -> list[Worker]:
    """One worker per queue: numeric work and supplier calls each have a queue of their own and starve nobody."""
    settings, database = parts.settings, parts.database
    at_once = settings.order_cycle == "at_once"
    launches = TemporalLaunches(parts.launcher, Launched(database, at_once=at_once))
    threads = settings.training_threads
    assessments = AssessmentActivities(
        PostgresAssessments(database),
        parts.models,
        parts.store,
        MeasuredScoring(XgboostScoring(nthread=threads), instruments),
        launches,
        running_source(),
        LibraryCalendars(),
    )
    launching = Launching(assessments.assess, assessments.launch)
    orders = OrderActivities(
        PostgresOrders(database, at_once=at_once), suppliers, passive=settings.mode == "passive",
        lease_seconds=SUPPLIER_LEASE_SECONDS, permits=PostgresPermits(database, suppliers.manifest),
    )  # fmt: skip
    placing = PlacingAtOnce(orders.place)

    async def needs_approval() -> bool:
        return (await read_policy(database)).promotion_needs_approval

    history = PostgresDeliveries(database)
    again = Counterfactuals(
        PostgresRecordings(required(settings, "postgres_dsn")), XgboostScoring(nthread=threads), parts.store.get
    )
    models = ModelActivities(parts.models, parts.store, XgboostLearner(nthread=threads), needs_approval, history, again)
    approvals = ApprovalActivities(parts.approvals)
    outcomes = OutcomeActivities(
        ComparedOutcomes(PostgresOutcomes(database), PostgresMoney(database, threads=threads))
    )  # fmt: skip
    monitoring = MonitoringActivities(PostgresMonitoring(database), DriftWatching(), PostgresShelves(database))
    histories = HistoryActivities(TemporalRuns(parts.client), PostgresHistories(database))
    replays = ReplayActivities(ReplayOpener(settings))
    comparing = reconciliations_of(database, suppliers)
    engine_worker = Worker(
        parts.client,
        task_queue=ENGINE_QUEUE,
        workflows=WORKFLOWS,
        activities=[
            assessments.launch, approvals.stands, approvals.remind, approvals.escalate, approvals.expire,
            orders.release, orders.close_rejected, orders.order_state, orders.await_operator, outcomes.close_due,
            placing.place_at_once,
            models.promote, monitoring.retraining_started, histories.sweep, comparing.suppliers_after,
        ],
        max_cached_workflows=500,
        max_concurrent_workflow_tasks=STEPS,
        max_concurrent_local_activities=STEPS,
        max_concurrent_activities=16,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
        deployment_config=deployment_of(settings),
    )  # fmt: skip
    learning_worker = Worker(
        parts.client,
        task_queue=LEARNING_QUEUE,
        activities=[
            assessments.assess, launching.assess_and_launch, assessments.rescore,
            models.plan, models.train, models.judge, monitoring.watch,
            replays.plan_replay, replays.replay_some, replays.note_replay,
        ],
        max_concurrent_activities=2,
        graceful_shutdown_timeout=LEARNING_SHUTDOWN,
    )  # fmt: skip
    supplier_worker = Worker(
        parts.client,
        task_queue=SUPPLIER_QUEUE,
        activities=[orders.place, comparing.reconcile],
        max_concurrent_activities=8,
        max_task_queue_activities_per_second=SUPPLIER_ATTEMPTS_PER_SECOND,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )
    return [engine_worker, learning_worker, supplier_worker]


def deployment_of(settings: Settings) -> WorkerDeploymentConfig | None:
    """How Temporal tells this build from others; None: it does not.

    Only the worker that runs workflows is versioned: activities are repeatable and any build may do them.
    """
    if settings.worker_build is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=DEPLOYMENT, build_id=settings.worker_build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior[settings.worker_versioning.upper()],
    )
