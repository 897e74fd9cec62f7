"""Prints for people and for programs: with --json one object on one line on stdout, everything else on stderr."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from workers.embedded import StackRunning
from workers.progress import progress
from workers.servers.ports import PortInUse
from workers.servers.server import ServerUnusable
from workers.servers.supervisor import ProcessFailed
from workers.settings import SettingsError
from workflows.domain.errors import QuartermasterError
from workflows.domain.names import with_names

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on one line on stdout.")]
_names: dict[str, str] = {}
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters other than tab and end of line, and those that turn text round or do not show (Unicode TR 36)."""


def people_are(names: Mapping[str, str]) -> None:
    """From here on people are printed by these names, and not by their references; JSON keeps the references."""
    _names.clear()
    _names.update(names)


def shown(text: str) -> str:
    """The text as a terminal may have it: people by their names, and no character that moves the cursor, colours what
    follows, or turns the order of letters round. Such a character comes from a stranger."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", with_names(text, _names))


class _Naming(Console):
    """A console that prints what is `shown`."""

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*(shown(one) if isinstance(one, str) else one for one in objects), **how)


# What is printed was often written by strangers: nothing in it is markup.
people = _Naming(stderr=True, highlight=False, markup=False, emoji=False)
out = _Naming(highlight=False, markup=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)

USAGE, FAILED, TERMINATED = 2, 1, 128 + signal.SIGTERM
KNOWN = (QuartermasterError, SettingsError, StackRunning, PortInUse, ServerUnusable, ProcessFailed)


say = progress()
"""Lines and bars of progress, on stderr."""


def print_json(document: Mapping[str, Any]) -> None:
    """One object, one line, stdout; what no terminal should see stands as an escape, which is the same JSON."""
    text = json.dumps(document, ensure_ascii=False, default=str)
    sys.stdout.write(_UNSEEN.sub(lambda one: f"\\u{ord(one[0]):04x}", text) + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; says so when it is empty."""
    if not rows:
        out.print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else shown(str(cell)) for cell in row))
    out.print(table)


@contextmanager
def errors_explained() -> Iterator[None]:
    """Known errors end the command with their message; anything else is a fault and shows where it was."""
    try:
        yield
    except KNOWN as error:
        people.print(type(error).__name__, style="bold red", end=": ")
        people.print(str(error), soft_wrap=True)
        raise typer.Exit(USAGE if isinstance(error, SettingsError) else FAILED) from None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; SIGTERM ends it as Ctrl-C does, so that what it started is stopped."""

    async def ended_by_sigterm() -> T:
        working = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
        return await working

    try:
        return asyncio.run(ended_by_sigterm())
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None
