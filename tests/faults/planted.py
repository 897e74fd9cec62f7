"""Plants known bugs into a copy of the checkout, one at a time, and says which cell catches each: a harness that finds
nothing must be shown to be able to.

A bug is a change of the product's text. To add one, append to `BUGS`: its number, what it is, each change as (file,
what is there, what is there instead), and the cells that should catch it, the quickest first. A change whose old text
is no longer there is an error, not a bug that was caught.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.cells import all_cells
from tests.faults.running import run_cells
from tests.faults.world import CHECKOUT

Change = tuple[str, str, str]
"""File in the checkout, the text that is there once, and what is there instead."""


@dataclass(frozen=True)
class Bug:
    """One known mistake."""

    number: int
    name: str
    changes: tuple[Change, ...]
    cells: tuple[int, ...]


@dataclass(frozen=True)
class Caught:
    """What became of one planted bug. `by`: the cell and what it said; empty when nothing found it."""

    number: int
    name: str
    by: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {"number": self.number, "name": self.name, "caught": bool(self.by), "by": self.by[:500],
                "seconds": self.seconds}  # fmt: skip


BUGS = (
    Bug(
        2, "the workflow's run in the idempotency key",
        ((
            "activities/sending.py",
            "        now = self._attempt.as_of + timedelta(seconds=monotonic() - self._began)\n",
            "        import hashlib\n\n"
            "        run = self._lease.split('/')[0]\n"
            "        key = hashlib.sha256(f'{leaving.key}{run}'.encode()).hexdigest()\n"
            "        leaving = leaving.model_copy(update={'key': key})\n"
            "        now = self._attempt.as_of + timedelta(seconds=monotonic() - self._began)\n",
        ),),
        (26, 30),
    ),
    Bug(
        4, "no settle window",
        ((
            "workflows/domain/capabilities.py",
            "        return self.longest_transaction_s + self.http_timeout_s\n",
            "        return 0.0\n",
        ),),
        (27,),
    ),
    Bug(
        12, "what is unknown counts as failed",
        ((
            "activities/sending.py",
            "            return NoWord(reason=str(unknown) or",
            "            return Refused(reason=str(unknown) or",
        ),),
        (26, 29),
    ),
)  # fmt: skip


class NotPlanted(RuntimeError):
    """The text that a bug changes is not there, or not there once: the bug must be written anew."""


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
        for file, old, new in bug.changes:
            text = (copy / file).read_text()
            if text.count(old) != 1:
                raise NotPlanted(f"bug {bug.number}: {file} has {old.strip()[:80]!r} {text.count(old)} times, not once")
            (copy / file).write_text(text.replace(old, new))
        yield copy


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


def catch(bug: Bug, *, say: Callable[[str], None] = lambda _: None) -> Caught:
    """Run the bug's cells over the copy, until one finds it."""
    began, by = time.monotonic(), ""
    known = {cell.number: cell for cell in all_cells()}
    with planted(bug) as copy:
        for number in bug.cells:
            report = run_cells([known[number]], short=True, code=copy, say=say)
            run = report.runs[0]
            said = [*run.violations, *report.closing, *([run.error] if run.fired and run.error else [])]
            # A step that never came true because of the bug is a catch; a fault that never struck is none.
            said += [run.error] if run.error and "did not fire" not in run.error and not said else []
            if said:
                by = f"cell {number}: {said[0]}"
                break
    return Caught(bug.number, bug.name, by, round(time.monotonic() - began, 1))


def catch_all(bugs: Sequence[Bug] = BUGS, *, say: Callable[[str], None] = lambda _: None) -> list[Caught]:
    """Each bug, one after the other."""
    found = []
    for bug in bugs:
        found.append(catch(bug, say=say))
        say(f"planted {bug.number:>2} {'caught' if found[-1].by else 'MISSED'}  {bug.name}: {found[-1].by[:200]}")
    return found
