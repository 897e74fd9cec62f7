"""Where somebody else does better than the engine, and which targets are met: read off the figures, never typed in."""

from collections.abc import Iterator, Mapping
from typing import Any

from activities.learning.clairvoyant import CLAIRVOYANT
from activities.learning.engine_policy import ENGINE

Figures = Mapping[str, Any]
STUDIES = {"online_retail": "Online Retail", "demo_world": "Demo world"}
EXCHANGED = {
    "whole": "all rounds", "acted": "rounds that orders reach", "started_empty": "the same, begun with empty shelves",
}  # fmt: skip
SMALL = 0.02
"""Differences below two per cent are called ties (our own rule of judging)."""


def share(value: float | None) -> str:
    """As per cent."""
    return "not defined" if value is None else f"{100 * value:.1f} %"


def interval(found: Figures) -> str:
    """A share with its 95 % interval."""
    if found["share"] is None or found["low"] is None:
        return share(found["share"])
    return f"{share(found['share'])} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def measured(figures: Figures, name: str) -> Figures | None:
    """The part, or None if it was not measured."""
    part: Figures = figures[name]
    return None if "not_measured" in part else part


def losses(figures: Figures) -> list[str]:
    """One sentence for each comparison that the engine loses by more than two per cent, or by any published figure."""
    return [*_published(figures), *_forecasts(figures), *_orders(figures), *_exchange(figures), *_speed(figures)]


def _published(figures: Figures) -> Iterator[str]:
    part = measured(figures, "carparts")
    if part is None or ENGINE not in part["methods"]:
        return
    ours = part["methods"][ENGINE]
    for score in ("mase", "wql"):
        for line in figures["published"]["carparts"]:
            if line[score] < ours[score]:
                published = f"{line['method']} has a published {score.upper()} of {line[score]}"
                yield f"carparts: {published}, the engine {ours[score]:.4f}."


def _forecasts(figures: Figures) -> Iterator[str]:
    part = measured(figures, "carparts")
    if part is None:
        return
    groups = {"all series": part["methods"]}
    groups |= {f"{name} series": told["methods"] for name, told in part["by_demand_class"].items()}
    for where, methods in groups.items():
        for name, found in methods.items():
            for score in ("mase", "wql", "wape"):
                ours, theirs = methods.get(ENGINE, {}).get(score), found[score]
                if name != ENGINE and None not in (ours, theirs) and theirs < ours * (1 - SMALL):
                    yield f"carparts, {where}: {name} has a {score.upper()} of {theirs:.4f}, the engine {ours:.4f}."


def _orders(figures: Figures) -> Iterator[str]:
    for key, title in STUDIES.items():
        part = measured(figures, key)
        if part is None:
            continue
        groups = {"all series": {name: found["total_cost"] for name, found in part["policies"].items()}}
        groups |= {f"{name} series": told["total_cost"] for name, told in part["by_demand_class"].items()}
        for where, costs in groups.items():
            for name, cost in costs.items():
                if name not in (ENGINE, CLAIRVOYANT) and cost < costs[ENGINE] * (1 - SMALL):
                    yield f"{title}, {where}: {name} costs {cost:,.0f}, the engine {costs[ENGINE]:,.0f}."
        for name, found in part["policies"].items():
            ours = part["policies"][ENGINE]
            if name not in (ENGINE, CLAIRVOYANT) and found["fill_rate"] > ours["fill_rate"] + SMALL:
                served = f"{share(found['fill_rate'])} of demand, the engine {share(ours['fill_rate'])}"
                paid = f"at a total cost of {found['total_cost']:,.0f} and {ours['total_cost']:,.0f}"
                yield f"{title}: {name} serves {served} ({paid})."


def _exchange(figures: Figures) -> Iterator[str]:
    for key, title in STUDIES.items():
        part = measured(figures, key)
        for where, words in EXCHANGED.items() if part else ():
            saved = part["exchange"][where]["at_their_fill_rate"]["stock_saved"]["share"]  # type: ignore[index]
            if saved is None:
                yield f"{title}, {words}: the engine's curve does not reach the static order point's fill rate."
            elif saved < 0:
                yield f"{title}, {words}: at its fill rate the static order point keeps less stock, by {share(-saved)}."


def _speed(figures: Figures) -> Iterator[str]:
    part = measured(figures, "forecast")
    for one in part["engine"] if part else ():
        for name in ("prophet", "auto_ets", "auto_ets_without_season"):
            pace = part[name].get("series_per_s")  # type: ignore[index]
            if pace and pace > one["series_per_s"]:
                yield (
                    f"Speed at {one['series']:,} series: {name} does {pace:,.1f} series a second, the engine, its "
                    f"training included, {one['series_per_s']:,.1f}."
                )


def targets(figures: Figures) -> list[tuple[str, str, str]]:
    """What was aimed at, what came out, and whether it was reached."""
    return [*_forecast_targets(figures), *_order_targets(figures), *_stock_targets(figures), *_truth_targets(figures)]


def _met(reached: bool | None) -> str:
    return "not measured" if reached is None else "yes" if reached else "**no**"


def _forecast_targets(figures: Figures) -> Iterator[tuple[str, str, str]]:
    part = measured(figures, "carparts")
    lines = figures["published"]["carparts"]
    for score in ("mase", "wql"):
        least = min(line[score] for line in lines)
        ours = part["methods"][ENGINE][score] if part else None
        came = "-" if ours is None else f"{ours:.4f}"
        yield f"carparts {score.upper()} below every published line ({least})", came, _met(ours and ours < least)
    naive = part["methods"]["seasonal_naive"] if part else None
    wanted = figures["published"]["seasonal_naive"]
    same = naive and all(abs(naive[score] - wanted[score]) < 5e-5 for score in ("mase", "wql"))
    came = f"{naive['mase']:.6f} / {naive['wql']:.6f}" if naive else "-"
    yield f"seasonal naive reproduced ({wanted['mase']} / {wanted['wql']})", came, _met(same)


def _order_targets(figures: Figures) -> Iterator[tuple[str, str, str]]:
    part = measured(figures, "online_retail")
    saved = part["savings"][ENGINE] if part else {}
    named = {name: found for name, found in saved.items() if found["share"] is not None}
    static = named.get("static_reorder_point")
    yield (
        "Online Retail: total cost at least 25 % under the static order point", interval(static) if static else "-",
        _met(static and static["share"] >= 0.25),
    )  # fmt: skip
    best = min(named.values(), key=lambda found: found["share"]) if named else None
    yield (
        "Online Retail: at least 8 % under the best of static, moving average, Prophet",
        interval(best) if best else "-", _met(best and best["share"] >= 0.08),
    )  # fmt: skip


def _stock_targets(figures: Figures) -> Iterator[tuple[str, str, str]]:
    for key, title in STUDIES.items():
        part = measured(figures, key)
        saved = part["exchange"]["whole"]["at_their_fill_rate"]["stock_saved"] if part else None
        yield (
            f"{title}: 35 % less stock at the static order point's fill rate", interval(saved) if saved else "-",
            _met(saved and (saved["share"] or 0) >= 0.35),
        )  # fmt: skip


def _truth_targets(figures: Figures) -> Iterator[tuple[str, str, str]]:
    part = measured(figures, "calibration")
    limits = (
        ("ece", 0.02, "ECE of stock-out risk below 0.02"),
        ("worst_coverage_points", 2, "coverage of every quantile within 2 points by segment"),
        ("lead_time_worst_points", 3, "lead-time quantiles within 3 points"),
    )
    for name, most, words in limits:
        value = part.get(name) if part else None
        yield (
            f"Demo world: {words}",
            "-" if value is None else f"{value}",
            _met(None if value is None else value < most),
        )
    oracle = measured(figures, "oracle")
    agrees = oracle["agrees_to"] if oracle else None
    yield (
        "simulator and dynamic programme agree to 1e-9", "-" if agrees is None else f"{agrees:.1e}",
        _met(None if agrees is None else agrees <= 1e-9),
    )  # fmt: skip
