"""Reports ask the champion for every item's mean demand per coming day; the sums above it are `hierarchy`'s."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from activities.learning.cadence import DAY
from activities.learning.forecasting import forecast
from activities.learning.hierarchy import COMPANY, Hierarchy, expected_milli
from activities.learning.model_file import unpack
from activities.learning.windows import Ints, Panel
from workflows.domain.errors import InvalidInput
from workflows.domain.models import TrainingSeries

AT_ONCE = 512
LEVELS = ("category", "location", COMPANY)


def expected_demand(series: Sequence[TrainingSeries], model: bytes, *, last_day: date, days: int) -> Ints:
    """[series, days] mean demand in thousandths of a unit of the days after `last_day`, in the order given.

    Raises:
        InvalidInput: more days than the engine ever looks ahead, or a model of weeks or months.
        ModelUnusable: the bytes are damaged or were written by a newer library.
    """
    if not 1 <= days <= DAY.ahead:
        raise InvalidInput(f"days: 1 to {DAY.ahead} can be forecast")
    loaded = unpack(model, nthread=1)
    if loaded.cadence is not DAY:
        raise InvalidInput(f"the champion speaks of {loaded.cadence.name}s; daily reports need a daily model")
    if not series:
        return np.zeros((0, days), dtype=np.int64)
    panel = Panel.of(series, last_day)
    place = {key: row for row, key in enumerate(panel.keys)}
    means = np.zeros((len(series), days), dtype=np.int64)
    for begin in range(0, len(series), AT_ONCE):
        rows = np.arange(begin, min(begin + AT_ONCE, len(series)))
        said = forecast(loaded, panel.windows(panel.last, rows), np.full(len(rows), days, dtype=np.int64))
        means[rows] = expected_milli(said.knots[:, :days])
    return means[[place[f"{one.location}:{one.item}"] for one in series]]


def totals_by(level: str, series: Sequence[TrainingSeries], means: Ints) -> dict[str, Ints]:
    """Name of each category or location (or `company`) to its [days] thousandths; they add up to the company's.

    Raises:
        InvalidInput: there is no such level.
    """
    if level not in LEVELS:
        raise InvalidInput(f"by what? {', '.join(LEVELS)}")
    names = {"category": [one.category for one in series], "location": [one.location for one in series]}
    hierarchy = Hierarchy.of({level: names[level]} if level in names else {})
    if level == COMPANY or not series:
        return {COMPANY: means.sum(axis=0)}
    found = hierarchy.sums(means)
    return {node.removeprefix(f"{level}:"): sums for node, sums in found.items() if node != COMPANY}
