"""A window is what was known of one item at the end of its origin period: nothing later ever enters it.

The same code cuts windows for training and for scoring, so that a model is asked what it was taught to answer. A cell
is NaN where demand could not be observed (no stock) or the item was not yet listed: missing, never zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from activities.learning.cadence import DAY, Cadence
from activities.learning.outside import Calendar, Outside, gathered
from workflows.domain.models import TrainingSeries
from workflows.domain.scores import DemandHistory, Promotion, ScoringRow

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNITS_CAP = 10_000_000
"""Units per period beyond which a number is taken for a broken feed; keeps sums of squares exact in float64."""
Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Windows:
    """Aligned arrays, one row each: column -1 of `units` is the origin period."""

    cadence: Cadence
    units: Floats
    promoted: Flags
    """`lookback` periods up to the origin, then `ahead` after it: promotions are known ahead."""
    origin: Ints
    """Number of the last period whose demand is known."""
    age: Ints
    """Periods since the item was listed, the origin included; 0 when it was not yet."""
    groups: Groups
    """What each row belongs to; the first is its category."""
    outside: Outside | None = None
    """Holidays, prices and other drivers: `lookback` periods, then `ahead`; None where none was given."""

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def category(self) -> tuple[str, ...]:
        """Each row's category."""
        return tuple(row[0] for row in self.groups)

    def take(self, rows: Ints | slice) -> "Windows":
        """These rows only, in this order."""
        index = np.arange(len(self))[rows]
        return Windows(
            self.cadence, self.units[index], self.promoted[index], self.origin[index], self.age[index],
            tuple(self.groups[i] for i in index), self.outside.take(index) if self.outside else None,
        )  # fmt: skip


def fill_units(target: Floats, first: int, begins: int, quantities: Sequence[float | None]) -> None:
    """Writes quantities that begin at period `begins` into one row whose column 0 is period `first`.

    What falls outside is left out; net-negative periods (more returned than sold) are no demand.
    """
    shift = begins - first
    begin, end = max(0, -shift), min(len(quantities), len(target) - shift)
    if end <= begin:
        return
    # None becomes NaN, and NaN passes through clip.
    np.array(quantities[begin:end], dtype=np.float64).clip(0, UNITS_CAP, out=target[begin + shift : end + shift])


def _fill_history(target: Floats, first: int, history: DemandHistory) -> None:
    fill_units(target, first, history.first_day.toordinal(), history.daily_units)


def _fill_promotions(target: Flags, first: int, promotions: Sequence[Promotion]) -> None:
    for promotion in promotions:
        begin, end = promotion.first_day.toordinal() - first, promotion.last_day.toordinal() - first + 1
        target[max(0, begin) : max(0, end)] = True


def windows_of(rows: Sequence[ScoringRow]) -> Windows:
    """The window of each scoring row, its origin being the row's own last day."""
    count = len(rows)
    units = np.full((count, DAY.lookback), np.nan)
    promoted = np.zeros((count, DAY.lookback + DAY.ahead), dtype=np.bool_)
    origin = np.array([row.last_day.toordinal() for row in rows], dtype=np.int64)
    for index, row in enumerate(rows):
        first = int(origin[index]) - DAY.lookback + 1
        _fill_history(units[index], first, row.history)
        _fill_promotions(promoted[index], first, row.promotions)
    listed = np.array([row.history.first_day.toordinal() for row in rows], dtype=np.int64)
    groups = tuple((row.category, row.location) for row in rows)
    origins = [int(day) for day in origin]
    firsts = [day - DAY.lookback + 1 for day in origins]
    outside = gathered(
        [row.drivers for row in rows], [_calendar(row) for row in rows], firsts, DAY.lookback + DAY.ahead, origins
    )
    return Windows(DAY, units, promoted, origin, np.maximum(origin - listed + 1, 0), groups, outside)


def _calendar(row: ScoringRow | TrainingSeries) -> Calendar | None:
    if not row.country:
        return None
    told = row.holidays if isinstance(row, ScoringRow) else None
    return Calendar(row.country, row.subdivision, None if told is None else _ordinals(told))


@lru_cache(maxsize=256)
def _ordinals(days: tuple[date, ...]) -> frozenset[int]:
    return frozenset(day.toordinal() for day in days)


@dataclass(frozen=True)
class Panel:
    """All series on one calendar up to a last known period."""

    cadence: Cadence
    units: Floats
    """[series, periods], the last column being the last known period."""
    promoted: Flags
    """The same periods, then `ahead` after them."""
    first: int
    """Number of the period of column 0."""
    listed: Ints
    groups: Groups
    keys: tuple[str, ...]
    """`location:item`, one per row."""
    guessed: Flags | None = None
    """[series, periods]: what demand is only taken to have been; it is looked at, but is no target."""
    outside: Outside | None = None
    """Drivers on the same periods as `promoted`, and `lookback` before them: they are older than the items."""

    @classmethod
    def of(cls, series: Sequence[TrainingSeries], last_day: date) -> "Panel":
        """The daily series in the order of their keys (the caller's order never matters), cut after `last_day`."""
        ordered = sorted(series, key=lambda one: (one.location, one.item))
        last = last_day.toordinal()
        listed = np.array([one.history.first_day.toordinal() for one in ordered], dtype=np.int64)
        days = int(min(DAY.panel, max(1, last - int(listed.min(initial=last)) + 1)))
        first = last - days + 1
        units = np.full((len(ordered), days), np.nan)
        promoted = np.zeros((len(ordered), days + DAY.ahead), dtype=np.bool_)
        for index, one in enumerate(ordered):
            _fill_history(units[index], first, one.history)
            _fill_promotions(promoted[index], first, one.promotions)
        keys = tuple(f"{one.location}:{one.item}" for one in ordered)
        outside = gathered(
            [one.drivers for one in ordered], [_calendar(one) for one in ordered],
            [first - DAY.lookback] * len(ordered), DAY.lookback + days + DAY.ahead, [last] * len(ordered),
        )  # fmt: skip
        groups = tuple((one.category, one.location) for one in ordered)
        return cls(DAY, units, promoted, first, listed, groups, keys, outside=outside)

    @property
    def category(self) -> tuple[str, ...]:
        """Each row's category."""
        return tuple(row[0] for row in self.groups)

    @property
    def periods(self) -> int:
        """Periods from the first listing (or as far back as is learned from) to the last known one."""
        return int(self.units.shape[1])

    @property
    def last(self) -> int:
        """Number of the last known period."""
        return self.first + self.periods - 1

    def through(self, period: int) -> "Panel":
        """What was known at the end of that period."""
        keep = period - self.first + 1
        if not 1 <= keep <= self.periods:
            raise ValueError(f"period {period} lies outside the panel")
        return Panel(
            self.cadence, self.units[:, :keep], self.promoted[:, : keep + self.cadence.ahead], self.first, self.listed,
            self.groups, self.keys, None if self.guessed is None else self.guessed[:, :keep],
            self.outside.cut(self.cadence.lookback + keep + self.cadence.ahead) if self.outside else None,
        )  # fmt: skip

    def take(self, rows: Ints) -> "Panel":
        """These series only."""
        return Panel(
            self.cadence, self.units[rows], self.promoted[rows], self.first, self.listed[rows],
            tuple(self.groups[i] for i in rows), tuple(self.keys[i] for i in rows),
            None if self.guessed is None else self.guessed[rows], self.outside.take(rows) if self.outside else None,
        )  # fmt: skip

    def windows(self, origin: int, rows: Ints | None = None) -> Windows:
        """What was known of these rows (default: all) at the end of the period `origin`."""
        chosen = np.arange(len(self.groups)) if rows is None else rows
        lookback, ahead = self.cadence.lookback, self.cadence.ahead
        end = origin - self.first + 1
        if not 0 <= end <= self.periods:
            raise ValueError(f"period {origin} lies outside the panel")
        begin = max(0, end - lookback)
        units = np.full((len(chosen), lookback), np.nan)
        promoted = np.zeros((len(chosen), lookback + ahead), dtype=np.bool_)
        units[:, lookback - (end - begin) :] = self.units[chosen, begin:end]
        promoted[:, lookback - (end - begin) :] = self.promoted[chosen, begin : end + ahead]
        return Windows(
            self.cadence, units, promoted, np.full(len(chosen), origin, dtype=np.int64),
            np.maximum(origin - self.listed[chosen] + 1, 0), tuple(self.groups[i] for i in chosen),
            self.outside.window(end, self.cadence, chosen) if self.outside else None,
        )  # fmt: skip

    def targets(self, rows: Ints, periods: Ints) -> Floats:
        """Observed demand of these rows in these periods; NaN where it was not observed or is not yet known."""
        columns = periods - self.first
        known = (columns >= 0) & (columns < self.periods)
        found = self.units[rows, np.where(known, columns, 0)]
        if self.guessed is not None:
            known &= ~self.guessed[rows, np.where(known, columns, 0)]
        return np.where(known, found, np.nan)
