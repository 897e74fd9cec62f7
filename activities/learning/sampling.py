"""Training rows are drawn over origins, series and horizons, so that their number does not grow with the data."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from activities.learning.features import Context, features, names, sale_periods, scale
from activities.learning.windows import Floats, Panel

MIN_ORIGINS = 24
HORIZONS_PER_ORIGIN = 4, 8
"""At least and at most: few series are asked for more horizons each."""
MIN_SALE_PERIODS = 8
"""Items with fewer sale periods in their window are answered by what is pooled, and do not teach the booster."""
LEARNED_YEARS = 3


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


def sample(
    panel: Panel, *, rows: int, seed: int, context: Context, horizon: int, min_sales: int = MIN_SALE_PERIODS
) -> TrainingRows:
    """About `rows` training rows whose origins and targets lie inside the panel.

    The generator decides only which past periods are looked at; the same panel and seed give the same rows.
    """
    chance = np.random.Generator(np.random.PCG64(seed))
    cadence, series = panel.cadence, max(1, len(panel.groups))
    earliest = max(
        panel.first - 1 + min(cadence.min_age, panel.periods // 2), panel.last - LEARNED_YEARS * cadence.season
    )
    count = int(np.clip(rows // (series * HORIZONS_PER_ORIGIN[1]), MIN_ORIGINS, panel.last - earliest + 1))
    origins = sorted({int(day) for day in np.linspace(earliest, panel.last - 1, count)})
    asked = min(int(np.clip(rows // (len(origins) * series), *HORIZONS_PER_ORIGIN)), horizon)
    per_origin = max(1, rows // (len(origins) * asked))
    parts: list[tuple[npt.NDArray[np.float32], Floats, Floats]] = []
    for origin in origins:
        if not panel.first <= origin < panel.last:
            continue
        order = np.sort(chance.permutation(series)[: 2 * per_origin])
        windows = panel.windows(origin, order)
        fit = (sale_periods(windows) >= min_sales) & (windows.age >= cadence.min_age)
        chosen = np.sort(chance.permutation(np.flatnonzero(fit))[:per_origin])
        if len(chosen) == 0:
            continue
        windows = windows.take(chosen)
        # Near periods are asked for more often than far ones, so they are taught more often.
        reach = min(horizon, panel.last - origin)
        strata = np.arange(asked) + chance.random((len(chosen), asked))
        horizons = np.clip(np.ceil(reach * (strata / asked) ** 1.5), 1, reach).astype(np.int64).ravel()
        pairs = np.repeat(np.arange(len(chosen)), asked)
        observed = panel.targets(order[chosen][pairs], origin + horizons)
        seen = ~np.isnan(observed)
        pairs, horizons, observed = pairs[seen], horizons[seen], observed[seen]
        size = scale(windows)[pairs]
        weights = np.full(len(size), 0.5 ** ((panel.last - origin) // cadence.season))
        parts.append((features(windows, pairs, horizons, context), observed / size, weights))
    if not parts:
        return TrainingRows(
            np.zeros((0, len(names(cadence, context.drivers))), dtype=np.float32), np.zeros(0), np.zeros(0)
        )
    vectors, targets, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return TrainingRows(vectors, targets, weights)
