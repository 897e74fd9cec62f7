"""Measures in rounds on a state of its own: warm-up thrown away, medians with their spread, nothing left behind."""

import argparse
import gc
import json
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from connectors.postgres.migrating import migrate
from workers.embedded import EmbeddedStack
from workers.settings import Settings

ROUNDS, FEWEST = 7, 5
QUICK_ROUNDS = 1
BUDGET_S = 15.0
"""After this long no further round begins, unless there were fewer than `FEWEST`: a slow machine ends, too."""

Work = Callable[[], object]
Spread = dict[str, float]


def options(description: str) -> argparse.Namespace:
    """What every benchmark is told: `json`, `quick`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one object on one line on stdout")
    parser.add_argument("--quick", action="store_true", help="the smallest size, once: shows that it runs, no more")
    return parser.parse_args()


def rounds(*, quick: bool) -> Iterator[int]:
    """Numbers of rounds. Round 0 warms up: its figures are thrown away."""
    begun = time.monotonic()
    for number in range((QUICK_ROUNDS if quick else ROUNDS) + 1):
        if number > FEWEST and time.monotonic() - begun > BUDGET_S:
            return
        yield number


def seconds(work: Work) -> float:
    """How long it takes. Garbage of what was prepared is collected before, not during."""
    gc.collect()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def pair(number: int, ours: Work, plain: Work) -> tuple[float, float]:
    """Seconds of both; who goes first alternates by round, so that neither always finds the machine warmer."""
    if number % 2:
        ours_s = seconds(ours)
        return ours_s, seconds(plain)
    plain_s = seconds(plain)
    return seconds(ours), plain_s


def spread(values: Sequence[float], digits: int = 0) -> Spread:
    """The median, and how far the rounds lie apart."""
    chosen = {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
    return {name: round(value, digits) for name, value in chosen.items()}


def against(pairs: Sequence[tuple[float, float]], count: int, unit: str) -> dict[str, Any]:
    """Ours and plain in `unit` a second, and how many times as long ours took: the median of the rounds' own ratios."""
    return {
        f"{unit}_per_s": spread([count / ours for ours, _ in pairs]),
        f"plain_{unit}_per_s": spread([count / plain for _, plain in pairs]),
        "times_as_long_as_plain": spread([ours / plain for ours, plain in pairs], 2),
    }


@contextmanager
def temporary_database() -> Iterator[tuple[Path, str]]:
    """A folder that goes away, and the DSN of an embedded, durable, migrated PostgreSQL in it."""
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, _end)
    with TemporaryDirectory(prefix="qm-bench-") as folder:
        state, unused = Path(folder), "127.0.0.1:9"
        stack = EmbeddedStack(state, Settings(home=state, temporal_address=unused, kafka_bootstrap=unused))
        try:
            dsn = stack.start().postgres_dsn
            migrate(dsn)
            yield state, dsn
        finally:
            stack.stop()


def _end(asked: int, _: object) -> None:
    """Leave in good order: a server would stay behind otherwise, and so it would if a second signal disturbed that."""
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + asked)


def machine() -> dict[str, Any]:
    """What the figures were measured on. A load near the number of cores means that others were at work, too."""
    return {"cores": os.cpu_count(), "architecture": platform.machine(), "load_1m": round(os.getloadavg()[0], 2),
            "python": platform.python_version()}  # fmt: skip


def progress(words: str) -> None:
    """Say on stderr where we are."""
    print(words, file=sys.stderr, flush=True)


def publish(told: argparse.Namespace, name: str, before: dict[str, Any], begun: float, figures: dict[str, Any]) -> None:
    """The result on stdout: one line for programs, indented for people."""
    document = {"bench": name, "quick": told.quick, "machine": before, **figures,
                "seconds": round(time.monotonic() - begun, 1)}  # fmt: skip
    print(json.dumps(document, indent=None if told.json else 2))
