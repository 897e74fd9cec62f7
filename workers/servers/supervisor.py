"""The supervisor keeps processes running: one that dies is started again, one that keeps dying is reported."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workers.servers.process import POLL_S, ManagedProcess, ProcessSpec
from workers.servers.runfile import RunFile
from workers.settings import PREFIX

GIVE_UP_AFTER = 5
WITHIN_S = 60.0
LONGEST_BACKOFF_S = 10.0


class ProcessFailed(RuntimeError):
    """A process did not come up, keeps dying, or died and must not be started again; the message has its last words."""


@dataclass
class _Watched:
    process: ManagedProcess
    restarts_allowed: bool
    ends: bool
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=GIVE_UP_AFTER))
    due: float | None = None
    """When to start it again (monotonic seconds); None while it runs."""
    restarts: int = 0
    finished: bool = False


class Supervisor:
    """Starts processes, restarts what dies, and stops everything in reverse order. Safe across threads."""

    def __init__(self, logs: Path, run_file: RunFile) -> None:
        self._logs = logs
        self._run_file = run_file
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: str | None = None

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        ready: Callable[[], bool] | None = None,
        deadline_s: float = 30.0,
        ends: bool = False,
        patience_s: float = 10.0,
    ) -> None:
        """Start one of our own processes: it inherits our environment with `env` in place of all `QM_` variables.

        Returns when `ready` says so (at once without it). With `ends`, exit code 0 is a completed job and not a death.
        Asked to stop, it has `patience_s` to do so.

        Raises:
            ProcessFailed: it was not ready within the deadline.
        """
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        spec = ProcessSpec(name=name, argv=argv, env={**inherited, **env}, patience_s=patience_s)
        self.launch(spec, ends=ends)
        if ready is not None:
            self.await_ready(name, ready, deadline_s)

    def launch(self, spec: ProcessSpec, *, restarts: bool = True, ends: bool = False) -> None:
        """Start a process from its full description. Without `restarts`, its death is a failure at once."""
        with self._lock:
            if spec.name in self._watched:
                raise ValueError(f"{spec.name} is supervised already")
            process = ManagedProcess(spec, self._logs / f"{spec.name}.log")
            process.start()
            self._run_file.started(spec, process.pid)
            self._watched[spec.name] = _Watched(process, restarts_allowed=restarts, ends=ends)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
                self._thread.start()

    def await_ready(self, name: str, ready: Callable[[], bool], deadline_s: float) -> None:
        """Wait until `ready`, as long as the process can still get there.

        Raises:
            ProcessFailed: the deadline passed, or the supervisor gave up on it.
        """
        deadline = time.monotonic() + deadline_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailed(self._words(name, f"was not ready within {deadline_s:g} s"))
            time.sleep(POLL_S)

    def pid(self, name: str) -> int:
        """The pid of the process that runs under this name now."""
        return self._watched[name].process.pid

    def restarts(self, name: str) -> int:
        """How often it was started again."""
        return self._watched[name].restarts

    def finished(self, name: str) -> bool:
        """Whether a process that ends by itself has done so with exit code 0."""
        return self._watched[name].finished

    def check(self) -> None:
        """Raise ProcessFailed when a process was given up."""
        if self._failure is not None:
            raise ProcessFailed(self._failure)

    def stop(self, name: str) -> None:
        """Stop one process for good; unknown names are harmless."""
        with self._lock:
            watched = self._watched.pop(name, None)
            if watched is not None:
                watched.process.stop()
                self._run_file.ended(name)

    def stop_all(self) -> None:
        """Stop everything, last started first; twice is harmless."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        for name in reversed(list(self._watched)):
            self.stop(name)

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S * 5):
            with self._lock:
                for name, watched in self._watched.items():
                    self._look_after(name, watched)

    def _look_after(self, name: str, watched: _Watched) -> None:
        if watched.finished or self._failure is not None:
            return
        if watched.due is not None:
            if time.monotonic() >= watched.due:
                watched.due = None
                try:
                    watched.process.start()
                except OSError as error:
                    self._failure = f"{name} cannot be started again: {error}"
                    return
                self._run_file.started(watched.process.spec, watched.process.pid)
                watched.restarts += 1
            return
        code = watched.process.exit_code()
        if code is None:
            return
        self._run_file.ended(name)
        if watched.ends and code == 0:
            watched.finished = True
            return
        now = time.monotonic()
        watched.deaths.append(now)
        if not watched.restarts_allowed:
            self._failure = self._words(name, f"died ({_ending(code)}) and cannot simply be started again")
        elif len(watched.deaths) == GIVE_UP_AFTER and now - watched.deaths[0] < WITHIN_S:
            self._failure = self._words(name, f"died {GIVE_UP_AFTER} times within {WITHIN_S:g} s ({_ending(code)})")
        else:
            recent = sum(now - death < WITHIN_S for death in watched.deaths)
            watched.due = now + min(LONGEST_BACKOFF_S, 0.2 * 2 ** (recent - 1))

    def _words(self, name: str, what: str) -> str:
        process = self._watched[name].process
        said = process.tail()
        return f"{name} {what}. " + (
            f"The end of {process.log}:\n{said}" if said else f"Its log is empty: {process.log}"
        )


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
