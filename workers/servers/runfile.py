"""run.json says what runs on a state directory, so that a killed supervisor's children are found and reaped."""

import os
import threading
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from workers.servers.process import ProcessIdentity, ProcessSpec

RUN_FILE = "run.json"


class Addresses(BaseModel):
    """Where the three servers answer, embedded or not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    postgres_dsn: str
    temporal_address: str
    temporal_ui: str | None = None
    kafka_bootstrap: str
    kafka_log_id: str


class Child(BaseModel):
    """One running child and how to end it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    created: float
    ports: tuple[int, ...] = ()
    stop_signal: int
    patience_s: float


class RunRecord(BaseModel):
    """The supervisor, its children in the order of their start, and where they answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    created: float
    children: dict[str, Child] = {}
    addresses: Addresses | None = None
    console: str | None = None
    supplier: str | None = None
    clock: str | None = None
    """What moves the business clocks of this run: `live` or `replayed`."""
    directory: tuple[int, int] | None = None
    """Device and inode of the state directory: they follow it when it is moved, and a copy of it has others."""

    def running(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return ProcessIdentity(self.pid, self.created).alive()


class RunFile:
    """The record of this supervisor; every change is on disk before the method returns. Safe across threads."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / RUN_FILE
        self._lock = threading.Lock()
        self._record: RunRecord | None = None

    def open(self) -> None:
        """Begin an empty record for this process."""
        me = ProcessIdentity.of(os.getpid())
        with self._lock:
            self._write(RunRecord(pid=me.pid, created=me.created, directory=_identity(self._path.parent)))

    def started(self, spec: ProcessSpec, pid: int) -> None:
        """Note a child. One that has gone already needs no note."""
        try:
            identity = ProcessIdentity.of(pid)
        except psutil.NoSuchProcess:
            return
        child = Child(
            pid=pid,
            created=identity.created,
            ports=spec.ports,
            stop_signal=spec.stop_signal,
            patience_s=spec.patience_s,
        )
        with self._lock:
            self._update(children={**self._current().children, spec.name: child})

    def ended(self, name: str) -> None:
        """Forget a child."""
        with self._lock:
            self._update(children={k: v for k, v in self._current().children.items() if k != name})

    def announce(
        self,
        addresses: Addresses | None = None,
        console: str | None = None,
        supplier: str | None = None,
        clock: str | None = None,
    ) -> None:
        """Say where the servers, the console or the simulated suppliers answer, and what moves the clocks; what is
        None stays as it was."""
        told = {"addresses": addresses, "console": console, "supplier": supplier, "clock": clock}
        with self._lock:
            self._update(**{name: value for name, value in told.items() if value is not None})

    def close(self) -> None:
        """The run is over and nothing is left running."""
        with self._lock:
            self._record = None
            self._path.unlink(missing_ok=True)

    def _current(self) -> RunRecord:
        if self._record is None:
            raise RuntimeError("the run file is not open")
        return self._record

    def _update(self, **changes: object) -> None:
        self._write(self._current().model_copy(update=changes))

    def _write(self, record: RunRecord) -> None:
        self._record = record
        draft = self._path.with_suffix(".tmp")
        # For its owner alone: it says how to reach the database. (The directory is shared with PostgreSQL's own user.)
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(record.model_dump_json(indent=2))
        draft.replace(self._path)


def read_run(state_dir: Path) -> RunRecord | None:
    """The record of the last run on this state, whether it still runs or was killed; None after an orderly stop, and in
    a copy of another state directory: what that record names is the other's, and not ours to end."""
    try:
        record = RunRecord.model_validate_json((state_dir / RUN_FILE).read_text())
    except (FileNotFoundError, ValidationError):
        return None
    return record if record.directory in (None, _identity(state_dir)) else None


def _identity(directory: Path) -> tuple[int, int]:
    found = directory.stat()
    return found.st_dev, found.st_ino


def reap(record: RunRecord) -> list[str]:
    """End what a killed supervisor left running, newest first; returns the names. A reused pid is left alone."""
    left = [name for name, child in record.children.items() if ProcessIdentity(child.pid, child.created).alive()]
    for name in reversed(left):
        child = record.children[name]
        ProcessIdentity(child.pid, child.created).end(child.stop_signal, child.patience_s)
    return left
