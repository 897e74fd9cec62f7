"""Whether every promise held while the system was broken in all the ways that the fault matrix names.

Real processes on this machine, each server behind a proxy: see `tests/faults/cells.py` for what a cell is, and
`tests/faults/checker.py` for what is held. Exit code 1 when a promise was broken, a cell could not be played to its
end, or a fault did not fire.

    quartermaster bench faults                     every cell, then every planted bug: an hour and more
    quartermaster bench faults --cells 8,9,26      these
    quartermaster bench faults --short             those that run with the tests, in their short form
    quartermaster bench faults --sweep             instead: crash, fail and hold every failpoint that can be reached
    quartermaster bench faults --planted           instead: plant known bugs, and say which cell catches each
    quartermaster bench faults --planted 4,12      instead: only these of them
    quartermaster bench faults --list              what there is
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.bench.measuring import machine, progress, publish
from tests.faults.bugs import BUGS
from tests.faults.cells import Cell, all_cells
from tests.faults.planted import catch_all
from tests.faults.running import run_cells
from tests.faults.sweep import run_sweep

QUICK = 26
"""The one cell that `--quick` plays."""


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object on one line on stdout")
    parser.add_argument("--quick", action="store_true", help="one cell: shows that it runs, no more")
    parser.add_argument("--short", action="store_true", help="the cells that run with the tests, in their short form")
    parser.add_argument("--cells", type=_numbers, default=None, metavar="N,N...", help="only these")
    parser.add_argument(
        "--planted", type=_numbers, nargs="?", const=[], default=None, metavar="N,N...",
        help="plant known bugs (all, or these) into a copy, and catch them",
    )  # fmt: skip
    parser.add_argument("--sweep", action="store_true", help="every failpoint x {crash, raise, delay}; --short: some")
    parser.add_argument("--only", default="", metavar="NAME", help="of the sweep: failpoints whose names begin so")
    parser.add_argument("--list", action="store_true", help="say which cells there are, and run none")
    return parser.parse_args(arguments)


def chosen(told: argparse.Namespace, known: Sequence[Cell]) -> list[Cell]:
    """The cells that are asked for.

    Raises:
        SystemExit: one of them does not exist.
    """
    if told.cells is not None:
        if unknown := sorted(set(told.cells) - {cell.number for cell in known}):
            numbers = ", ".join(str(cell.number) for cell in known)
            raise SystemExit(f"there is no cell {unknown[0]}; there are {numbers}")
        return [cell for cell in known if cell.number in told.cells]
    if told.quick:
        return [cell for cell in known if cell.number == QUICK]
    return [cell for cell in known if cell.short or not told.short]


def main() -> int:
    """Run what is asked for, and say what came of it."""
    told = options()
    known = all_cells()
    if told.list:
        for cell in known:
            print(f"{cell.number:>3} {cell.phase:<4} {'short' if cell.short else '     '} {cell.name}")
        return 0
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, _end)
    before, begun = machine(), time.monotonic()
    if told.sweep:
        swept = run_sweep(short=told.short or told.quick, only=told.only, say=progress)
        publish(told, "faults", before, begun, swept.as_json())
        return 0 if swept.ok else 1
    if told.planted is not None:
        return _planted(told, before, begun)
    report = run_cells(chosen(told, known), short=told.short or told.quick, say=progress)
    figures, ok = report.as_json(), report.ok and bool(report.runs)
    if not (told.short or told.quick or told.cells):
        score = catch_all(BUGS, say=progress)
        bugs = score.as_json()
        figures |= {"planted": bugs["planted"], "caught": bugs["caught"], "bugs": bugs["details"]}
        ok = ok and score.ok
    publish(told, "faults", before, begun, figures)
    return 0 if ok else 1


def _planted(told: argparse.Namespace, before: dict[str, Any], begun: float) -> int:
    if unknown := sorted(set(told.planted) - {bug.number for bug in BUGS}):
        raise SystemExit(f"there is no planted bug {unknown[0]}; there are 1 to {len(BUGS)}")
    score = catch_all([bug for bug in BUGS if not told.planted or bug.number in told.planted], say=progress)
    publish(told, "faults", before, begun, score.as_json())
    return 0 if score.ok else 1


def _numbers(words: str) -> list[int]:
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{words!r} is not a list of numbers such as 1,5,26") from None


def _end(asked: int, _: object) -> None:
    """Leave in good order: nothing that was started may stay behind, whatever signals follow."""
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + asked)


if __name__ == "__main__":
    sys.exit(main())
