"""Conformal shifts move a quantile to where it would have covered what it promised, where that was shown to help.

One-sided split conformal prediction (Romano, Patterson and Candes 2019; science 1.1), per demand class and horizon
group: the score of an observation is E = (y - q)/s with the row's scale s, and the shift of the quantile at level a is
the ceil((n + 1) a)-th smallest score. Whole numbers pile up on a quantile, so an observation counts as spread evenly
over its own unit, y - 1/2 to y + 1/2: then the law in whole units covers exactly what the shifted quantile says.
"""

from dataclasses import dataclass

import numpy as np

from activities.learning.demand import QUANTILES
from activities.learning.evaluation import pinball
from activities.learning.occurrence import HALF, PERMILLE
from activities.learning.windows import Flags, Floats, Ints

NEAR, FAR = "near", "far"
GROUPS = (NEAR, FAR)
NEAR_SHARE = 8
"""The nearest eighth of the horizon is a group of its own: a week of the 60 days that are trained for."""
MIN_OBSERVATIONS = 300
"""Of a group, in the part that is fitted on and in the part that judges: fewer windows make cost worse."""
MARGIN = 0.998
"""The loss on the second part relative to that without shifts: what gains less has fitted the noise of the first."""
GOLDEN = 0.6180339887498949
SHIFT_CAP = 10_000

Shifts = dict[str, tuple[int, ...]]
"""Per horizon group one whole number for each quantile: thousandths of the row's scale."""


@dataclass(frozen=True)
class HeldOut:
    """Forecasts of a hold-out beside what came, one row per observation."""

    quantiles: Floats
    """Units [n, levels]."""
    no_sale: Ints
    """Thousandths; 0 where the quantiles say it all."""
    actual: Floats
    scale: Floats
    ahead: Ints
    second: Flags
    """Whether the observation belongs to the later part, which judges."""

    def take(self, chosen: Flags) -> "HeldOut":
        """These observations only."""
        return HeldOut(
            self.quantiles[chosen], self.no_sale[chosen], self.actual[chosen], self.scale[chosen], self.ahead[chosen],
            self.second[chosen],
        )  # fmt: skip


def groups_of(ahead: Ints, horizon: int) -> Flags:
    """[groups, n]: which periods ahead belong to which of `GROUPS`."""
    near = ahead <= max(1, horizon // NEAR_SHARE)
    return np.stack([near, ~near])


def fit_shifts(held: HeldOut, horizon: int) -> Shifts:
    """The shifts of each group that lowers its loss on the later part by more than noise; fitted there on all."""
    found: Shifts = {}
    for name, member in zip(GROUPS, groups_of(held.ahead, horizon), strict=True):
        own = held.take(member)
        first, second = own.take(~own.second), own.take(own.second)
        if min(len(first.actual), len(second.actual)) < MIN_OBSERVATIONS:
            continue
        tried = shifted(second.quantiles, np.tile(shifts_of(first), (len(second.actual), 1)), second)
        if loss(second.actual, tried) < MARGIN * loss(second.actual, second.quantiles):
            found[name] = tuple(int(value) for value in shifts_of(own))
    return found


def shifts_of(held: HeldOut) -> Ints:
    """The conformal shift of every level; 0 where too few laws sell anything at that level."""
    # Spread without chance: multiples of the golden ratio lie evenly wherever one begins.
    spread = (np.arange(1, len(held.actual) + 1) * GOLDEN) % 1.0 - HALF
    result = np.zeros(len(QUANTILES), dtype=np.int64)
    for column, level in enumerate(QUANTILES):
        sells = held.no_sale < level * PERMILLE
        count = int(sells.sum())
        if count < MIN_OBSERVATIONS:
            continue
        scores = np.sort((held.actual + spread - held.quantiles[:, column])[sells] / held.scale[sells])
        place = min(int(np.ceil((count + 1) * level)), count)
        result[column] = np.clip(np.rint(scores[place - 1] * PERMILLE), -SHIFT_CAP, SHIFT_CAP)
    return result


def shifted(quantiles: Floats, shifts: Ints, of: HeldOut) -> Floats:
    """Quantiles [n, levels] moved by `shifts` [n, levels] thousandths of the scale: still ascending, not negative."""
    return move(quantiles, shifts, of.scale, of.no_sale)


def move(quantiles: Floats, shifts: Ints, scale: Floats, no_sale: Ints) -> Floats:
    """`shifted` by plain arrays. Where the chance of no sale is known, it is left as it is."""
    moved = np.maximum(quantiles + shifts / PERMILLE * scale[:, None], 0.0)
    told, sells = no_sale > 0, np.array(QUANTILES)[None, :] * PERMILLE > no_sale[:, None]
    moved = np.where(told[:, None], np.where(sells, np.maximum(moved, HALF), 0.0), moved)
    ascending: Floats = np.sort(moved, axis=1)
    return ascending


def loss(actual: Floats, quantiles: Floats) -> float:
    """Mean pinball loss of the law in whole units, which is what decides."""
    return float(pinball(actual, np.floor(quantiles + HALF)).mean())
