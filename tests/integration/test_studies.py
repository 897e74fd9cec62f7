"""`simulate` and `evaluate` on a generated folder, as people and programs run them."""

from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.unit.study_world import study_folder

KPIS = {
    "total_cost", "holding_cost", "shortage_cost", "order_cost", "fill_rate", "cycle_service", "mean_stock",
    "order_variance_ratio", "costs_by_round", "seconds",
}  # fmt: skip
BASELINES = {"static_reorder_point", "moving_average", "prophet", "clairvoyant"}
pytestmark = pytest.mark.timeout(900)
WITHIN_S = 300.0
"""A study takes 15 s on two cores; beside other work, several times as long."""


@pytest.fixture
def commands(tmp_path: Path) -> CommandLine:
    """The command line on a home of its own."""
    return CommandLine(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eighteen series, so that Prophet uses its processes."""
    return study_folder(tmp_path / "study", items=18)


def test_simulate_says_what_each_policy_came_to(commands: CommandLine, folder: Path) -> None:
    said = commands.call("simulate", str(folder), "--json", within_s=WITHIN_S)
    found = said.json
    policies = found["policies"]

    assert policies.keys() >= BASELINES
    for name, figures in policies.items():
        assert figures.keys() >= KPIS, name
        assert len(figures["costs_by_round"]) == 6
        assert sum(figures["costs_by_round"]) == pytest.approx(figures["total_cost"])
        parts = (figures[f"{part}_cost"] for part in ("holding", "shortage", "order"))
        assert sum(parts) == pytest.approx(figures["total_cost"])
        assert policies["clairvoyant"]["total_cost"] <= figures["total_cost"]
    assert "static_reorder_point: " in said.err, "progress goes to stderr"


def test_simulate_plays_only_what_it_is_asked_for(commands: CommandLine, folder: Path) -> None:
    asked = ("simulate", str(folder), "--policy", "moving_average", "--policy", "clairvoyant")

    assert list(commands.call(*asked, "--json").json["policies"]) == ["moving_average", "clairvoyant"]
    table = commands.call(*asked)
    assert table.code == 0
    assert "moving_average" in table.out
    assert "18 series, 6 rounds of a week after" in table.out


def test_evaluate_scores_each_method_and_needs_demand_alone(commands: CommandLine, folder: Path) -> None:
    for name in ("items.csv", "rules.json"):
        (folder / name).unlink()
    found = commands.call("evaluate", str(folder), "--horizon", "4", "--json", within_s=WITHIN_S).json

    assert found["methods"].keys() >= {"prophet", "seasonal_naive"}
    for scores in found["methods"].values():
        assert scores.keys() == {"mase", "wql", "wape", "coverage", "seconds"}
        assert list(scores["coverage"]) == [f"0.{tenth}" for tenth in range(1, 10)]
    assert found["methods"]["prophet"]["wql"] < found["methods"]["seasonal_naive"]["wql"]
    table = commands.call("evaluate", str(folder), "--horizon", "4", "--method", "seasonal_naive", within_s=WITHIN_S)
    assert "18 series, 4 periods of a week from" in table.out


def test_a_folder_that_is_none_ends_in_one_sentence(commands: CommandLine, tmp_path: Path) -> None:
    said = commands.call("simulate", str(tmp_path / "nowhere"), "--json")

    assert (said.code, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert "is not a folder" in said.err
