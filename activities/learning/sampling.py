"""Training rows are drawn over origins, series and horizons, so that their number does not grow with the data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from activities.learning.features import HORIZON_DAYS, NAMES, features, sale_days, scale
from activities.learning.windows import Floats, Panel

ORIGINS = 24
HORIZONS_PER_ORIGIN = 4
MIN_SALE_DAYS = 8
"""Items with fewer sale days in their window are answered by the cold-start prior, and do not teach the booster."""
MIN_AGE_DAYS = 28
HEAVY = 50.0
"""A row weighs at most this many times the median row: one exploding series must not own the model."""


@dataclass(frozen=True)
class TrainingRows:
    """What the booster learns from; targets are relative to scale."""

    vectors: npt.NDArray[np.float32]
    targets: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.targets)


def sample(panel: Panel, *, through: int, rows: int, seed: int, categories: Mapping[str, int]) -> TrainingRows:
    """About `rows` training rows whose origins and targets lie at or before the ordinal `through`.

    The generator decides only which past days are looked at; the same panel and seed give the same rows.
    """
    chance = np.random.Generator(np.random.PCG64(seed))
    earliest = max(through - panel.days + MIN_AGE_DAYS, through - 3 * 365)
    origins = sorted({int(day) for day in np.linspace(earliest, through - 1, ORIGINS)})
    per_origin = max(1, rows // (ORIGINS * HORIZONS_PER_ORIGIN))
    parts: list[tuple[npt.NDArray[np.float32], Floats, Floats]] = []
    for origin in origins:
        if not panel.last - panel.days < origin < through:
            continue
        order = np.sort(chance.permutation(len(panel.category))[: 2 * per_origin])
        windows = panel.windows(origin, order)
        fit = (sale_days(windows) >= MIN_SALE_DAYS) & (windows.age_days >= MIN_AGE_DAYS)
        chosen = np.sort(chance.permutation(np.flatnonzero(fit))[:per_origin])
        if len(chosen) == 0:
            continue
        windows = windows.take(chosen)
        # Near days are asked for more often than far ones, so they are taught more often.
        reach = min(HORIZON_DAYS, through - origin)
        strata = np.arange(HORIZONS_PER_ORIGIN) + chance.random((len(chosen), HORIZONS_PER_ORIGIN))
        horizons = np.clip(np.ceil(reach * (strata / HORIZONS_PER_ORIGIN) ** 1.5), 1, reach).astype(np.int64).ravel()
        pairs = np.repeat(np.arange(len(chosen)), HORIZONS_PER_ORIGIN)
        observed = panel.targets(order[chosen][pairs], origin + horizons)
        seen = ~np.isnan(observed)
        pairs, horizons, observed = pairs[seen], horizons[seen], observed[seen]
        size = scale(windows)[pairs]
        age = 0.5 ** ((through - origin) // 365)
        parts.append((features(windows, pairs, horizons, categories), observed / size, size * age))
    if not parts:
        return TrainingRows(np.zeros((0, len(NAMES)), dtype=np.float32), np.zeros(0), np.zeros(0))
    weights = np.concatenate([part[2] for part in parts])
    # Divided by the median so that the booster's minimum leaf weight means rows, whatever the unit of measure.
    typical = float(np.median(weights)) if len(weights) else 1.0
    return TrainingRows(
        np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]),
        np.minimum(weights / typical, HEAVY),
    )  # fmt: skip
