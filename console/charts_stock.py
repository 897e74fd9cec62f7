"""Stock by day as it is expected: without the order, and with it from the day of its arrival on."""

from datetime import date, timedelta

from markupsafe import Markup

from console.charts_frame import LEFT, RIGHT, WIDTH, Frame, Marker, area, shape, spots, svg
from console.formats import day, number
from workflows.domain.pictures import Picture


def projection(picture: Picture, *, title: str) -> Markup:
    """Stock at the end of each day with and without the order, the level at which the engine looks again, and when
    stock runs out; nothing where its course was not recorded."""
    stock = picture.stock
    if not stock:
        return Markup("")
    begin = stock[0].day - timedelta(days=1)
    now = float(max(0, picture.on_hand_units))
    highest = max(max(one.with_p90 for one in stock), picture.watch_level_units, now)
    frame = Frame(begin, stock[-1].day, 0, highest)
    at = [begin, *(one.day for one in stock)]

    def line(name: str) -> list[tuple[float, float]]:
        return frame.line(at, [now, *(float(getattr(one, name)) for one in stock)])

    level = frame.y(float(picture.watch_level_units))
    parts = [*frame.grid(), area("band", line("p90"), line("p10"))]
    if picture.order_units:
        parts.append(area("band with", line("with_p90"), line("with_p10")))
        parts.append(shape("polyline", "median with", line("with_p50")))
    parts.append(shape("polyline", "median", line("p50")))
    line_at_level = Markup('<line class="level" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    parts.append(line_at_level.format(LEFT, level, WIDTH - RIGHT, level))
    parts.append(
        Markup('<text class="label end" x="{}" y="{}">reorder point</text>').format(WIDTH - RIGHT - 4, level - 5)
    )
    parts += [*frame.dates(), *frame.markers(_markers(picture)), spots(frame, _told(picture))]
    return svg("stock", title, _desc(picture), parts)


def _markers(picture: Picture) -> list[Marker]:
    found = []
    if picture.runs_out:
        found.append(Marker(picture.runs_out, "runs out without an order"))
    elif picture.may_run_out:
        found.append(Marker(picture.may_run_out, "may run out (1 in 10)"))
    if picture.order_units and picture.arrives:
        found.append(Marker(picture.arrives, f"order of {number(picture.order_units)} arrives"))
    return found


def _told(picture: Picture) -> list[tuple[date, str]]:
    return [
        (
            one.day,
            f"{day(one.day)}: {number(one.p50)} units without an order"
            + (f", {number(one.with_p50)} with it" if picture.order_units else ""),
        )
        for one in picture.stock
    ]


def _desc(picture: Picture) -> str:
    last = picture.stock[-1]
    said = [f"{number(picture.on_hand_units)} units are on hand."]
    if picture.runs_out:
        said.append(f"Without an order, stock runs out on {day(picture.runs_out)} in the median future.")
    if picture.may_run_out:
        said.append(f"In 1 of 10 futures it runs out by {day(picture.may_run_out)}.")
    if not picture.may_run_out:
        said.append(f"Stock lasts beyond {day(last.day)} in 9 of 10 futures.")
    if picture.order_units and picture.arrives:
        said.append(
            f"The order of {number(picture.order_units)} units is expected on {day(picture.arrives)}; on "
            f"{day(last.day)} {number(last.with_p50)} units are left with it and {number(last.p50)} without."
        )
    said.append(f"The reorder point is {number(picture.watch_level_units)} units.")
    return " ".join(said)
