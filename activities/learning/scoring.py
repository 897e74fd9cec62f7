"""Scoring says what one model makes of each row, in whole numbers and decimals: alone as in a batch, later as today."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import numpy as np

from activities.learning import risk
from activities.learning.arrivals import arrivals_of
from activities.learning.cadence import DAY
from activities.learning.demand import MEDIAN, MILLI, QUANTILES
from activities.learning.drivers import drivers_of
from activities.learning.forecasting import Forecast, forecast
from activities.learning.intraday import day_so_far, remaining_today
from activities.learning.lateness import late_risks
from activities.learning.lead_time import lead_time_law
from activities.learning.model_file import Model, unpack
from activities.learning.pictures import recent_units, stock_courses, wider_bands
from activities.learning.scenarios import demand_scenarios
from activities.learning.second_opinion import mean_demand
from activities.learning.waiting import waiting_risk
from activities.learning.windows import Ints, Windows, windows_of
from workflows.domain.scores import DayForecast, Driver, Scores, ScoringRow, probability, units

AT_ONCE = 64
"""Rows per pass: their scenarios fit into the processor's cache."""
SHOWN_BEYOND_DAYS = 7
SHOWN_DAYS = 35
MAX_REVIEW_DAYS = 40
"""Longer reviews are projected as this long (with the longest lead time they fill the projection)."""
TEN, FIFTY, NINETY = Decimal("0.1"), Decimal("0.5"), Decimal("0.9")
P10, P90 = QUANTILES.index(0.1), QUANTILES.index(0.9)


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
        loaded = self._load(model)
        results: list[Scores] = []
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


def _score(model: Model, rows: Sequence[ScoringRow], *, explain: bool) -> list[Scores]:
    windows = windows_of(rows)
    laws = [lead_time_law(row.lead_times) for row in rows]
    # Which stored permutations a row uses follows from its business key, never from its place in the batch.
    chosen = np.array([risk.table_of(f"{row.location}:{row.item}:{row.last_day}") for row in rows], dtype=np.int64)
    tables = risk.permutations()[chosen]
    lead_scenarios = np.stack([law.scenarios(risk.SCENARIOS) for law in laws])
    lead = np.take_along_axis(lead_scenarios, tables[:, risk.LEAD_COLUMN], axis=1)
    review = np.array([min(row.review_days, MAX_REVIEW_DAYS) for row in rows], dtype=np.int64)
    protection = np.array([law.quantile(500) for law in laws], dtype=np.int64) + review
    shown = np.minimum(protection + SHOWN_BEYOND_DAYS, SHOWN_DAYS)
    horizon = np.minimum(np.maximum(lead.max(axis=1) + review, np.maximum(shown, protection)), DAY.ahead)

    said = forecast(model, windows, horizon)
    demand = demand_scenarios(said, chosen)
    stock = np.array([max(0, row.on_hand_units) - row.reserved_units for row in rows], dtype=np.int64)
    arrivals = arrivals_of(rows, tables, demand.shape[1], late_risks(rows, model.lateness))
    # What today sold already is out of the stock; only the rest of today's demand is still to come.
    to_come = demand.copy()
    sold = np.array([row.sold_today_units for row in rows], dtype=np.int64)
    to_come[:, 0] = remaining_today(demand[:, 0], sold, *day_so_far(rows))
    projected = risk.project(to_come, arrivals, stock, lead, review)
    protected = risk.cumulated(demand, protection)
    until_tomorrow = risk.cumulated(to_come, lead + 1)
    low, middle, high = stock_courses(to_come, arrivals, stock)
    explained = _explained(model, windows, said, protection) if explain else [()] * len(rows)

    targets = [
        risk.target(
            row.shortage_per_unit, row.holding_per_unit_day, row.review_days, lead_days=law.quantile(500),
            scale=model.manifest.tau_scales.get(segment, risk.USUAL_SCALE),
        )
        for row, law, segment in zip(rows, laws, said.segment, strict=True)
    ]  # fmt: skip
    waits = waiting_risk(to_come, arrivals, projected.waiting, lead, horizon, [1 - tau for tau in targets])
    opinions = mean_demand(model, windows, protection)
    results = []
    for i, (row, tau) in enumerate(zip(rows, targets, strict=True)):
        requirement, waiting = projected.requirement[i], projected.waiting[i]
        results.append(
            Scores(
                item=row.item, location=row.location, forecaster=said.forecaster[i], segment=said.segment[i],
                target=tau,
                requirement_units=tuple(int(value) for value in np.sort(requirement)),
                days=_days(said.knots[i, : shown[i]], row.last_day), protection_days=int(protection[i]),
                lead_time_p50_days=laws[i].quantile(500), lead_time_p95_days=laws[i].quantile(950),
                demand_p10=units(risk.order_statistic(protected[i], TEN)),
                demand_p50=units(risk.order_statistic(protected[i], FIFTY)),
                demand_p90=units(risk.order_statistic(protected[i], NINETY)),
                stockout_risk=probability(risk.mean(waiting > 0)),
                stockout_risk_soon=probability(risk.mean(projected.short_before[i])),
                expected_lost_units=units(risk.mean(projected.lost_before[i] + np.maximum(waiting, 0))),
                watch_level_units=max(1, risk.order_statistic(until_tomorrow[i], tau)),
                lost_before_units=units(risk.mean(projected.lost_before[i])), waiting_risk=waits[i],
                cover_days=int(review[i]), waiting_short_units=units(risk.mean(np.maximum(waiting, 0))),
                second_opinion_units=None if np.isnan(opinions[i]) else units(opinions[i]),
                novelty=bool(said.thin[i]), drivers=explained[i], recent_units=recent_units(row.history, row.last_day),
                stock_p10=_whole(low[i, : shown[i]]), stock_p50=_whole(middle[i, : shown[i]]),
                stock_p90=_whole(high[i, : shown[i]]),
            )
        )  # fmt: skip
    return results


def _days(knots: Ints, last_day: date) -> tuple[DayForecast, ...]:
    first = last_day.toordinal() + 1
    return tuple(
        DayForecast(
            day=date.fromordinal(first + ahead), p10=_milli(of_day[P10]), p50=_milli(of_day[MEDIAN]),
            p90=_milli(of_day[P90]), wider=wider,
        )
        for ahead, (of_day, wider) in enumerate(zip(knots, wider_bands(knots), strict=True))
    )  # fmt: skip


def _whole(numbers: Ints) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers)


def _milli(thousandths: int) -> Decimal:
    return (Decimal(int(thousandths)) / MILLI).quantize(Decimal("0.001"))


def _explained(model: Model, windows: Windows, said: Forecast, protection: Ints) -> list[tuple[Driver, ...]]:
    return [
        drivers_of(model, windows.take(slice(i, i + 1)), said.forecaster[i], said.segment[i], int(protection[i]))
        for i in range(len(windows))
    ]
