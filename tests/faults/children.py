"""A child is a real process in a group of its own that is started, killed, held and reaped here, by its own id."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.waiting import until

REAPED_WITHIN_S = 20.0


@dataclass
class Child:
    """One process and all that it starts. `ready` says whether it serves."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log: Path
    ready: Callable[[], bool] | None = None
    stop_signal: int = signal.SIGTERM
    patience_s: float = 20.0
    folder: Path | None = None
    """Where it runs; None: here."""
    kills: int = 0
    """How often it was ended by kill -9 here."""
    crashes: int = 0
    """How often it ended by itself, as `died` saw it."""
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        """Whether it runs; looking also reaps it."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start it. What it prints is appended to its log."""
        if self.alive:
            raise RuntimeError(f"{self.name} runs already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                list(self.argv), env=dict(self.env), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        self.starts += 1

    def await_ready(self, within_s: float = 180.0) -> None:
        """Return when it serves.

        Raises:
            NotInTime: it does not.
            ChildDied: it ended instead; the message has the end of its log.
        """
        if self.ready is not None:
            until(self._served_or_dead, within_s, f"{self.name} ready")

    def kill(self) -> None:
        """Kill -9 of it and of everything that it started, wherever their groups are, and wait until all have gone."""
        self._end(signal.SIGKILL)
        self.kills += 1

    def stop(self) -> int | None:
        """Ask it to stop, and kill it after its patience; the exit code."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self.go_on()
            self._process.send_signal(self.stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self.patience_s)
        self._end(signal.SIGKILL)
        return self._process.returncode

    def pause(self) -> None:
        """SIGSTOP of it and of everything that it started: it holds its sockets, and does nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT: it goes on in the middle of what it was doing."""
        self._signal(signal.SIGCONT)

    def died(self, within_s: float) -> int:
        """Wait until it has ended by itself (a failpoint, for one), and say how."""
        until(lambda: not self.alive, within_s, f"the end of {self.name}")
        self._end(signal.SIGKILL)
        self.crashes += 1
        return self.exit_code or 0

    def said(self, words: str) -> bool:
        """Whether its log has these words."""
        return words in self.log.read_text(errors="replace") if self.log.exists() else False

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _served_or_dead(self) -> bool:
        if not self.alive:
            raise ChildDied(f"{self.name} ended with {self.exit_code}:\n{self.tail()}")
        return self.ready is None or self.ready()

    def _family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            me = psutil.Process(self.pid)
            return [me, *me.children(recursive=True)]
        return []

    def _signal(self, number: int) -> None:
        for one in self._family() if self.alive else ():
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)

    def _end(self, number: int) -> None:
        """Servers such as PostgreSQL give each child a group of its own: the group alone would leave those."""
        if self._process is None:
            return
        family = self._family()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)
        self._process.wait(REAPED_WITHIN_S)
        _, left = psutil.wait_procs([one for one in family if one.pid != self._process.pid], REAPED_WITHIN_S)
        if left:
            raise RuntimeError(f"{self.name}: {left} outlived kill -9")


class ChildDied(AssertionError):
    """A child ended that should serve."""
