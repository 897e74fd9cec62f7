"""Finds the state that a command means, and starts and stops what the command needs of it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from connectors.postgres.roles import DatabaseRole
from workers.databases import in_role
from workers.embedded import LOCK_FILE, StackRunning
from workers.progress import Say
from workers.servers.runfile import RunRecord, read_run, reap
from workers.settings import Settings
from workers.stack import EngineStack, settings_on, to_its_end
from workflows.domain.errors import InvalidInput

UP, DEMO = "up", "demo"


class Silence:
    """Says nothing: what a command starts for itself is nobody's news."""

    def __call__(self, text: str) -> None:
        """Nothing."""

    def bar(self, what: str, done: int, total: int) -> None:
        """Nothing."""


def state_directory(settings: Settings, state: str | None) -> Path:
    """`up`, `demo` or a path; by default the running stack, else the last demo, else what `up` left.

    Raises:
        InvalidInput: there is no such state.
    """
    if state is not None:
        chosen = settings.home / state if state in (UP, DEMO) else Path(state).expanduser().absolute()
        if not chosen.is_dir():
            raise InvalidInput(f"there is no state at {chosen}; --state takes {UP}, {DEMO} or a directory")
        return chosen
    known = [settings.home / UP, settings.home / DEMO]
    for candidate in known:
        if running(candidate):
            return candidate
    for candidate in reversed(known):
        if candidate.is_dir():
            return candidate
    raise InvalidInput(
        f"there is no state in {settings.home} yet; `quartermaster up` or `quartermaster demo` makes one"
    )


def running(state_dir: Path) -> RunRecord | None:
    """The run on this state, if it is alive."""
    record = read_run(state_dir)
    return record if record is not None and record.running() and record.addresses is not None else None


def emptied(state_dir: Path) -> None:
    """Throw a state away, with whatever a killed run left running on it.

    Raises:
        StackRunning: somebody works on it.
    """
    if not state_dir.is_dir():
        return
    lock = FileLock(state_dir / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        record = read_run(state_dir)
        who = f", pid {record.pid}" if record else ""
        raise StackRunning(f"Quartermaster is running on {state_dir}{who}; wait for it, or stop it.") from None
    with lock:
        # Servers go on writing into a directory that was removed under them, and nobody would find them any more.
        if record := read_run(state_dir):
            reap(record)
        shutil.rmtree(state_dir, ignore_errors=True)


@asynccontextmanager
async def opened(settings: Settings, state: str | None, say: Say, *, worker: bool = False) -> AsyncIterator[Settings]:
    """Settings with every address. A state that does not run is started for the while, with a worker when asked.

    Raises:
        InvalidInput: there is no such state.
    """
    if settings.postgres_dsn and settings.temporal_address and state is None:
        yield settings_beside(settings)
        return
    state_dir = state_directory(settings, state)
    record = running(state_dir)
    if record is not None and record.addresses is not None:
        found = settings_on(state_dir, settings, record.addresses)
        told = {"supplier_url": found.supplier_url or record.supplier, "clock": record.clock or found.clock}
        yield in_role(found.model_copy(update=told), DatabaseRole.OPERATOR)
        return
    free = {"temporal_port": 0, "temporal_ui_port": 0, "kafka_port": 0, "supplier_port": 0}
    with EngineStack(state_dir, settings.model_copy(update=free), Silence()) as stack:
        say(f"Starting the servers of {state_dir} for this command")
        await to_its_end(stack.start)
        if worker:
            await to_its_end(stack.start_supplier, ())
            await to_its_end(stack.start_process, "worker")
        yield in_role(stack.settings, DatabaseRole.OPERATOR)


def settings_beside(settings: Settings) -> Settings:
    """The settings of an installation with servers of its own: files that are not named lie in its home."""
    return settings.model_copy(
        update={
            "model_store": settings.model_store or settings.home / "models",
            "console_key_file": settings.console_key_file or settings.home / "console.key",
            "notary_key_file": settings.notary_key_file or settings.home / "notary" / "notary.key",
            "anchor_directory": settings.anchor_directory or settings.home / "anchors",
        }
    )
