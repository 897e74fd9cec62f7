"""Replays the days of one item at one location under the static reorder point, beside what really happened.

Within a day: deliveries become usable, the review orders in the morning, demand is served, holding is charged on the
stock left and shortage on what was not served: the order of events of the live engine.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from workflows.domain.money import LEAST_OBSERVED, SIGMAS, Costs

YEAR = timedelta(days=365)
DUST = Decimal("0.000000001")
"""Of a root: a level that is a whole number but for it is that number."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What was known with one decision, and until when it was to hold."""

    day: date
    until: date
    """Its horizon's end: the first day that it does not cover."""
    supplier: str
    lead_days: int
    """As promised."""
    review_days: int
    pack_units: int
    minimum_units: int
    holding: Decimal
    """Per unit and day."""
    shortage: Decimal
    """Per unit."""
    line_cost: Decimal
    medians: Mapping[date, Decimal]
    """Median forecast of single days."""
    usual: Decimal
    """Median forecast of a day beyond them."""


@dataclass(frozen=True, slots=True)
class PlaceDay:
    """What happened on one day."""

    sold: int = 0
    closing: int = 0
    """On hand at its end."""
    empty: bool = False
    """It ended without stock: nobody knows what was wanted."""


class Delivery(NamedTuple):
    """Units that really came. Those of orders from before the comparison come in both worlds."""

    arrived: date
    ordered: date | None
    """None: of no order that is known here."""
    units: int


class Line(NamedTuple):
    """An order line that was really placed."""

    ordered: date
    owed: int
    """Units of it that still have not come."""


@dataclass(frozen=True, slots=True)
class Place:
    """One item at one location over a stretch of days."""

    decisions: Sequence[Standing]
    """Whose horizon has passed, by day."""
    opening: int
    """On hand before the stretch."""
    days: Mapping[date, PlaceDay]
    """Of the stretch; a day that is missing saw nothing happen."""
    demand: Mapping[date, int]
    """Effective demand of each day on which it could be observed."""
    deliveries: Sequence[Delivery] = ()
    lines: Sequence[Line] = ()
    lead_times: Mapping[str, Sequence[tuple[date, int]]] = field(default_factory=dict)
    """By supplier: the days that real deliveries took, by the day of their order, ascending."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One covered day in both worlds."""

    day: date
    happened: Costs
    static: Costs
    wanted: Decimal
    imputed: Decimal
    censored: bool


def order_up_to(demand: Mapping[date, int], before: date, protection: int) -> int | None:
    """Mean x P + 1.65 x deviation x sqrt(P) of the year before a day, rounded up; P in days.

    The level of `activities.learning.order_points.static_level`, in decimals. None with too few known days.
    """
    known = [units for day, units in demand.items() if before - YEAR <= day < before]
    count = len(known)
    if count < LEAST_OBSERVED:
        return None
    mean = Decimal(sum(known)) / count
    variance = sum(((units - mean) ** 2 for units in known), Decimal(0)) / (count - 1)
    level = mean * protection + SIGMAS * variance.sqrt() * Decimal(protection).sqrt()
    return int((level - DUST).to_integral_value(rounding=ROUND_CEILING))


def replay(place: Place, begin: date, end: date) -> list[Compared]:
    """The days from `begin` up to before `end` that a decision covers, each once, in both worlds.

    The static world begins with the real stock at the first covered day and goes on through days that nothing covers.
    """
    levels = {one.day: order_up_to(place.demand, one.day, one.lead_days + one.review_days) for one in place.decisions}
    standing = [one for one in place.decisions if levels[one.day] is not None]
    if not standing:
        return []
    covered = _covered(standing, begin, end)
    if not covered:
        return []
    first, last = min(covered), max(covered)
    world = _StaticWorld(place, first)
    found = []
    for day, terms in _in_force(standing, first, last):
        level = levels[terms.day]
        assert level is not None  # noqa: S101 - the others were left out
        compared = world.live(day, terms, level)
        if day in covered:
            found.append(compared)
    return found


def _covered(standing: Sequence[Standing], begin: date, end: date) -> set[date]:
    return {
        day
        for one in standing
        for offset in range((min(one.until, end) - max(one.day, begin)).days)
        if (day := max(one.day, begin) + timedelta(days=offset))
    }


def _in_force(standing: Sequence[Standing], first: date, last: date) -> Iterator[tuple[date, Standing]]:
    """Each day with the newest decision at or before it."""
    day, newest = first, 0
    while day <= last:
        while newest + 1 < len(standing) and standing[newest + 1].day <= day:
            newest += 1
        yield day, standing[newest]
        day += DAY


class _StaticWorld:
    """The stock that the static reorder point would have kept."""

    def __init__(self, place: Place, first: date) -> None:
        self._place = place
        before = [day for day in place.days if day < first]
        self._closing = place.days[max(before)].closing if before else place.opening
        self._stock = Decimal(max(0, self._closing))
        self._since_review: int | None = None
        self._coming: dict[date, int] = {}
        self._real, self._old, self._expected = Counter[date](), Counter[date](), Counter[date]()
        for one in place.deliveries:
            self._real[one.arrived] += one.units
            if one.ordered is None or one.ordered < first:
                self._old[one.arrived] += one.units
            if one.ordered is not None and one.ordered < first <= one.arrived:
                self._expected[one.arrived] += one.units
        # Of orders from before, which both worlds know of; what comes of no order surprises both.
        self._under_way = self._expected.total() + sum(line.owed for line in place.lines if line.ordered < first)
        self._lines = Counter(line.ordered for line in place.lines)

    def live(self, day: date, terms: Standing, level: int) -> Compared:
        """One day in both worlds."""
        seen = self._place.days.get(day, PlaceDay(closing=self._closing))
        self._move(day, seen)
        lines = self._review(day, terms, level)
        wanted = Decimal(seen.sold)
        if seen.empty:
            wanted = max(wanted, terms.medians.get(day, terms.usual))
        served = min(self._stock, wanted)
        self._stock -= served
        return Compared(
            day=day, wanted=wanted, imputed=wanted - seen.sold, censored=seen.empty,
            happened=Costs(
                holding=terms.holding * max(0, seen.closing), shortage=terms.shortage * (wanted - seen.sold),
                ordering=terms.line_cost * self._lines[day],
            ),
            static=Costs(
                holding=terms.holding * self._stock, shortage=terms.shortage * (wanted - served),
                ordering=terms.line_cost * lines,
            ),
        )  # fmt: skip

    def _move(self, day: date, seen: PlaceDay) -> None:
        """What comes in both worlds comes here too: old deliveries, and what counts and adjustments changed."""
        other = seen.closing - self._closing - self._real[day] + seen.sold
        self._closing = seen.closing
        self._under_way -= self._expected[day]
        own = self._coming.pop(day, 0)
        self._stock = max(Decimal(0), self._stock + self._old[day] + own + other)

    def _review(self, day: date, terms: Standing, level: int) -> int:
        """Order what is missing to the level if it is time to; how many lines that makes."""
        if self._since_review is not None and self._since_review + 1 < terms.review_days:
            self._since_review += 1
            return 0
        self._since_review = 0
        missing = level - self._stock - self._under_way - sum(self._coming.values())
        units = _admissible(missing, terms)
        if not units:
            return 0
        lead = _taken(self._place.lead_times.get(terms.supplier, ()), day, terms.lead_days)
        if lead == 0:
            self._stock += units
        else:
            arrives = day + timedelta(days=lead)
            self._coming[arrives] = self._coming.get(arrives, 0) + units
        return 1


def _admissible(missing: Decimal, terms: Standing) -> int:
    """The least order that brings what is missing: whole packs, at least the minimum."""
    if missing <= 0:
        return 0
    whole = max(int(missing.to_integral_value(rounding=ROUND_CEILING)), terms.minimum_units)
    return -(-whole // terms.pack_units) * terms.pack_units


def _taken(deliveries: Sequence[tuple[date, int]], day: date, promised: int) -> int:
    """How long the first real delivery took that was ordered on that day or later; else the last one before."""
    if not deliveries:
        return promised
    place = bisect_left(deliveries, (day, 0))
    return max(0, deliveries[min(place, len(deliveries) - 1)][1])
