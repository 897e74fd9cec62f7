"""The whole stack on one state directory: embedded servers, our own processes, and the addresses that tie them."""

import asyncio
import json
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from connectors.postgres.roles import DatabaseRole, let_in
from workers.databases import in_role
from workers.embedded import EmbeddedStack
from workers.progress import Say
from workers.servers.ports import claim
from workers.servers.postgres import is_own_server
from workers.servers.runfile import Addresses
from workers.settings import Settings
from workflows.domain.feeds import SupplierBehaviour

T = TypeVar("T")
READY_WITHIN_S = 60.0
PATIENCE_S = {"worker": 60.0}
"""How long a process of this name may take to stop: a worker finishes the requests that left, and nothing is in doubt.
Longer than it takes itself (`wiring_worker.GRACEFUL_SHUTDOWN`)."""
ROLES = {
    "intake": DatabaseRole.INTAKE,
    "worker": DatabaseRole.WORKER,
    "console": DatabaseRole.CONSOLE,
    "notary": DatabaseRole.NOTARY,
}
"""As whom a process of this name connects."""


class EngineStack:
    """Starts what is asked for, in order, and stops it in reverse. The calls block."""

    def __init__(self, state_dir: Path, settings: Settings, say: Say) -> None:
        self.state_dir = state_dir
        self._given = settings
        self._say = say
        self._embedded = EmbeddedStack(state_dir, settings)
        self.settings = settings
        """With every address filled in once `start` has returned; what child processes are given."""

    def start(self) -> Settings:
        """Start the servers; the settings with their addresses.

        Raises:
            StackRunning, PortInUse, ServerUnusable, ProcessFailed: as the embedded stack does.
        """
        addresses = self._embedded.start(self._say)
        try:
            if is_own_server(addresses.postgres_dsn):
                let_in(addresses.postgres_dsn)
        except BaseException:
            self._embedded.stop()
            raise
        self._embedded.run_file.announce(clock=self._given.clock)
        self.settings = settings_on(self.state_dir, self._given, addresses)
        return self.settings

    def start_supplier(self, behaviours: Sequence[SupplierBehaviour]) -> Settings:
        """Start the simulated suppliers unless the settings name real ones. Their journal is their own.

        Without behaviours they go on as they last were: orders that are on their way to them are still theirs.
        """
        if self._given.supplier_url is not None:
            return self.settings
        folder = self.state_dir / "supplier"
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / "behaviours.json"
        if behaviours or not known.exists():
            known.write_text(json.dumps([one.model_dump(mode="json") for one in behaviours]))
        port = claim(self._given.supplier_port, "QM_SUPPLIER_PORT")
        self.settings = self.settings.model_copy(update={"supplier_url": f"http://127.0.0.1:{port}"})
        arguments = [
            sys.executable, "-m", "connectors.erp.simulated", "--port", str(port), "--journal",
            str(folder / "journal.jsonl"), "--behaviours", str(known), "--kafka", str(self.settings.kafka_bootstrap),
        ]  # fmt: skip
        self._run("supplier", arguments, f"http://127.0.0.1:{port}")
        self._embedded.run_file.announce(supplier=self.settings.supplier_url)
        return self.settings

    def start_process(self, name: str, *arguments: str, ends: bool = False, number: int = 1) -> None:
        """Start one of our own: intake, worker, feed... It is started again should it die. `number` tells apart several
        of a kind: `intake`, `intake-2`.

        On our own PostgreSQL it connects as the role that `ROLES` has for it, else as the operator.
        """
        one = name if number == 1 else f"{name}-{number}"
        self._run(one, [sys.executable, "-m", "workers.cli", name, *arguments], None, ends=ends, kind=name)

    def start_intake(self, *, events_only: bool = False) -> None:
        """Start as many processes as the settings say to take events in, each with a share of the partitions;
        `events_only`: the first one, too, does nothing else.

        On the embedded broker one alone has a share too, of everything: nobody else reads there, and that broker's
        groups can stay shut after many members that died while they joined.
        """
        shares = self.settings.intake_processes
        fixed = shares > 1 or self._given.kafka_bootstrap is None
        for number in range(1, shares + 1):
            arguments = ["--share", f"{number}/{shares}"] if fixed else []
            alone = ["--events-only"] if number > 1 or events_only else []
            self.start_process("intake", *alone, *arguments, number=number)

    def stop_intake(self) -> None:
        """Stop them for good, in order."""
        for number in range(self.settings.intake_processes, 0, -1):
            self.stop_process("intake" if number == 1 else f"intake-{number}")

    def start_console(self) -> str:
        """Start the console; its address."""
        port = claim(self._given.console_port, "QM_CONSOLE_PORT")
        self.settings = self.settings.model_copy(update={"console_port": port})
        address = f"http://{self.settings.console_host}:{port}"
        self._run("console", [sys.executable, "-m", "workers.cli", "console"], address)
        self._embedded.run_file.announce(console=address)
        return address

    def check(self) -> None:
        """Raise ProcessFailed when something was given up."""
        self._embedded.supervisor.check()

    def pid(self, name: str) -> int:
        """The pid of a process of ours."""
        return self._embedded.supervisor.pid(name)

    def finished(self, name: str) -> bool:
        """Whether a process that ends by itself has ended well."""
        return self._embedded.supervisor.finished(name)

    def stop_process(self, name: str) -> None:
        """Stop one of our own for good, in order."""
        self._embedded.supervisor.stop(name)

    def stop(self) -> None:
        """Stop everything; twice is harmless."""
        self._embedded.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _run(
        self, name: str, arguments: list[str], address: str | None, *, ends: bool = False, kind: str | None = None
    ) -> None:
        ready = None if address is None else lambda: _answers(address)
        # Where the notary's key lies is the notary's business.
        told = self.settings if name == "notary" else self.settings.model_copy(update={"notary_key_file": None})
        environment = in_role(told, ROLES.get(kind or name, DatabaseRole.OPERATOR)).environment()
        self._embedded.supervisor.start(
            name, arguments, environment, ready=ready, deadline_s=READY_WITHIN_S, ends=ends,
            patience_s=PATIENCE_S.get(kind or name, 10.0),
        )  # fmt: skip
        self._say(f"{name} runs")


async def to_its_end(call: Callable[..., T], *arguments: object) -> T:
    """A blocking call in a thread, waited for even when we are cancelled: what it starts can then be stopped."""
    calling = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait({calling})
        raise


def settings_on(state_dir: Path, settings: Settings, addresses: Addresses) -> Settings:
    """The settings with the addresses and paths of a state directory, where they do not name their own."""
    return settings.model_copy(
        update={
            "postgres_dsn": addresses.postgres_dsn,
            "temporal_address": addresses.temporal_address,
            "temporal_ui_address": addresses.temporal_ui,
            "kafka_bootstrap": addresses.kafka_bootstrap,
            "kafka_log_id": addresses.kafka_log_id,
            "model_store": settings.model_store or state_dir / "models",
            "console_key_file": settings.console_key_file or state_dir / "console.key",
            "notary_key_file": settings.notary_key_file or state_dir / "notary" / "notary.key",
            "anchor_directory": settings.anchor_directory or state_dir / "anchors",
            "telemetry_directory": settings.telemetry_directory or state_dir / "telemetry",
        }
    )


def _answers(address: str) -> bool:
    url = urlsplit(address)
    try:
        with socket.create_connection((url.hostname or "127.0.0.1", url.port or 80), timeout=1.0):
            return True
    except OSError:
        return False
