"""How far stated probabilities are from the truth, in points, with what chance alone would show beside it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from activities.learning.calibration import BINS, calibration_error, expected_calibration_error
from activities.learning.demand import MILLI, QUANTILES
from activities.learning.forecasting import Forecast
from activities.learning.lead_time import LeadTimeLaw
from activities.learning.risk import PERMILLE, TAIL_STRETCH
from activities.learning.windows import Floats, Ints

LEVELS = np.array([0.0, *QUANTILES, 1.0])
LEAD_LEVELS = (0.5, 0.8, 0.9, 0.95)


def below_and_upto(said: Forecast, rows: Ints, ahead: Ints, units: Ints) -> tuple[Floats, Floats]:
    """P(D < units) and P(D <= units) of the law in whole units that decisions follow, per (row, periods ahead).

    The law rounds the quantile function, linear between the knots, to whole units; rows that the prior speaks for
    follow its own table.
    """
    knots = said.knots[rows, ahead - 1] / MILLI
    stretch = float(TAIL_STRETCH)
    ends = np.concatenate([knots[:, :1] / stretch, knots, knots[:, -1:] * stretch], axis=1)
    silent = said.no_sale[rows, ahead - 1] / PERMILLE
    low, high = (_level(ends, units.astype(np.float64) + half, silent) for half in (-0.5, 0.5))
    low[units <= 0] = 0.0
    if said.cold is not None:
        place = {int(row): number for number, row in enumerate(said.cold_rows)}
        cold = said.cold.cumulative.mean(axis=1)
        for at in np.flatnonzero(np.isin(rows, said.cold_rows)):
            own = place[int(rows[at])]
            table = cold[own, (said.cold.origin[own] + ahead[at] + 6) % 7]
            lot = int(units[at] // said.cold.lot[own])
            high[at] = table[min(lot, len(table) - 1)]
            low[at] = table[min(lot, len(table)) - 1] if lot > 0 else 0.0
    return low, high


def _level(ends: Floats, at: Floats, silent: Floats) -> Floats:
    """The share of the law below `at`, from its values at LEVELS and the share that sells nothing (0: not told)."""
    plain = _plain_level(ends, at)
    rows, above = np.arange(len(at)), np.minimum((LEVELS[None, :] <= silent[:, None]).sum(axis=1), len(LEVELS) - 1)
    size = np.maximum(ends[rows, above], 0.5)
    way = np.divide(at - 0.5, size - 0.5, out=np.ones_like(at), where=size > 0.5)
    first = silent + np.clip(way, 0.0, 1.0) * (LEVELS[above] - silent)
    return np.where(silent == 0, plain, np.where(at < size, first, np.maximum(plain, silent)))


def _plain_level(ends: Floats, at: Floats) -> Floats:
    below = (ends < at[:, None]).sum(axis=1)
    rows = np.arange(len(at))
    left, right = np.clip(below - 1, 0, len(LEVELS) - 1), np.clip(below, 0, len(LEVELS) - 1)
    gap = ends[rows, right] - ends[rows, left]
    way = np.divide(at - ends[rows, left], gap, out=np.zeros_like(gap), where=gap > 0)
    level: Floats = LEVELS[left] + way * (LEVELS[right] - LEVELS[left])
    return np.where(below == 0, 0.0, np.where(below == len(LEVELS), 1.0, level))


def coverage_points(places: Floats) -> dict[str, float]:
    """Per quantile: the share of randomised PIT values at or below it less the quantile, in points."""
    return {str(level): round(100 * (float((places <= level).mean()) - level), 2) for level in QUANTILES}


def worst(points: dict[str, float]) -> float:
    """The largest of them, without its sign."""
    return max(abs(value) for value in points.values())


def reliability(said: Floats, happened: Floats) -> dict[str, Any]:
    """ECE, the 95 % point of what perfect probabilities would show, Brier score, and the ten bins."""
    place = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    bins = []
    for number in range(BINS):
        mine = place == number
        if mine.any():
            rate = float(happened[mine].mean())
            spread = 1.96 * float(np.sqrt(said[mine].mean() * (1 - said[mine].mean()) / mine.sum()))
            bins.append({"decisions": int(mine.sum()), "said": round(float(said[mine].mean()), 4),
                         "happened": round(rate, 4), "chance": round(spread, 4)})  # fmt: skip
    return {
        "ece": round(calibration_error(said, happened), 4),
        "ece_by_chance": round(expected_calibration_error(said, draws=200), 4),
        "brier": round(float(((said - happened) ** 2).mean()), 4),
        "brier_base_rate": round(float(happened.mean() * (1 - happened.mean())), 4),
        "bins": bins,
    }


def lead_time_points(law: LeadTimeLaw, truth: Sequence[int], chance: np.random.Generator) -> dict[str, float]:
    """Per quantile: the share of randomised PIT values of true lead times at or below it less the quantile."""
    days = np.array(truth, dtype=np.int64)
    running = np.concatenate([[0], np.cumsum(law.weights)]) / float(law.weights.sum())
    places = running[days] + chance.random(len(days)) * (running[days + 1] - running[days])
    return {str(level): round(100 * (float((places <= level).mean()) - level), 2) for level in LEAD_LEVELS}
