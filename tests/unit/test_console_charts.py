"""Charts: drawn from the decision's own figures, inside their frame, whatever the figures are."""

import re
from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from console import charts_demand, charts_stock
from console.charts_frame import HEIGHT, TOP, WIDTH, Marker
from console.charts_steps import pushes, waterfall
from console.formats import number, percent, signed, waiting
from tests.fakes.shop import CLOCK
from workflows.domain.pictures import Picture, StockDay
from workflows.domain.quantities import WaterfallStep
from workflows.domain.scores import DayForecast, Driver, Wider

UNITS = st.decimals(min_value=0, max_value=1_000_000, places=3)
FIRST = date(2025, 1, 1)
SIX = st.lists(st.integers(0, 10**6), min_size=6, max_size=6)


def picture(days: list[DayForecast], **more: object) -> Picture:
    """A picture of these days."""
    told: dict[str, object] = {
        "days": tuple(days), "on_hand_units": 5, "arrives_after_days": 3, "arrives_late_after_days": 5,
        "lasts_days": 9, "watch_level_units": 7,
    }  # fmt: skip
    return Picture.model_validate(told | more)


def inside(svg: str) -> ElementTree.Element:
    """The drawing, after it was seen that all of it is inside its frame."""
    drawn = ElementTree.fromstring(svg)  # noqa: S314 - our own SVG
    assert drawn.find("title") is not None
    assert drawn.find("desc") is not None
    for shape in (*drawn.findall("polygon"), *drawn.findall("polyline")):
        points = re.findall(r"[\d.-]+,[\d.-]+", shape.attrib["points"])
        assert points
        for x, y in (map(float, point.split(",")) for point in points):
            assert 0 <= x <= WIDTH
            assert TOP - 0.2 <= y <= HEIGHT
    return drawn


@given(
    st.lists(st.tuples(UNITS, UNITS, UNITS), min_size=1, max_size=40), st.integers(0, 80),
    st.lists(st.one_of(st.none(), st.integers(0, 10**6)), max_size=28), st.booleans(),
)  # fmt: skip
def test_the_fan_stays_in_its_frame(
    days: list[tuple[Decimal, Decimal, Decimal]], marker: int, recent: list[int | None], wide: bool
) -> None:
    forecast = [
        DayForecast(
            day=FIRST + timedelta(days=n), p10=low, p50=middle, p90=high,
            wider=Wider(*(int(one * 100) for one in (low / 2, low, high, high * 2))) if wide else None,
        )
        for n, (low, middle, high) in enumerate(sorted(each) for each in days)
    ]  # fmt: skip
    markers = [Marker(FIRST + timedelta(days=marker), "<arrives>")]

    drawn = inside(str(charts_demand.fan(picture(forecast, recent=tuple(recent)), markers, title="Demand & more")))

    kinds = {shape.attrib["class"] for shape in drawn.findall("polygon")}
    assert kinds == ({"band", "band50", "band95"} if wide else {"band"})
    assert len(drawn.findall("rect")) == len(days) + len(recent), "each day can be pointed at"


@given(st.lists(SIX, min_size=1, max_size=40), st.integers(0, 10**6))
def test_the_stock_stays_in_its_frame(courses: list[list[int]], level: int) -> None:
    stock = [
        StockDay(day=FIRST + timedelta(days=n), p10=a, p50=b, p90=c, with_p10=d, with_p50=e, with_p90=f)
        for n, (a, b, c, d, e, f) in enumerate(sorted(course) for course in courses)
    ]
    days = [DayForecast(day=one.day, p10=Decimal(0), p50=Decimal(1), p90=Decimal(2)) for one in stock]

    drawn = inside(
        str(
            charts_stock.projection(
                picture(days, stock=tuple(stock), order_units=12, watch_level_units=level), title="Stock"
            )
        )
    )

    assert len(drawn.findall("polyline")) == 2, "with the order and without"
    assert "reorder point" in ElementTree.tostring(drawn, encoding="unicode")


def test_nothing_recorded_draws_nothing() -> None:
    assert charts_demand.fan(picture([]), [], title="") == ""
    assert charts_stock.projection(picture([]), title="") == ""


def test_the_waterfall_tells_each_steps_change() -> None:
    levels = [136, 129, -20, 168]
    bars = waterfall([WaterfallStep(step="s", units=units, rule="r") for units in levels])

    assert [bar.change for bar in bars] == [136, -7, -149, 188]
    assert 'class="fall"' in bars[1].svg
    assert 'class="rise"' in bars[3].svg
    assert waterfall([]) == []


def test_what_pushes_a_forecast_down_goes_left() -> None:
    up, down = pushes([Driver(feature=f, value="", effect_units=Decimal(u)) for f, u in (("a", "34"), ("b", "-17"))])

    assert 'class="rise" x="100" y="2" width="100.0"' in up.svg
    assert 'class="fall" x="50.0" y="2" width="50.0"' in down.svg
    assert pushes([]) == []


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
