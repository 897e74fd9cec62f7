"""Small made-up worlds whose truth is known, for the tests of the learning code."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from workflows.domain.models import TrainingSeries
from workflows.domain.scores import DemandHistory, LeadTimes, ScoringRow

LAST_DAY = date(2025, 6, 30)


def series(
    item: str, units: Sequence[int | None], *, category: str = "tools", location: str = "L1", last_day: date = LAST_DAY
) -> TrainingSeries:
    """A series whose last value is that of `last_day`."""
    first = last_day - timedelta(days=len(units) - 1)
    history = DemandHistory(first_day=first, daily_units=tuple(units))
    return TrainingSeries(item=item, location=location, category=category, history=history)


def row(one: TrainingSeries, *, last_day: date = LAST_DAY, on_hand: int = 10, **changes: Any) -> ScoringRow:
    """A scoring row with two days of lead time and daily review."""
    facts: dict[str, Any] = {
        "item": one.item, "location": one.location, "category": one.category, "supplier": "S1", "last_day": last_day,
        "history": one.history, "promotions": one.promotions, "on_hand_units": on_hand,
        "lead_times": LeadTimes(lane_days=(2,) * 50, supplier_days=(2,) * 50, promised_days=2), "review_days": 1,
        "shortage_per_unit": Decimal(4), "holding_per_unit_day": Decimal("0.2"),
    }  # fmt: skip
    return ScoringRow(**(facts | changes))


def ordinals(days: int, last_day: date = LAST_DAY) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The ordinals of the last `days` days."""
    return np.arange(days, dtype=np.int64) + last_day.toordinal() - days + 1


def steady_world(
    count: int = 90, days: int = 400, seed: int = 3
) -> tuple[list[TrainingSeries], list[float], list[float]]:
    """Items whose daily demand is Poisson or negative binomial around a constant mean; also means and dispersions."""
    chance = np.random.default_rng(seed)
    made, means, dispersions = [], [], []
    for number in range(count):
        mean = float(np.exp(chance.uniform(np.log(0.4), np.log(12))))
        dispersion = 1.0 if number % 2 else 2.5
        units = draw(chance, mean, dispersion, days)
        made.append(series(f"i{number:03d}", [int(value) for value in units], category="ab"[number % 2] * 2))
        means.append(mean)
        dispersions.append(dispersion)
    return made, means, dispersions


def draw(
    chance: np.random.Generator, mean: float, dispersion: float, size: int | tuple[int, ...]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Daily demand with this mean and variance-to-mean ratio."""
    if dispersion == 1.0:
        return chance.poisson(mean, size)
    return chance.negative_binomial(mean / (dispersion - 1), 1 / dispersion, size)


def seasonal_world(count: int = 60, days: int = 500, seed: int = 5) -> list[TrainingSeries]:
    """Items with a weekly pattern, a yearly one, promotions of none and a level that drifts."""
    chance = np.random.default_rng(seed)
    calendar = ordinals(days)
    made = []
    for number in range(count):
        weekly = np.array([0.6, 0.8, 1.0, 1.0, 1.2, 1.6, 0.8])[(calendar + number % 3) % 7]
        yearly = 1 + 0.4 * np.sin(2 * np.pi * calendar / 365.25 + number % 4)
        level = np.exp(np.cumsum(chance.normal(0, 0.02, days))) * float(np.exp(chance.normal(1.0, 0.8)))
        units = chance.poisson(level * weekly * yearly)
        made.append(series(f"i{number:03d}", [int(value) for value in units], category=f"c{number % 3}"))
    return made


def almanac_world(seed: int = 11) -> list[TrainingSeries]:
    """Two and a half years; category `calendar` follows sharp yearly and weekly patterns and nothing else, category
    `restless` follows no calendar: its levels jump from week to week."""
    chance = np.random.default_rng(seed)
    calendar = ordinals(900)
    phase = 2 * np.pi * calendar / 365.25
    yearly = np.exp(0.9 * np.sin(phase) + 0.6 * np.sin(2 * phase + 1) + 0.4 * np.cos(3 * phase))
    weekly = np.array([0.5, 0.7, 0.9, 1.0, 1.3, 1.9, 0.7])[calendar % 7]
    made = []
    for number in range(10):
        units = chance.poisson(float(chance.uniform(8, 25)) * yearly * weekly)
        made.append(series(f"cal{number}", [int(value) for value in units], category="calendar"))
    for number in range(24):
        jumps = np.repeat(np.exp(chance.normal(0, 0.9, 900 // 30)), 30)
        units = chance.poisson(10 * jumps)
        made.append(series(f"jump{number:02d}", [int(value) for value in units], category="restless"))
    return made
