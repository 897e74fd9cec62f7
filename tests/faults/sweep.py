"""Every failpoint x {crash, raise, delay} on real processes: whatever happens there, everything comes out right.

    python -m tests.faults.sweep --json            all of it, world after world
    python -m tests.faults.sweep --short --json    a sample that is the same each time
    python -m tests.faults.sweep --only orders. --json

A survey first: each driver of `driving` runs once in peace, and the folder `reached` tells which failpoints it comes
to. Then each of these is armed in each mode and driven into. A keeper starts crashed processes again; the driver must
come to its good end all the same, and the checker must find nothing. Several drives go on at a time, for a worker that
died is missed for half a minute: what is found wrong is put down to all that was armed since the last look.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.cells import AT_REST_WITHIN_S
from tests.faults.checker import check
from tests.faults.driving import Driver, all_drivers
from tests.faults.hand import Hand
from tests.faults.keeper import CRASHED, Keeper
from tests.faults.points import failpoints_in_source
from tests.faults.seed import PLACES
from tests.faults.waiting import NotInTime, until
from tests.faults.world import World

MODES = ("crash", "raise", "delay")
DELAY_S = 2.0
FIRED_WITHIN_S = 40.0
AT_A_TIME = 6
SHORT = 12
"""So many failpoints does the sample have, in one mode each."""
SETTINGS = {"outcome_interval_s": 20}
READS_ALL = ("--share", "1/1")
"""Intake joins no group here: the embedded broker's can stay shut after dozens of members that died while joining."""
SHORT_DRIVERS = ("idle", "an order", "an approved order")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Shot:
    """One failpoint in one mode, and who drives into it."""

    point: str
    mode: str
    driver: str

    def __str__(self) -> str:
        return f"{self.point} {self.mode} ({self.driver})"


@dataclass
class Sweep:
    """What came of it."""

    points: int = 0
    """Failpoints in the source, counted by moment."""
    reached: dict[str, str] = field(default_factory=dict)
    """Who drives into each that is reached."""
    shots: int = 0
    fired: int = 0
    not_fired: list[str] = field(default_factory=list)
    not_swept: list[str] = field(default_factory=list)
    """Failpoints that no driver comes to."""
    violations: list[str] = field(default_factory=list)
    died_of_raise: list[str] = field(default_factory=list)
    """Where a process ended although only a failure was asked for; a supervisor started it again."""
    crashes: int = 0
    worlds: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """All fired, and nothing was wrong."""
        return not self.violations and not self.not_fired and self.fired == self.shots

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {**asdict(self), "swept": len(self.reached), "ok": self.ok}


@dataclass
class _Drive:
    shot: Shot
    future: "Future[None]"


class _Runner:
    """One world after another, for a place is used once."""

    def __init__(self, make_world: Callable[[], World], sweep: Sweep, say: Say) -> None:
        self._make, self._sweep, self._say = make_world, sweep, say
        self._world: World | None = None
        self._keeper: Keeper | None = None
        self._open: list[_Drive] = []
        self._told: set[str] = set()
        self._drives = 0

    def close(self) -> None:
        """End the world that there is."""
        if self._keeper is not None:
            self._keeper.__exit__(None, None, None)
            self._sweep.crashes += sum(death.code == CRASHED for death in self._keeper.deaths)
        if self._world is not None:
            self._world.__exit__(None, None, None)
        self._world = self._keeper = None

    def world(self) -> World:
        """One with places left."""
        if self._world is None or self._drives > PLACES - AT_A_TIME:
            self.look()
            self.close()
            self._world = self._make()
            self._world.__enter__()
            self._keeper = Keeper(self._world)
            self._keeper.__enter__()
            self._told, self._drives = set(), 0
            self._sweep.worlds += 1
        self._drives += 1  # each uses one place at most
        return self._world

    def survey(self, drivers: Sequence[Driver]) -> dict[str, str]:
        """Who comes to which failpoint first, in peace."""
        found: dict[str, str] = {}
        for one in drivers:
            world = self.world()
            reached = _emptied(world.failpoints / "reached")
            began = time.monotonic()
            try:
                one.drive(Hand(world))
            except Exception as error:
                self._sweep.violations.append(f"{one.name}, in peace: {type(error).__name__}: {error}")
            here = sorted(path.name for path in reached.iterdir())
            for point in here:
                found.setdefault(point, one.name)
            self._say(f"{one.name}: {len(here)} failpoints in {time.monotonic() - began:.1f} s")
        return found

    def shoot(self, shot: Shot, one: Driver) -> None:
        """Arm, drive, and see it fire; the drive goes on by itself."""
        world = self.world()
        if one.alone or len(self._open) >= AT_A_TIME:
            self.look()
        assert self._keeper is not None
        earlier, deaths = len(world.fired(shot.point)), len(self._keeper.deaths)
        _emptied(world.failpoints / "fired")
        began = time.monotonic()
        world.arm(shot.point, shot.mode, DELAY_S)
        drive = _Drive(shot, _begun(one, Hand(world)))
        self._open.append(drive)
        self._sweep.shots += 1
        try:
            until(lambda: world.fired(shot.point), FIRED_WITHIN_S, f"failpoint {shot.point}")
            self._sweep.fired += 1
        except NotInTime:
            self._sweep.not_fired.append(str(shot))
            (world.failpoints / "armed" / shot.point).unlink(missing_ok=True)
        if one.alone:
            self.look()
        if shot.mode == "raise":
            ended = [death for death in self._keeper.deaths[deaths:] if death.code not in (0, CRASHED)]
            self._sweep.died_of_raise += [f"{shot}: {death.name} ended with {death.code}" for death in ended]
        self._say(f"{shot}: {time.monotonic() - began:.1f} s{' (again)' if earlier else ''}")

    def look(self) -> None:
        """Wait for what is under way, let the world come to rest, and judge it."""
        if self._world is None or not self._open:
            return
        under_way, self._open = self._open, []
        found: list[str] = []
        for drive in under_way:
            error = drive.future.exception()
            if error is not None:
                found.append(f"{drive.shot}: {type(error).__name__}: {error}")
        evidence = self._world.evidence()
        with suppress(NotInTime):  # what does not rest is among the violations
            until(lambda: not check(evidence, "I8"), AT_REST_WITHIN_S, "rest")
        for one in check(evidence):
            words = f"{one.invariant}: {one.detail}"
            if words not in self._told:
                self._told.add(words)
                found.append(f"{words} (after {', '.join(str(drive.shot) for drive in under_way)})")
        for words in found:
            self._say(f"VIOLATION {words}")
        self._sweep.violations += found


def _emptied(folder: Path) -> Path:
    """The folder stays: processes write into it meanwhile."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    return folder


def _begun(one: Driver, hand: Hand) -> "Future[None]":
    """The drive goes on in a thread that keeps nobody from leaving."""
    future: Future[None] = Future()

    def drive() -> None:
        try:
            one.drive(hand)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=drive, name=one.name, daemon=True).start()
    return future


def run_sweep(
    make_world: Callable[[], World] | None = None, *, short: bool = False, only: str = "", modes: Sequence[str] = MODES,
    drivers: Sequence[str] = (), shoot: Sequence[str] = (), say: Say = lambda _: None,
) -> Sweep:  # fmt: skip
    """Sweep. `make_world` is called whenever a fresh one is needed; `only`: failpoints whose names begin so; `drivers`:
    who is surveyed; `shoot`: whose failpoints are armed, all of theirs unless some are named."""
    began, sweep = time.monotonic(), Sweep()
    named = sorted({point.point for point in failpoints_in_source()})
    sweep.points = len(named)
    wanted = drivers or (SHORT_DRIVERS if short else ())
    chosen = [one for one in all_drivers() if not wanted or one.name in wanted]
    by_name = {one.name: one for one in chosen}
    runner = _Runner(make_world or (lambda: World(settings=SETTINGS, intake=READS_ALL)), sweep, say)
    try:
        sweep.reached = {point: name for point, name in runner.survey(chosen).items() if point in named}
        sweep.not_swept = [point for point in named if point not in sweep.reached]
        shots = [
            Shot(point, mode, sweep.reached[point])
            for one in chosen
            for mode in modes
            for point in named
            if sweep.reached.get(point) == one.name and point.startswith(only) and (not shoot or one.name in shoot)
        ]
        for shot in sample(shots) if short else shots:
            runner.shoot(shot, by_name[shot.driver])
        runner.look()
    finally:
        runner.close()
    sweep.seconds = round(time.monotonic() - began, 1)
    return sweep


def sample(shots: Sequence[Shot]) -> list[Shot]:
    """One mode for each of some failpoints, spread over all, crashes first: the same each time."""
    points = sorted({shot.point for shot in shots if shot.driver != "idle"})
    picked = points[:: max(1, len(points) // SHORT)][:SHORT]
    return [
        shot
        for number, point in enumerate(picked)
        for shot in shots
        if shot.point == point and shot.mode == MODES[number % len(MODES)]
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit code 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--driver", action="append", default=[])
    parser.add_argument("--shoot", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = run_sweep(
        short=given.short, only=given.only, modes=given.mode or MODES, drivers=given.driver, shoot=given.shoot,
        say=lambda words: print(words, file=sys.stderr, flush=True),
    )  # fmt: skip
    print(json.dumps(found.as_json(), indent=None if given.json else 2))
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
