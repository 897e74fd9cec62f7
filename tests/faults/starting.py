"""Starts a world: servers, proxies in front of them, the seed, and our own processes, each as soon as it can start."""

import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from connectors.kafka.topics import ensure_topics
from connectors.postgres.roles import DatabaseRole, as_role
from tests.faults.children import Child
from tests.faults.producing import Teller
from tests.faults.proxy import Proxy
from tests.faults.seed import SUPPLIER
from tests.faults.waiting import until
from workers.servers.broker import BrokerServer
from workers.servers.ports import claim
from workers.servers.postgres import DATABASE, SOCKET_NAME, SUPERUSER, PostgresServer
from workers.servers.process import ProcessSpec
from workers.servers.runfile import Addresses, RunFile
from workers.servers.temporal import TemporalServer
from workers.settings import PREFIX, Settings

if TYPE_CHECKING:
    from tests.faults.world import World

ROLES = {
    "intake": DatabaseRole.INTAKE, "worker": DatabaseRole.WORKER, "console": DatabaseRole.CONSOLE,
    "notary": DatabaseRole.NOTARY,
}  # fmt: skip
BEHAVIOUR = {"supplier": SUPPLIER, "lead_days": [3]}
KEEPS_ITS_LOG = ("-c", "wal_keep_size=64GB")
"""From the first segment on, whatever checkpoints there are: the checker reads in it what was done to which table."""


class Broker(Protocol):
    """A Kafka-protocol server that a world starts, and starts again when a cell has killed it."""

    log_id: str

    @property
    def bootstrap(self) -> str:
        """Where it listens itself, behind the proxy."""

    def spec(self) -> ProcessSpec:
        """How to run it."""

    def ready(self) -> bool:
        """Whether it answers."""


MakeBroker = Callable[[Path, str], Broker]
"""Given the world's folder and the address that clients are to be sent to (the proxy's)."""


class EmbeddedBroker(BrokerServer):
    """The broker of the embedded stack; it sends its clients to the proxy. Its log lives in memory."""

    def __init__(self, state: Path, advertised: str) -> None:
        super().__init__(0)
        self._advertised = advertised

    def spec(self) -> ProcessSpec:
        """As ever, but for where clients are sent."""
        told = super().spec()
        argv = list(told.argv)
        argv[argv.index("--advertised-listener-url") + 1] = f"tcp://{self._advertised}"
        return replace(told, argv=argv)


class Starting:
    """What it takes to start a world; the world itself is what cells see."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.postgres = self._postgres_server()
        self._run = RunFile(world.state)
        self._supplier_port = claim(0, "QM_SUPPLIER_PORT")
        world.supplier = f"http://127.0.0.1:{self._supplier_port}"

    def everything(self) -> None:
        """Servers first, then who needs them."""
        world = self.world
        self._run.open()
        temporal = TemporalServer(world.state, port=0, ui_port=0, namespace="default")
        temporal.prepare(lambda _: None)
        front = self._front("broker", ("127.0.0.1", 0))
        broker = world.make_broker(world.state, front.address)
        front.target = _split(broker.bootstrap)
        for name in ("temporal", "temporal-intake"):  # intake's own: what it starts can be broken apart from the rest
            self._front(name, _split(temporal.address))
        self._front("supplier", ("127.0.0.1", self._supplier_port))
        self._server(temporal.spec(), temporal.ready)
        self._server(broker.spec(), broker.ready)
        through = self._front_of_postgres()
        world.settings = self._settings(temporal, front.address, broker.log_id, through)
        seed = self.process("seed", [sys.executable, "-m", "tests.faults.seed"], world.settings)
        seed.start()
        self.prepare_postgres()
        spec = self.postgres.spec()
        self._server(replace(spec, argv=[*spec.argv, *KEEPS_ITS_LOG]), self.postgres.ready)
        # People get in by token where the database is the child of a supervisor that runs: this one.
        self._run.started(self.postgres.spec(), world.children["postgres"].pid)
        self._run.announce(
            addresses=Addresses(
                postgres_dsn=through, temporal_address=world.settings.temporal_address or "",
                kafka_bootstrap=front.address, kafka_log_id=broker.log_id,
            )
        )  # fmt: skip
        world.children["broker"].await_ready()
        ensure_topics(front.address)
        world.teller = Teller(front.address, world.produced)
        self._start_supplier()
        until(lambda: not seed.alive, 120, "the seed")
        if seed.exit_code != 0:
            raise RuntimeError(f"the seed failed:\n{seed.tail()}")
        for name in ROLES:
            self._start_ours(name)
        for child in world.children.values():
            child.await_ready()

    def prepare_postgres(self) -> None:
        """Make its cluster, or take away the lock file of one that was killed."""
        self._postgres_server().prepare(lambda _: None)

    def supplier_argv(self) -> list[str]:
        """The simulated suppliers as they run by default."""
        return [
            sys.executable, "-m", "connectors.erp.simulated", "--port", str(self._supplier_port), "--journal",
            str(self.world.journal), "--behaviours", str(self.world.state / "behaviours.json"), "--allow-faults",
        ]  # fmt: skip

    def _postgres_server(self) -> PostgresServer:
        folder = self.world.state / "pg"
        folder.mkdir(exist_ok=True)
        return PostgresServer(folder)

    def _front(self, name: str, target: tuple[str, int]) -> Proxy:
        self.world.proxies[name] = Proxy(self.world.loop, name, target)
        return self.world.proxies[name]

    def _front_of_postgres(self) -> str:
        """A socket in a folder whose name tells our processes that the server is ours; the DSN that leads there."""
        state = self.world.state
        folder = state / "qm-0-000000000001"
        folder.mkdir(mode=0o700)
        behind = state / "pg" / "sockets" / SOCKET_NAME
        self.world.proxies["postgres"] = Proxy(self.world.loop, "postgres", behind, folder / SOCKET_NAME)
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(folder), safe='')}"

    def _settings(self, temporal: TemporalServer, broker: str, log_id: str, dsn: str) -> Settings:
        state, proxies = self.world.state, self.world.proxies
        given = {
            "home": state, "clock": "replayed", "postgres_dsn": dsn, "kafka_bootstrap": broker,
            "kafka_log_id": log_id, "temporal_address": proxies["temporal"].address, "temporal_ui_address": temporal.ui,
            "supplier_url": f"http://{proxies['supplier'].address}", "console_port": claim(0, "QM_CONSOLE_PORT"),
            "console_key_file": state / "console.key", "model_store": state / "models",
            "notary_key_file": state / "notary" / "notary.key", "anchor_directory": state / "anchors",
            "telemetry_directory": state / "telemetry", "checkpoint_seconds": 5, "log_format": "text",
            "failpoints": self.world.failpoints, "connector_file": self.world.connector,
        }  # fmt: skip
        return Settings.model_validate({**given, **self.world.given})

    def _server(self, spec: ProcessSpec, ready: Callable[[], bool]) -> None:
        self.world.children[spec.name] = child = Child(
            spec.name, spec.argv, spec.env, self._log(spec.name), ready, stop_signal=spec.stop_signal,
            patience_s=spec.patience_s,
        )  # fmt: skip
        child.start()

    def process(self, name: str, argv: list[str], settings: Settings, ready: Callable[[], bool] | None = None) -> Child:
        """A process of our code with these settings, not started."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        env = {**kept, **settings.environment(), "PYTHONPATH": str(self.world.code)}
        return Child(name, argv, env, self._log(name), ready, folder=self.world.code)

    def _start_ours(self, name: str) -> None:
        told = self.world.settings
        dsn = as_role(str(told.postgres_dsn), ROLES[name])
        told = told.model_copy(update={"postgres_dsn": dsn} | ({} if name == "notary" else {"notary_key_file": None}))
        if name == "intake":
            told = told.model_copy(update={"temporal_address": self.world.proxies["temporal-intake"].address})
        more = self.world.intake_arguments if name == "intake" else ()
        child = self.process(name, [sys.executable, "-m", "workers.cli", name, *more], told)
        child.ready = self._console_answers if name == "console" else lambda: _said_since_start(child)
        self.world.children[name] = child
        child.start()

    def _console_answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.world.settings.console_port), timeout=1):
            return True

    def _start_supplier(self) -> None:
        world = self.world
        (world.state / "behaviours.json").write_text(json.dumps([BEHAVIOUR]))
        argv = [*self.supplier_argv(), *world.supplier_arguments]
        child = self.process("supplier", argv, world.settings, lambda: bool(world.ask_supplier("/health")))
        world.children["supplier"] = child
        child.start()

    def _log(self, name: str) -> Path:
        return self.world.state / "logs" / f"{name}.log"


def _said_since_start(child: Child) -> bool:
    return child.log.read_text(errors="replace").count(f"{child.name} runs") >= child.starts


def _split(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host, int(port)
