"""Scoring says what one model makes of each row, in whole numbers and decimals: alone as in a batch, later as today."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activities.learning import risk
from activities.learning.arrivals import arrivals_of
from activities.learning.cadence import DAY
from activities.learning.drivers import drivers_of
from activities.learning.forecasting import Forecast, forecast, vectors_of
from activities.learning.intraday import day_so_far, remaining_today
from activities.learning.lateness import late_risks
from activities.learning.lead_time import LeadTimeLaw, lead_time_law
from activities.learning.model_file import Model, unpack
from activities.learning.pictures import stock_courses
from activities.learning.scenarios import demand_scenarios
from activities.learning.scored import Figures, scored
from activities.learning.second_opinion import mean_demand
from activities.learning.waiting import waiting_counts
from activities.learning.windows import Flags, Floats, Ints, windows_of
from workflows.domain.scores import Driver, Scored, Scores, ScoringRow

AT_ONCE = 512
"""Rows whose demand is forecast in one pass."""
IN_CACHE = 64
"""Rows per pass of the projection: their scenarios fit into the processor's cache."""
SHOWN_BEYOND_DAYS = 7
SHOWN_DAYS = 35
MAX_REVIEW_DAYS = 40
"""Longer reviews are projected as this long (with the longest lead time they fill the projection)."""
TENTHS = (risk.SCENARIOS + 9) // 10 - 1, risk.SCENARIOS // 2 - 1, (risk.SCENARIOS * 9 + 9) // 10 - 1
"""Places of the 10th, 50th and 90th percentile among the ascending scenarios."""


class XgboostScoring:
    """Implements `domain.scores.Scoring`; keeps the last few models loaded, by the SHA-256 of their bytes."""

    def __init__(self, *, nthread: int = 1, cached_models: int = 4) -> None:
        self._nthread = nthread
        self._capacity = cached_models
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()

    def score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scores]:
        """One result per row, in order.

        Raises:
            ModelUnusable: when the bytes are damaged or were written by a newer library than the one installed.
        """
        return [one.scores for one in self.score_written(rows, model, explain=explain)]

    def score_written(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scored]:
        """The same, each with its canonical JSON.

        Raises:
            ModelUnusable: as `score`.
        """
        loaded = self._load(model)
        results: list[Scored] = []
        for begin in range(0, len(rows), AT_ONCE):
            results += _score(loaded, rows[begin : begin + AT_ONCE], explain=explain)
        return results

    def _load(self, raw: bytes) -> Model:
        sha256 = hashlib.sha256(raw).hexdigest()
        with self._lock:
            found = self._loaded.get(sha256)
            if found is None:
                found = unpack(raw, nthread=self._nthread)
                self._loaded[sha256] = found
                while len(self._loaded) > self._capacity:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(sha256)
            return found


@dataclass(frozen=True)
class Asked:
    """Rows as arrays, and how far each is looked ahead."""

    rows: Sequence[ScoringRow]
    laws: Sequence[LeadTimeLaw]
    tables: Ints
    """Which stored permutations a row uses: by its business key, never by its place in the batch."""
    lead: Ints
    """[rows, scenarios]."""
    review: Ints
    protection: Ints
    shown: Ints
    horizon: Ints


def asked_of(rows: Sequence[ScoringRow]) -> Asked:
    """What the rows ask for: lead times as equally likely scenarios, and how far ahead they must be looked."""
    # Rows of one lane share one object, so that hashing it again for each of them would be the larger part of the work.
    by_lane = {id(row.lead_times): row.lead_times for row in rows}
    law_of = {key: lead_time_law(seen) for key, seen in by_lane.items()}
    said = {key: (law.scenarios(risk.SCENARIOS), law.quantile(500)) for key, law in law_of.items()}
    tables = np.array([risk.table_of(f"{row.location}:{row.item}:{row.last_day}") for row in rows], dtype=np.int64)
    order = risk.permutations()[tables, risk.LEAD_COLUMN]
    lead = np.take_along_axis(np.stack([said[id(row.lead_times)][0] for row in rows]), order, axis=1)
    review = np.array([min(row.review_days, MAX_REVIEW_DAYS) for row in rows], dtype=np.int64)
    protection = np.array([said[id(row.lead_times)][1] for row in rows], dtype=np.int64) + review
    shown = np.minimum(protection + SHOWN_BEYOND_DAYS, SHOWN_DAYS)
    horizon = np.minimum(np.maximum(lead.max(axis=1) + review, np.maximum(shown, protection)), DAY.ahead)
    laws = [law_of[id(row.lead_times)] for row in rows]
    return Asked(rows, laws, tables, lead, review, protection, shown, horizon)


def _score(model: Model, rows: Sequence[ScoringRow], *, explain: bool) -> list[Scored]:
    if not rows:
        return []
    asked = asked_of(rows)
    # Whether a season covers a row depends on how far the row looks itself, and so do words about it.
    firsts, of_row = _once(rows, alone=explain or bool(model.profiles))
    horizon = np.zeros(len(firsts), dtype=np.int64)
    np.maximum.at(horizon, of_row, asked.horizon)
    windows = windows_of([rows[place] for place in firsts])
    vectors = vectors_of(model, windows, horizon)
    said = forecast(model, windows, horizon, vectors).take(of_row, int(horizon.max())).within(asked.horizon)
    explained = drivers_of(model, windows, said, asked.protection, vectors) if explain else [()] * len(rows)
    opinions = mean_demand(model, windows, asked.protection, vectors, of_row)
    results: list[Scored | None] = [None] * len(rows)
    # Rows that look equally far ahead go together: nobody's futures are drawn longer than they are wanted.
    order = np.argsort(asked.horizon, kind="stable")
    for begin in range(0, len(rows), IN_CACHE):
        part = order[begin : begin + IN_CACHE]
        for place, one in zip(part.tolist(), _projected(model, asked, said, part, explained, opinions), strict=True):
            results[place] = one
    return [one for one in results if one is not None]


def _once(rows: Sequence[ScoringRow], *, alone: bool) -> tuple[list[int], Ints]:
    """Places of rows that are forecast, and for each row the number of the one that speaks for it: the rows of a need
    differ in who delivers, and demand does not ask for that. `alone`: every row speaks for itself."""
    if alone:
        return list(range(len(rows))), np.arange(len(rows))
    numbers: dict[tuple[object, ...], int] = {}
    of_row = [numbers.setdefault(_foretold_by(row), len(numbers)) for row in rows]
    return np.unique(of_row, return_index=True)[1].tolist(), np.array(of_row, dtype=np.int64)


def _foretold_by(row: ScoringRow) -> tuple[object, ...]:
    """What the forecast of a row is made from: large parts by the object, which rows of one need share."""
    large = row.history, row.promotions, row.drivers, row.holidays
    return (row.item, row.location, row.category, row.last_day, row.country, row.subdivision, *map(id, large))


def _projected(
    model: Model, asked: Asked, said: Forecast, part: Ints, explained: Sequence[tuple[Driver, ...]], opinions: Floats
) -> list[Scored]:
    """The results of the rows with these numbers."""
    rows, laws = [asked.rows[n] for n in part], [asked.laws[n] for n in part]
    lead, review, protection = asked.lead[part], asked.review[part], asked.protection[part]
    horizon, shown = asked.horizon[part], asked.shown[part]
    own = said.take(part, int(horizon.max()))
    demand = demand_scenarios(own, asked.tables[part])
    stock = np.array([max(0, row.on_hand_units) - row.reserved_units for row in rows], dtype=np.int64)
    risks = late_risks(rows, model.lateness)
    arrivals = np.zeros(demand.shape, dtype=np.int64)
    owed = [n for n, row in enumerate(rows) if row.open_receipts]
    if owed:
        tables = risk.permutations()[asked.tables[part[owed]]]
        arrivals[owed] = arrivals_of([rows[n] for n in owed], tables, demand.shape[1], [risks[n] for n in owed])
    demand, arrivals, stock = risk.narrowed(demand, arrivals, stock)
    # What today sold already is out of the stock; only the rest of today's demand is still to come.
    to_come = demand.copy()
    sold = np.array([row.sold_today_units for row in rows], dtype=np.int64)
    to_come[:, 0] = remaining_today(demand[:, 0].astype(np.int64), sold, *day_so_far(rows))
    projected = risk.project(to_come, arrivals, stock, lead, review)
    protected = np.sort(risk.cumulated(demand, protection), axis=1)
    until_tomorrow = np.sort(risk.cumulated(to_come, lead + 1), axis=1)
    targets = [
        risk.target(
            row.shortage_per_unit, row.holding_per_unit_day, row.review_days, lead_days=median,
            scale=model.manifest.tau_scales.get(segment, risk.USUAL_SCALE),
        )
        for row, median, segment in zip(rows, (protection - review).tolist(), own.segment, strict=True)
    ]  # fmt: skip
    last = int(shown.max())
    courses = stock_courses(to_come[:, :last], arrivals[:, :last], stock)
    waiting = np.maximum(projected.waiting, 0).sum(axis=1)
    lost_before = projected.lost_before.sum(axis=1)
    figures = Figures(
        rows, laws, targets, own, protection, shown, review,
        requirement=np.sort(projected.requirement, axis=1), demand=protected[:, TENTHS],
        short=_count(projected.waiting > 0), short_soon=_count(projected.short_before),
        lost_before=lost_before, waiting=waiting, until_tomorrow=until_tomorrow,
        waits=waiting_counts(to_come, arrivals, projected.waiting, lead, horizon, [1 - tau for tau in targets]),
        courses=courses, opinions=opinions[part], explained=[explained[n] for n in part],
    )  # fmt: skip
    return scored(figures)


def _count(flags: Flags) -> Ints:
    counted: Ints = np.count_nonzero(flags, axis=1).astype(np.int64)
    return counted
