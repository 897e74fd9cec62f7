"""How many series a second the engine learns from and forecasts, beside Prophet and AutoETS on the same series.

Generated weekly series of 104 weeks; each is forecast 13 weeks ahead, on one thread. The engine is measured as it is
used, one model for all series: training (its backtest, choice of forecasters and both boosters included) and forecasts
in chunks, at growing numbers of series, each size in a process of its own so that peak memory is its own. Prophet and
AutoETS fit each series by itself, so their pace does not depend on the number: they run on a sample, whose size is
given. AutoETS comes from statsforecast, where that is installed (QM_BENCH_STATSFORECAST_PYTHON names the Python of
another environment that has it).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.bench.generated_series import FIRST_WEEK, SEED, WEEKS, weekly
from tests.bench.measuring import machine, progress, publish
from workers.commands.bench import CHECKOUT

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (60, 200)
LARGE = 1_000_000
HORIZON = 13
QUICK_TRAINING = {"rows": 2_000, "rounds": 10}
SAMPLE, QUICK_SAMPLE = 64, 2
PROPHET_AT_ONCE = 16
"""So few are fitted in this process: one core, as the others."""
SEASONS = {"auto_ets": 52, "auto_ets_without_season": 1}
ANOTHER_PYTHON = "QM_BENCH_STATSFORECAST_PYTHON"
NOT_INSTALLED = 3


def main() -> None:
    """Measure and print, or be the process that measures one size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object on one line on stdout")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes, once: shows that it runs, no more")
    parser.add_argument("--large", action="store_true", help="a million series as well: some minutes, some gigabytes")
    parser.add_argument("--engine", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--prophet", type=int, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.engine:
        print(json.dumps(engine(told.engine, quick=told.quick)))
    elif told.prophet:
        print(json.dumps(prophet(told.prophet)))
    else:
        before, begun = machine(), time.monotonic()
        publish(told, "forecast", before, begun, measured(quick=told.quick, large=told.large))


def measured(*, quick: bool, large: bool) -> dict[str, Any]:
    """All methods, each in processes of its own."""
    sizes = [*(QUICK_SIZES if quick else SIZES), *([LARGE] if large else [])]
    sample = QUICK_SAMPLE if quick else SAMPLE
    found: dict[str, Any] = {"weeks": WEEKS, "horizon": HORIZON, "seed": SEED, "threads": 1, "engine": []}
    for size in sizes:
        progress(f"forecast: engine on {size:,} series")
        found["engine"].append(_child("--engine", str(size), *(["--quick"] if quick else [])))
    first, last = found["engine"][0], found["engine"][-1]
    found["growth"] = {
        "series_times": last["series"] / first["series"],
        "train_seconds_times": round(last["train_s"] / first["train_s"], 2),
        "predict_seconds_times": round(last["predict_s"] / first["predict_s"], 2),
    }
    progress(f"forecast: Prophet on {sample} series")
    found["prophet"] = _child("--prophet", str(sample))
    for name, season in SEASONS.items():
        progress(f"forecast: AutoETS, season {season}, on {sample} series")
        found[name] = auto_ets(sample, season)
    found["times_as_fast"] = _ratios(found)
    return found


def _child(*asked: str) -> dict[str, Any]:
    """What a process of its own measured. Its progress goes to our stderr."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_forecast", *asked],
        cwd=CHECKOUT, env=alone, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def engine(count: int, *, quick: bool) -> dict[str, Any]:
    """Seconds, pace and peak memory of this process: one model for all series, then every series' forecast."""
    from activities.learning.engine_study import forecasts
    from activities.learning.study_panel import panel_of
    from activities.learning.training import train_panel

    units, facts = weekly(count)
    generated_mb = _peak_mb()
    begun = time.perf_counter()
    panel = panel_of(units, facts)
    size: dict[str, Any] = dict(QUICK_TRAINING) if quick else {}
    model = train_panel(panel, horizon=HORIZON, seed=1, nthread=1, report=lambda *_: None, **size)
    trained = time.perf_counter()
    levels = forecasts(model, panel, HORIZON, None)
    done = time.perf_counter()
    if levels.shape[:2] != (count, HORIZON) or not np.isfinite(levels).all():
        raise ValueError("the engine left series without a forecast")
    train_s, predict_s = trained - begun, done - trained
    return {
        "series": count, "train_s": round(train_s, 3), "predict_s": round(predict_s, 3),
        "train_series_per_s": round(count / train_s, 1), "predict_series_per_s": round(count / predict_s, 1),
        "series_per_s": round(count / (train_s + predict_s), 1), "training_rows": model.manifest.rows,
        "peak_mb": _peak_mb(), "peak_mb_before": generated_mb,
    }  # fmt: skip


def prophet(count: int) -> dict[str, Any]:
    """Prophet fits and forecasts each series; one process, warm before the clock runs."""
    from activities.learning.forecast_scores import LEVELS
    from activities.learning.prophet_baseline import prophet_forecast
    from workflows.domain.studies import Period

    units, _ = weekly(count + 1)
    prophet_forecast(units[:1], Period.WEEK, FIRST_WEEK, HORIZON, LEVELS)
    begun = time.perf_counter()
    for begin in range(1, count + 1, PROPHET_AT_ONCE):
        part = units[begin : min(begin + PROPHET_AT_ONCE, count + 1)]
        prophet_forecast(part, Period.WEEK, FIRST_WEEK, HORIZON, LEVELS)
    seconds = time.perf_counter() - begun
    return {
        "series": count, "seconds": round(seconds, 3), "series_per_s": round(count / seconds, 2), "peak_mb": _peak_mb(),
    }  # fmt: skip


def auto_ets(count: int, season: int) -> dict[str, Any]:
    """AutoETS fits and forecasts each series, or the reason why it was not measured."""
    python = os.environ.get(ANOTHER_PYTHON, sys.executable)
    with TemporaryDirectory(prefix="qm-bench-") as folder:
        path = Path(folder) / "series.npy"
        np.save(path, weekly(count)[0])
        script = CHECKOUT / "tests" / "bench" / "auto_ets.py"
        done = subprocess.run(
            [python, str(script), str(path), str(HORIZON), str(season)],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode == NOT_INSTALLED:
        return {"skipped": f"statsforecast is not installed; name a Python that has it in {ANOTHER_PYTHON}"}
    if done.returncode:
        raise RuntimeError(f"AutoETS failed: {done.stderr.strip().splitlines()[-1:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return {
        "series": said["series"], "season": season, "seconds": round(said["seconds"], 3),
        "series_per_s": round(said["series"] / said["seconds"], 2), "peak_mb": said["peak_mb"],
        "version": said["version"],
    }  # fmt: skip


def _ratios(found: dict[str, Any]) -> dict[str, float]:
    """The engine at its largest size, training and forecast together, against each that fits series by series."""
    ours = found["engine"][-1]["series_per_s"]
    return {
        name: round(ours / found[name]["series_per_s"], 1)
        for name in ("prophet", *SEASONS) if "series_per_s" in found[name]
    }  # fmt: skip


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
