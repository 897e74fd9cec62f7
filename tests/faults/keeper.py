"""A keeper does what a supervisor does: it starts again whatever of ours has ended, and remembers how it ended."""

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.faults.world import OURS, World

LOOK_EVERY_S = 0.1
CRASHED = 137
"""The exit code of a process that a failpoint crashed."""


@dataclass(frozen=True)
class Death:
    """One end of one process that nobody here asked for."""

    name: str
    pid: int
    code: int


class Keeper:
    """Watches the engine's own processes from a thread of its own, while its `with` block lasts."""

    def __init__(self, world: World) -> None:
        self.deaths: list[Death] = []
        self._world, self._over = world, threading.Event()
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            for name in OURS:
                child = self._world.children[name]
                if not child.alive:
                    self.deaths.append(Death(name, child.pid, child.exit_code or 0))
                    # It counts as ready once it says so after this start; one that crashed before never said it.
                    child.starts = child.log.read_text(errors="replace").count(f"{name} runs")
                    child.start()
