"""Turns figures of many rows, whole numbers in arrays, into their scores and the canonical JSON of these.

Both are made from the same numbers, the JSON without a detour: a sweep writes and hashes a million of them, and looks
into few.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring

import msgspec
import numpy as np

from activities.learning import risk
from activities.learning.demand import MEDIAN, MILLI, QUANTILES
from activities.learning.forecasting import Forecast
from activities.learning.lead_time import LeadTimeLaw
from activities.learning.pictures import recent_units, wider_numbers
from activities.learning.windows import Flags, Floats, Ints
from workflows.domain.identity import canonical, made
from workflows.domain.scores import (
    DayForecast,
    Driver,
    Scored,
    Scores,
    ScoringRow,
    Wider,
    probability,
    units,
)

P10, P90 = QUANTILES.index(0.1), QUANTILES.index(0.9)
THOUSANDTH = Decimal("0.001")
Bands = list[tuple[Decimal, Decimal, Decimal]]
"""The 10th, 50th and 90th percentile of each day."""
LOOKED_UP = 1 << 15
"""Thousandths of a unit up to which decimals are looked up rather than made: 33 units a day."""
LARGEST_PLAIN = 2**53
"""From here on canonical JSON writes whole numbers as texts."""
SHARES = [probability(risk.mean(np.arange(risk.SCENARIOS) < count)) for count in range(risk.SCENARIOS + 1)]
"""The probability of so many of the scenarios."""
_MILLI_DECIMALS = [(Decimal(n) / MILLI).quantize(THOUSANDTH) for n in range(LOOKED_UP)]
_FLAGS = "false", "true"
_DAY = '{"day":"%s","p10":"%%d.%%03d","p50":"%%d.%%03d","p90":"%%d.%%03d","wider":[%%d,%%d,%%d,%%d]}'
_DAY_NUMBERS = _DAY.count("%%")


@dataclass(frozen=True)
class Figures:
    """What was computed of rows: arrays are [rows] or [rows, ...], units unless something else is said."""

    rows: Sequence[ScoringRow]
    laws: Sequence[LeadTimeLaw]
    targets: Sequence[Decimal]
    said: Forecast
    protection: Ints
    shown: Ints
    review: Ints
    requirement: Ints
    """[rows, scenarios], ascending."""
    demand: Ints
    """[rows, 3]: the 10th, 50th and 90th percentile over the protection days."""
    short: Ints
    """Scenarios that run out before the next chance to be helped."""
    short_soon: Ints
    """Scenarios that run out before anything ordered now could arrive."""
    lost_before: Ints
    """Summed over the scenarios, as is `waiting`."""
    waiting: Ints
    until_tomorrow: Ints
    """[rows, scenarios], ascending."""
    waits: Sequence[Sequence[int]]
    """Scenarios that run out if the next order leaves 1, 2, ... days from now."""
    courses: tuple[Ints, Ints, Ints]
    """[rows, days] each."""
    opinions: Floats
    """NaN where there is none."""
    explained: Sequence[tuple[Driver, ...]]


def scored(found: Figures) -> list[Scored]:
    """The scores of every row, each with its canonical JSON."""
    shown = found.shown.tolist()
    last = max(shown)
    knots = found.said.knots[:, :last]
    bands = knots[:, :, [P10, MEDIAN, P90]]
    wider = wider_numbers(knots.reshape(-1, knots.shape[2])).reshape(len(knots), last, -1)
    numbers = _day_numbers(bands, wider).tolist()
    walked = _beyond_plain(found, wider).tolist()
    days, besides = _decimals(bands), wider.tolist()
    courses = [course.tolist() for course in found.courses]
    requirement, demand = found.requirement.tolist(), found.demand.tolist()
    short, soon = found.short.tolist(), found.short_soon.tolist()
    lost, waiting = found.lost_before.tolist(), found.waiting.tolist()
    protection, review = found.protection.tolist(), found.review.tolist()
    by_lane = {id(law): law for law in found.laws}
    quantiles = {key: (law.quantile(500), law.quantile(950)) for key, law in by_lane.items()}
    results = []
    for i, (row, tau, seen) in enumerate(zip(found.rows, found.targets, shown, strict=True)):
        p50, p95 = quantiles[id(found.laws[i])]
        opinion = float(found.opinions[i])
        values = {
            "item": row.item, "location": row.location, "forecaster": found.said.forecaster[i],
            "segment": found.said.segment[i], "target": tau, "requirement_units": tuple(requirement[i]),
            "days": (), "protection_days": protection[i], "lead_time_p50_days": p50, "lead_time_p95_days": p95,
            "demand_p10": _whole(demand[i][0]), "demand_p50": _whole(demand[i][1]), "demand_p90": _whole(demand[i][2]),
            "second_opinion_units": None if opinion != opinion else units(opinion),
            "stockout_risk": SHARES[short[i]], "stockout_risk_soon": SHARES[soon[i]],
            "expected_lost_units": _mean(lost[i] + waiting[i]),
            "watch_level_units": max(1, int(found.until_tomorrow[i, risk.place_of(tau, risk.SCENARIOS)])),
            "lost_before_units": _mean(lost[i]), "waiting_short_units": _mean(waiting[i]),
            "waiting_risk": tuple([SHARES[count] for count in found.waits[i]]), "cover_days": review[i],
            "novelty": bool(found.said.thin[i]), "drivers": found.explained[i],
            "recent_units": recent_units(row.history, row.last_day),
            "stock_p10": tuple(courses[0][i][:seen]), "stock_p50": tuple(courses[1][i][:seen]),
            "stock_p90": tuple(courses[2][i][:seen]),
        }  # fmt: skip
        first = row.last_day.toordinal() + 1
        values["days"] = _days(days[i][:seen], besides[i][:seen], first)
        scores = made(Scores, values)
        # What hardly ever occurs takes the walk through all of it.
        plain = not (walked[i] or scores.drivers or scores.watch_level_units >= LARGEST_PLAIN)
        told = _days_template(first, seen) % tuple(numbers[i][: seen * _DAY_NUMBERS]) if plain else ""
        results.append(Scored(scores, _written(scores, told) if plain else canonical(scores).decode()))
    return results


def _whole(number: int) -> Decimal:
    return _MILLI_DECIMALS[number * MILLI] if 0 <= number * MILLI < LOOKED_UP else units(number)


@lru_cache(maxsize=1 << 14)
def _mean(total: int) -> Decimal:
    """The mean over the scenarios, to three decimals; their number is a power of two, so the quotient is exact."""
    return units(float(total) / risk.SCENARIOS)


def _days(bands: Bands, wider: list[list[int]], first: int) -> tuple[DayForecast, ...]:
    return tuple([
        made(DayForecast, {"day": _date(first + n), "p10": p10, "p50": p50, "p90": p90, "wider": Wider._make(beside)})
        for n, ((p10, p50, p90), beside) in enumerate(zip(bands, wider, strict=True))
    ])  # fmt: skip


def _decimals(bands: Ints) -> list[Bands]:
    """Thousandths [rows, days, 3] as decimals."""
    flat = bands.reshape(-1).tolist()
    if bands.max(initial=0) < LOOKED_UP:
        told = list(map(_MILLI_DECIMALS.__getitem__, flat))
    else:
        told = [(Decimal(number) / MILLI).quantize(THOUSANDTH) for number in flat]
    by_day = list(zip(told[::3], told[1::3], told[2::3], strict=True))
    days = bands.shape[1]
    return [by_day[begin : begin + days] for begin in range(0, len(by_day), days)]


@lru_cache(maxsize=4_096)
def _date(ordinal: int) -> date:
    return date.fromordinal(ordinal)


def _day_numbers(bands: Ints, wider: Ints) -> Ints:
    """[rows, numbers]: what `_DAY` is filled with, day after day, from knots in thousandths and wider ones."""
    whole, rest = np.divmod(bands, MILLI)
    parted = np.stack([whole, rest], axis=3).reshape(*bands.shape[:2], -1)
    return np.concatenate([parted, wider], axis=2).reshape(len(bands), -1)


@lru_cache(maxsize=1_024)
def _days_template(first: int, count: int) -> str:
    return ",".join(_DAY % _date(first + n).isoformat() for n in range(count))


def _beyond_plain(found: Figures, wider: Ints) -> Flags:
    """Rows with a number so large that canonical JSON writes it as a text: those are not `_written`."""
    # Ascending lists: the largest in absolute value is at an end. A day's bands go up with its 90th percentile.
    ends = [found.requirement[:, [0, -1]], found.courses[0], found.courses[2], wider[:, :, -1]]
    large: Flags = np.any([np.abs(one).max(axis=1) >= LARGEST_PLAIN for one in ends], axis=0)
    return large


def _numbers(values: Sequence[int | None]) -> str:
    return msgspec.json.encode(values).decode()


def _written(one: Scores, days: str) -> str:
    """`canonical` of these scores, without its walk through all of them."""
    recent = f'"recent_units":{_numbers(one.recent_units)},' if one.recent_units else ""
    lost = f'"lost_before_units":"{one.lost_before_units}",' if one.lost_before_units else ""
    opinion = one.second_opinion_units
    second = "" if opinion is None else f'"second_opinion_units":"{opinion:f}",'
    waits = '","'.join(map(str, one.waiting_risk))
    return (
        f'{{"cover_days":{one.cover_days},"days":[{days}],"demand_p10":"{one.demand_p10}",'
        f'"demand_p50":"{one.demand_p50}","demand_p90":"{one.demand_p90}","drivers":[],'
        f'"expected_lost_units":"{one.expected_lost_units}","forecaster":{encode_basestring(one.forecaster)},'
        f'"item":{encode_basestring(one.item)},"lead_time_p50_days":{one.lead_time_p50_days},'
        f'"lead_time_p95_days":{one.lead_time_p95_days},"location":{encode_basestring(one.location)},{lost}'
        f'"novelty":{_FLAGS[one.novelty]},"protection_days":{one.protection_days},{recent}'
        f'"requirement_units":{_numbers(one.requirement_units)},{second}"segment":{encode_basestring(one.segment)},'
        f'"stock_p10":{_numbers(one.stock_p10)},"stock_p50":{_numbers(one.stock_p50)},'
        f'"stock_p90":{_numbers(one.stock_p90)},"stockout_risk":"{one.stockout_risk}",'
        f'"stockout_risk_soon":"{one.stockout_risk_soon}","target":"{one.target}","waiting_risk":["{waits}"],'
        f'"waiting_short_units":"{one.waiting_short_units}","watch_level_units":{one.watch_level_units}}}'
    )
