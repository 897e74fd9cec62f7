"""The pool lends one item the season of all: what its category, or everything, sold a year before the target.

A single item's season drowns in its noise; the pooled one does not. Values are kept with the model, and a row may only
look at periods up to its own origin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from activities.learning.cadence import Cadence
from activities.learning.rolling import ratio
from activities.learning.windows import Floats, Groups, Ints, Panel

OVERALL = ""
MIN_SERIES = 20
"""A category needs this many series to have a season of its own."""


@dataclass(frozen=True)
class Pools:
    """Demand of a period relative to what the observed series usually sell, per category and over all."""

    first: int = 0
    values: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, panel: Panel) -> "Pools":
        """From everything that the panel knows."""
        known = ~np.isnan(panel.units)
        size = np.nan_to_num(
            ratio(np.where(known, panel.units, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
        )  # fmt: skip
        categories = np.array(panel.category)
        members = {OVERALL: np.arange(len(size))}
        for name in sorted(set(panel.category)):
            rows = np.flatnonzero(categories == name)
            if MIN_SERIES <= len(rows) < len(size):
                members[name] = rows
        values = {}
        for name, rows in members.items():
            usual = np.where(known[rows], size[rows, None], 0.0).sum(axis=0)
            values[name] = np.round(ratio(np.where(known[rows], panel.units[rows], 0.0).sum(axis=0), usual), 6)
        return cls(panel.first, values)

    def year_ago(self, cadence: Cadence, groups: Groups, rows: Ints, origin: Ints, target: Ints) -> Floats:
        """Pooled demand around the target's time last year relative to that of the year up to the origin.

        One value per (row, origin, target); NaN with less than a year of pooled history before the origin.
        """
        result = np.full(len(rows), np.nan)
        if not self.values:
            return result
        names = np.array([row[0] if row[0] in self.values else OVERALL for row in groups])
        for name in np.unique(names):
            mine = (names == name)[rows]
            if mine.any():
                result[mine] = self._one(self.values[str(name)], cadence, origin[mine], target[mine])
        return result

    def _one(self, values: Floats, cadence: Cadence, origin: Ints, target: Ints) -> Floats:
        known = ~np.isnan(values)
        total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
        count = np.concatenate([[0.0], np.cumsum(known, dtype=np.float64)])

        def mean(begin: Ints, end: Ints) -> Floats:
            low, high = np.clip(begin, 0, len(values)), np.clip(end, 0, len(values))
            return ratio(total[high] - total[low], count[high] - count[low])

        through = np.minimum(origin - self.first + 1, len(values))
        centre = target - self.first - cadence.season
        around = mean(centre - cadence.narrow, np.minimum(centre + cadence.narrow + 1, through))
        year = mean(through - cadence.season, through)
        enough = (through >= cadence.season) & (centre - cadence.narrow >= 0) & (year > 0)
        return np.where(enough, np.clip(ratio(around, np.where(enough, year, 0.0)), 0.0, 20.0), np.nan)

    def document(self) -> dict[str, Any]:
        """As JSON-ready values."""
        values = {
            name: [None if np.isnan(value) else float(value) for value in found] for name, found in self.values.items()
        }
        return {"first": self.first, "values": values}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Pools":
        """The inverse of `document`."""

        def floats(found: Sequence[float | None]) -> Floats:
            return np.array([np.nan if value is None else value for value in found], dtype=np.float64)

        return cls(int(document["first"]), {name: floats(found) for name, found in document["values"].items()})
