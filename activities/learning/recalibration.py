"""A demand class is corrected only by what a hold-out has shown: where zero ends, and where quantiles fell short.

The trial model of the backtest, which knows nothing of the hold-out, speaks as the backtest chose; its errors there
say what the final model's will be.
"""

from collections.abc import Iterable

import numpy as np

from activities.learning.conformal import HeldOut, fit_shifts, loss
from activities.learning.features import features, scale
from activities.learning.forecasting import COLD_START, PROPHET, THIN, XGBOOST, quantiles_by, segments_of
from activities.learning.model_file import Model, SegmentCalibration
from activities.learning.occurrence import HALF, PERMILLE, first_sale, no_sale_permille, with_occurrence
from activities.learning.windows import Panel

MAX_SERIES = 1_200
ORIGINS = 8
HORIZONS = 8
NO_HARM = 1.01
"""Pinball loss may rise by what is noise (science 5: no claim under 2 %): it buys a chance of no sale that is true."""
"""Periods ahead that are looked at from each origin: dense near, sparse far."""


def calibrations_of(trial: Model, panel: Panel, *, cut: int, horizon: int) -> dict[str, SegmentCalibration]:
    """Per demand class, the corrections that lower its loss between `cut` and the panel's end.

    Args:
        trial: trained on what was known at `cut`, with the backtest's choice of forecasters.
    """
    if trial.booster is None or trial.occurrence is None:
        return {}
    found: dict[str, SegmentCalibration] = {}
    for kind, parts in _held_out(trial, panel, cut, horizon).items():
        plain = _joined(parts)
        hurdle = HeldOut(
            with_occurrence(plain.quantiles, plain.no_sale), plain.no_sale, plain.actual, plain.scale, plain.ahead,
            plain.second,
        )  # fmt: skip
        occurrence = _knows_zero(plain, hurdle)
        silent = HeldOut(
            plain.quantiles, np.zeros_like(plain.no_sale), plain.actual, plain.scale, plain.ahead, plain.second
        )  # fmt: skip
        shifts = fit_shifts(hurdle if occurrence else silent, horizon)
        if occurrence or shifts:
            found[kind] = SegmentCalibration(observations=len(plain.actual), occurrence=occurrence, shifts=shifts)
    return found


def _knows_zero(plain: HeldOut, hurdle: HeldOut) -> bool:
    """Whether the booster's chance of no sale has the lower Brier score, and costs the quantiles nothing."""
    empty = (plain.actual < HALF).astype(np.float64)
    told = ((plain.no_sale / PERMILLE - empty) ** 2).mean()
    implied = ((first_sale(plain.quantiles) - empty) ** 2).mean()
    unharmed = loss(hurdle.actual, hurdle.quantiles) <= NO_HARM * loss(plain.actual, plain.quantiles)
    return bool(told < implied and unharmed)


def _held_out(trial: Model, panel: Panel, cut: int, horizon: int) -> dict[str, list[HeldOut]]:
    assert trial.occurrence is not None  # noqa: S101 - asked by the caller
    rows = np.unique(np.linspace(0, len(panel.keys) - 1, MAX_SERIES).astype(np.int64))
    length, picks = panel.last - cut, trial.chosen
    middle = cut + max(1, length // 2)
    parts: dict[str, list[HeldOut]] = {}
    for origin in range(cut, panel.last, max(1, length // ORIGINS)):
        reach = min(horizon, panel.last - origin)
        asked = np.unique(np.ceil(reach * (np.arange(1, HORIZONS + 1) / HORIZONS) ** 2).astype(np.int64))
        windows = panel.windows(origin, rows)
        segments = segments_of(windows, trial.segment_names)
        names = np.array([picks.get(segment, XGBOOST) for segment in segments], dtype=object)
        kinds = np.array([segment.split("/")[0] for segment in segments])
        names[(kinds == THIN) | (windows.age == 0)] = COLD_START
        for name in sorted(set(names) - {PROPHET, COLD_START}):
            own = np.flatnonzero(names == name)
            taken = windows.take(own)
            pairs, ahead = np.repeat(np.arange(len(own)), len(asked)), np.tile(asked, len(own))
            actual = panel.targets(rows[own][pairs], origin + ahead)
            seen = ~np.isnan(actual)
            pairs, ahead, actual = pairs[seen], ahead[seen], actual[seen]
            vectors = features(taken, pairs, ahead, trial.context)
            quantiles = quantiles_by(str(name), trial, taken, pairs, ahead, vectors)
            silent = no_sale_permille(trial.occurrence, vectors)
            held = HeldOut(quantiles, silent, actual, scale(taken)[pairs], ahead, origin + ahead > middle)
            for kind in np.unique(kinds[own]):
                parts.setdefault(str(kind), []).append(held.take(kinds[own][pairs] == kind))
    return dict(sorted(parts.items()))


def _joined(parts: Iterable[HeldOut]) -> HeldOut:
    columns = zip(
        *((one.quantiles, one.no_sale, one.actual, one.scale, one.ahead, one.second) for one in parts), strict=True
    )
    return HeldOut(*(np.concatenate(column) for column in columns))
