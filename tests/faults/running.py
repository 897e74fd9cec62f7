"""Runs cells one after the other in a shared world, makes a new one after a cell that failed, and closes each world's
books: everything that happened in it is judged once more by every invariant, and replayed by the product itself (I6).
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.cells import Cell, CellRun, play
from tests.faults.checker import check
from tests.faults.world import CHECKOUT, World

Say = Callable[[str], None]
REPLAY_WITHIN_S = 300


@dataclass
class Report:
    """What came of all cells."""

    runs: list[CellRun] = field(default_factory=list)
    closing: list[str] = field(default_factory=list)
    """What did not hold when a world's books were closed."""
    replayed: int = 0
    """Decisions that were made again, byte for byte."""
    worlds: int = 0
    seconds: float = 0.0

    @property
    def violations(self) -> int:
        """Of all cells, and of the closed books."""
        return sum(len(run.violations) for run in self.runs) + len(self.closing)

    @property
    def ok(self) -> bool:
        """Every cell fired and held, and so did the books."""
        return all(run.ok for run in self.runs) and not self.violations

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "cells": len(self.runs), "fired": sum(run.fired for run in self.runs), "violations": self.violations,
            "failed": [run.number for run in self.runs if not run.ok], "kills": sum(run.kills for run in self.runs),
            "crashes": sum(run.crashes for run in self.runs), "replayed": self.replayed, "worlds": self.worlds,
            "closing": self.closing, "details": [run.as_json() for run in self.runs],
        }  # fmt: skip


def run_cells(
    chosen: Sequence[Cell], *, short: bool = False, code: Path = CHECKOUT, say: Say = lambda _: None
) -> Report:
    """Run these. `code`: the checkout whose processes are broken."""
    began, report = time.monotonic(), Report()
    shared: World | None = None
    try:
        for one in chosen:
            own = one.world is not None
            if own or shared is None:
                world = _opened((one.world or (lambda: World(code=code)))(), report, short)
                shared = shared if own else world
            else:
                world = shared
            ran = play(world, one)
            report.runs.append(ran)
            say(
                f"cell {one.number:>2} {one.phase}  {'held' if ran.ok else 'FAILED'}  {ran.seconds:>6.1f} s  {one.name}"
            )
            for words in (*ran.violations, *([ran.error] if ran.error else [])):
                say(f"        {words[:2000]}")
            if own or not ran.ok:
                _closed(world, report, say, whole=ran.ok)
                shared = None if world is shared else shared
        if shared is not None:
            _closed(shared, report, say, whole=True)
            shared = None
    finally:
        if shared is not None:
            shared.close()
    report.seconds = round(time.monotonic() - began, 1)
    return report


def replayed(world: World) -> tuple[int, str]:
    """I6, by the product: how many decisions were made again, and what was said if not all came out the same."""
    asked = world.process(
        "replay", [sys.executable, "-m", "workers.cli", "audit", "replay", "--sample", "all", "--json"]
    )
    done = subprocess.run(
        list(asked.argv), env=dict(asked.env), cwd=asked.folder, capture_output=True, text=True, check=False,
        timeout=REPLAY_WITHIN_S,
    )  # fmt: skip
    with suppress(ValueError, KeyError, TypeError):
        said = json.loads(done.stdout)
        if done.returncode == 0:
            return int(said["equal"]), ""
    return 0, f"exit {done.returncode}: {(done.stdout + done.stderr).strip()[-500:]}"


def _opened(world: World, report: Report, short: bool) -> World:
    world.short = short
    world.__enter__()
    report.worlds += 1
    return world


def _closed(world: World, report: Report, say: Say, *, whole: bool) -> None:
    """Judge it all once more. A world in which a cell failed has said so already; only its processes end."""
    try:
        if whole:
            found = [f"{one.invariant}: {one.detail}" for one in check(world.evidence())]
            number, wrong = replayed(world)
            report.replayed += number
            report.closing += [*found, *([f"I6: {wrong}"] if wrong else [])]
            for words in report.closing:
                say(f"closing the books: {words}")
    finally:
        world.close()
