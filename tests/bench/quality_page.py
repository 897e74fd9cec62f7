"""The page of figures, in Markdown: every number on it comes out of one run's measurements."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from activities.learning.clairvoyant import CLAIRVOYANT
from activities.learning.engine_policy import ENGINE
from tests.bench.quality_losses import EXCHANGED, STUDIES, Figures, interval, losses, measured, share, targets
from tests.bench.quality_texts import DATA, EXCHANGE, OPENING, PROTOCOL, SPEED

CLASS_SCORES = ("mase", "wql")
KPIS = ("total_cost", "holding_cost", "shortage_cost", "order_cost", "fill_rate", "mean_stock")


def page(figures: Figures) -> str:
    """The whole page; parts that were not measured say so in place of figures."""
    machine, minutes = figures["machine"], figures["minutes"]
    run = (
        f"This run: {minutes} minutes on {machine['cores']} cores ({machine['architecture']}, Python "
        f"{machine['python']}, load {machine['load_1m']} at its start), demo world of seed {figures['seed']}."
    )
    parts = [
        OPENING, run, "## Targets", table(("Target", "Came out", "Met"), targets(figures)),
        DATA.format(seed=figures["seed"]), PROTOCOL,
        *_carparts(figures), *_orders(figures, "online_retail"), *_orders(figures, "demo_world"), *_exchange(figures),
        *_calibration(figures), *_oracle(figures), *_speed(figures), "## Losses", *_losses(figures),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _absent(figures: Figures, name: str) -> str:
    return f"Not measured: {figures[name]['not_measured']}."


def _number(value: float | None, digits: int = 4) -> str:
    return "not defined" if value is None else f"{value:,.{digits}f}"


def _carparts(figures: Figures) -> list[str]:
    title = "## Forecasts: carparts, the last 12 months"
    part = measured(figures, "carparts")
    published = [
        (line["mase"], (line["method"], _number(line["mase"]), _number(line["wql"]), "published"))
        for line in figures["published"]["carparts"]
    ]
    if part is None:
        return [title, _absent(figures, "carparts")]
    here = [
        (found["mase"], (f"**{name}**", _number(found["mase"]), _number(found["wql"]), "measured here"))
        for name, found in part["methods"].items()
    ]
    merged = [line for _, line in sorted([*published, *here], key=lambda each: each[0])]
    ours = part["methods"]
    coverage = [
        (name, *(share(found["coverage"][level]) for level in found["coverage"])) for name, found in ours.items()
    ]
    levels = next(iter(ours.values()))["coverage"]
    classes = [
        (name, told["series"], *(_number(found[score]) for found in told["methods"].values() for score in CLASS_SCORES))
        for name, told in part["by_demand_class"].items()
    ]
    columns = [f"{name} {score.upper()}" for name in ours for score in CLASS_SCORES]
    return [
        title, table(("Method", "MASE", "WQL", "From"), merged),
        "Share of observations at or below each quantile (whole units lie on quantiles often, so these exceed it):",
        table(("Method", *levels), coverage), "By demand class at the end of the history:",
        table(("Class", "Series", *columns), classes),
        table(("Method", "WAPE", "Seconds"), [(n, _number(f["wape"]), f["seconds"]) for n, f in ours.items()]),
    ]  # fmt: skip


def _orders(figures: Figures, key: str) -> list[str]:
    title = f"## Orders: {STUDIES[key]}"
    part = measured(figures, key)
    if part is None:
        return [title, _absent(figures, key)]
    study = part["study"]
    told = f"{study['series']} series, {study['rounds']} periods of a {study['period']} after {study['start']}."
    policies = [
        (name, *(share(found[kpi]) if kpi == "fill_rate" else _number(found[kpi], 1) for kpi in KPIS),
         share(part["gap_closed"].get(name)))
        for name, found in part["policies"].items()
    ]  # fmt: skip
    savings = [(name, interval(found)) for name, found in part["savings"][ENGINE].items()]
    names = list(part["policies"])
    classes = [
        (name, told_of["series"], *(_number(told_of["total_cost"][policy], 0) for policy in names))
        for name, told_of in part["by_demand_class"].items()
    ]
    left = [f"{name} left out: {why}." for name, why in part["left_out"].items()]
    return [
        title, told, *left, table(("Policy", *KPIS, "gap to the clairvoyant closed"), policies),
        table(("The engine against", "cost saved (95 % interval)"), savings), "Total cost by demand class:",
        table(("Class", "Series", *names), classes), _chosen(part["engine_parameters"]),
    ]  # fmt: skip


def _chosen(said: Mapping[str, Any]) -> str:
    stretch = said["validation"]
    where = (
        f"on {stretch['rounds']} periods from {stretch['first_day']} to {stretch['last_day']}" if stretch
        else "nowhere, the history being too short to keep a stretch back"
    )  # fmt: skip
    segments = ", ".join(f"{name} {value}" for name, value in said["tau_scale_by_segment"].items()) or "none of its own"
    speaks = ", ".join(f"{name} {who}" for name, who in said["forecaster_by_segment"].items()) or "the usual one"
    return (
        f"The engine chose {where}: scale of tau's factor {said['tau_scale']} (by segment: {segments}); "
        f"forecaster by segment: {speaks}. It learned from {said['training_rows']} rows through "
        f"{said['trained_through']}."
    )


def _exchange(figures: Figures) -> list[str]:
    parts = [
        "## Stock against service",
        EXCHANGE,
    ]
    for key, title in STUDIES.items():
        part = measured(figures, key)
        parts.append(f"### {title}")
        if part is None:
            parts.append(_absent(figures, key))
            continue
        traded = part["exchange"]
        idle = traded["without_orders"]["whole"]
        static = traded["whole"]["at_their_fill_rate"]
        parts.append(
            f"If nobody ordered anything, a mean stock of {_number(idle['mean_stock'], 1)} would remain of the first "
            f"stock, beside the static order point's {_number(static['their_stock'], 1)}, and would serve "
            f"{share(idle['fill_rate'])} of demand. Orders can reach {share(traded['acted_share_of_rounds'])} of the "
            "rounds."
        )
        parts.append(table(_TRADED, [_traded_row(words, traded[where]) for where, words in EXCHANGED.items()]))
        for where in EXCHANGED:
            parts.append(f"The curves, {EXCHANGED[where]}:")
            parts.append(_curves(traded[where]))
    return parts


_TRADED = (
    "View", "fill rate of the static order point", "its stock", "the engine's at that fill rate", "stock saved",
    "the engine's fill rate at its stock", "points gained", "stock saved at the engine's own fill rate",
)  # fmt: skip


def _traded_row(words: str, told: Figures) -> tuple[str, ...]:
    service, stock, own = told["at_their_fill_rate"], told["at_their_stock"], told["at_our_fill_rate"]
    return (
        words, share(service["fill_rate"]), _number(service["their_stock"], 1), _number(service["our_stock"], 1),
        interval(service["stock_saved"]), share(stock["our_fill_rate"]), interval(stock["fill_rate_gained"]),
        f"{interval(own['stock_saved'])} at {share(own['fill_rate'])}",
    )  # fmt: skip


def _curves(told: Figures) -> str:
    rows = []
    for name, key in (("engine, price", "curve"), ("static, sigmas", "their_curve")):
        points = told[key]
        rows.append((name, *("as it is" if one["setting"] is None else f"{one['setting']:g}" for one in points)))
        rows.append(("fill rate", *(share(one["fill_rate"]) for one in points)))
        rows.append(("mean stock", *(_number(one["mean_stock"], 1) for one in points)))
    wide = max(len(row) for row in rows)
    return table([""] * wide, [(*row, *[""] * (wide - len(row))) for row in rows])


def _calibration(figures: Figures) -> list[str]:
    title = "## Calibration: demo world"
    part = measured(figures, "calibration")
    if part is None:
        return [title, _absent(figures, "calibration")]
    single = {name: value for name, value in part.items() if isinstance(value, int | float | str) and name != "bench"}
    found = [title, table(("Figure", "Value"), [(name.replace("_", " "), value) for name, value in single.items()])]
    segments = part.get("coverage", {})
    if segments:
        rows = [(name, told["observations"], told["worst"]) for name, told in segments.items()]
        found += ["Coverage of the demand quantiles:", table(("Segment", "Observations", "Worst, points"), rows)]
    return found


def _oracle(figures: Figures) -> list[str]:
    title = "## Gap to the optimum: small worlds solved by dynamic programming"
    part = measured(figures, "oracle")
    if part is None:
        return [title, _absent(figures, "oracle")]
    rows = [
        (kind.replace("_", " "), which, gap["median"], gap["p90"], gap["worst"])
        for kind in ("single_units", "with_terms") for which, gap in part[kind]["gap_percent"].items()
    ]  # fmt: skip
    return [
        title,
        f"{part['worlds']} random worlds of each kind, law of demand known; per cent above the least long-run cost. "
        f"`usual` is the documented constant of tau, `calibrated` the best one for that world. Simulator and programme "
        f"agree to {part['agrees_to']:.1e}.",
        table(("Worlds", "Constant", "median", "p90", "worst"), rows),
    ]


def _speed(figures: Figures) -> list[str]:
    title = "## Speed: series a second, one thread"
    part = measured(figures, "forecast")
    if part is None:
        return [title, _absent(figures, "forecast")]
    rows = [
        ("engine", f"{one['series']:,}", _number(one["train_series_per_s"], 1), _number(one["predict_series_per_s"], 1),
         _number(one["series_per_s"], 1), f"{one['peak_mb']:,}")
        for one in part["engine"]
    ]  # fmt: skip
    reasons = []
    for name in ("prophet", "auto_ets", "auto_ets_without_season"):
        one = part[name]
        if "skipped" in one:
            reasons.append(f"{name} was not measured: {one['skipped']}.")
        else:
            pace = _number(one["series_per_s"], 1)
            rows.append((name, f"{one['series']:,} (sample)", "-", "-", pace, f"{one['peak_mb']:,}"))
    return [
        title,
        SPEED.format(**part, **part["growth"]),
        table(("Method", "Series", "train /s", "predict /s", "both /s", "peak MB"), rows), *reasons,
    ]  # fmt: skip


def _losses(figures: Figures) -> list[str]:
    found = losses(figures)
    absent = [name for name in ("carparts", *STUDIES, "forecast") if measured(figures, name) is None]
    silent = f"Not looked at, because not measured: {', '.join(absent)}." if absent else ""
    bound = f"The bound called {CLAIRVOYANT} is left out: it knows the future."
    listed = "\n".join(f"- {loss}" for loss in found) or "None was found in what was measured."
    return [
        "Everybody who does better than the engine by more than 2 % (published figures: by any digit), overall and by "
        f"demand class. {bound}",
        listed, *([silent] if silent else []),
    ]  # fmt: skip
