"""Waiting has a price that can be read off the same futures: how likely stock runs out if the next order leaves later.

From this the last safe order time follows (science, end of section 3): the latest review at which ordering still keeps
the risk of a shortage within the target.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from activities.learning import risk
from activities.learning.windows import Ints
from workflows.domain.scores import Probability, probability

MOST_DAYS = 28
"""Later than this nobody plans a single order; the item is looked at every day anyway."""


def waiting_risk(
    demand: Ints, arrivals: Ints, missing: Ints, lead_days: Ints, horizon: Ints, allowed: Sequence[Decimal]
) -> list[tuple[Probability, ...]]:
    """Per row: the probability of running out, between the arrival of an order of today and that of one d days later.

    d = 1, 2, ... up to the first one above `allowed`, the end of the row's own `horizon`, or `MOST_DAYS`. `demand` and
    `arrivals` are [rows, days, scenarios], `missing` [rows, scenarios] is the requirement at d = 1 and `lead_days`
    [rows, scenarios]. A row's answer depends on nothing but the row.
    """
    net = demand - arrivals
    last = net.shape[1] - 1
    running = np.take_along_axis(net, np.minimum(lead_days, last)[:, None, :], axis=1)[:, 0]
    stock = running - missing
    highest = running.copy()
    limits = np.clip(horizon - lead_days.max(axis=1), 1, MOST_DAYS)
    found: list[list[Probability]] = [[] for _ in allowed]
    open_rows = list(range(len(allowed)))
    for later in range(MOST_DAYS):
        if later:
            day = np.minimum(lead_days + later, last)
            running = running + np.take_along_axis(net, day[:, None, :], axis=1)[:, 0]
            highest = np.maximum(highest, running)
        for row in open_rows:
            found[row].append(probability(risk.mean(highest[row] > stock[row])))
        open_rows = [row for row in open_rows if found[row][-1] <= allowed[row] and later + 1 < limits[row]]
        if not open_rows:
            break
    return [tuple(risks) for risks in found]
