"""Small trials and study folders, for the tests of the simulator and of what reads its folders."""

import csv
import json
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from activities.learning.simulation import View
from activities.learning.trial import Economics, Facts, Trial
from activities.learning.windows import Ints
from workflows.domain.studies import Period, Unmet


def trial(
    demand: Sequence[Sequence[int]] | Ints,
    *,
    on_hand: int | Sequence[int] = 0,
    arrivals: Sequence[Sequence[int]] = (),
    past: Sequence[Sequence[float]] | None = None,
    lead: int | Sequence[int] = 0,
    holding: float = 0.2,
    shortage: float = 1.0,
    order_cost: float = 0.0,
    minimum: int = 1,
    pack: int = 1,
    unmet: Unmet = Unmet.LOST,
    target_fill_rate: float | None = None,
    period: Period = Period.WEEK,
    scale: int = 1,
) -> Trial:
    """Rows that share their terms unless told otherwise; no past unless given."""
    wanted = np.asarray(demand, dtype=np.int64)
    rows = len(wanted)

    def ints(value: int | Sequence[int]) -> Ints:
        return np.array(np.broadcast_to(np.asarray(value, dtype=np.int64), (rows,)))

    economics = Economics(
        np.full(rows, holding), np.full(rows, shortage), np.full(rows, order_cost), ints(lead),
        ints(minimum), ints(pack), unmet, target_fill_rate, scale=scale,
    )  # fmt: skip
    facts = Facts(
        tuple(f"i{row}" for row in range(rows)), ("L1",) * rows, {}, period, date(2024, 1, 1), scale
    )  # fmt: skip
    return Trial(
        economics=economics, demand=wanted, on_hand=ints(on_hand), facts=facts,
        past=np.zeros((rows, 0)) if past is None else np.asarray(past, dtype=np.float64),
        arrivals=np.asarray(arrivals, dtype=np.int64) if len(arrivals) else np.zeros((rows, 0), dtype=np.int64),
    )  # fmt: skip


class Scripted:
    """Orders what was written down: one list of rows per review; nothing after the last."""

    name = "scripted"

    def __init__(self, orders: Sequence[Sequence[int]]) -> None:
        self._orders = orders
        self.views: list[View] = []

    def order(self, view: View) -> Ints:
        """The next list."""
        self.views.append(view)
        written = self._orders[view.round] if view.round < len(self._orders) else [0] * len(view)
        return np.array(written, dtype=np.int64)


def write_csv(path: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    """A CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)


def study_folder(folder: Path, *, items: int = 6, weeks: int = 60, rounds: int = 6, **rules: Any) -> Path:
    """Weekly Poisson demand of a few items with two categories, terms in items.csv, no state."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(5)
    days = [Period.WEEK.after(date(2023, 1, 2), week) for week in range(weeks)]
    names = [f"item-{number}" for number in range(items)]
    demand = [
        (name, "L1", day, int(units))
        for number, name in enumerate(names)
        for day, units in zip(days, chance.poisson(2 + 3 * number, weeks), strict=True)
    ]
    write_csv(folder / "demand.csv", "item,location,date,quantity", demand)
    terms = [(name, "L1", "0.2", "1", 1 + number % 2, "ab"[number % 2]) for number, name in enumerate(names)]
    header = "item,location,holding_per_unit_period,shortage_per_unit,lead_time_periods,family"
    write_csv(folder / "items.csv", header, terms)
    told = {
        "period": "week",
        "unmet": "lost",
        "start": days[-1 - min(rounds, weeks - 1)].isoformat(),
        "rounds": rounds,
        **rules,
    }
    (folder / "rules.json").write_text(json.dumps(told))
    return folder
