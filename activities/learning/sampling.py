"""Training rows are drawn over origins, series and horizons, so that their number does not grow with the data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from activities.learning.features import HORIZON_DAYS, NAMES, features, sale_days, scale
from activities.learning.windows import Floats, Panel

ORIGINS = 24
HORIZONS_PER_ORIGIN = 4, 8
"""At least and at most: few series are asked for more horizons each."""
MIN_SALE_DAYS = 8
"""Items with fewer sale days in their window are answered by the cold-start prior, and do not teach the booster."""
MIN_AGE_DAYS = 28


@dataclass(frozen=True)
class TrainingRows:
    """What the booster learns from; targets are relative to scale.

    A row weighs by its age alone (1, 1/2, 1/4 per year back). Weighting by scale as well cost 2 to 6 % more pinball
    loss, even in units, on Online Retail and on a made-up world: few large items then leave few effective rows.
    """

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
    asked = int(np.clip(rows // (ORIGINS * max(1, len(panel.category))), *HORIZONS_PER_ORIGIN))
    per_origin = max(1, rows // (ORIGINS * asked))
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
        strata = np.arange(asked) + chance.random((len(chosen), asked))
        horizons = np.clip(np.ceil(reach * (strata / asked) ** 1.5), 1, reach).astype(np.int64).ravel()
        pairs = np.repeat(np.arange(len(chosen)), asked)
        observed = panel.targets(order[chosen][pairs], origin + horizons)
        seen = ~np.isnan(observed)
        pairs, horizons, observed = pairs[seen], horizons[seen], observed[seen]
        size = scale(windows)[pairs]
        weights = np.full(len(size), 0.5 ** ((through - origin) // 365))
        parts.append((features(windows, pairs, horizons, categories), observed / size, weights))
    if not parts:
        return TrainingRows(np.zeros((0, len(NAMES)), dtype=np.float32), np.zeros(0), np.zeros(0))
    vectors, targets, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return TrainingRows(vectors, targets, weights)
