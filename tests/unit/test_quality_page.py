"""The page of figures says what was measured, what was not, and who did better."""

from typing import Any

import pytest

from tests.bench.quality_losses import losses, targets
from tests.bench.quality_page import page

LEVELS = {f"0.{tenth}": tenth / 10 for tenth in range(1, 10)}
ABSENT = {"not_measured": "file absent: some.csv"}


def scores(mase: float, wql: float) -> dict[str, Any]:
    return {"mase": mase, "wql": wql, "wape": 1.0, "coverage": LEVELS, "seconds": 1.5}


def carparts(*, engine: tuple[float, float]) -> dict[str, Any]:
    """The engine, seasonal naive as published, and Prophet, who is good at lumpy series."""
    methods = {"engine": scores(*engine), "prophet": scores(1.3, 1.4), "seasonal_naive": scores(1.201464, 1.599952)}
    lumpy = {name: {"mase": value, "wql": 1.0, "wape": 1.0} for name, value in (("engine", 1.0), ("prophet", 0.9))}
    return {"methods": methods, "by_demand_class": {"lumpy": {"series": 7, "methods": lumpy}}}


def traded(saved: float | None) -> dict[str, Any]:
    interval = {"share": saved, "low": None if saved is None else saved - 0.1, "high": 0.5}
    points = [{"setting": None, "fill_rate": 0.9, "mean_stock": 12.5}]
    return {
        "curve": points, "their_curve": [{**points[0], "setting": 1.65}],
        "at_their_fill_rate": {"fill_rate": 0.9, "their_stock": 20.0, "our_stock": 15.0, "stock_saved": interval},
        "at_their_stock": {
            "mean_stock": 20.0, "their_fill_rate": 0.9, "our_fill_rate": 0.95, "fill_rate_gained": interval,
        },
        "at_our_fill_rate": {"fill_rate": 0.92, "our_stock": 15.0, "their_stock": 21.0, "stock_saved": interval},
    }  # fmt: skip


def simulated(*, cost: float, saved: float | None) -> dict[str, Any]:
    """The engine at this cost, a static order point at 100, a clairvoyant at 40."""
    costs = {"engine": cost, "static_reorder_point": 100.0, "clairvoyant": 40.0}
    kpis = {"holding_cost": 1.0, "shortage_cost": 2.0, "order_cost": 0.0, "fill_rate": 0.9, "mean_stock": 3.0}
    share = 1 - cost / 100
    return {
        "study": {"series": 9, "rounds": 4, "period": "week", "start": "2024-01-01"},
        "policies": {name: {"total_cost": value, **kpis} for name, value in costs.items()},
        "engine_parameters": {
            "validation": None, "tau_scale": 1.0, "tau_scale_by_segment": {},
            "forecaster_by_segment": {"thin": "blend"}, "training_rows": 12, "trained_through": "2024-01-07",
        },
        "by_demand_class": {"smooth": {"series": 9, "total_cost": costs}},
        "savings": {"engine": {"static_reorder_point": {"share": share, "low": share - 0.05, "high": share + 0.05}}},
        "gap_closed": {"engine": 0.5}, "left_out": {"prophet": "would take hours"},
        "exchange": {
            "acted_share_of_rounds": 0.75, "without_orders": {"whole": {"mean_stock": 9.0, "fill_rate": 0.2}},
            "whole": traded(saved), "acted": traded(0.4), "started_empty": traded(0.4),
        },
    }  # fmt: skip


def figures(**parts: Any) -> dict[str, Any]:
    """Nothing measured but these parts."""
    published = {
        "carparts": [{"method": "best_of_theirs", "mase": 0.8, "wql": 0.95}],
        "seasonal_naive": {"mase": 1.201464, "wql": 1.599952},
    }
    names = ("carparts", "online_retail", "demo_world", "calibration", "oracle", "forecast")
    machine = {"cores": 2, "architecture": "x86_64", "load_1m": 0.5, "python": "3.11.7"}
    empty = dict.fromkeys(names, ABSENT)
    return {"seed": 7, "minutes": 3.0, "machine": machine, "published": published, **empty, **parts}


def forecast(*, pace: float) -> dict[str, Any]:
    one = {"series": 1000, "train_series_per_s": 5.0, "predict_series_per_s": 9.0, "series_per_s": pace, "peak_mb": 10}
    return {
        "weeks": 104, "horizon": 13, "engine": [one],
        "growth": {"series_times": 100.0, "train_seconds_times": 2.0, "predict_seconds_times": 90.0},
        "prophet": {"series": 64, "series_per_s": 16.0, "peak_mb": 20},
        "auto_ets": {"skipped": "statsforecast is not installed"},
        "auto_ets_without_season": {"skipped": "statsforecast is not installed"},
    }  # fmt: skip


def test_what_was_not_measured_is_said_and_has_no_figure() -> None:
    written = page(figures())

    assert written.count("Not measured: file absent: some.csv.") == 8
    assert "None was found in what was measured." in written
    assert {met for _, _, met in targets(figures())} == {"not measured"}


def test_a_published_method_that_is_better_is_a_loss_and_the_target_is_missed() -> None:
    found = figures(carparts=carparts(engine=(0.81, 0.90)))

    assert losses(found)[0] == "carparts: best_of_theirs has a published MASE of 0.8, the engine 0.8100."
    assert "carparts, lumpy series: prophet has a MASE of 0.9000, the engine 1.0000." in losses(found)
    met = {target.split(" ")[1]: met for target, _, met in targets(found)[:2]}
    assert met == {"MASE": "**no**", "WQL": "yes"}
    assert targets(found)[2][2] == "yes", "seasonal naive is the published one"
    written = page(found)
    assert written.index("| best_of_theirs") < written.index("| **engine**") < written.index("| **seasonal_naive**")


def test_another_seasonal_naive_means_that_the_scoring_is_not_theirs() -> None:
    part = carparts(engine=(0.7, 0.9))
    part["methods"]["seasonal_naive"] = scores(1.2016, 1.599952)

    assert targets(figures(carparts=part))[2][2] == "**no**"


@pytest.mark.parametrize(("cost", "lost"), [(110.0, True), (101.0, False), (60.0, False)])
def test_a_baseline_that_costs_less_is_a_loss_unless_it_is_a_tie(cost: float, lost: bool) -> None:
    found = losses(figures(online_retail=simulated(cost=cost, saved=0.36)))

    assert any("all series: static_reorder_point costs 100" in one for one in found) == lost
    assert any("smooth series: static_reorder_point costs 100" in one for one in found) == lost
    assert not any("clairvoyant" in one for one in found)


def test_targets_of_orders_and_stock_are_judged_by_the_headline() -> None:
    found = {target: (came, met) for target, came, met in targets(
        figures(online_retail=simulated(cost=70.0, saved=0.129), demo_world=simulated(cost=70.0, saved=None))
    )}  # fmt: skip
    cost = next(value for target, value in found.items() if "25 % under the static" in target)
    stock = [value for target, value in found.items() if "35 % less stock" in target]

    assert cost == ("30.0 % (25.0 to 35.0)", "yes")
    assert stock[0] == ("12.9 % (2.9 to 50.0)", "**no**"), "the easier views do not count"
    assert stock[1] == ("not defined", "**no**")


def test_stock_that_is_not_saved_is_a_loss() -> None:
    found = losses(figures(demo_world=simulated(cost=70.0, saved=-0.12)))
    assert found == ["Demo world, all rounds: at its fill rate the static order point keeps less stock, by 12.0 %."]
    unreached = losses(figures(demo_world=simulated(cost=70.0, saved=None)))
    assert unreached == [
        "Demo world, all rounds: the engine's curve does not reach the static order point's fill rate."
    ]


def test_slower_at_few_series_is_a_loss_and_what_was_skipped_says_why() -> None:
    found = figures(forecast=forecast(pace=3.0))

    assert losses(found) == [
        "Speed at 1,000 series: prophet does 16.0 series a second, the engine, its training included, 3.0."
    ]
    assert "auto_ets was not measured: statsforecast is not installed." in page(found)
    assert losses(figures(forecast=forecast(pace=30.0))) == []


def test_every_measured_part_has_its_tables() -> None:
    world = simulated(cost=70.0, saved=0.36)
    written = page(figures(
        carparts=carparts(engine=(0.7, 0.9)), online_retail=world, demo_world=world, forecast=forecast(pace=30.0),
        calibration={"bench": "calibration", "ece": 0.015, "worst_coverage_points": 1.5,
                     "coverage": {"smooth all": {"observations": 2000, "worst": 1.5}}},
        oracle={"worlds": 200, "agrees_to": 1e-12, **{kind: {"gap_percent": {"usual": {
            "median": 0.2, "p90": 1.1, "worst": 4.0}}} for kind in ("single_units", "with_terms")}},
    ))  # fmt: skip

    assert "Not measured" not in written
    assert "| engine | 70.0 | 1.0 | 2.0 | 0.0 | 90.0 % | 3.0 | 50.0 % |" in written
    assert "| all rounds | 90.0 % | 20.0 | 15.0 | 36.0 % (26.0 to 50.0) |" in written
    assert "prophet left out: would take hours." in written
    assert "| smooth all | 2000 | 1.5 |" in written
    assert "| single units | usual | 0.2 | 1.1 | 4.0 |" in written
    assert "| engine | 1,000 | 5.0 | 9.0 | 30.0 | 10 |" in written
    assert "**no**" not in written.split("## Data")[0].replace("lead-time", "")
