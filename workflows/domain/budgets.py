"""Money goes first where a unit of it saves most: packs are ranked by marginal benefit per money, exactly.

Because EC is convex in q, the packs of one line save less and less; so a greedy choice is optimal for the fractional
problem, and misses the best whole packs by less than what the first refused one would have saved.
"""

import heapq
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import NamedTuple

from workflows.domain.identity import Payload
from workflows.domain.quantities import CENT, Amount, expected_cost

MOST_STEPS = 50
"""A line is bought in at most about so many steps: larger ones are some packs at a time."""


class Want(NamedTuple):
    """A line that money could go to: from `have_units` on, first to `first_units`, then by packs, to `most_units`."""

    key: str
    requirement: Sequence[int]
    shortage_per_unit: Decimal
    holding_per_unit: Decimal
    unit_cost: Decimal
    pack_units: int
    first_units: int
    most_units: int
    have_units: int = 0


class Step(NamedTuple):
    """Some packs more of one line: what they cost and what they save (negative: they cost more than they save)."""

    want: Want
    before_units: int
    units: int
    money: Decimal
    benefit: Decimal

    @property
    def order(self) -> tuple[int, Fraction, str, int]:
        """The best first: free ones, then by benefit per money; names decide between equals."""
        free = self.money <= 0
        worth = Fraction(self.benefit) if free else Fraction(self.benefit) / Fraction(self.money)
        return (0 if free else 1), -worth, self.want.key, self.units


class Shelf:
    """The next step of each line, the most valuable one on top."""

    def __init__(self, wants: Sequence[Want]) -> None:
        self._heap: list[tuple[tuple[int, Fraction, str, int], Step]] = []
        for want in wants:
            self._push(want, want.have_units)

    def pop(self) -> Step | None:
        """Take the best step off the shelf; None when nothing is left."""
        return heapq.heappop(self._heap)[1] if self._heap else None

    def bought(self, step: Step) -> None:
        """Its line goes on with the next packs."""
        self._push(step.want, step.units)

    def _push(self, want: Want, units: int) -> None:
        packs = max(1, (want.most_units - want.have_units) // want.pack_units // MOST_STEPS)
        following = max(want.first_units, units + packs * want.pack_units)
        if following > want.most_units:
            following = want.most_units
        if following <= units:
            return
        cost = [expected_cost(want.requirement, q, want.shortage_per_unit, want.holding_per_unit)
                for q in (units, following)]  # fmt: skip
        step = Step(want, units, following, (following - units) * want.unit_cost, cost[0] - cost[1])
        heapq.heappush(self._heap, (step.order, step))


class Funded(Payload):
    """What one line gets of a budget."""

    key: str
    units: int
    wanted_units: int
    money: Amount
    benefit: Amount
    """Expected cost that it saves."""
    first_at: int
    """Its place in the order of buying, by its first packs; 0: it gets nothing."""


class Ranking(Payload):
    """How a budget is spent best, the most valuable lines first."""

    amount: Amount
    spent: Amount
    wanted: Amount
    benefit: Amount
    lines: tuple[Funded, ...]
    shadow_price: Amount | None = None
    """What one more unit of money would save: benefit per money of the first packs that were refused; None: all
    wanted packs are bought."""
    capped: bool = False
    """There are more open proposals: only those that are dearest to leave waiting were ranked."""


def rank(wants: Sequence[Want], amount: Decimal) -> Ranking:
    """Spend at most `amount`; a line whose next packs no longer fit gets no more, others may."""
    shelf, left, shadow = Shelf(wants), amount, None
    money = {want.key: Decimal(0) for want in wants}
    benefit, units, first = dict(money), {want.key: want.have_units for want in wants}, dict.fromkeys(money, 0)
    place = 0
    while (step := shelf.pop()) is not None:
        key = step.want.key
        if step.money > left:
            worth = step.benefit / step.money
            shadow = worth if shadow is None else max(shadow, worth)
            continue
        place += 1
        left -= step.money
        units[key], money[key], benefit[key] = step.units, money[key] + step.money, benefit[key] + step.benefit
        first[key] = first[key] or place
        shelf.bought(step)
    lines = sorted(wants, key=lambda want: (first[want.key] == 0, first[want.key], want.key))
    return Ranking(
        amount=_money(amount), spent=_money(amount - left), benefit=_money(sum(benefit.values(), Decimal(0))),
        wanted=_money(sum(((want.most_units - want.have_units) * want.unit_cost for want in wants), Decimal(0))),
        lines=tuple(
            Funded(
                key=want.key, units=units[want.key], wanted_units=want.most_units, money=_money(money[want.key]),
                benefit=_money(benefit[want.key]), first_at=first[want.key],
            )
            for want in lines
        ),
        shadow_price=None if shadow is None else _money(shadow),
    )  # fmt: skip


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)
