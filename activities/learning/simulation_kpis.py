"""What a run came to: the figures of one policy, and how sure it is that one policy costs less than another."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from activities.learning.simulation import Run
from activities.learning.windows import Flags, Floats, Ints
from workflows.domain.studies import MISSING

RESAMPLES = 2_000
RESAMPLE_SEED = 20_240_408
MOST_GROUPS = 10_000
"""More series than that are resampled in so many groups, which changes no interval visibly and takes seconds."""
CHUNK = 4_000_000
"""Cells of resampling weights at a time: bounds memory."""


def kpis(run: Run) -> dict[str, Any]:
    """The run's figures, JSON-ready; quantities in units, shares between 0 and 1, None where undefined.

    fill_rate: served at once / demanded. cycle_service: share of (row, period) without unserved demand. mean_stock:
    units left at the end of a period, mean over (row, period). order_variance_ratio: sum over rows of the orders'
    variance over rounds / the same of demand.
    """
    scale, counts = run.trial.facts.scale, run.trial.demand != MISSING
    demand = np.where(counts, run.trial.demand, 0)
    unserved = int(run.unserved[counts].sum())
    cells = max(1, int(counts.sum()))
    stock = float(np.maximum(run.left, 0)[counts].sum()) / scale
    demanded = int(demand.sum())
    return {
        "total_cost": _money(run.costs),
        "holding_cost": _money(run.holding),
        "shortage_cost": _money(run.shortage),
        "order_cost": _money(run.ordering),
        "fill_rate": 1 - unserved / demanded if demanded else 1.0,
        "cycle_service": 1 - int((run.unserved[counts] > 0).sum()) / cells,
        "mean_stock": stock / cells,
        "order_variance_ratio": _variance_ratio(run.ordered, demand, counts),
        "costs_by_round": [_money(cost) for cost in run.costs.T],
        "seconds": round(run.seconds, 3),
        "demand_units": demanded / scale,
        "unserved_units": unserved / scale,
        "ordered_units": int(run.ordered.sum()) / scale,
        "in_transit_units": int(run.in_transit.sum()) / scale,
        "order_lines": int((run.ordered > 0).sum()),
        "periods_of_cover": stock * scale / demanded if demanded else None,
    }


def _money(costs: Floats) -> float:
    """The sum without the dust of binary fractions."""
    return round(float(costs.sum()), 6)


def _variance_ratio(ordered: Ints, demand: Ints, counts: Flags) -> float | None:
    whole = counts.all(axis=1)
    of_demand = float(demand[whole].var(axis=1).sum())
    return float(ordered[whole].var(axis=1).sum()) / of_demand if of_demand > 0 else None


@dataclass(frozen=True)
class Saving:
    """How much less the one costs than the other, as shares of the other's cost."""

    share: float | None
    """1 - cost / baseline's cost; None where the baseline costs nothing."""
    low: float | None
    high: float | None
    """Ends of the 95 % interval."""

    def document(self) -> dict[str, float | None]:
        """As JSON-ready values."""
        return {"share": self.share, "low": self.low, "high": self.high}


def saving(costs: Floats, baseline: Floats) -> Saving:
    """Paired bootstrap over series: one total cost per series each, resampled together; the seed is fixed.

    Percentile interval over 2,000 resamples (Efron & Tibshirani 1993, chapter 13).
    """
    ours, theirs = float(costs.sum()), float(baseline.sum())
    costs, baseline = _grouped(costs), _grouped(baseline)
    if theirs <= 0:
        return Saving(None, None, None)
    chance = np.random.Generator(np.random.PCG64(RESAMPLE_SEED))
    rows = len(costs)
    shares = np.empty(RESAMPLES)
    step = max(1, CHUNK // max(1, rows))
    for begin in range(0, RESAMPLES, step):
        end = min(RESAMPLES, begin + step)
        weights = chance.multinomial(rows, np.full(rows, 1 / rows), size=end - begin).astype(np.float64)
        below = weights @ baseline
        shares[begin:end] = 1 - np.divide(weights @ costs, below, out=np.ones(end - begin), where=below > 0)
    low, high = np.percentile(shares, [2.5, 97.5])
    return Saving(1 - ours / theirs, float(low), float(high))


def _grouped(costs: Floats) -> Floats:
    """Sums over every MOST_GROUPS-th series; the series themselves where they are not more than that."""
    if len(costs) <= MOST_GROUPS:
        return costs
    return np.bincount(np.arange(len(costs)) % MOST_GROUPS, weights=costs).astype(np.float64)


def gap_closed(cost: float, baseline: float, clairvoyant: float) -> float | None:
    """Share of the avoidable cost that is avoided: (baseline - cost) / (baseline - clairvoyant); None without any."""
    avoidable = baseline - clairvoyant
    return (baseline - cost) / avoidable if avoidable > 0 else None
