"""The whole system as processes on this machine, each server behind a proxy; cells break it, heal it and use it again.

    with World() as world:
        story = Story(world)
        ...

PostgreSQL is reached over a Unix socket as on an embedded stack (so each process has its own role, and people get in
by token); the harness itself looks past the proxies, straight into the servers.
"""

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from urllib.request import Request, urlopen

import psycopg
from psycopg.rows import dict_row

from connectors.kafka.topics import ensure_topics
from connectors.postgres.roles import DatabaseRole, as_role
from tests.faults.checker import Evidence
from tests.faults.children import Child
from tests.faults.producing import Teller
from tests.faults.proxy import Proxies, Proxy
from tests.faults.seed import SUPPLIER
from tests.faults.waiting import until
from workers.servers.broker import BrokerServer
from workers.servers.ports import claim
from workers.servers.postgres import DATABASE, SOCKET_NAME, SUPERUSER, PostgresServer
from workers.servers.process import ProcessSpec
from workers.servers.runfile import Addresses, RunFile
from workers.servers.temporal import TemporalServer
from workers.settings import PREFIX, Settings

ROLES = {
    "intake": DatabaseRole.INTAKE, "worker": DatabaseRole.WORKER, "console": DatabaseRole.CONSOLE,
    "notary": DatabaseRole.NOTARY,
}  # fmt: skip
OURS = tuple(ROLES)
CHECKOUT = Path(__file__).resolve().parents[2]
BEHAVIOUR = {"supplier": SUPPLIER, "lead_days": [3]}


class World:
    """Everything that runs. `children` and `proxies` are by name: postgres, temporal, broker, supplier, and OURS."""

    def __init__(
        self, *, supplier: tuple[str, ...] = (), settings: dict[str, Any] | None = None, code: Path = CHECKOUT
    ) -> None:
        """`supplier`: arguments of the simulated supplier; `settings`: fields of the engine's settings; `code`: the
        checkout that our processes run (a copy with a planted bug, for one)."""
        self.code = code
        # Short: PostgreSQL's socket has a path of at most 103 bytes.
        self.state = Path(tempfile.mkdtemp(prefix="qmf-"))
        self.children: dict[str, Child] = {}
        self.proxies: dict[str, Proxy] = {}
        self.failpoints = self.state / "failpoints"
        self.journal = self.state / "supplier" / "journal.jsonl"
        self.produced = self.state / "produced.jsonl"
        """What stories told, one JSON line each; see `producing`."""
        self.acknowledged: list[str] = []
        """Approvals that the API said it has."""
        self._loop = Proxies()
        self._supplier_arguments = supplier
        self._given = settings or {}
        self._run = RunFile(self.state)
        self._postgres = self._in_pg(PostgresServer)
        self.dsn = self._postgres.dsn
        """Straight to the database, as the superuser."""
        self._used = 0

    def __enter__(self) -> Self:
        try:
            self._bring_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End everything that was started here, and leave no file."""
        for name in reversed(list(self.children)):
            child = self.children[name]
            with suppress(Exception):
                child.go_on()
                child.kills -= 1
                child.kill()
        for proxy in self.proxies.values():
            with suppress(Exception):
                proxy.close()
        self._loop.close()
        shutil.rmtree(self.state, ignore_errors=True)

    @property
    def kills(self) -> int:
        """How many processes cells ended by kill -9."""
        return sum(child.kills for child in self.children.values())

    def evidence(self, explained: dict[str, str] | None = None) -> Evidence:
        """Where the checker finds what happened here; it goes past the proxies."""
        temporal = "{}:{}".format(*self.proxies["temporal"].target)  # type: ignore[misc]
        return Evidence(self.dsn, self.journal, self.produced, temporal, list(self.acknowledged), explained or {})

    def place(self) -> str:
        """The number of the next fresh place of a story."""
        self._used += 1
        return f"P{self._used:03d}"

    def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """What the database has, past the proxy."""
        with psycopg.connect(self.dsn, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(query.encode(), arguments).fetchall()

    def restart(self, *names: str, within_s: float = 60.0) -> None:
        """Start these again (killed, ended by themselves, or stopped here in order) and wait until they serve."""
        for name in names:
            child = self.children[name]
            if child.alive:
                child.stop()
            if name == "postgres":
                self._in_pg(PostgresServer).prepare(lambda _: None)
            child.start()
        for name in names:
            self.children[name].await_ready(within_s)

    def heal(self) -> None:
        """Proxies pass everything, nothing is armed, and every child runs."""
        for proxy in self.proxies.values():
            proxy.heal()
        for child in self.children.values():
            child.go_on()
        shutil.rmtree(self.failpoints / "armed", ignore_errors=True)
        (self.failpoints / "armed").mkdir(parents=True, exist_ok=True)
        self.restart(*(name for name, child in self.children.items() if not child.alive))

    def arm(self, point: str, mode: str, seconds: float = 0.0) -> None:
        """The next process that comes to `noun.verb:moment` crashes, raises or waits there. Once."""
        (self.failpoints / "armed").mkdir(parents=True, exist_ok=True)
        draft = self.failpoints / "draft"
        draft.write_text(json.dumps({"mode": mode, "seconds": seconds}))
        draft.replace(self.failpoints / "armed" / point)

    def fired(self, point: str) -> list[str]:
        """Which processes came to an armed failpoint, as `noun.verb:moment.PID`."""
        folder = self.failpoints / "fired"
        return sorted(path.name for path in folder.glob(f"{point}.*")) if folder.exists() else []

    def alter_system(self, name: str, value: str | None) -> None:
        """Change a setting of the running PostgreSQL for everybody; None takes it back."""
        change = f"ALTER SYSTEM SET {name} = '{value}'" if value is not None else f"ALTER SYSTEM RESET {name}"
        with psycopg.connect(self.dsn, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            connection.execute(change.encode())
            connection.execute("SELECT pg_reload_conf()")

    def supply(self, *arguments: str) -> None:
        """Start the suppliers again with these arguments (their level, for one); their journal stays."""
        child = self.children["supplier"]
        child.argv = [*self._supplier_argv(), *arguments]
        self.restart("supplier")

    def configure(self, name: str, **settings: Any) -> None:
        """Start one of ours again with other settings."""
        child = self.children[name]
        told = {PREFIX + key.upper(): str(value) for key, value in settings.items()}
        child.env = {**child.env, **told}
        self.restart(name)

    def ask_supplier(self, path: str, body: Any = None) -> Any:
        """The suppliers' own JSON answer, past the proxy."""
        data = None if body is None else json.dumps(body).encode()
        asked = Request(self.supplier + path, data=data, headers={"Content-Type": "application/json"})
        with urlopen(asked, timeout=20) as answer:
            return json.load(answer)

    def _in_pg(self, server: Callable[[Path], PostgresServer]) -> PostgresServer:
        folder = self.state / "pg"
        folder.mkdir(exist_ok=True)
        return server(folder)

    def _bring_up(self) -> None:
        self._run.open()
        temporal = TemporalServer(self.state, port=0, ui_port=0, namespace="default")
        temporal.prepare(lambda _: None)
        broker = BrokerServer(0)
        self._proxy_in_front("temporal", temporal.address)
        front = self._proxy_in_front("broker", broker.bootstrap)
        spec = broker.spec()
        argv = list(spec.argv)
        argv[argv.index("--advertised-listener-url") + 1] = f"tcp://{front.address}"
        self._server(temporal.spec(), temporal.ready)
        self._server(replace(spec, argv=argv), broker.ready)
        port = claim(0, "QM_SUPPLIER_PORT")
        self.supplier = f"http://127.0.0.1:{port}"
        self._supplier_port = port
        self._proxy_in_front("supplier", f"127.0.0.1:{port}")
        folder = self.state / "qm-0-000000000001"
        folder.mkdir(mode=0o700)
        self.proxies["postgres"] = Proxy(
            self._loop, "postgres", self.state / "pg" / "sockets" / SOCKET_NAME, folder / SOCKET_NAME
        )
        through = f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(folder), safe='')}"
        self.settings = self._settings(temporal, front.address, broker.log_id, through)
        seed = self._process("seed", [sys.executable, "-m", "tests.faults.seed"], self.settings)
        seed.start()
        self._postgres.prepare(lambda _: None)
        self._server(self._postgres.spec(), self._postgres.ready)
        self._run.started(self._postgres.spec(), self.children["postgres"].pid)
        self._run.announce(
            addresses=Addresses(
                postgres_dsn=through, temporal_address=self.settings.temporal_address or "",
                kafka_bootstrap=front.address, kafka_log_id=broker.log_id,
            )
        )  # fmt: skip
        self.children["broker"].await_ready()
        ensure_topics(front.address)
        self.teller = Teller(front.address, self.produced)
        self._start_supplier()
        until(lambda: not seed.alive, 90, "the seed")
        if seed.exit_code != 0:
            raise RuntimeError(f"the seed failed:\n{seed.tail(40)}")
        for name in OURS:
            self._start_ours(name)
        for child in self.children.values():
            child.await_ready()

    def _settings(self, temporal: TemporalServer, broker: str, log_id: str, dsn: str) -> Settings:
        given = {
            "home": self.state, "clock": "replayed", "postgres_dsn": dsn,
            "temporal_address": self.proxies["temporal"].address, "temporal_ui_address": temporal.ui,
            "kafka_bootstrap": broker, "kafka_log_id": log_id, "supplier_url": f"http://{self.proxies['supplier'].address}",
            "console_port": claim(0, "QM_CONSOLE_PORT"), "console_key_file": self.state / "console.key",
            "model_store": self.state / "models", "notary_key_file": self.state / "notary" / "notary.key",
            "anchor_directory": self.state / "anchors", "telemetry_directory": self.state / "telemetry",
            "checkpoint_seconds": 5, "log_format": "text",
        }  # fmt: skip
        return Settings.model_validate({**given, **self._given})

    def _proxy_in_front(self, name: str, address: str) -> Proxy:
        host, port = address.rsplit(":", 1)
        self.proxies[name] = Proxy(self._loop, name, (host, int(port)))
        return self.proxies[name]

    def _server(self, spec: ProcessSpec, ready: Callable[[], bool]) -> None:
        self.children[spec.name] = child = Child(
            spec.name, spec.argv, spec.env, self._log(spec.name), ready, stop_signal=spec.stop_signal,
            patience_s=spec.patience_s,
        )  # fmt: skip
        child.start()

    def _process(self, name: str, argv: list[str], settings: Settings, ready: Callable[[], bool] | None = None) -> Child:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        self.failpoints.mkdir(exist_ok=True)
        env = {**kept, **settings.environment(), **self._failing(), "PYTHONPATH": str(self.code)}
        return Child(name, argv, env, self._log(name), ready, folder=self.code)

    def _failing(self) -> dict[str, str]:
        """Our processes look there for what is armed, where this version of them can."""
        return {"QM_FAILPOINTS": str(self.failpoints)} if find_spec("workers.failing") else {}

    def _start_ours(self, name: str) -> None:
        settings = self.settings.model_copy(update={"postgres_dsn": as_role(str(self.settings.postgres_dsn), ROLES[name])})
        if name != "notary":
            settings = settings.model_copy(update={"notary_key_file": None})
        child = self._process(name, [sys.executable, "-m", "workers.cli", name], settings)
        child.ready = self._console_answers if name == "console" else lambda: self._said_since_start(child)
        self.children[name] = child
        child.start()

    def _said_since_start(self, child: Child) -> bool:
        return child.log.read_text(errors="replace").count(f"{child.name} runs") >= child.starts

    def _console_answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.settings.console_port), timeout=1):
            return True

    def _supplier_argv(self) -> list[str]:
        return [
            sys.executable, "-m", "connectors.erp.simulated", "--port", str(self._supplier_port), "--journal",
            str(self.journal), "--behaviours", str(self.state / "behaviours.json"), "--allow-faults",
        ]  # fmt: skip

    def _start_supplier(self) -> None:
        (self.state / "behaviours.json").write_text(json.dumps([BEHAVIOUR]))
        argv = [*self._supplier_argv(), *self._supplier_arguments]
        child = self._process("supplier", argv, self.settings, lambda: bool(self.ask_supplier("/health")))
        self.children["supplier"] = child
        child.start()

    def _log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"
