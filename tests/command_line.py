"""The command line as people and programs use it: a process of its own, with a home of the test's own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from workers.servers.runfile import RunRecord, read_run

ANY_PORT = {
    f"QM_{name}_PORT": "0" for name in ("CONSOLE", "SUPPLIER", "TEMPORAL", "TEMPORAL_UI", "KAFKA")
}  # tests never meet a stack of the developer's own
CALL_WITHIN_S = 180.0


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on the one line that stdout may have with --json."""
        assert self.out.count("\n") == 1, f"stdout is not one line: {self.out!r}\n{self.err}"
        return json.loads(self.out)


@dataclass(frozen=True)
class CommandLine:
    """`quartermaster` on one home."""

    home: Path

    def call(self, *arguments: str, within_s: float = CALL_WITHIN_S, **variables: str) -> Said:
        """Run a command to its end."""
        done = subprocess.run(
            self._argv(arguments), env=self._environment(variables), capture_output=True, text=True,
            timeout=within_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    def begin(self, *arguments: str, out: Path, err: Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start a command; what it prints goes to files, as nobody reads a pipe meanwhile."""
        with out.open("ab") as to_out, err.open("ab") as to_err:
            return subprocess.Popen(
                self._argv(arguments), env=self._environment(variables), stdout=to_out, stderr=to_err,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def run_of(self, state: str) -> RunRecord | None:
        """What runs on this state, as its run file says."""
        return read_run(self.home / state)

    def processes(self) -> list[psutil.Process]:
        """Every process that works on this home, whoever started it."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                told = process.environ().get("QM_HOME") == str(self.home) or process.cwd().startswith(f"{self.home}/")
                named = any(str(self.home) in word for word in process.cmdline())
                if (told or named) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "workers.cli", *arguments]

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QM_")}
        return {**kept, **ANY_PORT, "QM_HOME": str(self.home), "COLUMNS": "160", **variables}


def eventually(condition: Callable[[], bool], within_s: float = 180.0, *, what: str = "the condition") -> None:
    """Wait for a condition; fail when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s:g} s"
        time.sleep(0.02)
