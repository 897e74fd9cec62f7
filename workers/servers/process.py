"""A managed process is a child that we start, watch, stop and reap; it leaves a log and nothing else behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

POLL_S = 0.02
LOG_KEPT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class ProcessSpec:
    """What to run and how to end it."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    """The child's whole environment."""
    ports: tuple[int, ...] = ()
    stop_signal: int = signal.SIGTERM
    patience_s: float = 10.0
    """How long an orderly stop may take before the process group is killed."""


class ProcessIdentity:
    """A process across supervisors: a pid alone may meanwhile belong to somebody else, with its birth it cannot."""

    def __init__(self, pid: int, created: float) -> None:
        self.pid = pid
        self.created = created

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """Raises psutil.NoSuchProcess when it has gone already."""
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Whether this very process still runs. A zombie has ended: only its parent has not looked yet."""
        try:
            process = psutil.Process(self.pid)
            # The birth is derived from the boot time, which a clock adjustment may move a little.
            return abs(process.create_time() - self.created) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def end(self, stop_signal: int, patience_s: float) -> None:
        """Ask it to stop, then kill its group. Returns when it has gone."""
        if not self.alive():
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, stop_signal)
        if not within(patience_s, lambda: not self.alive()):
            kill_group(self.pid)
            within(patience_s, lambda: not self.alive())


class ManagedProcess:
    """One child in a session of its own, so that Ctrl-C at the terminal reaches us and not it."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The child's pid; raises RuntimeError before the first start."""
        if self._child is None:
            raise RuntimeError(f"{self.spec.name} was never started")
        return self._child.pid

    def start(self) -> None:
        """Start it; what it prints is appended to the log."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_KEPT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as sink:
            self._child = subprocess.Popen(  # noqa: S603 - argv comes from our own code, never through a shell
                list(self.spec.argv),
                env=dict(self.spec.env),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it. Looking also reaps it."""
        return None if self._child is None else self._child.poll()

    def stop(self) -> None:
        """Stop it in order, then by force; twice is harmless."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.send_signal(self.spec.stop_signal)
            try:
                self._child.wait(self.spec.patience_s)
            except subprocess.TimeoutExpired:
                kill_group(self._child.pid)
                self._child.wait()
        # What it started itself must not outlive it.
        kill_group(self._child.pid)

    def tail(self, lines: int = 12) -> str:
        """The end of the log, for an error message."""
        return tail(self.log, lines)


def kill_group(pid: int) -> None:
    """SIGKILL the process group that this child leads, if it still has members."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def tail(log: Path, lines: int) -> str:
    """The last lines of a log, or nothing when there is none; reads at most its last 16 KiB."""
    if not log.exists():
        return ""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - 16_384))
        return "\n".join(source.read().decode(errors="replace").splitlines()[-lines:])


def within(patience_s: float, condition: Callable[[], bool]) -> bool:
    """Whether the condition became true in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
