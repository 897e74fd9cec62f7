"""`quartermaster simulate` and `quartermaster evaluate`: policies and forecasts judged on a folder of data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.studies.folder import read_study
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, say

Folder = Annotated[Path, typer.Argument(help="A study folder: demand.csv and, to simulate, items.csv and rules.json.")]
MONEY, SHARE, UNITS = "{:,.2f}", "{:.1%}", "{:,.2f}"
KPIS = {
    "total_cost": MONEY, "holding_cost": MONEY, "shortage_cost": MONEY, "order_cost": MONEY, "fill_rate": SHARE,
    "cycle_service": SHARE, "mean_stock": UNITS, "order_variance_ratio": UNITS, "seconds": "{:.1f}",
}  # fmt: skip
EXCHANGED = {
    "whole": "all rounds", "acted": "rounds that orders reach", "started_empty": "the same from empty shelves",
}  # fmt: skip
SCORES = {"mase": "{:.4f}", "wql": "{:.4f}", "wape": "{:.4f}", "seconds": "{:.1f}"}


def simulate(
    folder: Folder,
    policy: Annotated[
        list[str] | None, typer.Option(help="One to play; repeat it for more. Without it, all of them.")
    ] = None,
    exchange: Annotated[
        bool,
        typer.Option(
            "--exchange",
            help="Also what each fill rate takes in stock: the engine's curve beside the static order point's.",
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Play a stretch of a study's past with each policy and say what it would have cost."""
    with errors_explained():
        # Imported here: only these commands need numpy, and the others shall not wait for it.
        from activities.learning.contest import play
        from activities.learning.engine_study import engine_policy

        study = read_study(folder)
        document = play(study, policy or (), engine_policy, say.bar, exchanged=exchange)
    if json:
        print_json(document)
        return
    told = document["study"]
    title = f"{told['series']} series, {told['rounds']} rounds of a {told['period']} after {told['start']}"
    print_table(title, ("policy", *KPIS), _rows(document["policies"], KPIS))
    for name, others in document["savings"].items():
        for other, found in others.items():
            if found["share"] is not None:
                out.print(f"{name} saves {_between(found)} of what {other} costs")
    for where in EXCHANGED if exchange else ():
        _say_exchange(where, document["exchange"][where])
    _say_rest(document)


def evaluate(
    folder: Folder,
    horizon: Annotated[int, typer.Option(min=1, help="How many of the last periods are forecast.")],
    method: Annotated[
        list[str] | None, typer.Option(help="One to score; repeat it for more. Without it, all of them.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Forecast the last periods of a study from the ones before and score the forecasts."""
    with errors_explained():
        from activities.learning.engine_study import engine_forecast
        from activities.learning.forecast_contest import contest

        document = contest(read_study(folder), horizon, method or (), engine_forecast, say.bar)
    if json:
        print_json(document)
        return
    told = document["study"]
    title = f"{told['series']} series, {horizon} periods of a {told['period']} from {told['first_forecast']}"
    levels = {f"{level:g}": SHARE for level in document["levels"]}
    rows = [
        [*first, *(_shown(scores["coverage"][name], style) for name, style in levels.items())]
        for first, scores in zip(_rows(document["methods"], SCORES), document["methods"].values(), strict=True)
    ]
    print_table(title, ("method", *SCORES, *(f"≤ q{name}" for name in levels)), rows)
    _say_rest(document)


def _rows(results: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str]) -> list[list[str]]:
    return [[name, *(_shown(found[key], style) for key, style in columns.items())] for name, found in results.items()]


def _shown(value: float | None, style: str) -> str:
    return "-" if value is None else style.format(value)


def _between(found: Mapping[str, float]) -> str:
    return f"{found['share']:.1%} (95 % interval {found['low']:.1%} to {found['high']:.1%})"


def _say_exchange(where: str, told: Mapping[str, Any]) -> None:
    at = told["at_their_fill_rate"]
    rate, theirs, ours = (_shown(at[key], style) for key, style in
                          (("fill_rate", SHARE), ("their_stock", UNITS), ("our_stock", UNITS)))  # fmt: skip
    out.print(
        f"{EXCHANGED[where]}: at a fill rate of {rate} the static order point keeps {theirs} units, engine {ours}"
    )


def _say_rest(document: Mapping[str, Any]) -> None:
    """What was not taken as it was, and what was not run."""
    for name, count in document["study"]["notes"].items():
        out.print(f"{name.replace('_', ' ')}: {count}")
    for name, why in document["left_out"].items():
        out.print(f"{name} left out: {why}")
