"""Demand and sales over time as SVG drawn on the server; every chart has its words and, on the page, its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from markupsafe import Markup

from console.charts_frame import nice_step
from console.formats import day, number

WIDTH, HEIGHT = 860, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 26, 34
MOST_TICKS = 6


@dataclass(frozen=True)
class Expected:
    """A day that was or is to come, as a forecast told it."""

    day: date
    low: Decimal
    middle: Decimal
    high: Decimal


@dataclass(frozen=True)
class Observed:
    """A day that is over; `units` None: demand could not be seen."""

    day: date
    units: int | None


def demand(
    observed: Sequence[Observed], expected: Sequence[Expected], *, title: str, name: str = "demand", label: str = ""
) -> Markup:
    """Demand as it was and as it is expected: a line, then the median in its 80 % interval, on one calendar.

    `label` stands at the first expected day.
    """
    days = sorted({one.day for one in observed} | {one.day for one in expected})
    if not days:
        return Markup("")
    highest = max([float(o.units or 0) for o in observed] + [float(e.high) for e in expected])
    scale = _Scale(days[0], (days[-1] - days[0]).days, highest)
    parts = [*_grid(scale), *_dates(scale)]
    if expected:
        upper = [(scale.x(e.day), scale.y(float(e.high))) for e in expected]
        lower = [(scale.x(e.day), scale.y(float(e.low))) for e in expected]
        parts.append(_shape("polygon", "band", [*upper, *reversed(lower)]))
        parts.append(_shape("polyline", "median", [(scale.x(e.day), scale.y(float(e.middle))) for e in expected]))
    parts += [_shape("polyline", "seen", [(scale.x(d), scale.y(u)) for d, u in run]) for run in _runs(observed)]
    if expected and observed:
        parts.append(_marker(scale, expected[0].day, label))
    return _svg(parts, title, _words(observed, expected), name)


def bars(values: Sequence[tuple[date, int]], *, title: str, name: str = "sales", running: bool = True) -> Markup:
    """Units by period, oldest first; the last bar is of a period that is not over if `running`."""
    if not values:
        return Markup("")
    scale = _Scale(values[0][0], len(values), max(float(units) for _, units in values))
    width = (WIDTH - LEFT - RIGHT) / len(values)
    every = max(1, -(-len(values) // MOST_TICKS))
    parts = _grid(scale)
    for index, (first, units) in enumerate(values):
        x, top = LEFT + index * width, scale.y(max(0, units))
        kind = "units running" if running and index == len(values) - 1 else "units"
        parts.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>').format(
                kind, round(x + width * 0.12, 1), top, round(width * 0.76, 1), round(HEIGHT - BOTTOM - top, 1),
                day(first), number(units),
            )
        )  # fmt: skip
        if index % every == 0:
            parts.append(
                Markup('<text class="tick middle" x="{}" y="{}">{}</text>').format(
                    round(x + width / 2, 1), HEIGHT - 10, f"{first.day} {first:%b}"
                )
            )
    sold = [value for _, value in values]
    words = (
        f"From {day(values[0][0])} on {len(values)} periods, between {number(min(sold))} and {number(max(sold))} "
        f"units each, {number(sum(sold))} in all."
    ) + (" The last period is not over." if running else "")
    return _svg(parts, title, words, name)


class _Scale:
    def __init__(self, first: date, days: int, highest: float) -> None:
        self.first, self.days = first, days
        self.step = nice_step(highest or 1.0)
        self.top = self.step * max(1, -(-int(highest * 1000) // int(self.step * 1000)))

    def x(self, at: date) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (at - self.first).days / max(1, self.days), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * max(0.0, value) / self.top, 1)


def _runs(observed: Sequence[Observed]) -> list[list[tuple[date, float]]]:
    """Stretches of days that were seen: a gap is a gap, never a zero. A single day is drawn as a short line."""
    runs: list[list[tuple[date, float]]] = []
    for one in sorted(observed, key=lambda o: o.day):
        if one.units is None:
            continue
        if runs and runs[-1][-1][0] == one.day - timedelta(days=1):
            runs[-1].append((one.day, float(one.units)))
        else:
            runs.append([(one.day, float(one.units))])
    return [run if len(run) > 1 else run * 2 for run in runs]


def _words(observed: Sequence[Observed], expected: Sequence[Expected]) -> str:
    told = []
    seen = [o.units for o in observed if o.units is not None]
    if seen:
        missing = len(observed) - len(seen)
        told.append(
            f"From {day(observed[0].day)} to {day(observed[-1].day)} between {number(min(seen))} and "
            f"{number(max(seen))} units a day" + (f"; {missing} days could not be seen." if missing else ".")
        )
    if expected:
        middles = [e.middle for e in expected]
        told.append(
            f"From {day(expected[0].day)} to {day(expected[-1].day)} a median of {number(min(middles), 1)} to "
            f"{number(max(middles), 1)} is expected, 8 of 10 days between "
            f"{number(min(e.low for e in expected), 1)} and {number(max(e.high for e in expected), 1)}."
        )
    return " ".join(told)


def _svg(parts: Sequence[Markup], title: str, words: str, name: str) -> Markup:
    return Markup(
        '<svg class="chart series" viewBox="0 0 {} {}" role="img" aria-labelledby="{name}-title" '
        'aria-describedby="{name}-desc"><title id="{name}-title">{}</title><desc id="{name}-desc">{}</desc>{}</svg>'
    ).format(WIDTH, HEIGHT, title, words, Markup("").join(parts), name=name)


def _shape(tag: str, kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<{} class="{}" points="{}"/>').format(tag, kind, " ".join(f"{x},{y}" for x, y in points))


def _grid(scale: _Scale) -> list[Markup]:
    drawn = []
    for index in range(round(scale.top / scale.step) + 1):
        value = index * scale.step
        y = scale.y(value)
        line = Markup(
            '<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/><text class="tick end" x="{}" y="{}">{}</text>'
        )
        drawn.append(line.format(LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 5, number(Decimal(str(round(value, 3))), 1)))
    return drawn


def _dates(scale: _Scale) -> list[Markup]:
    every = max(1, -(-(scale.days + 1) // MOST_TICKS))
    drawn = []
    for n in range(0, scale.days + 1, every):
        at = scale.first + timedelta(days=n)
        x = scale.x(at)
        anchor = "start" if n == 0 else "end" if x > WIDTH - RIGHT - 24 else "middle"
        drawn.append(
            Markup('<text class="tick {}" x="{}" y="{}">{}</text>').format(anchor, x, HEIGHT - 10, f"{at.day} {at:%b}")
        )
    return drawn


def _marker(scale: _Scale, at: date, label: str) -> Markup:
    x = scale.x(at)
    left = x > WIDTH / 2
    return Markup(
        '<line class="marker" x1="{}" y1="6" x2="{}" y2="{}"/><text class="label {}" x="{}" y="16">{}</text>'
    ).format(x, x, HEIGHT - BOTTOM, "end" if left else "start", x - 5 if left else x + 5, label)
