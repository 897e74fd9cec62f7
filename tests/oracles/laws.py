"""Laws of demand with nothing estimated: probability by whole units."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activities.learning.windows import Floats, Ints

TAIL = 1e-14
"""Probability that is cut off; the rest is scaled to one."""


@dataclass(frozen=True)
class Law:
    """Demand of one period, independent of all others."""

    name: str
    mass: Floats
    """[units]: probability of 0, 1, 2, ... units; sums to 1."""

    @property
    def mean(self) -> float:
        """Units per period."""
        return float(self.mass @ np.arange(len(self.mass)))

    @property
    def most(self) -> int:
        """The largest demand that is possible."""
        return len(self.mass) - 1

    def quantiles(self, levels: Floats) -> Ints:
        """The smallest demand that each share of the periods does not exceed."""
        return np.minimum(np.searchsorted(np.cumsum(self.mass), levels - 1e-12), self.most).astype(np.int64)


def _law(name: str, mass: list[float]) -> Law:
    found = np.array(mass)
    return Law(name, found / found.sum())


def poisson(mean: float) -> Law:
    """Poisson demand."""
    mass, units = [math.exp(-mean)], 0
    while units < mean or mass[-1] > TAIL:
        units += 1
        mass.append(mass[-1] * mean / units)
    return _law(f"poisson {mean:g}", mass)


def geometric(mean: float) -> Law:
    """Geometric demand from 0 on."""
    ratio = mean / (1 + mean)
    length = math.ceil(math.log(TAIL) / math.log(ratio))
    return _law(f"geometric {mean:g}", [(1 - ratio) * ratio**units for units in range(length)])


def equally_likely(demands: Sequence[int]) -> Law:
    """One of these demands, each as likely as any other; a demand may be listed twice."""
    return _law(f"one of {list(demands)}", np.bincount(demands).astype(np.float64).tolist())
