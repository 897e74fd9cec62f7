"""The embedded stack: PostgreSQL, Temporal and a broker on one state directory, started, watched and stopped as one.

Killed at any moment, it starts again on the same state: what the dead supervisor left running is reaped first. Any of
the three is left out when the settings name a server of the user's own.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from workers.servers.broker import BrokerServer
from workers.servers.postgres import PostgresServer
from workers.servers.runfile import Addresses, RunFile, read_run, reap
from workers.servers.server import Progress, Server
from workers.servers.supervisor import Supervisor
from workers.servers.temporal import TemporalServer
from workers.settings import Settings, SettingsError

READY_WITHIN_S = 60.0
LOCK_FILE = "up.lock"
"""Held by whoever runs on a state directory."""


class StackRunning(RuntimeError):
    """Another process runs the stack on this state directory; the message says which, and where its console is."""


class EmbeddedStack:
    """Owns a state directory from its one start to its stop. `supervisor` also keeps the engine's own processes.

    The calls block, for a second or so: on an event loop, use `asyncio.to_thread`.
    """

    def __init__(self, state_dir: Path, settings: Settings) -> None:
        self.state_dir = state_dir.absolute()
        self.settings = settings
        self.run_file = RunFile(self.state_dir)
        self.supervisor = Supervisor(self.state_dir / "logs", self.run_file)
        # Not thread-local: a caller on an event loop starts and stops us in whatever thread is at hand.
        self._lock = FileLock(self.state_dir / LOCK_FILE, thread_local=False)

    def start(self, on_progress: Progress = lambda _: None) -> Addresses:
        """Start what the settings do not name, and return where everything answers.

        Raises:
            StackRunning: the state is in use.
            PortInUse: a port that the settings ask for is taken.
            ServerUnusable: a server's package is missing or cannot run here.
            SettingsError: a setting asks for what no embedded server can do.
            ProcessFailed: a server did not come up; the message has the end of its log.
        """
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._reap(on_progress)
            self.run_file.open()
            addresses = self._start_servers(on_progress)
            self.run_file.announce(addresses=addresses)
        except BaseException:
            self.stop()
            raise
        return addresses

    def stop(self) -> None:
        """Stop everything, last started first, and let the state go; twice is harmless."""
        if not self._lock.is_locked:
            return
        self.supervisor.stop_all()
        self.run_file.close()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _take_lock(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            run = read_run(self.state_dir)
            known = f", pid {run.pid}" if run else ""
            console = f", console at {run.console}" if run and run.console else ""
            raise StackRunning(f"Quartermaster is already running on {self.state_dir}{known}{console}.") from None

    def _reap(self, on_progress: Progress) -> None:
        """Holding the lock, whatever an older record names can only be left over."""
        run = read_run(self.state_dir)
        if run is not None and (left := reap(run)):
            on_progress(f"Ended what a killed run had left: {', '.join(left)}")

    def _start_servers(self, on_progress: Progress) -> Addresses:
        s = self.settings
        if s.kafka_bootstrap is None and s.kafka_group_protocol != "classic":
            raise SettingsError(
                f"QM_KAFKA_GROUP_PROTOCOL={s.kafka_group_protocol} needs Apache Kafka 4.0 or newer: name it in "
                "QM_KAFKA_BOOTSTRAP. The embedded broker has the classic protocol alone."
            )
        postgres = None if s.postgres_dsn else PostgresServer(self.state_dir)
        temporal = (
            None
            if s.temporal_address
            else TemporalServer(
                self.state_dir, port=s.temporal_port, ui_port=s.temporal_ui_port, namespace=s.temporal_namespace
            )
        )
        broker = None if s.kafka_bootstrap else BrokerServer(s.kafka_port)
        servers: list[Server] = [server for server in (postgres, temporal, broker) if server is not None]
        self._bring_up(servers, on_progress)
        return Addresses(
            postgres_dsn=postgres.dsn if postgres else s.postgres_dsn or "",
            temporal_address=temporal.address if temporal else s.temporal_address or "",
            temporal_ui=temporal.ui if temporal else s.temporal_ui_address,
            kafka_bootstrap=broker.bootstrap if broker else s.kafka_bootstrap or "",
            kafka_log_id=broker.log_id if broker else s.kafka_log_id,
        )

    def _bring_up(self, servers: list[Server], on_progress: Progress) -> None:
        """Launch all, then wait for each: they come up side by side."""
        launched = []
        for server in servers:
            server.prepare(on_progress)
            spec = server.spec()
            self.supervisor.launch(spec, restarts=server.survives_restart)
            launched.append((spec.name, server))
        for name, server in launched:
            self.supervisor.await_ready(name, server.ready, READY_WITHIN_S)
            on_progress(f"{server.title} is ready")
