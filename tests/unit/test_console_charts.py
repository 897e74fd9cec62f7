"""Charts: drawn from the decision's own figures, inside their frame, whatever the figures are."""

import re
from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from console import charts
from console.formats import number, percent, signed, waiting
from tests.fakes.shop import CLOCK
from workflows.domain.quantities import WaterfallStep
from workflows.domain.scores import DayForecast

UNITS = st.decimals(min_value=0, max_value=1_000_000, places=3)


@given(st.lists(st.tuples(UNITS, UNITS, UNITS), min_size=1, max_size=60), st.integers(0, 80))
def test_the_fan_stays_in_its_frame(days: list[tuple[Decimal, Decimal, Decimal]], marker: int) -> None:
    forecast = [
        DayForecast(day=date(2025, 1, 1) + timedelta(days=n), p10=low, p50=middle, p90=high)
        for n, (low, middle, high) in enumerate(sorted(each) for each in days)
    ]

    svg = charts.fan(forecast, [charts.Marker(marker, "<arrives>")], title="Demand & more")

    drawn = ElementTree.fromstring(str(svg))  # noqa: S314 - our own SVG
    assert drawn.find("title") is not None
    for shape in ("polygon", "polyline"):
        points = re.findall(r"[\d.-]+,[\d.-]+", drawn.find(shape).attrib["points"])  # type: ignore[union-attr]
        for x, y in (map(float, point.split(",")) for point in points):
            assert 0 <= x <= charts.WIDTH
            assert charts.TOP - 0.2 <= y <= charts.HEIGHT - charts.BOTTOM + 0.2


def test_no_forecast_draws_nothing() -> None:
    assert charts.fan([], [], title="") == ""


def test_the_waterfall_tells_each_steps_change() -> None:
    levels = [136, 129, -20, 168]
    bars = charts.waterfall([WaterfallStep(step="s", units=units, rule="r") for units in levels])

    assert [bar.change for bar in bars] == [136, -7, -149, 188]
    assert 'class="fall"' in bars[1].svg
    assert 'class="rise"' in bars[3].svg
    assert charts.waterfall([]) == []


def test_figures_are_spelled_one_way() -> None:
    assert number(Decimal("1234.50"), 2) == "1,234.5"
    assert number(-488) == "\N{MINUS SIGN}488"
    assert number(100) == "100"
    assert signed(Decimal("-2.84"), 2) == "\N{MINUS SIGN}2.84"
    assert [percent(Decimal(p)) for p in ("0", "0.004", "0.5", "0.997", "1")] == [
        "0 %",
        "<1 %",
        "50 %",
        ">99 %",
        "100 %",
    ]
    assert waiting(CLOCK + timedelta(minutes=5), CLOCK) == "in less than 1 h"
    assert waiting(CLOCK + timedelta(hours=50), CLOCK) == "in 2 d 2 h"
    assert waiting(CLOCK, CLOCK) == "passed"
    assert waiting(CLOCK, None) == ""
