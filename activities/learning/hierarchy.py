"""Reports add up: what is said of an item, its category, its location and the company are sums of each other, exactly.

Orders rest on item forecasts alone; what is here is for reports (science 1.4). All numbers that leave are whole
thousandths of a unit, and sums are of them, so that a reader who adds up gets what is printed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from activities.learning.demand import QUANTILES
from activities.learning.windows import Floats, Ints

COMPANY = "company"
TAIL = 1.3
"""The highest knot is this much of the 0.995 quantile, as in the scenarios (science 2.2, 1)."""


def expected_milli(knots: Ints) -> Ints:
    """Mean demand in thousandths from quantiles in thousandths [..., quantiles]: the area under the quantile function.

    Linear between the knots, flat below the first, rising to `TAIL` times the last one at probability 1. Means add up
    over items and days; medians do not: a sum of medians of slow movers is zero.
    """
    levels = np.array(QUANTILES)
    ends = np.concatenate([[0.0], levels, [1.0]])
    values = np.concatenate([knots[..., :1], knots, knots[..., -1:] * TAIL], axis=-1).astype(np.float64)
    area = ((values[..., 1:] + values[..., :-1]) / 2 * np.diff(ends)).sum(axis=-1)
    rounded: Ints = np.rint(area).astype(np.int64)
    return rounded


def apportioned(total: int, shares: Sequence[float] | Floats) -> list[int]:
    """A whole number split in proportion to shares, exactly: largest remainders, of equal ones the earlier.

    Equal shares where all are zero.

    Raises:
        ValueError: for no share, a negative one, or one that is no number.
    """
    weights = np.array(shares, dtype=np.float64)
    if len(weights) == 0 or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("shares are numbers from zero on, at least one")
    if weights.max() == 0:
        weights = np.ones(len(weights))
    exact = abs(total) * (weights / weights.max() / (weights / weights.max()).sum())
    floors = np.floor(exact).astype(np.int64)
    missing = abs(total) - int(floors.sum())
    order = np.argsort(-(exact - floors), kind="stable")
    # Rounding in floats may leave the floors a unit off in either direction, never more than there are shares.
    for place in range(abs(missing)):
        floors[order[place % len(order)] if missing > 0 else int(np.argmax(floors))] += 1 if missing > 0 else -1
    return [int(part) if total >= 0 else -int(part) for part in floors]


@dataclass(frozen=True)
class Hierarchy:
    """Leaves (item-locations) and the nodes that they add up to."""

    nodes: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    """Per node the leaves below it, ascending."""
    leaves: int

    @classmethod
    def of(cls, groups: Mapping[str, Sequence[str]]) -> "Hierarchy":
        """Nodes `level:name` from the name of every leaf at each level, and `company` above all."""
        counts = {len(names) for names in groups.values()}
        if len(counts) > 1:
            raise ValueError("every level names every leaf")
        leaves = counts.pop() if counts else 0
        found: dict[str, list[int]] = {COMPANY: list(range(leaves))}
        for level, names in groups.items():
            for leaf, name in enumerate(names):
                found.setdefault(f"{level}:{name}", []).append(leaf)
        return cls(tuple(found), tuple(tuple(members) for members in found.values()), leaves)

    def sums(self, leaves: Ints) -> dict[str, Ints]:
        """Bottom-up: each node's sum of the leaves' [leaves, days] thousandths, exact."""
        return {
            node: leaves[list(members)].sum(axis=0)
            for node, members in zip(self.nodes, self.members, strict=True)
        }  # fmt: skip

    def rows(self, nodes: Sequence[str]) -> Floats:
        """[nodes, leaves]: 1 where a leaf is below one of these nodes."""
        found = np.zeros((len(nodes), self.leaves))
        for row, node in enumerate(nodes):
            found[row, list(self.members[self.nodes.index(node)])] = 1.0
        return found


def reconciled(
    hierarchy: Hierarchy,
    leaves: Ints,
    stated: Mapping[str, Ints],
    variances: Floats,
    stated_variances: Mapping[str, float],
) -> Ints:
    """Leaves that agree best with themselves and with what was forecast of nodes on their own (Prophet, say).

    MinT with a diagonal error covariance (WLS; Wickramasuriya, Athanasopoulos and Hyndman 2019): each forecast counts
    by the inverse of its error variance. Negative results are zero, then each day's total is kept exactly.

    Args:
        leaves: [leaves, days] thousandths; stated: node to [days] thousandths.
        variances: [leaves]; stated_variances: by node; all above zero, in any common unit.
    Returns: [leaves, days] thousandths; every node is the sum of its leaves (`Hierarchy.sums`).

    Raises:
        ValueError: for a variance that is not above zero, or a node that there is not.
    """
    unknown = set(stated) - set(hierarchy.nodes)
    spreads = [*variances, *(stated_variances[node] for node in stated)]
    if unknown or not all(np.isfinite(spread) and spread > 0 for spread in spreads):
        raise ValueError(f"there is no {', '.join(sorted(unknown))}" if unknown else "variances are above zero")
    if not stated or not hierarchy.leaves:
        return leaves.copy()
    nodes = list(stated)
    rows = hierarchy.rows(nodes)
    # x = b + V A' (A V A' + W)^-1 (y - A b): the weighted least squares solution, by as many unknowns as nodes stated.
    gain = variances[:, None] * rows.T
    middle = rows @ gain + np.diag([stated_variances[node] for node in nodes])
    missed = np.stack([stated[node] for node in nodes]).astype(np.float64) - rows @ leaves
    moved = np.maximum(leaves + gain @ np.linalg.solve(middle, missed), 0.0)
    totals = np.rint(moved.sum(axis=0)).astype(np.int64)
    columns = [apportioned(int(total), moved[:, day]) for day, total in enumerate(totals)]
    return np.array(columns, dtype=np.int64).T.reshape(hierarchy.leaves, len(totals))
