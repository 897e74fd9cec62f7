"""Ordering is rules 5 to 7 for many rows at once: to the unit what `workflows.domain.quantities` says of each alone.

All is whole numbers: units, millionths of money, ten-thousandths of probability. A sum that could leave 64 bits is made
in Python's integers instead, so that the answer is exact for every input.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from activities.learning.risk import LOST_SALES_FACTORS, TARGET_CEILING, TARGET_FLOOR, USUAL_SCALE
from activities.learning.windows import Flags, Ints

AT_ONCE_BYTES = 2 << 20
"""The sample of one pass: it and its two working copies stay in the processor's cache."""
TEN_THOUSAND = 10_000
THOUSAND = 1_000
_FACTORS = np.array([int(factor * 100) for factor in LOST_SALES_FACTORS], dtype=np.int64)
SAFE = 2**62
UNCAPPED = 2**62
"""The cap of a row that has none."""


@dataclass(frozen=True)
class TermsOfRows:
    """What can be ordered, [rows] each: `domain.quantities.SupplyTerms` of many rows, in units."""

    minimum: Ints
    pack: Ints
    """At least 1."""
    cap: Ints
    """`UNCAPPED` where there is none."""

    @classmethod
    def free(cls, rows: int) -> "TermsOfRows":
        """Single units, no minimum, no cap."""
        return cls(np.zeros(rows, np.int64), np.ones(rows, np.int64), np.full(rows, UNCAPPED, np.int64))


@dataclass(frozen=True)
class EconomicsOfRows:
    """`domain.quantities.Economics` of many rows, [rows] each, in millionths of money (`domain.quantities.micro`)."""

    shortage: Ints
    """p, per unit."""
    holding: Ints
    """h, per unit and review period."""
    order: Ints
    """K, per order."""


def targets(
    shortage: Ints, holding: Ints, protected: Ints, *, backlog: bool = False, scale: Ints | None = None
) -> Ints:
    """[rows] tau in ten-thousandths, half to even: tau0 = 1 - c h/(p+h) for lost sales, the newsvendor's p/(p+h) for
    back-orders (science 2.3), within the floor and the ceiling; costs in any common unit.

    `holding` is that of one cycle and `protected` the periods of lead time and cycle, at least 1, which c depends on
    (`risk.LOST_SALES_FACTORS`). `scale` [rows], in hundredths, is what c is multiplied by where a simulation found
    something better than 100.
    """
    factor = np.full(len(shortage), 100, dtype=np.int64)
    if not backlog:
        factor = _FACTORS[np.minimum(protected, len(_FACTORS)) - 1]
    if scale is None:
        scale = np.full(len(shortage), USUAL_SCALE, dtype=np.int64)
    both = (shortage + holding).astype(object) * TEN_THOUSAND
    both[both == 0] = 1
    # 1 - x rounds half to even as x does, because ten thousand is even.
    share = holding.astype(object) * (factor * scale).astype(object) * TEN_THOUSAND
    whole = share // both
    rest = share - whole * both
    up = (2 * rest > both) | ((2 * rest == both) & (whole % 2 == 1))
    tau = TEN_THOUSAND - (whole + up).astype(np.int64)
    tau[(shortage + holding) == 0] = 0
    floor, ceiling = (int(limit * TEN_THOUSAND) for limit in (TARGET_FLOOR, TARGET_CEILING))
    result: Ints = np.clip(tau, floor, ceiling)
    return result


def order_quantities(requirement: Ints, tau: Ints, terms: TermsOfRows, economics: EconomicsOfRows) -> Ints:
    """[rows] units to order, given samples of requirements [rows, N] in any order and `tau` in ten-thousandths.

    Per row the tau-quantile of the sample, then the cheapest of its two admissible neighbours and 0, where expected
    costs are compared exactly and of equally cheap quantities the larger one is taken (science 2.2, rules 5 to 7).
    """
    rows, sample = requirement.shape
    result = np.zeros(rows, dtype=np.int64)
    step = max(1, AT_ONCE_BYTES // (8 * max(1, sample)))
    for begin in range(0, rows, step):
        part = slice(begin, min(begin + step, rows))
        result[part] = _chunk(requirement[part], tau[part], _part(terms, part), _cut(economics, part))
    return result


def short_if_waiting(missing: Ints) -> Ints:
    """[rows] E[(N)+] in thousandths of a unit, half to even, of samples [rows, scenarios] of the requirement with one
    period of review: what waiting for the next chance to order is expected to lose, as it is recorded."""
    short: Ints = np.rint(np.maximum(missing, 0).sum(axis=1) * THOUSAND / missing.shape[1]).astype(np.int64)
    return short


def worth_waiting(short: Ints, units: Ints, economics: EconomicsOfRows) -> Flags:
    """[rows]: whether `units` are better ordered one period later; `domain.quantities.worth_waiting` of many rows.

    `short` is in thousandths of a unit, and the holding cost that of one period.
    """
    shortage, holding = economics.shortage.astype(object), economics.holding.astype(object)
    saved = (shortage + holding) * short
    waits: Flags = ((saved < holding * units * THOUSAND) | (short == 0)).astype(np.bool_)
    return waits


def needed_units(requirement: Ints, tau: Ints) -> Ints:
    """[rows] q0: the smallest of 0 and up that the share tau of each row's sample does not exceed (rule 5)."""
    sample = requirement.shape[1]
    rank = np.clip(-(-tau * sample // TEN_THOUSAND), 1, sample) - 1
    if sample and (rank == rank[:1]).all():
        found = np.partition(requirement, int(rank[0]), axis=1)[:, rank[0]] if len(rank) else rank
    else:
        found = np.take_along_axis(np.sort(requirement, axis=1), rank[:, None], axis=1)[:, 0]
    needed: Ints = np.maximum(found, 0)
    return needed


def _part(terms: TermsOfRows, rows: slice | Ints) -> TermsOfRows:
    return TermsOfRows(terms.minimum[rows], terms.pack[rows], terms.cap[rows])


def _cut(economics: EconomicsOfRows, rows: slice | Ints) -> EconomicsOfRows:
    return EconomicsOfRows(economics.shortage[rows], economics.holding[rows], economics.order[rows])


def _chunk(requirement: Ints, tau: Ints, terms: TermsOfRows, economics: EconomicsOfRows) -> Ints:
    """The same for few rows. Most of a large assortment needs nothing: those rows are priced no further."""
    result = needed_units(requirement, tau)
    wanting = np.flatnonzero(result)
    if len(wanting):
        everything = len(wanting) == len(result)
        sample = requirement if everything else requirement[wanting]
        result[wanting] = _rounded(result[wanting], sample, _part(terms, wanting), _cut(economics, wanting))
    return result


def _rounded(needed: Ints, sample: Ints, terms: TermsOfRows, economics: EconomicsOfRows) -> Ints:
    """Rule 7 for rows that need something."""
    pack = terms.pack
    smallest = np.maximum(1, -(-terms.minimum // pack)) * pack
    most = terms.cap // pack * pack
    possible = most >= smallest
    down = np.where(possible, np.minimum(np.maximum(smallest, needed // pack * pack), most), 0)
    up = np.where(possible, np.minimum(np.maximum(smallest, -(-needed // pack) * pack), most), 0)
    candidates = np.stack([np.zeros_like(needed), down, up])
    result = np.zeros_like(needed)
    small = _fits(sample, candidates, economics)
    for rows, kind in ((np.flatnonzero(small), np.int64), (np.flatnonzero(~small), object)):
        if len(rows):
            taken = sample if len(rows) == len(needed) else sample[rows]
            result[rows] = _cheapest(taken, candidates[:, rows], _cut(economics, rows), kind)
    return result


def _fits(sample: Ints, candidates: Ints, economics: EconomicsOfRows) -> Flags:
    """[rows] whether every sum of the comparison certainly stays below 2**63; judged in floats, with room to spare."""
    widest = np.maximum(sample.max(axis=1), -sample.min(axis=1)) + candidates.max(axis=0).astype(np.float64)
    total = widest * (economics.shortage.astype(np.float64) + economics.holding) + economics.order
    fits: Flags = total * max(1, sample.shape[1]) < SAFE
    return fits


def _cheapest(sample: Ints, candidates: Ints, economics: EconomicsOfRows, kind: npt.DTypeLike) -> Ints:
    """[rows] the cheapest of the [3, rows] candidates, which are ascending; whole costs as `kind`."""
    count = sample.shape[1]
    shortage, holding = economics.shortage.astype(kind), economics.holding.astype(kind)
    fixed = economics.order.astype(kind) * count
    mass = sample.astype(kind).sum(axis=1)

    def cost(units: Ints) -> npt.NDArray[Any]:
        wide = units.astype(kind)
        short = np.maximum(sample.astype(kind, copy=False) - wide[:, None], 0).sum(axis=1)
        over = short - mass + wide * count
        whole: npt.NDArray[Any] = shortage * short + holding * over + np.where(units > 0, fixed, 0)
        return whole

    best: Ints = candidates[0]
    least = cost(best)
    for units in candidates[1:]:
        # Candidates ascend, so an equally cheap later one is the larger: it wins.
        found = cost(units)
        better = (found <= least).astype(np.bool_)
        best, least = np.where(better, units, best), np.where(better, found, least)
    return best
