"""Charts are SVG drawn on the server from the decision's own figures: no script, no other origin, and the same for all.

Colours come from the style sheet by class, so that a chart follows light and dark. Every chart has a table twin on the
page, because a picture is not for everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

from console.formats import day, number
from workflows.domain.quantities import WaterfallStep
from workflows.domain.scores import DayForecast

WIDTH, HEIGHT = 640, 290
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 46, 34


@dataclass(frozen=True)
class Marker:
    """A day worth a vertical line: `after_days` from the first forecast day, and what happens then."""

    after_days: int
    label: str


def fan(days: Sequence[DayForecast], markers: Sequence[Marker], *, title: str) -> Markup:
    """Daily demand: the median and the 80 % interval around it, with the days that matter to the order."""
    if not days:
        return Markup("")
    step = _nice_step(max(float(d.p90) for d in days) or 1.0)
    top = step * max(1, -(-int(max(float(d.p90) for d in days) * 1000) // int(step * 1000)))
    xs = [_x(index, len(days)) for index in range(len(days))]
    upper = [(x, _y(float(d.p90), top)) for x, d in zip(xs, days, strict=True)]
    lower = [(x, _y(float(d.p10), top)) for x, d in zip(xs, days, strict=True)]
    median = [(x, _y(float(d.p50), top)) for x, d in zip(xs, days, strict=True)]
    parts = [
        *_grid(top, step),
        _shape("polygon", "band", [*upper, *reversed(lower)]),
        _shape("polyline", "median", median),
        *_dates(days, xs),
        *_markers(markers, xs),
    ]
    desc = (
        f"From {day(days[0].day)} to {day(days[-1].day)} the median lies between {_span([d.p50 for d in days])} units "
        f"a day; 8 of 10 days are expected between {number(min(d.p10 for d in days), 1)} and "
        f"{number(max(d.p90 for d in days), 1)} units. "
        + " ".join(f"Day {marker.after_days + 1}: {marker.label}." for marker in markers)
    )
    return Markup(
        '<svg class="chart fan" viewBox="0 0 {} {}" role="img" aria-labelledby="fan-title" aria-describedby="fan-desc">'
        '<title id="fan-title">{}</title><desc id="fan-desc">{}</desc>{}</svg>'
    ).format(WIDTH, HEIGHT, title, desc.strip(), Markup("").join(parts))


@dataclass(frozen=True)
class Bar:
    """One step of the waterfall with its bar: units before and after it on the scale of all steps."""

    step: WaterfallStep
    change: int
    svg: Markup


def waterfall(steps: Sequence[WaterfallStep]) -> list[Bar]:
    """The steps from the forecast to the quantity; each bar runs from the units before the step to those after it."""
    levels = [0, *(step.units for step in steps)]
    low, high = min(levels), max(levels)
    scale = 200 / max(1, high - low)
    zero = round((0 - low) * scale, 1)
    bars = []
    for before, step in zip(levels, steps, strict=False):
        start, end = sorted((before, step.units))
        kind = "rise" if step.units >= before else "fall"
        svg = Markup(
            '<svg class="bar" viewBox="-2 0 204 14" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
            '<line class="zero" x1="{}" y1="0" x2="{}" y2="14"/>'
            '<rect class="{}" x="{}" y="2" width="{}" height="10"/></svg>'
        ).format(zero, zero, kind, round((start - low) * scale, 1), max(1.5, round((end - start) * scale, 1)))
        bars.append(Bar(step=step, change=step.units - before, svg=svg))
    return bars


def _x(index: int, count: int) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * index / max(1, count - 1), 1)


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 1)


def _nice_step(highest: float) -> float:
    """A round distance between grid lines that gives three to six of them."""
    size = 0.1
    while True:
        for factor in (1, 2, 5):
            if highest / (size * factor) <= 5:
                return size * factor
        size *= 10


def _span(values: Sequence[Decimal]) -> str:
    return f"{number(min(values), 1)} and {number(max(values), 1)}"


def _shape(tag: str, kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<{} class="{}" points="{}"/>').format(tag, kind, " ".join(f"{x},{y}" for x, y in points))


def _grid(top: float, step: float) -> list[Markup]:
    lines = []
    for index in range(round(top / step) + 1):
        value = index * step
        y = _y(value, top)
        label = number(Decimal(str(round(value, 3))), 1)
        lines.append(
            Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/><text class="tick end" x="{}" y="{}">{}</text>')
            .format(LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 5, label)
        )  # fmt: skip
    return lines


def _dates(days: Sequence[DayForecast], xs: Sequence[float]) -> list[Markup]:
    """At most five dates, the first and every so many days after it."""
    every = max(1, -(-len(days) // 5))
    return [
        Markup('<text class="tick {}" x="{}" y="{}">{}</text>').format(
            "start" if index == 0 else "middle", xs[index], HEIGHT - 10, f"{d.day.day} {d.day:%b}"
        )
        for index, d in enumerate(days)
        if index % every == 0 and (index == 0 or xs[index] < WIDTH - RIGHT - 10)
    ]


def _markers(markers: Sequence[Marker], xs: Sequence[float]) -> list[Markup]:
    """Labels stand above the chart, to the side where there is room; two of them take two rows."""
    drawn = []
    for row, marker in enumerate(marker for marker in markers if 0 <= marker.after_days < len(xs)):
        x = xs[marker.after_days]
        left = x > WIDTH / 2
        line = Markup('<line class="marker" x1="{}" y1="{}" x2="{}" y2="{}"/>')
        label = Markup('<text class="label {}" x="{}" y="{}">{}</text>')
        drawn.append(line.format(x, 4 + 18 * row, x, HEIGHT - BOTTOM))
        drawn.append(
            label.format("end" if left else "start", x - 5 if left else x + 5, 14 + 18 * row, marker.label)
        )  # fmt: skip
    return drawn
