"""Long work says how far it is: a bar on a terminal, quiet lines elsewhere; always on stderr."""

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_EVERY_SECONDS = 30.0
"""Between two quiet lines of one piece of work."""


class Say(Protocol):
    """Told what happens, in whole lines, and how far long work is."""

    def __call__(self, text: str) -> None:
        """One line."""
        ...

    def bar(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what`; the same `what` moves the same bar, and `done == total` ends it."""
        ...


class QuietLines:
    """For logs and pipes: a bar becomes a line now and then."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, text: str) -> None:
        """One line on stderr."""
        print(text, file=sys.stderr, flush=True)

    def bar(self, what: str, done: int, total: int) -> None:
        """A line when it begins, every half a minute, and nothing at the end: what follows says that it is over."""
        now = time.monotonic()
        if done < total and now - self._last.get(what, float("-inf")) >= LINE_EVERY_SECONDS:
            self._last[what] = now
            self(f"{what}: {done} of {total}")


class TerminalBars:
    """For people: lines scroll above the bars."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}

    def __call__(self, text: str) -> None:
        """One line, above any bar."""
        console = self._progress.console if self._progress else self._console
        console.print(text, markup=False)

    def bar(self, what: str, done: int, total: int) -> None:
        """Move the bar; the last one that ends gives the terminal back."""
        if self._progress is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.start()
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._bars[what], completed=done, total=total)
        if done >= total:
            self._progress.remove_task(self._bars.pop(what))
            if not self._bars:
                self._progress.stop()
                self._progress = None


def progress() -> Say:
    """Bars when stderr is a terminal, quiet lines otherwise."""
    return TerminalBars() if sys.stderr.isatty() else QuietLines()
