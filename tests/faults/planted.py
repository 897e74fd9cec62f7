"""Plants known bugs into a copy of the checkout, one at a time, and says which cell catches each: a harness that finds
nothing must be shown to be able to.

A bug is a change of the product's text, see `bugs`. A change whose old text is no longer there is an error, not a bug
that was caught; and what a cell says counts only if the same cell holds without the bug.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.bugs import BUGS, Bug
from tests.faults.cells import Cell, all_cells
from tests.faults.lures import LURES
from tests.faults.running import Report, run_cells
from tests.faults.world import CHECKOUT

Say = Callable[[str], None]


@dataclass(frozen=True)
class Caught:
    """What became of one planted bug. `said`: what the cell found; empty when nothing did."""

    number: int
    name: str
    cell: int = 0
    said: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""
    """It could not be tried: the system did not even start with it."""


@dataclass(frozen=True)
class Score:
    """What became of all of them. `held`: whether each cell that caught one holds without it."""

    found: list[Caught] = field(default_factory=list)
    held: dict[int, bool] = field(default_factory=dict)

    def caught(self, one: Caught) -> bool:
        """Whether a cell found it, and finds nothing without it."""
        return bool(one.said) and self.held.get(one.cell, False)

    @property
    def ok(self) -> bool:
        """All of them."""
        return bool(self.found) and all(self.caught(one) for one in self.found)

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        details = [
            {"number": one.number, "name": one.name, "caught": self.caught(one), "cell": one.cell,
             "violation": one.said[0][:500] if one.said else "", "violations": len(one.said), "seconds": one.seconds,
             "holds_without_it": self.held.get(one.cell), "error": one.error[:500]}
            for one in self.found
        ]  # fmt: skip
        return {"planted": len(self.found), "caught": sum(map(self.caught, self.found)), "details": details}


class NotPlanted(RuntimeError):
    """The text that a bug changes is not there, or not there once: the bug must be written anew."""


def cells_to_catch_with() -> dict[int, Cell]:
    """The matrix, and what lures bugs alone."""
    return {cell.number: cell for cell in all_cells()} | LURES


@contextmanager
def planted(bug: Bug, checkout: Path = CHECKOUT) -> Iterator[Path]:
    """A copy of the checkout with this bug in it; it goes away.

    Raises:
        NotPlanted: a change does not fit.
    """
    with tempfile.TemporaryDirectory(prefix="qm-planted-") as folder:
        copy = Path(folder)
        for name in tracked(checkout):
            if (checkout / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(checkout / name, copy / name)
        for file, text in changed(bug, copy).items():
            (copy / file).write_text(text)
        yield copy


def changed(bug: Bug, checkout: Path = CHECKOUT) -> dict[str, str]:
    """The files that the bug changes, as they are with it.

    Raises:
        NotPlanted: a change does not fit.
    """
    found: dict[str, str] = {}
    for file, old, new in bug.changes:
        text = found.get(file) or (checkout / file).read_text()
        if text.count(old) != 1:
            raise NotPlanted(f"bug {bug.number}: {file} has {old.strip()[:80]!r} {text.count(old)} times, not once")
        found[file] = text.replace(old, new)
    return found


def tracked(checkout: Path) -> list[str]:
    """What git carries of the code that runs; a copy without git has everything."""
    folders = ("activities", "connectors", "console", "deploy", "tests", "workers", "workflows", "pyproject.toml")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *folders], cwd=checkout, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        return [name for name in listed.stdout.split("\0") if name]
    found = [path for name in folders for path in [checkout / name, *(checkout / name).rglob("*")] if path.is_file()]
    return [path.relative_to(checkout).as_posix() for path in found if "__pycache__" not in path.parts]


def catch(bug: Bug, known: dict[int, Cell], *, say: Say = lambda _: None) -> Caught:
    """Run the bug's cells over the copy, until one finds it."""
    began, error = time.monotonic(), ""
    with planted(bug) as copy:
        for number in (number for number in bug.cells if number in known):
            try:
                report = _played([known[number]], copy, say)
            except Exception as failure:
                error = f"cell {number}: {type(failure).__name__}: {failure}"
                continue
            if said := found_by(report):
                return Caught(bug.number, bug.name, number, said, round(time.monotonic() - began, 1))
    return Caught(bug.number, bug.name, seconds=round(time.monotonic() - began, 1), error=error)


def _played(cells: Sequence[Cell], code: Path, say: Say) -> Report:
    """Run these; once more where a world did not even start: a port that somebody was quicker to take, perhaps."""
    try:
        return run_cells(cells, short=True, code=code, say=say)
    except Exception as error:
        say(f"once more: {type(error).__name__}: {str(error)[:200]}")
        return run_cells(cells, short=True, code=code, say=say)


def found_by(report: Report) -> tuple[str, ...]:
    """What a cell says is wrong: invariants first, then a step that did not come true or came true otherwise. That its
    fault did not fire is no finding."""
    run = report.runs[0]
    unmet = [run.error] if run.error and "did not fire" not in run.error else []
    return tuple([*run.violations, *report.closing, *unmet])


def catch_all(bugs: Sequence[Bug] = BUGS, *, say: Say = lambda _: None) -> Score:
    """Each bug, one after the other; then, once, each cell that caught one, without any."""
    score, known = Score(), cells_to_catch_with()
    for bug in bugs:
        one = catch(bug, known, say=say)
        score.found.append(one)
        what = f"cell {one.cell}: {one.said[0][:200]}" if one.said else one.error or "nothing found it"
        say(f"planted {bug.number:>2} {'found' if one.said else 'MISSED'}  {bug.name}: {what}")
    used = sorted({one.cell for one in score.found if one.said})
    if used:
        say(f"the same cells without a bug: {', '.join(map(str, used))}")
        report = _played([known[number] for number in used], CHECKOUT, say)
        score.held.update({run.number: run.ok and not report.closing for run in report.runs})
    return score
