"""Picks who plays which port. The only place where parts meet configuration."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from temporalio.client import Client

from connectors.folders import write_once
from connectors.model_store import DirectoryModelStore
from connectors.postgres.approvals import PostgresApprovals
from connectors.postgres.arrivals import PostgresArrivals
from connectors.postgres.audit import PostgresAudit
from connectors.postgres.breakers import PostgresCircuits
from connectors.postgres.caps import PostgresCaps
from connectors.postgres.deliveries import PostgresDeliveries
from connectors.postgres.demand_views import PostgresDemandViews
from connectors.postgres.desk import PostgresDesk
from connectors.postgres.figures import PostgresFigures
from connectors.postgres.files import PostgresFiles
from connectors.postgres.health import PostgresHealth
from connectors.postgres.inbox_desk import PostgresInbox
from connectors.postgres.judging import PostgresJudging
from connectors.postgres.live import PostgresLive
from connectors.postgres.model_history import PostgresModelHistory
from connectors.postgres.models import PostgresModels
from connectors.postgres.money import PostgresMoney
from connectors.postgres.monitoring import PostgresMonitoring
from connectors.postgres.notices import PostgresNotices
from connectors.postgres.order_words import PostgresOrderWords
from connectors.postgres.past_decisions import PostgresPastDecisions
from connectors.postgres.planning import PostgresPlanning
from connectors.postgres.policies import read_clocks, read_invented, read_zones
from connectors.postgres.policy_changes import PostgresPolicies
from connectors.postgres.pool import Connection, Database, connect
from connectors.postgres.reconciliation_desk import PostgresReconciliationDesk
from connectors.postgres.relay import RelayStore
from connectors.postgres.sales_views import PostgresSales
from connectors.postgres.stock_views import PostgresStock
from connectors.postgres.stops import PostgresStops
from connectors.postgres.studies import PostgresStudies
from connectors.postgres.task_work import PostgresTaskWork
from connectors.signing import SEED_BYTES, Ed25519Signer
from console.desk import AnswerDesk
from console.policy_desk import PolicyDesk
from console.ports import ConsolePorts
from workers import temporal
from workers.deliveries import LiveDeliveries
from workers.forecasts import LiveForecasts
from workers.kept import KeptDeliveries, KeptMoney
from workers.operations import LiveOperations
from workers.personal_key import database_of
from workers.relay import Relay
from workers.settings import Settings
from workers.what_if import LiveWhatIf
from workers.wiring_sign_in import sign_in_of
from workflows.domain.errors import InvalidInput
from workflows.domain.needs import ClockMode

KEY_BYTES = 32
UNDO_SECONDS = 10


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
    def lateness(self) -> timedelta:
        """How far a live business clock stays behind the wall clock."""
        return timedelta(minutes=self.settings.allowed_lateness_minutes)

    @property
    def undo_seconds(self) -> int:
        """How long nothing comes of an answer yet: a replay should not wait for second thoughts."""
        if self.settings.undo_seconds is not None:
            return self.settings.undo_seconds
        return 0 if self.clock is ClockMode.REPLAYED else UNDO_SECONDS

    @property
    def starter(self) -> temporal.Starter:
        """Starts workflows."""
        return temporal.Starter(self.client, self.clock, self.lateness, undo_seconds=self.undo_seconds)

    @property
    def launcher(self) -> temporal.Starter:
        """The same in the process that runs the workflows: it takes their first tasks at once. A named build leaves it
        to Temporal which build that is."""
        return temporal.Starter(
            self.client, self.clock, self.lateness, undo_seconds=self.undo_seconds,
            eager=self.settings.worker_build is None,
        )  # fmt: skip

    @property
    def approvals(self) -> PostgresApprovals:
        """Where verdicts are stored."""
        return PostgresApprovals(self.database, self.undo_seconds)

    @property
    def models(self) -> PostgresModels:
        """The model registry."""
        return PostgresModels(self.database)

    @property
    def monitoring(self) -> PostgresMonitoring:
        """What is watched for drift."""
        return PostgresMonitoring(self.database)

    @property
    def answers(self) -> AnswerDesk:
        """The one code path by which console, REST and command line answer a task."""
        return AnswerDesk(self.approvals, temporal.TemporalVerdicts(self.client))

    @property
    def policy_desk(self) -> PolicyDesk:
        """The one code path by which console, REST and command line change the policy."""
        return PolicyDesk(PostgresPolicies(self.database))

    async def has_model(self) -> bool:
        """Whether there is a champion to assess with."""
        return await self.models.champion() is not None

    @property
    def relay(self) -> Relay:
        """The relay over this engine."""
        return Relay(
            partial(_relay_session, self.settings), self.approvals, self.starter, temporal.Messenger(self.client),
            temporal.TemporalVerdicts(self.client),
            clock=self.clock, lateness=self.lateness,
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
    async with database_of(settings, required(settings, "postgres_dsn"), name=name, size=pool_size) as database:
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


def console_of(parts: Engine) -> ConsolePorts:
    """What the console is given."""
    from workers.wiring_audit import audit_ports  # which stands on this module

    async def clocks() -> Mapping[str, datetime]:
        return await read_clocks(parts.database)

    async def zones() -> Mapping[str, str]:
        return await read_zones(parts.database)

    async def invented() -> str:
        return await read_invented(parts.database)

    money = PostgresMoney(parts.database, threads=parts.settings.training_threads)
    demand = PostgresDemandViews(parts.database)
    return ConsolePorts(
        desk=PostgresDesk(parts.database),
        approvals=parts.approvals,
        verdicts=temporal.TemporalVerdicts(parts.client),
        models=parts.models,
        policies=parts.policy_desk.policies,
        deliveries=KeptDeliveries(deliveries_of(parts)),
        planning=PostgresPlanning(parts.database),
        past=PostgresPastDecisions(parts.database),
        money=KeptMoney(money),
        figures=PostgresFigures(parts.database, money),
        stock=PostgresStock(parts.database),
        demand=demand,
        sales=PostgresSales(parts.database),
        forecasts=LiveForecasts(demand, parts.models, parts.store),
        what_if=LiveWhatIf(PostgresStudies(parts.database)),
        sign_in=sign_in_of(parts.settings, parts.database, console_key(parts.settings)),
        key=console_key(parts.settings),
        currency=parts.settings.currency,
        temporal_ui=parts.settings.temporal_ui_address,
        passive=parts.settings.mode == "passive",
        clocks=clocks,
        live_clocks=parts.clock is ClockMode.LIVE,
        zones=zones,
        invented=invented,
        audit=PostgresAudit(parts.database, required(parts.settings, "postgres_dsn"), parts.settings.anchor_directory),
        signer=export_signer(parts.settings),
        model_history=PostgresModelHistory(parts.database),
        drift=parts.monitoring.view,
        live=PostgresLive(parts.database),
        files=PostgresFiles(parts.database),
        notices=PostgresNotices(parts.database),
        inbox=PostgresInbox(parts.database),
        work=PostgresTaskWork(parts.database),
        judging=PostgresJudging(parts.database),
        operations=LiveOperations(parts.database, parts.settings),
        stops=PostgresStops(parts.database),
        health=PostgresHealth(parts.database, live_clocks=parts.clock is ClockMode.LIVE),
        arrivals=PostgresArrivals(parts.database),
        order_words=PostgresOrderWords(parts.database),
        reconciliations=PostgresReconciliationDesk(parts.database),
        circuits=PostgresCircuits(parts.database),
        caps=PostgresCaps(parts.database),
        **audit_ports(parts),
    )


def deliveries_of(parts: Engine) -> LiveDeliveries:
    """Orders in flight, judged with the champion."""
    return LiveDeliveries(PostgresDeliveries(parts.database), parts.models, parts.store)


def console_key(settings: Settings) -> bytes:
    """The key that signs sessions, made on first use and readable by its owner only."""
    return _secret(required_path(settings, "console_key_file"))


def export_signer(settings: Settings) -> Ed25519Signer:
    """Signs exports of the ledger, with a key that lies beside the one of the sessions and is none of them."""
    seed = _secret(required_path(settings, "console_key_file").with_name("export.key"))
    return Ed25519Signer(seed[:SEED_BYTES])


def _secret(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # somebody was quicker
            write_once(path, secrets.token_bytes(KEY_BYTES))
    key = path.read_bytes()
    if len(key) < KEY_BYTES:
        raise InvalidInput(f"{path} is too short to sign anything with; remove it to get a new key")
    return key


def _relay_session(settings: Settings) -> tuple[Connection, RelayStore]:
    connection = connect(required(settings, "postgres_dsn"), name="quartermaster-relay")
    return connection, RelayStore(connection)
