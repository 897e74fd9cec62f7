"""Demand by day as a fan: the weeks before, then the median in its 50, 80 and 95 % intervals."""

from collections.abc import Sequence
from datetime import date, timedelta

from markupsafe import Markup

from console.charts_frame import BOTTOM, HEIGHT, TOP, Frame, Marker, area, shape, spots, svg
from console.formats import day, number
from workflows.domain.pictures import Picture
from workflows.domain.scores import HUNDRED, DayForecast


def fan(picture: Picture, markers: Sequence[Marker], *, title: str) -> Markup:
    """The forecast of a picture, with the days that matter to the order; nothing where nothing was forecast."""
    days = picture.days
    if not days:
        return Markup("")
    known = recent_days(picture)
    first = known[0][0] if known else days[0].day
    frame = Frame(first, days[-1].day, 0, max(max(map(_highest, days)), *(units or 0 for _, units in known), 0))
    at = [one.day for one in days]
    parts = [*frame.grid()]
    wide = [one.wider for one in days if one.wider]

    def between(kind: str, low: Sequence[float], high: Sequence[float]) -> Markup:
        return area(kind, frame.line(at, high), frame.line(at, low))

    if len(wide) == len(days):
        parts.append(between("band95", [w.p025 / HUNDRED for w in wide], [w.p975 / HUNDRED for w in wide]))
    parts.append(between("band", [float(d.p10) for d in days], [float(d.p90) for d in days]))
    if len(wide) == len(days):
        parts.append(between("band50", [w.p25 / HUNDRED for w in wide], [w.p75 / HUNDRED for w in wide]))
    parts.append(shape("polyline", "median", frame.line(at, [float(d.p50) for d in days])))
    parts += [_past(frame, run) for run in _runs(known)]
    if known:
        parts.append(
            Markup('<line class="now" x1="{0}" y1="{1}" x2="{0}" y2="{2}"/>').format(
                frame.x(days[0].day - timedelta(days=1)), TOP, HEIGHT - BOTTOM
            )
        )
    parts += [*frame.dates(), *frame.markers(markers), spots(frame, _told(picture, known))]
    return svg("fan", title, _desc(picture, known, markers), parts)


def recent_days(picture: Picture) -> list[tuple[date, int | None]]:
    """The days before the forecast with their demand; None where nothing was there to be sold."""
    first = picture.first_recent
    return [(first + timedelta(days=n), units) for n, units in enumerate(picture.recent)] if first else []


def _highest(one: DayForecast) -> float:
    return max(float(one.p90), one.wider.p975 / HUNDRED if one.wider else 0.0)


def _runs(known: Sequence[tuple[date, int | None]]) -> list[list[tuple[date, int]]]:
    """Stretches of days without a gap."""
    runs: list[list[tuple[date, int]]] = [[]]
    for when, units in known:
        if units is None:
            runs.append([])
        else:
            runs[-1].append((when, units))
    return [run for run in runs if run]


def _past(frame: Frame, run: Sequence[tuple[date, int]]) -> Markup:
    if len(run) == 1:
        return Markup('<circle class="past" cx="{}" cy="{}" r="2.5"/>').format(
            frame.x(run[0][0]), frame.y(float(run[0][1]))
        )  # fmt: skip
    return shape("polyline", "past", frame.line([when for when, _ in run], [float(units) for _, units in run]))


def _told(picture: Picture, known: Sequence[tuple[date, int | None]]) -> list[tuple[date, str]]:
    past = [(at, f"{day(at)}: {'no stock' if units is None else f'{number(units)} units'}") for at, units in known]
    ahead = [
        (one.day, f"{day(one.day)}: median {number(one.p50, 1)}, 8 of 10 between {number(one.p10, 1)} and "
                  f"{number(one.p90, 1)} units")
        for one in picture.days
    ]  # fmt: skip
    return past + ahead


def _desc(picture: Picture, known: Sequence[tuple[date, int | None]], markers: Sequence[Marker]) -> str:
    days = picture.days
    medians = [one.p50 for one in days]
    said = [
        f"From {day(days[0].day)} to {day(days[-1].day)} the median lies between {number(min(medians), 1)} and "
        f"{number(max(medians), 1)} units a day; 8 of 10 days are expected between "
        f"{number(min(one.p10 for one in days), 1)} and {number(max(one.p90 for one in days), 1)} units."
    ]
    sold = [units for _, units in known if units is not None]
    if sold:
        said.insert(0, f"In the {len(known)} days before, {number(sum(sold))} units were asked for.")
    said += [f"{day(marker.day)}: {marker.label}." for marker in markers]
    return " ".join(said)
