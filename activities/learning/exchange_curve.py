"""A curve of stock against fill rate, one point a setting, and what one curve saves against another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activities.learning.simulation import Run
from activities.learning.simulation_kpis import CHUNK, RESAMPLE_SEED, RESAMPLES
from activities.learning.windows import Flags, Floats, Ints
from workflows.domain.studies import MISSING


@dataclass(frozen=True)
class Curve:
    """Sums over the counted periods of each row, for each setting of one policy. Quantities are in units."""

    settings: tuple[float | None, ...]
    """None: the policy as it is."""
    stock: Floats
    """[settings, rows]: units left at the end of each period, summed."""
    unserved: Floats
    """[settings, rows]."""
    demanded: Floats
    """[rows]."""
    periods: Floats
    """[rows]: counted periods."""

    def take(self, settings: slice) -> "Curve":
        """These settings only."""
        return Curve(
            self.settings[settings], self.stock[settings], self.unserved[settings], self.demanded, self.periods
        )

    @classmethod
    def joined(cls, curves: Sequence["Curve"]) -> "Curve":
        """Curves of the same rows and periods as one."""
        return cls(
            tuple(setting for curve in curves for setting in curve.settings),
            np.concatenate([curve.stock for curve in curves]), np.concatenate([curve.unserved for curve in curves]),
            curves[0].demanded, curves[0].periods,
        )  # fmt: skip

    def figures(self, weights: Floats) -> tuple[Floats, Floats]:
        """Fill rates and mean stocks [draws, settings], each row counted as often as `weights` [draws, rows] says."""
        demanded, periods = weights @ self.demanded, weights @ self.periods
        lost = np.divide(
            weights @ self.unserved.T, demanded[:, None], out=np.zeros((len(weights), len(self.settings))),
            where=demanded[:, None] > 0,
        )  # fmt: skip
        return 1 - lost, weights @ self.stock.T / np.maximum(periods, 1)[:, None]

    def points(self) -> list[dict[str, float | None]]:
        """Each setting with its fill rate and mean stock, JSON-ready."""
        fill, stock = self.figures(np.ones((1, len(self.demanded))))
        return [
            {"setting": setting, "fill_rate": float(rate), "mean_stock": float(mean)}
            for setting, rate, mean in zip(self.settings, fill[0], stock[0], strict=True)
        ]


def curve_of(run: Run, settings: Sequence[float | None], mask: Flags) -> Curve:
    """The curve of a run whose rows are one block after the other, a block a setting; `mask` [rows of a block, rounds]
    says which periods count. A period whose demand nobody knows counts nowhere."""
    shape = (len(settings), *mask.shape)
    counts = mask & (run.trial.demand[: len(mask)] != MISSING)
    scale = run.trial.facts.scale

    def summed(values: Floats | Ints) -> Floats:
        found: Floats = np.where(counts, values, 0.0).sum(axis=-1) / scale
        return found

    return Curve(
        tuple(settings), summed(np.maximum(run.left, 0).reshape(shape)), summed(run.unserved.reshape(shape)),
        summed(run.trial.demand[: len(mask)]), counts.sum(axis=1).astype(np.float64),
    )  # fmt: skip


def compared(ours: Curve, theirs: Curve, usual: float) -> dict[str, Any]:
    """Both curves, and the comparisons, JSON-ready; `usual` is the setting that stands for `theirs`.

    `at_their_fill_rate`: the stock that each needs for the usual setting's fill rate, and the share that ours saves.
    `at_their_stock`: both fill rates at the usual setting's stock. `at_our_fill_rate`: the same from the other side,
    the stock that *any* setting of theirs needs for the fill rate of ours as it is. Intervals are 95 %, from a paired
    bootstrap over series; between two points of a curve the line is straight, and beyond its ends it is None.
    """
    our_fill, our_stock, their_fill, their_stock = _drawn(ours, theirs)
    at = theirs.settings.index(usual)
    fill, stock = their_fill[:, at], their_stock[:, at]
    needed = _across(our_fill, our_stock, fill)
    reached = _across(our_stock, our_fill, stock)
    as_it_is = ours.settings.index(None)
    theirs_needed = _across(their_fill, their_stock, our_fill[:, as_it_is])
    return {
        "curve": ours.points(),
        "their_curve": theirs.points(),
        "at_their_fill_rate": {
            "fill_rate": float(fill[0]), "their_stock": float(stock[0]), "our_stock": _number(needed[0]),
            "stock_saved": _interval(_saved(needed, stock)),
        },
        "at_their_stock": {
            "mean_stock": float(stock[0]), "their_fill_rate": float(fill[0]), "our_fill_rate": _number(reached[0]),
            "fill_rate_gained": _interval(reached - fill),
        },
        "at_our_fill_rate": {
            "fill_rate": float(our_fill[0, as_it_is]), "our_stock": float(our_stock[0, as_it_is]),
            "their_stock": _number(theirs_needed[0]),
            "stock_saved": _interval(_saved(our_stock[:, as_it_is], theirs_needed)),
        },
    }  # fmt: skip


def _drawn(ours: Curve, theirs: Curve) -> tuple[Floats, Floats, Floats, Floats]:
    """Fill rates and stocks of both: row 0 as they are, then of each resample of the series; the seed is fixed."""
    chance = np.random.Generator(np.random.PCG64(RESAMPLE_SEED))
    rows = len(ours.demanded)
    found = [(*ours.figures(np.ones((1, rows))), *theirs.figures(np.ones((1, rows))))]
    step = max(1, CHUNK // max(1, rows))
    for begin in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - begin)
        weights = chance.multinomial(rows, np.full(rows, 1 / rows), size=size).astype(np.float64)
        found.append((*ours.figures(weights), *theirs.figures(weights)))
    joined = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    return joined[0], joined[1], joined[2], joined[3]


def _across(known: Floats, wanted: Floats, at: Floats) -> Floats:
    """[draws]: `wanted` where `known` is `at`, on each draw's own curve [draws, settings]; NaN beyond its ends.

    A curve is made to rise: more of the one figure is never said to need less of the other.
    """
    order = np.argsort(known, axis=1, kind="stable")
    rising = np.take_along_axis(known, order, axis=1)
    values = np.minimum.accumulate(np.take_along_axis(wanted, order, axis=1)[:, ::-1], axis=1)[:, ::-1]
    rows = zip(at, rising, values, strict=True)
    return np.array([np.interp(x, xs, ys, left=np.nan, right=np.nan) for x, xs, ys in rows])


def _saved(ours: Floats, theirs: Floats) -> Floats:
    return np.asarray(1 - np.divide(ours, theirs, out=np.full(len(ours), np.nan), where=theirs > 0), dtype=np.float64)


def _interval(draws: Floats) -> dict[str, float | None]:
    """The figure itself and its 95 % interval; no interval where a resample left a curve."""
    if np.isnan(draws).any():
        return {"share": _number(draws[0]), "low": None, "high": None}
    low, high = np.percentile(draws[1:], [2.5, 97.5])
    return {"share": _number(draws[0]), "low": float(low), "high": float(high)}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
