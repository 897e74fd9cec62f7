"""The frame of a chart by day: its scales, grid, dates and markers; colours come from the style sheet by class.

Charts are SVG drawn on the server from a decision's own figures: no script, no other origin, and the same for all.
Every chart has a table twin on its page, because a picture is not for everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from markupsafe import Markup

from console.formats import number

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 62, 34
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Marker:
    """A day worth a vertical line, and what happens then."""

    day: date
    label: str


class Frame:
    """Maps days and units to places in the picture: `first` to `last` day, `low` to `high` units (0 is always in)."""

    def __init__(self, first: date, last: date, low: float, high: float) -> None:
        self.first, self.days = first, max(1, (last - first).days)
        low, high = min(0.0, low), max(0.0, high)
        self.step = nice_step(high - low or 1.0)
        self.low = -self.step * -(-int(-low * 1000) // int(self.step * 1000)) if low < 0 else 0.0
        self.high = self.step * max(1, -(-int(high * 1000) // int(self.step * 1000)))

    def x(self, day: date) -> float:
        """The place of a day."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (day - self.first).days / self.days, 1)

    def y(self, units: float) -> float:
        """The place of a number of units."""
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (units - self.low) / (self.high - self.low), 1)

    def line(self, days: Sequence[date], values: Sequence[float]) -> list[tuple[float, float]]:
        """The points of a line."""
        return [(self.x(day), self.y(value)) for day, value in zip(days, values, strict=True)]

    def grid(self) -> list[Markup]:
        """Horizontal lines at round numbers."""
        lines = []
        for index in range(round((self.high - self.low) / self.step) + 1):
            value = self.low + index * self.step
            y = self.y(value)
            kind = "grid zero" if abs(value) < self.step / 1000 and self.low < 0 else "grid"
            lines.append(
                Markup(
                    '<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/><text class="tick end" x="{}" y="{}">{}</text>'
                ).format(kind, LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 5, number(Decimal(str(round(value, 3))), 1))
            )
        return lines

    def dates(self) -> list[Markup]:
        """At most six dates along the bottom."""
        every = max(1, -(-(self.days + 1) // 6))
        return [
            Markup('<text class="tick {}" x="{}" y="{}">{}</text>').format(
                "start" if ahead == 0 else "middle", self.x(day), HEIGHT - 10, f"{day.day} {day:%b}"
            )
            for ahead in range(0, self.days + 1, every)
            if (day := self.first + timedelta(days=ahead)) and (ahead == 0 or self.x(day) < WIDTH - RIGHT - 18)
        ]

    def markers(self, markers: Sequence[Marker]) -> list[Markup]:
        """Vertical lines; their labels stand above, each in its row, to the side where there is room."""
        drawn = []
        last = self.first + timedelta(days=self.days)
        for row, marker in enumerate(sorted((m for m in markers if self.first <= m.day <= last), key=lambda m: m.day)):
            x, left = self.x(marker.day), self.x(marker.day) > WIDTH / 2
            line = Markup('<line class="marker" x1="{}" y1="{}" x2="{}" y2="{}"/>')
            label = Markup('<text class="label {}" x="{}" y="{}">{}</text>')
            drawn.append(line.format(x, 4 + 18 * row, x, HEIGHT - BOTTOM))
            drawn.append(
                label.format("end" if left else "start", x - 5 if left else x + 5, 14 + 18 * row, marker.label)
            )  # fmt: skip
        return drawn


def nice_step(highest: float) -> float:
    """A round distance between grid lines that gives three to six of them."""
    size = 0.1
    while True:
        for factor in (1, 2, 5):
            if highest / (size * factor) <= 5:
                return size * factor
        size *= 10


def shape(tag: str, kind: str, points: Points) -> Markup:
    """A polygon or a polyline."""
    return Markup('<{} class="{}" points="{}"/>').format(tag, kind, " ".join(f"{x},{y}" for x, y in points))


def area(kind: str, upper: Points, lower: Points) -> Markup:
    """What lies between two lines."""
    return shape("polygon", kind, [*upper, *reversed(lower)])


def spots(frame: Frame, told: Sequence[tuple[date, str]]) -> Markup:
    """One invisible column per day that tells its figures to whoever points at it."""
    width = (WIDTH - LEFT - RIGHT) / frame.days
    return Markup("").join(
        Markup('<rect class="spot" x="{}" y="{}" width="{}" height="{}" data-x="{}"><title>{}</title></rect>').format(
            round(frame.x(day) - width / 2, 1), TOP, round(width, 1), HEIGHT - TOP - BOTTOM, frame.x(day), text
        )
        for day, text in told
    )


def svg(name: str, title: str, desc: str, parts: Sequence[Markup]) -> Markup:
    """The picture with its name and its words; `name` keeps ids of several charts on a page apart."""
    return Markup(
        '<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title" aria-describedby="{}-desc">'
        '<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>{}</svg>'
    ).format(name, WIDTH, HEIGHT, name, name, name, title, name, desc, Markup("").join(parts))
