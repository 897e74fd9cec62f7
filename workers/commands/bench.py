"""`quartermaster bench`: runs a benchmark of the checkout in a process of its own."""

import signal
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import workers
from workers.commands.output import AsJson, errors_explained
from workflows.domain.errors import NotFound

CHECKOUT = Path(workers.__file__).resolve().parent.parent
Quick = Annotated[bool, typer.Option("--quick", help="The smallest size, once: shows that it runs, no more.")]


class Benchmark(StrEnum):
    """What can be measured."""

    INTAKE = "intake"
    ASSESS = "assess"
    LEDGER = "ledger"
    VERIFY = "verify"
    ORACLE = "oracle"
    FORECAST = "forecast"
    QUALITY = "quality"
    CALIBRATION = "calibration"
    CONSOLE = "console"
    FAULTS = "faults"
    DECISIONS = "decisions"
    PARKED = "parked"
    SENDS = "sends"


PASSES_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What the command does not know is for the benchmark to judge, as `--large` of forecast and `--data` of quality."""


def bench(context: typer.Context, which: Benchmark, quick: Quick = False, json: AsJson = False) -> None:
    """Measure pace on a temporary database, orders against an oracle, forecasts beside others; or write the page of
    figures (quality). Further options are the benchmark's own."""
    with errors_explained():
        module = module_of(which, CHECKOUT)
    told = [flag for flag, given in (("--quick", quick), ("--json", json)) if given]
    raise typer.Exit(finished(subprocess.Popen([sys.executable, "-m", module, *told, *context.args], cwd=CHECKOUT)))  # noqa: S603


def module_of(which: Benchmark, checkout: Path) -> str:
    """The benchmark's module.

    Raises:
        NotFound: this is an installation without the tests.
    """
    if not (checkout / "tests" / "bench" / f"bench_{which}.py").is_file():
        raise NotFound(
            "the benchmarks live in tests/bench of a checkout, and this installation has none: "
            "run `make bench` in a checkout of the sources"
        )
    return f"tests.bench.bench_{which}"


def finished(process: "subprocess.Popen[bytes]") -> int:
    """Its exit code, in the shell's spelling. Asked to end, we wait until it has stopped its server."""
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    # Ctrl-C reaches the benchmark as well; it ends first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = process.wait()
    return code if code >= 0 else 128 - code
