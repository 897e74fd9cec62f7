"""Today's sales so far move the rest of today: exact arithmetic on the day's own scenarios, and no die to roll.

A day that sold more than its share by now is a bigger day than was forecast, a quiet one a smaller. The stock is net of
what was sold, so scoring needs the law of the *rest*: R = D - s, given that s is sold when f of a day usually is.
"""

from collections.abc import Sequence

import numpy as np

from activities.learning.windows import Floats, Ints
from workflows.domain.scores import ScoringRow

PERMILLE = 1_000
USUAL_CLUMP_PERMILLE = 250
"""Rho when nobody says how sales clump: see `workflows.domain.rhythm`."""
CLUMP_RANGE = (15, 985)
"""Rho is kept inside: at 0 the law below is binomial, whose weights no float can hold; at 1000 it says nothing."""
SURPRISES = (2, 4, 8, 16)
"""A day may be so many times what was forecast ..."""
SURPRISE_ODDS = 1_024
"""... each with odds of 1 to so many: without them no evidence could move a day beyond its largest scenario."""
BINS, SOLD_BINS = 4_096, 512
"""Demand is weighed in bins, so that the weights of the largest days fit into a float."""
FINE = 2**30
"""Weights are cut to whole multiples of the largest weight / FINE before anything is compared."""
EARLIEST_PERMILLE = 10
"""Sales before the day has begun count as if this share of it were over."""


def day_so_far(rows: Sequence[ScoringRow]) -> tuple[Ints, Ints]:
    """What `remaining_today` asks of each row besides its sales: [rows] elapsed (-1: nobody knows) and clumping."""
    elapsed = [-1 if row.day_elapsed_permille is None else row.day_elapsed_permille for row in rows]
    clumps = [USUAL_CLUMP_PERMILLE if row.day_clump_permille is None else row.day_clump_permille for row in rows]
    return np.array(elapsed, dtype=np.int64), np.array(clumps, dtype=np.int64)


def remaining_today(
    demand_day0: Ints, sold_today: Ints, elapsed_permille: Ints, clump_permille: Ints | None = None
) -> Ints:
    """Scenarios of what is still to come today; [rows, N] whole units, each row ranked as its demand is.

    Args:
        demand_day0: [rows, N] scenarios of the whole day's demand, equally likely, units.
        sold_today: [rows] units of that demand that were served already.
        elapsed_permille: [rows] f, the share of a usual day's sales that is done by now, 0 to 1000; negative where
            nobody knows: then what is left of each scenario is max(D - s, 0).
        clump_permille: [rows] rho, how sales clump (the chance that two units of one day left together); None: usual.

    Bayes on the scenarios themselves: scenario k has the weight of s under a beta-binomial thinning of D_k (Skellam
    1948) with mean f D_k and intra-class correlation rho, phi = 1/rho - 1, alpha = f phi, beta = (1 - f) phi:

        w(D + 1)/w(D) = (D + 1)(D - s + beta) / ((D + 1 - s)(D + phi)),   w(D) = 0 for D < s.

    The posterior of R = D - s is read at the N levels (k - 1/2)/N and given out in the order of the demand's ranks, so
    the day keeps its place in the futures that the permutations join. Only + - * / on floats (the same on any IEEE
    machine), then whole numbers. At f = 0 with nothing sold it is the demand itself; at f = 1000 nothing is to come.
    """
    rest: Ints = np.maximum(demand_day0 - sold_today[:, None], 0)
    clumps = np.full(len(rest), USUAL_CLUMP_PERMILLE) if clump_permille is None else clump_permille
    for row in np.flatnonzero((elapsed_permille > 0) | ((elapsed_permille == 0) & (sold_today > 0))):
        rest[row] = _rest_of(demand_day0[row], int(sold_today[row]), int(elapsed_permille[row]), int(clumps[row]))
    return rest


def _rest_of(demand: Ints, sold: int, elapsed: int, clump: int) -> Ints:
    count = len(demand)
    if elapsed >= PERMILLE:
        return np.zeros(count, dtype=np.int64)
    elapsed = max(elapsed, EARLIEST_PERMILLE)
    values, odds = _possible(demand)
    weights = _weights(values, sold, elapsed, min(max(clump, CLUMP_RANGE[0]), CLUMP_RANGE[1])) * odds
    largest = float(weights.max())
    if largest == 0:  # beyond every scenario and every surprise: the rate that was seen goes on, give or take all of it
        levels = 2 * np.arange(count, dtype=np.int64) + 1
        ordered = (2 * levels * sold * (PERMILLE - elapsed) + count * elapsed) // (2 * count * elapsed)
    else:
        order = np.argsort(values, kind="stable")
        cumulated = np.cumsum((weights[order] / largest * FINE).astype(np.int64))
        levels = (2 * np.arange(count, dtype=np.int64) + 1) * int(cumulated[-1])
        ordered = values[order][np.searchsorted(cumulated * 2 * count, levels)] - sold
    rest = np.empty(count, dtype=np.int64)
    rest[np.argsort(demand, kind="stable")] = ordered
    return rest


def _possible(demand: Ints) -> tuple[Ints, Floats]:
    """The day as it was forecast, and the days that nobody forecast, with their odds."""
    values = np.concatenate([demand, *(demand * factor for factor in SURPRISES)])
    odds = np.ones(len(values), dtype=np.float64)
    odds[: len(demand)] = SURPRISE_ODDS
    return values, odds


def _weights(values: Ints, sold: int, elapsed: int, clump: int) -> Floats:
    """P(s | D) for each D, up to a factor that all share."""
    top = int(values.max())
    wide = max(1, -(-top // BINS), -(-sold // SOLD_BINS))
    seen, last = sold // wide, top // wide
    if last < seen:
        return np.zeros(len(values), dtype=np.float64)
    phi = (PERMILLE - clump) / clump
    beta = phi * (PERMILLE - elapsed) / PERMILLE
    grid = np.arange(seen, last, dtype=np.float64)
    ratios = (grid + 1) * (grid - seen + beta) / ((grid + 1 - seen) * (grid + phi))
    law = np.concatenate([[1.0], np.cumprod(ratios)])
    weights: Floats = np.where(values >= sold, law[np.maximum(values // wide - seen, 0)], 0.0)
    return weights
