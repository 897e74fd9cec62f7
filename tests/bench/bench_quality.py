"""Everything that docs/benchmarks.md says, measured by the commands that the page names, and the page written from it.

    quartermaster bench quality --data FOLDER

FOLDER holds carparts.csv and online_retail.csv.gz (default: shared/data beside the checkout). What is not there is
not measured, and the page says so. `--page` names another file to write; `--quick` writes none unless it is named.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.measuring import machine, progress, publish
from tests.bench.published import CARPARTS, SEASONAL_NAIVE
from tests.bench.quality_page import page
from tests.bench.study_folders import carparts, demo_world, online_retail
from workers.commands.bench import CHECKOUT

DATA = CHECKOUT.parent / "shared" / "data"
PAGE = CHECKOUT / "docs" / "benchmarks.md"
SEED = 7
HORIZON = 12
QUICK_WORLD = {"items": 1, "test_days": 6, "past_days": 150}
"""So short a past that the engine learns once: nothing is kept back to choose on."""
OTHERS = ("calibration", "oracle", "forecast")
"""Benchmarks of their own whose results the page repeats."""

Figures = dict[str, Any]


def main() -> None:
    """Measure, write the page, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object on one line on stdout")
    parser.add_argument("--quick", action="store_true", help="a tiny demo world alone: shows that it runs, no more")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of carparts.csv and online_retail.csv.gz")
    parser.add_argument("--page", type=Path, help="where to write the page; default docs/benchmarks.md")
    parser.add_argument("--seed", type=int, default=SEED, help="of the demo world")
    told = parser.parse_args()
    before, begun = machine(), time.monotonic()
    with TemporaryDirectory(prefix="qm-bench-") as folder:
        figures = measured(told.data, Path(folder), seed=told.seed, quick=told.quick)
    figures["minutes"] = round((time.monotonic() - begun) / 60, 1)
    written = told.page or (None if told.quick else PAGE)
    if written:
        written.write_text(page({"machine": before, **figures}))
        progress(f"quality: wrote {written.name}")
    publish(told, "quality", before, begun, figures)


def measured(data: Path, folder: Path, *, seed: int, quick: bool) -> Figures:
    """Every part of the page; a part that could not be measured says why under `not_measured`."""
    found: Figures = {"seed": seed, "published": _published()}
    found["carparts"] = _study("carparts", data / "carparts.csv", folder, carparts, _evaluate, quick=quick)
    found["online_retail"] = _study(
        "online-retail", data / "online_retail.csv.gz", folder, online_retail, _simulate, quick=quick
    )
    progress("quality: demo world")
    size = QUICK_WORLD if quick else {}
    found["demo_world"] = _simulate(demo_world(seed, folder / "demo-world", **size))
    for name in OTHERS:
        found[name] = _bench(name, seed, quick=quick)
    return found


def _published() -> Figures:
    lines = [{"method": name, "mase": mase, "wql": wql} for name, mase, wql in CARPARTS]
    return {"carparts": lines, "seasonal_naive": {"mase": SEASONAL_NAIVE[0], "wql": SEASONAL_NAIVE[1]}}


def _study(
    name: str, source: Path, folder: Path, make: Callable[[Path, Path], Path], judge: Callable[[Path], Figures], *,
    quick: bool,
) -> Figures:  # fmt: skip
    if quick:
        return {"not_measured": "a quick run looks at no file"}
    if not source.is_file():
        return {"not_measured": f"file absent: {source.name}"}
    progress(f"quality: {name}")
    return judge(make(source, folder / name))


def _evaluate(folder: Path) -> Figures:
    return _quartermaster("evaluate", str(folder), "--horizon", str(HORIZON))


def _simulate(folder: Path) -> Figures:
    return _quartermaster("simulate", str(folder), "--exchange")


def _bench(name: str, seed: int, *, quick: bool) -> Figures:
    if not (CHECKOUT / "tests" / "bench" / f"bench_{name}.py").is_file():
        return {"not_measured": f"this checkout has no benchmark named {name}"}
    if quick:
        return {"not_measured": "a quick run leaves it to its own benchmark"}
    progress(f"quality: {name}")
    told = ["--seed", str(seed)] if name == "calibration" else []
    return _said([sys.executable, "-m", f"tests.bench.bench_{name}", "--json", *told])


def _quartermaster(*asked: str) -> Figures:
    return _said([sys.executable, "-m", "workers.cli", *asked, "--json"])


def _said(command: Sequence[str]) -> Figures:
    """The object that a command prints; its progress goes to our stderr.

    A benchmark may fail because its figure is not good enough; then its object is there all the same, and its exit
    code is told beside it.

    Raises:
        RuntimeError: it printed no object.
    """
    done = subprocess.run(
        command, cwd=CHECKOUT, env=dict(os.environ), stdout=subprocess.PIPE, text=True, check=False
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    if not lines:
        raise RuntimeError(f"{' '.join(command[2:4])} ended with {done.returncode} and said nothing")
    found: Figures = json.loads(lines[-1])
    return found | ({"exit_code": done.returncode} if done.returncode else {})


if __name__ == "__main__":
    main()
