"""Cells of the fault matrix: each breaks the running system in one phase, proves that it did, heals it, and is judged.

To add a cell, write a function in `tests/faults/cells_<phase>.py` (any module of that name is found):

    @cell(9, "P1", "commit done, reply lost", holds=("I1", "I2"), short=True)
    def commit_done_reply_lost(world: World) -> Proof:
        story = Story(world)                                # a fresh SKU at a fresh place
        trap = world.proxies["postgres"].trap(Catch.DROP_ANSWER, story.place.encode(), b"COMMIT")    # arm
        story.empty()                                       # drive into it
        until(trap.answered.is_set, 30, "the commit's answer")
        world.heal()                                        # heal
        story.finish()                          # converge: the story ends as ever
        return Proof(fired=trap.caught, marker="...where the product or its neighbour shows that it was hit")

`Proof.fired` counts how often the fault happened, by whatever made it happen (a proxy, a failpoint, the supplier, a
signal that was sent and obeyed); `marker` is read from something else that shows that it struck in this phase: a ledger
entry, a line in a log, a row. With 0 or without a marker the cell has failed, whatever the invariants say.

After each cell, `play` heals the world, waits until it is at rest (I8), and checks `holds` and I5, I7 and I8 over
everything that happened in this world so far. Cells that cannot share a world with others (another broker, another
setting that all processes need) are given `world=` a function that makes theirs.
"""

import importlib
import pkgutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import tests.faults
from tests.faults.checker import ALWAYS, Violation, check
from tests.faults.waiting import NotInTime, until
from tests.faults.world import World

AT_REST_WITHIN_S = 120.0


@dataclass(frozen=True)
class Proof:
    """That the fault happened, told by two witnesses."""

    fired: int
    marker: str


Run = Callable[[World], Proof]


@dataclass(frozen=True)
class Cell:
    """One cell. `number` and `phase` are those of the matrix."""

    number: int
    phase: str
    name: str
    run: Run
    holds: tuple[str, ...] = ()
    """Invariants beyond those that always hold."""
    short: bool = False
    """Whether it is one of the set that runs with the tests."""
    world: Callable[[], World] | None = None
    """What makes the world that it needs for itself."""
    explained: dict[str, str] = field(default_factory=dict)
    """Violations that the fault brings about on purpose: words of them, and why."""


@dataclass
class CellRun:
    """What became of one cell."""

    number: int
    phase: str
    name: str
    fired: bool = False
    marker: str = ""
    violations: list[str] = field(default_factory=list)
    kills: int = 0
    crashes: int = 0
    seconds: float = 0.0
    error: str = ""
    """It could not be played to its end: a step did not come true in time, or the harness itself failed."""

    @property
    def ok(self) -> bool:
        """Fired, played to its end, and everything held."""
        return self.fired and not self.violations and not self.error

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {**asdict(self), "ok": self.ok}


_cells: dict[int, Cell] = {}


def cell(number: int, phase: str, name: str, **more: Any) -> Callable[[Run], Run]:
    """Register the function below as this cell."""

    def keep(run: Run) -> Run:
        if number in _cells:
            raise ValueError(f"there are two cells {number}")
        _cells[number] = Cell(number, phase, name, run, **more)
        return run

    return keep


def all_cells() -> list[Cell]:
    """Every cell that there is, by number."""
    for module in pkgutil.iter_modules(tests.faults.__path__):
        if module.name.startswith("cells_"):
            importlib.import_module(f"tests.faults.{module.name}")
    return [_cells[number] for number in sorted(_cells)]


def play(world: World, one: Cell) -> CellRun:
    """Break, heal, wait for rest, and judge."""
    ran = CellRun(one.number, one.phase, one.name)
    began, kills, crashes = time.monotonic(), world.kills, world.crashes
    try:
        proof = one.run(world)
        ran.fired, ran.marker = proof.fired > 0 and bool(proof.marker), proof.marker
        if not ran.fired:
            ran.error = f"the fault did not fire: {proof}"
    except Exception as error:
        ran.error = f"{type(error).__name__}: {error}"
    try:
        world.heal()
        ran.violations = [f"{found.invariant}: {found.detail}" for found in judged(world, one)]
    except Exception as error:
        ran.error = ran.error or f"{type(error).__name__}: {error}"
    ran.kills, ran.crashes = world.kills - kills, world.crashes - crashes
    ran.seconds = round(time.monotonic() - began, 1)
    return ran


def judged(world: World, one: Cell) -> list[Violation]:
    """What does not hold once the world is at rest, or still is not."""
    evidence = world.evidence(one.explained)
    names = sorted({*ALWAYS, *one.holds}, key=lambda name: int(name[1:]))
    with suppress(NotInTime):  # what does not rest is among the violations
        until(lambda: not check(evidence, "I8"), AT_REST_WITHIN_S, "rest")
    return check(evidence, *names)
