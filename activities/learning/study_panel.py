"""A study's history as the engine's panel: the same windows and features that production cuts."""

from collections.abc import Mapping
from datetime import date

import numpy as np

from activities.learning.cadence import CADENCES, Cadence
from activities.learning.demand import LARGEST
from activities.learning.forecasting import segments_of
from activities.learning.redistribution import redistributed
from activities.learning.risk import table_of
from activities.learning.trial import Facts
from activities.learning.windows import Floats, Groups, Ints, Panel
from workflows.domain.studies import Study

NO_CATEGORY = "all"
CLASSED_AT_ONCE = 10_000


def panel_of(history: Floats, facts: Facts, sold: Floats | None = None) -> Panel:
    """[rows, periods so far] of demand (NaN: not observed, or not yet listed) on the calendar of its cadence.

    `sold` says in addition what was sold where demand was not wholly observed; without it such periods are missing.
    """
    cadence = CADENCES[facts.period.value]
    guessed = None
    if sold is not None and (np.isnan(history) & ~np.isnan(sold)).any():
        history, guessed = redistributed(history, sold, cadence.quarter)
        guessed = guessed[:, max(0, history.shape[1] - cadence.panel) :]
    first = cadence.period(facts.first_day)
    kept = min(history.shape[1], cadence.panel)
    units = np.clip(history[:, history.shape[1] - kept :], 0, LARGEST)
    first += history.shape[1] - kept
    seen = ~np.isnan(history)
    # A row is listed from the first period that says anything of it.
    listed = cadence.period(facts.first_day) + np.where(seen.any(axis=1), seen.argmax(axis=1), history.shape[1])
    promoted = np.zeros((len(units), kept + cadence.ahead), dtype=np.bool_)
    keys = tuple(f"{location}:{item}" for item, location in zip(facts.item, facts.location, strict=True))
    return Panel(cadence, units, promoted, first, listed, _groups(facts.location, facts.categories), keys, guessed)


def classes_of(history: Floats, facts: Facts) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Each row's demand class at the end of its history, as reports divide series: `thin` with fewer than eight sale
    periods, else smooth, erratic, intermittent or lumpy."""
    panel = panel_of(history, facts)
    parts = [
        segments_of(
            panel.windows(panel.last, np.arange(begin, min(begin + CLASSED_AT_ONCE, len(history)))), frozenset()
        )
        for begin in range(0, len(history), CLASSED_AT_ONCE)
    ]
    return np.array([name for part in parts for name in part], dtype=np.str_)


def _groups(locations: tuple[str, ...], categories: Mapping[str, tuple[str, ...]]) -> Groups:
    """The category first, then the location, then further category columns."""
    columns = list(categories.values())
    first = columns[0] if columns else (NO_CATEGORY,) * len(locations)
    return tuple(zip(first, locations, *columns[1:], strict=True))


def last_day(facts: Facts, known: int) -> date:
    """The last day of the last of `known` periods."""
    return date.fromordinal(facts.period.after(facts.first_day, known).toordinal() - 1)


def tables_of(keys: tuple[str, ...], day: date) -> Ints:
    """Which stored permutations each row uses: by its business key and its last known day, as in production."""
    return np.array([table_of(f"{key}:{day}") for key in keys], dtype=np.int64)


def cadence_of(study: Study) -> Cadence:
    """The cadence of the study's period."""
    return CADENCES[study.period.value]
