"""An empty shelf hides how much more was wanted: what is known is a least, and the item's own past says the rest.

Leaving such periods out would leave out the good ones: stock runs out when demand is high, and an engine that never
looks at those periods orders ever less (the spiral of science 6.5). Each is read as what comparable periods sold, as
Efron (1967) redistributes a censored observation over the larger ones. Nothing is learned to predict these values:
they are looked at, never aimed at.
"""

import numpy as np

from activities.learning.windows import Flags, Floats

BEYOND = 1.25
"""Where nothing recent sold more, a quarter more than was sold is taken to have been wanted."""


def redistributed(history: Floats, sold: Floats, recent: int) -> tuple[Floats, Flags]:
    """The history with its censored periods filled, and which those are; both [rows, periods].

    Args:
        history: demand; NaN where it was not wholly observed.
        sold: the same with what was sold in censored periods; NaN where nothing was recorded.
        recent: a censored period is the mean of those of this many periods before it that were at least as good.
    """
    filled, censored = history.copy(), np.isnan(history) & ~np.isnan(sold)
    for column in np.flatnonzero(censored.any(axis=0)):
        rows = np.flatnonzero(censored[:, column])
        least = sold[rows, column]
        before = filled[rows, max(0, column - recent) : column]
        better = before >= least[:, None]  # NaN is not
        count = better.sum(axis=1)
        mean = np.where(better, before, 0.0).sum(axis=1) / np.maximum(count, 1)
        filled[rows, column] = np.where(count > 0, mean, least * BEYOND)
    return filled, censored
