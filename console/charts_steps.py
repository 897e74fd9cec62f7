"""Bars that stand in a table: the steps to a quantity, and what moved a forecast by how much."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from workflows.domain.quantities import WaterfallStep
from workflows.domain.scores import Driver


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
        begin, width = round((start - low) * scale, 1), max(1.5, round((end - start) * scale, 1))
        bars.append(Bar(step=step, change=step.units - before, svg=_bar(kind, zero, begin, width)))
    return bars


@dataclass(frozen=True)
class Push:
    """One thing that moved the forecast, with its bar."""

    driver: Driver
    svg: Markup


def pushes(drivers: Sequence[Driver]) -> list[Push]:
    """What moved a forecast; bars go right where it added units and left where it took some away."""
    largest = max((abs(float(one.effect_units)) for one in drivers), default=0.0) or 1.0
    found = []
    for one in drivers:
        size = round(abs(float(one.effect_units)) * 100 / largest, 1)
        up = one.effect_units >= 0
        found.append(Push(one, _bar("rise" if up else "fall", 100, 100 if up else 100 - size, max(1.5, size))))
    return found


def _bar(kind: str, zero: float, begin: float, width: float) -> Markup:
    return Markup(
        '<svg class="bar" viewBox="-2 0 204 14" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<line class="zero" x1="{}" y1="0" x2="{}" y2="14"/>'
        '<rect class="{}" x="{}" y="2" width="{}" height="10"/></svg>'
    ).format(zero, zero, kind, begin, width)
