"""The benchmarks run and say what they promise to say. How fast anything was is no test's business."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from workers.commands.bench import CHECKOUT, Benchmark, module_of
from workflows.domain.errors import NotFound

pytestmark = pytest.mark.timeout(900)

SPREAD = {"median", "lowest", "highest"}
PAIRED = {"times_as_long_as_plain", "rounds"}


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for temporary files; what runs there has sockets, whose whole path has room for 107 bytes."""
    with TemporaryDirectory(prefix="bench-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("which", Benchmark)
def test_a_benchmark_prints_one_object_on_one_line_and_leaves_nothing(
    which: Benchmark, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short_path))
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli", "bench", which, "--quick", "--json"],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    said = json.loads(done.stdout)
    assert (said["bench"], said["quick"]) == (which, True)
    assert said["machine"]["cores"] >= 1
    assert said["seconds"] > 0
    _FIGURES[which](said)
    assert [left.name for left in short_path.iterdir() if left.name.startswith("qm-bench-")] == []


def _intake(said: dict[str, Any]) -> None:
    assert said["events_per_s"] > 0
    assert said["processes"] == 2
    assert min(said[f"{part}_ceiling_per_s"] for part in ("copy", "consume", "decode")) > 0
    assert said["ratio"] == pytest.approx(said["events_per_s"] / said["copy_ceiling_per_s"], abs=0.001)
    assert (said["mismatches"], set(said["wrong"].values())) == (0, {0})
    assert said["duplicates_share"] == pytest.approx(0.1, abs=0.03)
    assert said["late_share"] == pytest.approx(0.05, abs=0.02)
    assert said["processor_us_per_event"].keys() == {"broker", "intake", "postgres"}
    for size in said["sizes"]:
        assert size.keys() >= PAIRED | {"positions", "batch", "parsed_events_per_s"}
        assert size["events_per_s"].keys() == size["plain_events_per_s"].keys() == SPREAD


def _assess(said: dict[str, Any]) -> None:
    assert said["keys"] == said["needs"] == said["decisions"] == said["holds"] + said["proposals"]
    assert said["ms_per_series"].keys() == {"load", "score", "explain", "record", "decide"}
    assert said["predict_rows"] > said["keys"]
    assert said["batches_in_ledger"] == said["batches"]
    assert all(said[name] > 0 for name in ("series_per_s", "predict_ceiling_per_s", "ratio", "peak_mib"))


def _ledger(said: dict[str, Any]) -> None:
    figures = {"entries_per_s", "plain_insert_per_s", "ratio", "p50_ms", "p99_ms"}
    assert said["verified_entries"] == said["verified_leaves"]
    more = {"verify_per_s", "evidence_bytes_per_decision", "canonical_entries_per_s"}
    assert all(said[name] > 0 for name in figures | more)
    assert said["one_decision"].keys() >= figures
    assert said["spread"]["ratio"].keys() == said["verify_spread"].keys() == SPREAD
    assert said["p50_ms"] <= said["p99_ms"]
    assert (said["writers"], set(said["durability"].values())) == (8, {"on"})


def _verify(said: dict[str, Any]) -> None:
    assert said["entries"] == 1_200
    assert said["entries_per_s"].keys() == said["entries_per_cpu_s"].keys() == SPREAD


def _oracle(said: dict[str, Any]) -> None:
    assert said["agrees_to"] <= 1e-9
    for kind in ("single_units", "with_terms"):
        assert said[kind]["agreement"]["futures_played"] > said["worlds"]
        for gap in said[kind]["gap_percent"].values():
            assert 0 <= gap["median"] <= gap["p90"] <= gap["worst"]


def _forecast(said: dict[str, Any]) -> None:
    assert [one["series"] for one in said["engine"]] == [60, 200]
    for one in said["engine"]:
        assert one["train_series_per_s"] > 0
        assert one["predict_series_per_s"] > 0
        assert one["peak_mb"] >= one["peak_mb_before"] > 0
    assert said["prophet"]["series_per_s"] > 0
    for name in ("auto_ets", "auto_ets_without_season"):
        assert "statsforecast" in said[name].get("skipped", "statsforecast")
        assert (name in said["times_as_fast"]) == ("skipped" not in said[name])
    assert said["times_as_fast"]["prophet"] > 0


def _quality(said: dict[str, Any]) -> None:
    assert said["carparts"].keys() == said["online_retail"].keys() == {"not_measured"}
    world = said["demo_world"]
    assert world["policies"].keys() >= {"engine", "static_reorder_point", "moving_average", "prophet", "clairvoyant"}
    as_it_is = world["exchange"]["whole"]["curve"][0]
    assert as_it_is["fill_rate"] == pytest.approx(world["policies"]["engine"]["fill_rate"])
    assert as_it_is["mean_stock"] == pytest.approx(world["policies"]["engine"]["mean_stock"])


def _calibration(said: dict[str, Any]) -> None:
    assert said.keys() >= {"seed", "decisions", "ece", "coverage", "worst_coverage_points", "lead_time_worst_points"}
    assert said["decisions"] > 100
    assert 0 <= said["ece"] <= 1
    assert {"smooth", "erratic", "intermittent", "lumpy", "thin"} == {name.split()[0] for name in said["coverage"]}


def _console(said: dict[str, Any]) -> None:
    assert said["tasks"] >= 100
    assert said["decisions"] >= 2 * 100
    assert 0 < said["inbox_p50_ms"] <= said["inbox_p99_ms"]
    assert said["keypress_ms"].keys() == SPREAD
    assert all(page["median_ms"] > 0 and page["bytes"] > 1_000 for page in said["pages"].values())
    assert (said["axe_violations"], said["external_requests"]) == (0, 0), said["violations"]


def _faults(said: dict[str, Any]) -> None:
    assert (said["cells"], said["fired"], said["violations"]) == (1, 1, 0)
    assert said["replayed"] > 0


def _decisions(said: dict[str, Any]) -> None:
    figures = {"proposals_per_s", "empty_workflows_per_s", "ratio", "event_to_task_p99_s", "approve_to_confirmed_p99_s"}
    assert all(said[name] > 0 for name in figures)
    assert said["orders"] == said["booked"] >= said["burst"]
    assert said["event_to_task_p50_s"] <= said["event_to_task_p99_s"]


def _parked(said: dict[str, Any]) -> None:
    assert said["parked"] == said["decisions"] == 40
    assert said["memory_mib"].keys() >= {"temporal", "postgres", "worker", "intake", "console"}
    assert said["approved"] == 3
    assert all(seconds > 0 for seconds in said["restart"].values())


def _sends(said: dict[str, Any]) -> None:
    assert (said["orders"], said["placed"], said["open"]) == (60, 60, 0)
    assert sum(said["executed_but_timed_out"].values()) == 3
    assert said["keys_in_journal"] == said["orders_in_journal"] == 60
    assert said["keys_not_exactly_once"] == said["needs_not_on_one_line"] == said["placed_without_order"] == 0


_FIGURES = {
    Benchmark.INTAKE: _intake,
    Benchmark.ASSESS: _assess,
    Benchmark.LEDGER: _ledger,
    Benchmark.VERIFY: _verify,
    Benchmark.ORACLE: _oracle,
    Benchmark.FORECAST: _forecast,
    Benchmark.QUALITY: _quality,
    Benchmark.CALIBRATION: _calibration,
    Benchmark.CONSOLE: _console,
    Benchmark.FAULTS: _faults,
    Benchmark.DECISIONS: _decisions,
    Benchmark.PARKED: _parked,
    Benchmark.SENDS: _sends,
}


def test_an_option_that_the_benchmark_does_not_know_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli", "bench", "oracle", "--quick", "--larger"],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "--larger" in done.stderr


def test_an_installation_without_the_tests_says_where_the_benchmarks_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="make bench"):
        module_of(Benchmark.INTAKE, tmp_path)
