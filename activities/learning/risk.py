"""Risk projects stock through equally likely futures in whole units; there is no die to roll, only stored permutations.

Rules 1 to 5 of the order rule (FP3): scenario k of a day's demand is that day's quantile at (k - 1/2)/N, the days are
joined by fixed permutations, stock runs with a floor at zero (unserved demand is lost), and the requirement is what one
order would have had to bring.
"""

import functools
import hashlib
import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from activities.learning.cadence import DAY
from activities.learning.demand import MILLI, QUANTILES
from activities.learning.windows import Flags, Floats, Ints

SCENARIOS = 128
PERMILLE = 1_000
TABLES = 16
PERIODS = DAY.ahead
"""The furthest period that is ever projected, of any cadence."""
LEAD_COLUMN = PERIODS
RATE_COLUMN = PERIODS + 1
RECEIPT_COLUMN = PERIODS + 2
RECEIPT_COLUMNS = 8
COMMON_COLUMN = RECEIPT_COLUMN + RECEIPT_COLUMNS
COLUMNS = COMMON_COLUMN + 1
SMALL_MILLI = 2**32
"""Below this, four million units a period, the whole numbers that a law is made of stay below 2**52."""
SMALL_SUM = 2**30
TAIL_STRETCH = Decimal("1.3")
"""Beyond the last quantile the law goes on to 1.3 times it (science 2.2, rule 1)."""
LOST_SALES_FACTORS = (Decimal("1.00"), Decimal("1.20"), Decimal("1.35"))
"""c of tau0 = 1 - c h/(p + h), by how many periods end before the last one that the order serves: lead time + review
- 1 is 0, 1, or 2 and more. With lost sales the newsvendor's ratio p/(p + h), which is c = 1, orders too much, because
what is lost before the order arrives does not come back as a debt; where it arrives at once it is exact. Over 200
random worlds that were solved exactly, the mean cost above the least possible one is 2.15 % at lead time 0, 0.38 % at 1
and 0.57 % at 2 if c is 1.35 throughout; with these it is 0, 0.04 and 0.57 % (`quartermaster bench oracle`). For
Poisson(5) and p/h = 4/9/19 the best tau is .74/.88/.94 at lead time 1, where 1.20 says .76/.88/.94, and .72/.86/.94 at
2, where 1.35 says .73/.865/.9325."""
USUAL_SCALE = 100
"""Hundredths by which such a factor is multiplied where nothing better was found."""
TARGET_FLOOR, TARGET_CEILING = Decimal("0.5"), Decimal("0.995")


def target(
    shortage_per_unit: Decimal,
    holding_per_unit_day: Decimal,
    review_days: int,
    *,
    lead_days: int,
    scale: int = USUAL_SCALE,
) -> Decimal:
    """Tau: how sure one order should be to suffice. The holding cost is that of one whole review period.

    `scale`, in hundredths, is what a simulation found the factor of `LOST_SALES_FACTORS` to be best multiplied by.
    """
    holding = holding_per_unit_day * review_days
    if shortage_per_unit + holding == 0:
        return TARGET_FLOOR.quantize(Decimal("0.0001"))
    factor = LOST_SALES_FACTORS[min(lead_days + review_days, len(LOST_SALES_FACTORS)) - 1] * scale / 100
    tau = 1 - factor * holding / (shortage_per_unit + holding)
    # Four decimals, because that is the target that is stored, hashed and decided by.
    return min(max(tau, TARGET_FLOOR), TARGET_CEILING).quantize(Decimal("0.0001"))


@functools.cache
def permutations() -> Ints:
    """[table, column, scenario]: the permutations of 0..N-1, derived from SHAKE-256 of their own index.

    A column is a projection day, or one of lead time, cold-start rate and open receipts. They are data, not chance:
    every machine and every version of every library derives the same whole numbers.
    """
    result = np.empty((TABLES, COLUMNS, SCENARIOS), dtype=np.int64)
    for table in range(TABLES):
        for column in range(COLUMNS):
            raw = hashlib.shake_256(f"quartermaster/permutation/1/{table}/{column}".encode()).digest(8 * SCENARIOS)
            result[table, column] = np.argsort(np.frombuffer(raw, dtype=">u8"), kind="stable")
    result.setflags(write=False)
    return result


@functools.cache
def correlated(hundredths: int) -> Ints:
    """[table, period, scenario]: the periods' permutations with this rank correlation between any two of them.

    Iman and Conover's idea in whole numbers: each scenario's place in a period is the rank of a weighted sum of its
    own normal score and of one that all periods share. Without correlation these are `permutations` themselves.
    """
    plain = permutations()
    if hundredths == 0:
        return plain[:, :PERIODS]
    scores = np.array(
        [round(NormalDist().inv_cdf((2 * k + 1) / (2 * SCENARIOS)) * 1_000_000) for k in range(SCENARIOS)],
        dtype=np.int64,
    )
    common, own = math.isqrt(hundredths * 1_000_000), math.isqrt((100 - hundredths) * 1_000_000)
    mixed = own * scores[plain[:, :PERIODS]] + common * scores[plain[:, COMMON_COLUMN]][:, None, :]
    # Equal sums are told apart by the period's own permutation, so that the result is a permutation on any machine.
    ranks = np.argsort(np.argsort(mixed * SCENARIOS + plain[:, :PERIODS], axis=2, kind="stable"), axis=2, kind="stable")
    ranks.setflags(write=False)
    return ranks


def table_of(key: str) -> int:
    """Which table a row uses: by the digest of its business key, never by its place in a batch."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % TABLES


@functools.cache
def _strata() -> tuple[Ints, Ints, Ints]:
    """For each scenario k: the knot below its level, and numerator and denominator of its way to the knot above."""
    levels = [0, *(round(level * PERMILLE) for level in QUANTILES), PERMILLE]
    below, numerators, denominators = [], [], []
    for scenario in range(SCENARIOS):
        level = (2 * scenario + 1) * PERMILLE  # over 2N
        knot = max(i for i in range(len(levels) - 1) if levels[i] * 2 * SCENARIOS <= level)
        below.append(knot)
        numerators.append(level - levels[knot] * 2 * SCENARIOS)
        denominators.append((levels[knot + 1] - levels[knot]) * 2 * SCENARIOS)
    return tuple(np.array(values, dtype=np.int64) for values in (below, numerators, denominators))  # type: ignore[return-value]


@functools.cache
def _shares(kind: type[np.generic]) -> tuple[npt.NDArray[Any], ...]:
    """What the knots below and above weigh in each scenario's units, what rounds them, and what all is divided by."""
    _, way, whole = _strata()
    weights = 2 * (whole - way), 2 * way, MILLI * whole, 2 * MILLI * whole
    return tuple(weight.astype(kind) for weight in weights)


def _floored(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The whole number below the quotient of whole numbers. Floats keep them up to `SMALL_MILLI`: there a rounded
    quotient never reaches the next whole number, and the processor divides many at once."""
    small = numerator.dtype == np.float64
    found: npt.NDArray[Any] = np.floor(numerator / denominator).astype(np.int32) if small else numerator // denominator
    return found


def strata_units(knots: Ints, no_sale: Ints | None = None) -> Ints:
    """Whole units at the N levels (k - 1/2)/N, ascending, from knots in thousandths [..., quantiles]; exact.

    `no_sale` [...] is the chance of no sale in thousandths where it is known (0: the knots say it all). Up to it
    nothing is sold; from there the law runs from half a unit to the next knot. In 32 bits where all are small.
    """
    first, last = knots[..., :1], knots[..., -1:]
    # Below the first knot the law goes down as far as it goes up beyond the last one: by the factor 1.3.
    numerator, denominator = TAIL_STRETCH.as_integer_ratio()
    ends = np.concatenate([first * denominator // numerator, knots, last * numerator // denominator], axis=-1)
    kind = np.float64 if ends.max(initial=0) < SMALL_MILLI else np.int64
    ends = ends.astype(kind)
    below, (of_low, of_high, rounding, whole) = _strata()[0], _shares(kind)
    units: Ints = _floored(ends[..., below] * of_low + ends[..., below + 1] * of_high + rounding, whole)
    if no_sale is None:
        return units
    told = np.nonzero(no_sale)
    units[told] = _from_first_sale(units[told], ends[told], no_sale[told])
    return units


def _from_first_sale(units: Ints, ends: npt.NDArray[Any], no_sale: Ints) -> Ints:
    """`units` [n, N] of laws with knots `ends` [n, levels] that sell nothing up to `no_sale` [n]; exact."""
    levels = np.array([0, *(round(level * PERMILLE) for level in QUANTILES), PERMILLE], dtype=np.int64)
    level = (2 * np.arange(SCENARIOS, dtype=np.int64) + 1) * PERMILLE  # over 2N
    above = np.minimum(np.searchsorted(levels, no_sale, side="right"), len(levels) - 1)
    begins, until = no_sale * 2 * SCENARIOS, levels[above] * 2 * SCENARIOS
    # Only the scenarios between the first sale and the next knot are drawn anew.
    between = (level > begins[:, None]) & (level < until[:, None])
    law, scenario = np.nonzero(between)
    whole = np.maximum(until - begins, 1)[law].astype(ends.dtype)
    size = np.maximum(ends[np.arange(len(ends)), above], MILLI // 2)[law]
    way = (level[scenario] - begins[law]).astype(ends.dtype)
    result = np.where(level <= begins[:, None], 0, np.maximum(units, 1)).astype(units.dtype)
    result[law, scenario] = _floored(2 * MILLI * whole + 2 * (size - MILLI // 2) * way, 2 * MILLI * whole)
    return result


def demand_scenarios(knots: Ints, permutation: Ints, no_sale: Ints | None = None) -> Ints:
    """[rows, days, scenarios] whole units: each day's strata in the order of its permutation."""
    units = strata_units(knots, no_sale)
    begins = np.arange(0, units.size, SCENARIOS).reshape(*units.shape[:-1], 1)
    return np.take(units, begins + permutation)


def narrowed(demand: Ints, arrivals: Ints, stock: Ints) -> tuple[Ints, Ints, Ints]:
    """The same whole numbers in 32 bits where not even their sums need more: half the memory to go through."""
    most = int(np.abs(stock).max(initial=0)) + demand.shape[1] * int(demand.max(initial=0) + arrivals.max(initial=0))
    if most >= SMALL_SUM:
        return demand.astype(np.int64), arrivals.astype(np.int64), stock
    small: npt.DTypeLike = np.int32
    return demand.astype(small, copy=False), arrivals.astype(small, copy=False), stock.astype(small)


@dataclass(frozen=True)
class Projection:
    """What becomes of each row in each scenario; arrays are [rows, scenarios]."""

    requirement: Ints
    """What one order placed now must bring so that nothing is lost until the next review's order arrives."""
    waiting: Ints
    """The same with one day of review: what is missing if we wait until tomorrow."""
    short_before: Flags
    """Whether stock runs out before an order placed now could arrive."""
    lost_before: Ints
    """Units that no order placed now can save."""


def project(
    demand: Ints, arrivals: Ints, stock: Ints, lead_days: Ints, review_days: Ints, *, backlog: bool = False
) -> Projection:
    """The projection of stock. `demand` and `arrivals` are [rows, days, scenarios], `lead_days` [rows, scenarios].

    `stock` may be negative: units promised to customers beyond what is there. Arrivals serve them first; demand that
    meets no stock is lost and never becomes such a debt, unless it waits (`backlog`). Days beyond lead time + review do
    not matter.
    """
    inventory = np.repeat(stock[:, None], demand.shape[2], axis=1)
    lost, running, first = np.zeros_like(inventory), np.zeros_like(inventory), np.zeros_like(inventory)
    highest = np.full_like(inventory, np.iinfo(inventory.dtype).min)
    until = lead_days + review_days[:, None]
    for day in range(demand.shape[1]):
        wanted, arrived = demand[:, day], arrivals[:, day]
        before = day < lead_days
        present = inventory + arrived
        lost += np.maximum(wanted - np.maximum(present, 0), 0) * before
        rest = present - wanted
        inventory = np.where(before, rest if backlog else np.maximum(rest, np.minimum(present, 0)), inventory)
        within = ~before & (day < until)
        net = wanted - arrived
        running += net * within
        np.maximum(highest, running, out=highest, where=within)
        np.copyto(first, net, where=day == lead_days)
    return Projection(highest - inventory, first - inventory, lost > 0, lost)


def cumulated(demand: Ints, days: Ints) -> Ints:
    """Total demand of the first `days` [rows] or [rows, scenarios] days of each scenario."""
    limit = days if days.ndim == 2 else np.repeat(days[:, None], demand.shape[2], axis=1)
    inside = np.arange(demand.shape[1])[None, :, None] < limit[:, None, :]
    total: Ints = np.where(inside, demand, 0).sum(axis=1, dtype=demand.dtype)
    return total


def place_of(tau: Decimal, count: int) -> int:
    """Where the ceil(tau N)-th smallest of so many ascending numbers stands: exact, because it is one of them."""
    place = int((tau * count).to_integral_value(rounding="ROUND_CEILING"))
    return min(max(place, 1), count) - 1


def mean(values: Ints | Flags) -> float:
    """The mean over scenarios: N is a power of two, so it is exact for all that fits."""
    floats: Floats = values.astype(np.float64)
    return float(floats.sum() / len(floats))
