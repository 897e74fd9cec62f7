"""Waiting has a price that can be read off the same futures: how likely stock runs out if the next order leaves later.

From this the last safe order time follows (science, end of section 3): the latest review at which ordering still keeps
the risk of a shortage within the target.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from activities.learning.windows import Ints
from workflows.domain.scores import probability

MOST_DAYS = 28
"""Later than this nobody plans a single order; the item is looked at every day anyway."""


def waiting_counts(
    demand: Ints, arrivals: Ints, missing: Ints, lead_days: Ints, horizon: Ints, allowed: Sequence[Decimal]
) -> list[list[int]]:
    """Per row: scenarios that run out between the arrival of an order of today and that of one d days later.

    d = 1, 2, ... up to the first one of a probability above `allowed`, the end of the row's own `horizon`, or
    `MOST_DAYS`. `demand` and `arrivals` are [rows, days, scenarios], `missing` [rows, scenarios] is the requirement at
    d = 1 and `lead_days` [rows, scenarios]. A row's answer depends on nothing but the row.
    """
    rows, days, scenarios = demand.shape
    net = (demand - arrivals).reshape(-1)
    begins = np.arange(rows)[:, None] * days * scenarios + np.arange(scenarios)
    last = days - 1
    running = net[begins + np.minimum(lead_days, last) * scenarios]
    stock = running - missing
    highest = running.copy()
    limits = np.clip(horizon - lead_days.max(axis=1), 1, MOST_DAYS)
    shares = [probability(count / scenarios) for count in range(scenarios + 1)]
    most = np.array([bisect_right(shares, limit) - 1 for limit in allowed], dtype=np.int64)
    found = np.zeros((rows, MOST_DAYS), dtype=np.int64)
    lengths = limits.copy()
    going = np.ones(rows, dtype=np.bool_)
    for later in range(MOST_DAYS):
        if later:
            running = running + net[begins + np.minimum(lead_days + later, last) * scenarios]
            highest = np.maximum(highest, running)
        found[:, later] = np.count_nonzero(highest > stock, axis=1)
        ends = going & ((found[:, later] > most) | (later + 1 >= limits))
        lengths[ends] = later + 1
        going &= ~ends
        if not going.any():
            break
    return [of_row[:length] for of_row, length in zip(found.tolist(), lengths.tolist(), strict=True)]
