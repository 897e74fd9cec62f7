"""Whether stated probabilities come true on the demo world, whose law is known: demand, stock-outs and lead times.

    quartermaster bench calibration --seed 11 --json

The engine is trained on the world's recorded past through production's own door (`XgboostLearner.train`), asked at
several origins through `XgboostScoring.score`, and held against draws from the world's law. Coverage uses the
randomised PIT: an observation's place in the law of whole units, spread evenly over its own probability. Each decision
has its own drawn future. The seed is that of the world and of every draw.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import count
from typing import Any

import numpy as np

from activities.learning.forecasting import THIN, forecast
from activities.learning.lead_time import lead_time_law
from activities.learning.learner import XgboostLearner
from activities.learning.model_file import Model, unpack
from activities.learning.scoring import XgboostScoring
from activities.learning.windows import Floats, windows_of
from connectors.feeds.chance import dice
from tests.bench.calibration_measures import (
    below_and_upto,
    coverage_points,
    lead_time_points,
    reliability,
    worst,
)
from tests.bench.calibration_world import LAST_DAY, PARTNER, CalibrationWorld, Shelf, lead_days
from tests.bench.measuring import machine, progress, publish
from workflows.domain.scores import OpenReceipt, ScoringRow

ITEMS, QUICK_ITEMS = 420, 40
ORIGINS_DAYS = (0, 7, 14, 21)
"""Days after the last one of the training at which the engine is asked."""
AHEAD = (1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16, 19, 22, 25, 28, 31, 36, 41, 46, 51, 56)
GROUPS = (("1-7", 1, 7), ("8-28", 8, 28), ("29-56", 29, 56))
DRAWS = 4
LEAST = 2_000
"""Observations that a segment needs to be judged."""
STOCKS = 3
"""Decisions for each shelf and origin, each with a stock and a future of its own."""
OPEN_SHARE = 0.4
LEAD_DRAWS = 20_000


def main() -> None:
    """Measure and print."""
    told = _options()
    before, begun = machine(), time.monotonic()
    items = told.items or (QUICK_ITEMS if told.quick else ITEMS)
    world = CalibrationWorld(told.seed, items, days=max(ORIGINS_DAYS), announced=not told.unannounced)
    progress(f"world of {len(world.shelves)} shelves made after {time.monotonic() - begun:.0f} s")
    learner = XgboostLearner(nthread=1)
    artefact = learner.train(world.training(), last_day=LAST_DAY, seed=7, progress=lambda *_: None)
    progress(f"engine trained after {time.monotonic() - begun:.0f} s")
    model = unpack(artefact, nthread=1)
    coverage = covered(world, model, told.seed)
    progress(f"coverage measured after {time.monotonic() - begun:.0f} s")
    risk = risks(world, artefact)
    leads = lead_times(world, told.seed)
    judged = [found for found in coverage.values() if found["observations"] >= LEAST]
    publish(told, "calibration", before, begun, {
        "seed": told.seed, "items": items, "series": len(world.shelves),
        "promotions": "unannounced" if told.unannounced else "announced",
        "ece": risk["waiting"]["ece"], "ece_soon": risk["before_arrival"]["ece"], "decisions": risk["decisions"],
        "worst_coverage_points": max((worst(found["points"]) for found in judged), default=None),
        "lead_time_worst_points": max(worst(found) for found in leads.values()),
        "chosen": {score.segment: score.chosen for score in model.manifest.segments},
        "corrected": {kind: found.model_dump(mode="json") for kind, found in model.manifest.calibrations.items()},
        "coverage": coverage, "stockout_risk": risk, "lead_times": leads,
    })  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object on one line on stdout")
    parser.add_argument("--quick", action="store_true", help="the smallest size, once: shows that it runs, no more")
    parser.add_argument("--seed", type=int, default=1, help="of the world and of every draw from its law")
    parser.add_argument("--items", type=int, help="articles, each at three locations")
    parser.add_argument("--unannounced", action="store_true", help="promotions are not known ahead")
    return parser.parse_args()


def _origin(days: int) -> date:
    return LAST_DAY + timedelta(days=days)


def covered(
    world: CalibrationWorld, model: Model, seed: int, origins: Sequence[int] = ORIGINS_DAYS
) -> dict[str, dict[str, Any]]:
    """Coverage of every quantile by demand class and days ahead, in points beside the quantile."""
    places: dict[str, list[Floats]] = defaultdict(list)
    chance = np.random.Generator(np.random.PCG64(seed))
    ahead = np.array(AHEAD, dtype=np.int64)
    own = {shelf.key for shelf in world.shelves}
    for days in origins:
        last_day = _origin(days)
        asked = [
            (shelf, row)
            for shelf in (*world.shelves, *world.newcomers)
            if (row := world.row(shelf, last_day, 0)) is not None
        ]
        established = sum(1 for shelf, _ in asked if shelf.key in own)
        windows = windows_of([row for _, row in asked])
        said = forecast(model, windows, np.full(len(asked), max(AHEAD), dtype=np.int64))
        of = np.repeat(np.arange(len(asked)), len(ahead) * DRAWS)
        when = np.tile(np.repeat(ahead, DRAWS), len(asked))
        units = np.array([
            shelf.wanted(last_day + timedelta(days=day), "coverage", days, draw)
            for shelf, _ in asked for day in AHEAD for draw in range(DRAWS)
        ], dtype=np.int64)  # fmt: skip
        low, high = below_and_upto(said, of, when, units)
        place = low + chance.random(len(units)) * (high - low)
        kinds = np.array([segment.split("/")[0] for segment in said.segment])
        for kind in np.unique(kinds):
            # Newcomers stand for thin items only: among the others they would outnumber those with a past.
            mine = (kinds[of] == kind) & ((kind == THIN) | (of < established))
            for name, first, last in (("all", 1, max(AHEAD)), *GROUPS):
                places[f"{kind} {name}"].append(place[mine & (when >= first) & (when <= last)])
    joined = {name: np.concatenate(found) for name, found in sorted(places.items())}
    return {
        name: {"observations": len(found), "worst": worst(points), "points": points}
        for name, found in joined.items()
        if len(found)
        for points in [coverage_points(found)]
    }


def risks(world: CalibrationWorld, artefact: bytes, origins: Sequence[int] = ORIGINS_DAYS) -> dict[str, Any]:
    """Stock-out risks of many decisions beside what happened in one drawn future each."""
    rows: list[ScoringRow] = []
    futures: list[tuple[bool, bool]] = []
    for days in origins:
        last_day = _origin(days)
        for shelf in world.shelves:
            for number in range(STOCKS):
                made = _decision(world, shelf, last_day, number)
                if made is not None:
                    rows.append(made[0])
                    futures.append(made[1])
    scores = XgboostScoring(nthread=1).score(rows, artefact)
    waiting = np.array([float(one.stockout_risk) for one in scores])
    soon = np.array([float(one.stockout_risk_soon) for one in scores])
    happened = np.array(futures, dtype=np.float64)
    return {"decisions": len(rows), "waiting": reliability(waiting, happened[:, 0]),
            "before_arrival": reliability(soon, happened[:, 1])}  # fmt: skip


def _decision(
    world: CalibrationWorld, shelf: Shelf, last_day: date, number: int
) -> tuple[ScoringRow, tuple[bool, bool]] | None:
    """A row with a stock that makes its risk anything from 0 to 1, and whether stock ran out: while an order of
    tomorrow is awaited after one of today would have come, and before one of today would have come."""
    words = (*shelf.key, last_day, number)
    roll = dice("calibration", "stock", *words)
    lead = lead_days(shelf.supplier, "order", *words)
    usual = shelf.law.daily_units * shelf.law.level(last_day + timedelta(days=1), promotion=False)
    # Sized by another draw than the one that comes true: stock must not know how long its order takes.
    planned = lead_days(shelf.supplier, "planned", *words)
    stock = max(0, round(usual * (planned + 1) * roll.uniform(0.2, 2.0) + roll.choice((0, 0, 1))))
    row = world.row(shelf, last_day, stock)
    if row is None:
        return None
    arrives, units = -1, 0
    if roll.random() < OPEN_SHARE:
        partner = PARTNER[shelf.supplier]
        ago = roll.randrange(max(partner.lead_days))
        taken = next(days for draw in count() if (days := lead_days(shelf.supplier, "receipt", draw, *words)) > ago)
        arrives, units = taken - ago, max(1, round(usual * roll.uniform(2, 10)))
        row = row.model_copy(update={"open_receipts": (OpenReceipt(units=units, ordered_days_ago=ago),)})
    return row, _played(shelf, last_day, number, stock, lead, (arrives, units))


def _played(
    shelf: Shelf, last_day: date, number: int, stock: int, lead: int, receipt: tuple[int, int]
) -> tuple[bool, bool]:
    soon = False
    for day in range(lead + 1):
        stock += receipt[1] if receipt[0] == day else 0
        wanted = shelf.wanted(last_day + timedelta(days=day + 1), "decision", last_day, number)
        if day == lead:
            return wanted > stock, soon
        soon |= wanted > stock
        stock = max(0, stock - wanted)
    raise AssertionError("a lead time is never negative")


def lead_times(world: CalibrationWorld, seed: int) -> dict[str, dict[str, float]]:
    """Per supplier: lead-time quantiles learned from its receipts against draws of its true law, over all lanes."""
    chance = np.random.Generator(np.random.PCG64(seed + 1))
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for (supplier, location), seen in sorted(world.lead_times.items()):
        truth = [lead_days(supplier, "law", location, draw) for draw in range(LEAD_DRAWS // 3)]
        found[supplier].append(lead_time_points(lead_time_law(seen), truth, chance))
    return {supplier: _mean(parts) for supplier, parts in found.items()}


def _mean(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    return {level: round(sum(part[level] for part in parts) / len(parts), 2) for level in parts[0]}


if __name__ == "__main__":
    main()
