"""A window is what was known of one item on its origin day: nothing later ever enters it.

The same code cuts windows for training and for scoring, so that a model is asked what it was taught to answer. A cell
is NaN where demand could not be observed (no stock) or the item was not yet listed: missing, never zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from workflows.domain.models import TrainingSeries
from workflows.domain.scores import DemandHistory, Promotion, ScoringRow

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LOOKBACK_DAYS = 400
"""A year, and four weeks to compare this year's growth with."""
AHEAD_DAYS = 160
"""The furthest day that is ever projected: the longest lead time (120 days) plus the longest review (40 days)."""
PANEL_DAYS = 1_100
"""Three years: older demand is not learned from."""
UNITS_CAP = 10_000_000
"""Units per day beyond which a number is taken for a broken feed; keeps sums of squares exact in float64."""


@dataclass(frozen=True)
class Windows:
    """Aligned arrays, one row each: column -1 of `units` is the origin day."""

    units: Floats
    promoted: Flags
    """LOOKBACK_DAYS up to the origin, then AHEAD_DAYS after it: promotions are known ahead."""
    origin: Ints
    """Ordinal (proleptic Gregorian) of the last day whose demand is known."""
    age_days: Ints
    """Days since the item was listed, the origin day included; 0 when it was not yet."""
    category: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.origin)

    def take(self, rows: Ints | slice) -> "Windows":
        """These rows only, in this order."""
        index = np.arange(len(self))[rows]
        return Windows(
            self.units[index], self.promoted[index], self.origin[index], self.age_days[index],
            tuple(self.category[i] for i in index),
        )  # fmt: skip


def _fill_units(target: Floats, first: int, history: DemandHistory) -> None:
    """Writes the history into one row whose column 0 is the ordinal `first`; what falls outside is left out."""
    shift = history.first_day.toordinal() - first
    begin, end = max(0, -shift), min(len(history.daily_units), len(target) - shift)
    if end <= begin:
        return
    values = [np.nan if value is None else value for value in history.daily_units[begin:end]]
    # Net-negative days (more returned than sold) are no demand; NaN passes through clip.
    target[begin + shift : end + shift] = np.clip(np.array(values, dtype=np.float64), 0, UNITS_CAP)


def _fill_promotions(target: Flags, first: int, promotions: Sequence[Promotion]) -> None:
    for promotion in promotions:
        begin, end = promotion.first_day.toordinal() - first, promotion.last_day.toordinal() - first + 1
        target[max(0, begin) : max(0, end)] = True


def windows_of(rows: Sequence[ScoringRow]) -> Windows:
    """The window of each scoring row, its origin being the row's own last day."""
    count = len(rows)
    units = np.full((count, LOOKBACK_DAYS), np.nan)
    promoted = np.zeros((count, LOOKBACK_DAYS + AHEAD_DAYS), dtype=np.bool_)
    origin = np.array([row.last_day.toordinal() for row in rows], dtype=np.int64)
    for index, row in enumerate(rows):
        first = int(origin[index]) - LOOKBACK_DAYS + 1
        _fill_units(units[index], first, row.history)
        _fill_promotions(promoted[index], first, row.promotions)
    listed = np.array([row.history.first_day.toordinal() for row in rows], dtype=np.int64)
    return Windows(units, promoted, origin, np.maximum(origin - listed + 1, 0), tuple(row.category for row in rows))


@dataclass(frozen=True)
class Panel:
    """All series on one calendar up to a last day; a lookback of missing days in front gives every day a window."""

    units: Floats
    promoted: Flags
    first: int
    """Ordinal of column 0."""
    listed: Ints
    category: tuple[str, ...]
    keys: tuple[str, ...]
    """`location:item`, one per row."""

    @classmethod
    def of(cls, series: Sequence[TrainingSeries], last_day: date) -> "Panel":
        """The series in the order of their keys (the caller's order never matters), cut after `last_day`."""
        ordered = sorted(series, key=lambda one: (one.location, one.item))
        last = last_day.toordinal()
        listed = np.array([one.history.first_day.toordinal() for one in ordered], dtype=np.int64)
        days = int(min(PANEL_DAYS, max(1, last - int(listed.min(initial=last)) + 1)))
        first = last - days - LOOKBACK_DAYS + 1
        units = np.full((len(ordered), LOOKBACK_DAYS + days), np.nan)
        promoted = np.zeros((len(ordered), LOOKBACK_DAYS + days + AHEAD_DAYS), dtype=np.bool_)
        for index, one in enumerate(ordered):
            _fill_units(units[index], first, one.history)
            _fill_promotions(promoted[index], first, one.promotions)
        keys = tuple(f"{one.location}:{one.item}" for one in ordered)
        return cls(units, promoted, first, listed, tuple(one.category for one in ordered), keys)

    @property
    def last(self) -> int:
        """Ordinal of the last known day."""
        return self.first + int(self.units.shape[1]) - 1

    @property
    def days(self) -> int:
        """Days between the first listing (three years back at most) and the last known day, both included."""
        return int(self.units.shape[1]) - LOOKBACK_DAYS

    def windows(self, origin: int, rows: Ints | None = None) -> Windows:
        """What was known of these rows (default: all) at the end of the day with ordinal `origin`."""
        chosen = np.arange(len(self.category)) if rows is None else rows
        end = origin - self.first + 1
        if not LOOKBACK_DAYS <= end <= self.units.shape[1]:
            raise ValueError(f"day {origin} lies outside the panel")
        begin = end - LOOKBACK_DAYS
        return Windows(
            self.units[chosen, begin:end], self.promoted[chosen, begin : end + AHEAD_DAYS],
            np.full(len(chosen), origin, dtype=np.int64), np.maximum(origin - self.listed[chosen] + 1, 0),
            tuple(self.category[i] for i in chosen),
        )  # fmt: skip

    def targets(self, rows: Ints, days: Ints) -> Floats:
        """Observed demand of these rows on these days (ordinals); NaN where it was not observed or is not yet known."""
        columns = days - self.first
        known = (columns >= 0) & (columns < self.units.shape[1])
        found = self.units[rows, np.where(known, columns, 0)]
        return np.where(known, found, np.nan)
