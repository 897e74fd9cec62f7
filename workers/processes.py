"""The long-running processes: intake with its relay, the worker, the console. Each runs until SIGTERM or SIGINT."""

import asyncio
import gc
import logging
import signal
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from connectors.kafka.consumer import EventConsumer
from connectors.kafka.membership import GroupProtocol
from connectors.kafka.producer import EventProducer
from connectors.kafka.shares import Share
from connectors.kafka.topics import ensure_topics
from connectors.postgres.dead_letters import DeadLetters
from connectors.postgres.gauges import Gauges
from connectors.postgres.inbox import Inbox
from connectors.postgres.inbox_desk import PostgresInbox
from connectors.postgres.pool import Connection, connect
from connectors.postgres.relay import RelayStore
from workers.connector import suppliers_of
from workers.failing import listen
from workers.intake import IntakeLoop, Session
from workers.leaving import leave
from workers.logs import configure_logging
from workers.measuring import watch
from workers.recording import record_settings
from workers.schedules import ensure_schedules
from workers.settings import Settings
from workers.source import running_version
from workers.telemetry import Telemetry, start_telemetry
from workers.wiring import console_of, engine, required
from workers.wiring_notices import notifying_of
from workflows.domain.needs import ClockMode

log = logging.getLogger(__name__)

INTAKE_GROUP = "quartermaster-intake"
THREADS, THREADS_END_WITHIN_S = "worker-step", 2.0
SESSION_TIMEOUT_MS = 6000
"""A crashed intake's partitions are free after this; the embedded broker takes half of it for a group to form."""


@asynccontextmanager
async def process(name: str, settings: Settings) -> AsyncIterator[tuple[asyncio.Event, Telemetry]]:
    """Logging, telemetry and an event that SIGTERM and SIGINT set."""
    configure_logging(name, settings.log_level, settings.log_format)
    listen(settings)
    telemetry = start_telemetry(name, otlp_endpoint=settings.otlp_endpoint, directory=settings.telemetry_directory)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop, telemetry
    finally:
        telemetry.shutdown()


def collect_seldom() -> None:
    """Look for cycles of garbage a hundredth as often. A batch is some hundred thousand small tuples without any; to go
    through them all again and again took a third of the time of reading them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


async def run_intake(settings: Settings, share: Share | None = None) -> None:
    """Take events in and relay what is owed, until told to stop.

    Raises:
        LogChanged: the broker's log was replaced; the operator names the new one in QM_KAFKA_LOG_ID.
        ProtocolRefused: the broker does not have the protocol that QM_KAFKA_GROUP_PROTOCOL asks for.
    """
    async with process("intake", settings) as (stop, telemetry), engine(settings, name="quartermaster-relay") as parts:
        await asyncio.to_thread(record_settings, "intake", settings, parts.undo_seconds)
        await asyncio.to_thread(ensure_topics, required(settings, "kafka_bootstrap"))
        loop = _intake_loop(settings, share, telemetry)
        watched = await asyncio.to_thread(connect, required(settings, "postgres_dsn"), name="quartermaster-gauges")
        watching = asyncio.ensure_future(watch(Gauges(watched), telemetry.instruments, stop))
        relaying = asyncio.ensure_future(parts.relay.run(stop))
        taking = asyncio.ensure_future(asyncio.to_thread(loop.run))
        notifying = notifying_of(settings, parts.database, PostgresInbox(parts.database))
        telling = asyncio.ensure_future(notifying.run(stop))
        stopping = asyncio.ensure_future(stop.wait())
        log.info("intake runs")
        await asyncio.wait({relaying, taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        loop.stop()
        await asyncio.gather(relaying, taking, watching, telling)
        watched.close()


async def take_events(settings: Settings, share: Share | None = None) -> None:
    """Only take events in, beside a `run_intake` that does the rest, until told to stop.

    Raises:
        LogChanged, ProtocolRefused: as in `run_intake`.
    """
    async with process("intake", settings) as (stop, telemetry):
        loop = _intake_loop(settings, share, telemetry)
        taking = asyncio.ensure_future(asyncio.to_thread(loop.run))
        stopping = asyncio.ensure_future(stop.wait())
        log.info("intake runs, for events only")
        await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        loop.stop()
        await taking


async def run_worker(settings: Settings) -> None:
    """Run workflows and activities until told to stop, then let those in hand finish."""
    # Here, not on top: it loads the numeric libraries, and every command of the command line would wait for them.
    from workers.wiring_worker import workers_of

    threads = ThreadPoolExecutor(thread_name_prefix=THREADS)
    asyncio.get_running_loop().set_default_executor(threads)
    async with (
        process("worker", settings) as (stop, telemetry),
        engine(settings, name="quartermaster-worker", pool_size=16) as parts,
    ):
        await asyncio.to_thread(record_settings, "worker", settings, parts.undo_seconds)
        suppliers = suppliers_of(settings)
        every = settings.outcome_interval_s
        await ensure_schedules(parts.client, timedelta(seconds=every) if every else None)
        running = workers_of(parts, suppliers, telemetry.instruments)
        tasks = [asyncio.ensure_future(worker.run()) for worker in running]
        stopping = asyncio.ensure_future(stop.wait())
        log.info("worker runs")
        done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*(worker.shutdown() for worker in running))
        await suppliers.aclose()
        for task in done - {stopping}:
            task.result()  # a worker that ended by itself failed: let its supervisor see why
    threads.shutdown(wait=False, cancel_futures=True)
    await _leave_learning()


async def _leave_learning() -> None:
    """A thread that computes cannot be stopped, and Python would wait for it for hours: its work is done again by
    another worker, and everything else of this one is recorded and closed."""
    deadline = time.monotonic() + THREADS_END_WITHIN_S
    while any(thread.name.startswith(THREADS) for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            log.info("a computation is given up; another worker begins it again")
            leave(0)
        await asyncio.sleep(0.05)


async def run_console(settings: Settings) -> None:
    """Serve the console until told to stop."""
    # Here, not on top: an installation without the extra `console` runs everything else.
    import uvicorn

    from console.app import create_app

    async with process("console", settings) as (stop, _), engine(settings, name="quartermaster-console") as parts:
        await asyncio.to_thread(record_settings, "console", settings, parts.undo_seconds)
        app = create_app(console_of(parts))
        config = uvicorn.Config(
            app, host=settings.console_host, port=settings.console_port, log_config=None,
            access_log=False,
            server_header=False, timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if app.state.live is not None:
            await app.state.live.aclose()  # open streams would hold the server until its patience ends
        server.should_exit = True
        await serving


def _intake_loop(settings: Settings, share: Share | None, telemetry: Telemetry) -> IntakeLoop:
    collect_seldom()
    return IntakeLoop(
        partial(_intake_session, settings), partial(_consumer, settings, share),
        EventProducer(required(settings, "kafka_bootstrap")), telemetry.instruments, clock=ClockMode(settings.clock),
    )  # fmt: skip


def _intake_session(settings: Settings) -> tuple[Connection, Session]:
    connection = connect(required(settings, "postgres_dsn"), name="quartermaster-intake")
    inbox = Inbox(connection, log_id=settings.kafka_log_id, version=running_version())
    return connection, (inbox, DeadLetters(connection), RelayStore(connection))


def _consumer(settings: Settings, share: Share | None, **callbacks: object) -> EventConsumer:
    return EventConsumer(
        required(settings, "kafka_bootstrap"), INTAKE_GROUP, settings.kafka_log_id,
        session_timeout_ms=SESSION_TIMEOUT_MS, share=share, protocol=GroupProtocol(settings.kafka_group_protocol),
        **callbacks,  # type: ignore[arg-type]
    )  # fmt: skip
