"""The whole system as processes on this machine, each server behind a proxy; cells break it, heal it and use it again.

    with World() as world:
        story = Story(world)
        ...

PostgreSQL is reached over a Unix socket as on an embedded stack (so each process has its own role, and people get in
by token); the harness itself looks past the proxies, straight into the servers.
"""

import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psycopg
from psycopg.rows import dict_row
from temporalio.client import Client

from tests.faults.checker import Evidence
from tests.faults.children import Child
from tests.faults.producing import Teller
from tests.faults.proxy import Proxies, Proxy
from tests.faults.starting import ROLES, EmbeddedBroker, MakeBroker, Starting
from workers.settings import PREFIX, Settings

OURS = tuple(ROLES)
WINDOWS = {"longest_transaction_s": 4, "http_timeout_s": 3}
"""Seconds: shorter than a real supplier's, so that what takes a settle window is over soon."""
CHECKOUT = Path(__file__).resolve().parents[2]


class World:
    """Everything that runs. `children` and `proxies` are by name: postgres, temporal, broker, supplier, and OURS."""

    def __init__(
        self,
        *,
        supplier: tuple[str, ...] = (),
        intake: tuple[str, ...] = (),
        settings: dict[str, Any] | None = None,
        code: Path = CHECKOUT,
        broker: MakeBroker = EmbeddedBroker,
    ) -> None:
        """What differs from the usual world.

        Args:
            supplier: arguments of the simulated supplier, its level for one.
            intake: arguments of intake, a fixed share for one; without, it joins the broker's group.
            settings: fields of the engine's settings.
            code: the checkout that our processes run (a copy with a planted bug, for one).
            broker: makes another broker than the embedded one.
        """
        self.code, self.make_broker, self.given = code, broker, settings or {}
        self.supplier_arguments, self.intake_arguments = supplier, intake
        # Short: PostgreSQL's socket has a path of at most 103 bytes.
        self.state = Path(tempfile.mkdtemp(prefix="qmf-"))
        self.children: dict[str, Child] = {}
        self.proxies: dict[str, Proxy] = {}
        self.failpoints = self.state / "failpoints"
        self.failpoints.mkdir()
        self.journal = self.state / "supplier" / "journal.jsonl"
        self.produced = self.state / "produced.jsonl"
        """What stories told, one JSON line each; see `producing`."""
        self.connector = self.state / "connector.json"
        self.declare()
        self._connected: tuple[str, bool, float | None] = ("L3", False, None)
        self.acknowledged: list[str] = []
        """Approvals that the API said it has."""
        self.settings: Settings
        """What our processes are told; each is a role of its own in the database."""
        self.teller: Teller
        self.supplier = ""
        """The suppliers' address, past the proxy."""
        self.loop = Proxies()
        self._start = Starting(self)
        self.dsn = self._start.postgres.dsn
        """Straight to the database, as the superuser."""
        self.short = False
        """Whether cells should leave out what takes long and repeats itself."""
        self._used = 0

    def __enter__(self) -> Self:
        try:
            self._start.everything()
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
        self.loop.close()
        shutil.rmtree(self.state, ignore_errors=True)

    @property
    def kills(self) -> int:
        """How many processes cells ended by kill -9."""
        return sum(child.kills for child in self.children.values())

    @property
    def temporal_address(self) -> str:
        """Where the server of workflows listens itself, past its proxy."""
        return "{}:{}".format(*self.proxies["temporal"].target)  # type: ignore[misc]

    async def client(self) -> Client:
        """A client of that server, past its proxy."""
        return await Client.connect(self.temporal_address)

    def evidence(self, explained: dict[str, str] | None = None) -> Evidence:
        """Where the checker finds what happened here; it goes past the proxies."""
        return Evidence(
            self.dsn, self.journal, self.produced, self.temporal_address, list(self.acknowledged), explained or {}
        )  # fmt: skip

    @property
    def crashes(self) -> int:
        """How many processes ended at a failpoint that told them to crash."""
        return sum(child.crashes for child in self.children.values())

    def place(self) -> str:
        """The number of the next fresh place of a story."""
        self._used += 1
        return f"P{self._used:03d}"

    def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """What the database has, past the proxy."""
        with psycopg.connect(self.dsn, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(query.encode(), arguments).fetchall()

    def restart(self, *names: str, within_s: float = 180.0) -> None:
        """Start these again (killed, ended by themselves, or stopped here in order) and wait until they serve."""
        for name in names:
            child = self.children[name]
            if child.alive:
                child.stop()
            if name == "postgres":
                self._start.prepare_postgres()
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

    def connect(self, level: str = "L3", *, drafts: bool = False, memory_s: float | None = None) -> None:
        """Another kind of supplier's system: the suppliers behave so, and the connector declares so."""
        if (level, drafts, memory_s) == self._connected:
            return
        self._connected = level, drafts, memory_s
        self.declare(level=level, drafts=drafts, memory_s=3600 if memory_s is None else memory_s)
        more = ["--drafts"] if drafts else []
        self.supply("--level", level, *more, *([] if memory_s is None else ["--memory-seconds", str(memory_s)]))
        self.restart("worker")

    def declare(self, **fields: Any) -> None:
        """Write the connector's manifest: this world's windows, and these fields. A worker reads it when it starts."""
        self.connector.write_text(json.dumps({**WINDOWS, **fields}))

    def elapse(self, table: str, column: str, key: str, value: str, *, minutes: int) -> None:
        """Let an instant that the engine keeps lie further back, as if so much time had passed since."""
        query = f"UPDATE {table} SET {column} = {column} - make_interval(mins => %s) WHERE {key} = %s"  # noqa: S608
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(query.encode(), [minutes, value])

    def alter_system(self, name: str, value: str | None) -> None:
        """Change a setting of the running PostgreSQL for everybody; None takes it back."""
        change = f"ALTER SYSTEM SET {name} = '{value}'" if value is not None else f"ALTER SYSTEM RESET {name}"
        with psycopg.connect(self.dsn, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            connection.execute(change.encode())
            connection.execute("SELECT pg_reload_conf()")

    def process(self, name: str, argv: list[str], settings: Settings | None = None) -> Child:
        """A process of our code with our settings, not started and not kept: a command, or one more worker."""
        return self._start.process(name, argv, settings or self.settings)

    def supply(self, *arguments: str) -> None:
        """Start the suppliers again with these arguments (their level, for one); their journal stays."""
        child = self.children["supplier"]
        child.argv = [*self._start.supplier_argv(), *arguments]
        self.restart("supplier")

    def configure(self, name: str, **settings: Any) -> None:
        """Start one of ours again with other settings."""
        child = self.children[name]
        told = {PREFIX + key.upper(): str(value) for key, value in settings.items()}
        child.env = {**child.env, **told}
        self.restart(name)

    def ask_supplier(self, path: str, body: Any = None) -> Any:
        """The suppliers' own JSON answer, past the proxy.

        Raises:
            httpx.HTTPError: none came, or an error.
        """
        url = self.supplier + path
        answer = httpx.request("GET" if body is None else "POST", url, json=body, timeout=20, trust_env=False)
        return answer.raise_for_status().json()

    def fault(self, mode: str, **more: Any) -> None:
        """Let the suppliers fail so; see connectors/erp/faults.py."""
        self.ask_supplier("/faults", {"mode": mode, **more})

    def faults_fired(self) -> dict[str, int]:
        """How often the suppliers failed, by mode, since they were started."""
        return dict(self.ask_supplier("/faults")["fired"])
