"""What a decision's picture shows beside what it rests on: wider bands, the stock's course, the last weeks of demand.

Nothing of it decides anything. It is small whole numbers, because evidence is kept for ever.
"""

from datetime import date
from fractions import Fraction

import numpy as np

from activities.learning.demand import MILLI, QUANTILES
from activities.learning.risk import TAIL_STRETCH
from activities.learning.windows import Ints
from workflows.domain.scores import HUNDRED, DemandHistory

RECENT_DAYS = 28
BANDS = (Fraction("0.025"), Fraction("0.25"), Fraction("0.75"), Fraction("0.975"))
TENTH, HALF, NINE_TENTHS = (Fraction(n, 10) for n in (1, 5, 9))


def _places() -> list[tuple[int, Fraction]]:
    """Of each band the first level that is not below it, and its way there from the level before."""
    levels = [Fraction(0), *(Fraction(str(level)) for level in QUANTILES)]
    above = [next(n for n, level in enumerate(levels) if level >= band) for band in BANDS]
    return [
        (n, (band - levels[n - 1]) / (levels[n] - levels[n - 1])) for n, band in zip(above, BANDS, strict=True)
    ]  # fmt: skip


_PLACES = _places()


def wider_numbers(knots: Ints) -> Ints:
    """[days, 4]: the 50 % and 95 % intervals of days with these quantiles [days, quantiles], in thousandths.

    Between two quantiles the law is a straight line, below the first it goes down by the factor that the futures use
    (`risk.strata_units`); rounded to hundredths of a unit, half up.
    """
    numerator, denominator = TAIL_STRETCH.as_integer_ratio()
    ends = np.concatenate([knots[:, :1] * denominator // numerator, knots], axis=1)
    columns = []
    for above, way in _PLACES:
        low, high = ends[:, above - 1], ends[:, above]
        whole = MILLI // HUNDRED * way.denominator
        columns.append((2 * (low * way.denominator + (high - low) * way.numerator) + whole) // (2 * whole))
    return np.stack(columns, axis=1)


def stock_courses(demand: Ints, arrivals: Ints, stock: Ints) -> tuple[Ints, Ints, Ints]:
    """10th, 50th and 90th percentile [rows, days] of net stock at each day's end if nothing is ordered.

    `demand` and `arrivals` are [rows, days, scenarios], `stock` [rows]: what is there less what is reserved.
    """
    net = stock[:, None, None] + np.cumsum(arrivals - demand, axis=1, dtype=demand.dtype)
    count = demand.shape[2]
    places = [-(-share.numerator * count // share.denominator) - 1 for share in (TENTH, HALF, NINE_TENTHS)]
    ordered = np.sort(net, axis=2)
    low, middle, high = (ordered[:, :, place] for place in places)
    return low, middle, high


def recent_units(history: DemandHistory, last_day: date) -> tuple[int | None, ...]:
    """The last weeks of demand up to `last_day`, the newest last; None for a day of which nothing is known."""
    known, ended = history.daily_units, (last_day - history.first_day).days + 1
    begins = max(0, ended - RECENT_DAYS)
    if ended <= len(known):
        return known[begins : max(0, ended)]
    return tuple(known[n] if n < len(known) else None for n in range(begins, ended))
