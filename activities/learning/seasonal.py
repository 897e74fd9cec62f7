"""Prophet speaks for segments, never for single items, and only where a backtest lets it.

One fit on a segment's pooled index; an item's forecast is its own level times the index times the segment's
empirical residual ratios. The index is stored as a table, so that scoring never fits and never samples.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from activities.learning.cadence import CADENCES, Cadence
from activities.learning.demand import QUANTILES, to_milli
from activities.learning.rolling import ratio
from activities.learning.windows import Flags, Floats, Ints, Panel, Windows

KEPT_QUARTERS = 1
"""The table serves models that are up to about a quarter old; older ones fall back to the global model."""
YEARLY_FROM_SEASONS = 2
"""With less history Prophet itself calls its yearly seasonality unstable."""
LEVEL_EDGES = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0])
"""Expected units per period: small counts scatter relatively more than large ones, so residuals are kept per band."""
MIN_BAND = 200
SAMPLED_ORIGINS = 8
INDEX_FLOOR = 0.001
OFFSET = 0.05
"""Added before taking logarithms, so that a day on which nobody sells has one."""


@dataclass(frozen=True)
class SegmentProfile:
    """What a segment's items share: the index of each period and how far reality strays from level times index."""

    cadence: Cadence
    first: int
    """Number of the table's first period."""
    index: Floats
    lift: float
    """Sales on promotion days relative to other days."""
    ratios: Floats
    """Residual ratio quantiles: one row per band of expected units, the pooled ones last."""
    prophet: str
    """Prophet's own JSON (parameters and history): evidence for auditors, not needed to score."""

    def covers(self, windows: Windows, horizon: Ints) -> Flags:
        """Which rows' level periods and horizon lie inside the table."""
        return (windows.origin - self.cadence.quarter + 1 >= self.first) & (
            windows.origin + horizon < self.first + len(self.index)
        )

    def expected(self, windows: Windows, rows: Ints, horizons: Ints) -> Floats:
        """Level times index (times promotion lift) of each (row, periods ahead) pair, in units."""
        lookback, level_periods = self.cadence.lookback, self.cadence.quarter
        past = self.index[windows.origin[:, None] - self.first + np.arange(1 - level_periods, 1)[None, :]]
        begin = lookback - level_periods
        past = np.where(windows.promoted[:, begin:lookback], past * self.lift, past)
        units = windows.units[:, begin:]
        known = ~np.isnan(units)
        sold = np.where(known, units, 0.0).sum(axis=1)
        level = np.nan_to_num(ratio(sold, np.where(known, past, 0.0).sum(axis=1)), nan=0.0)
        ahead = self.index[windows.origin[rows] + horizons - self.first]
        lifted = np.where(windows.promoted[rows, lookback - 1 + horizons], self.lift, 1.0)
        expected: Floats = level[rows] * ahead * lifted
        return expected

    def knots(self, windows: Windows, rows: Ints, horizons: Ints) -> Ints:
        """Quantiles of each pair's demand in thousandths of a unit."""
        expected = self.expected(windows, rows, horizons)
        return to_milli(expected[:, None] * self.ratios[np.searchsorted(LEVEL_EDGES, expected)])

    def document(self) -> dict[str, Any]:
        """As JSON-ready values; floats keep every bit."""
        return {
            "cadence": self.cadence.name, "first": self.first, "index": self.index.tolist(), "lift": self.lift,
            "ratios": self.ratios.tolist(), "prophet": json.loads(self.prophet),
        }  # fmt: skip

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "SegmentProfile":
        """The inverse of `document`."""
        return cls(
            CADENCES[document["cadence"]], int(document["first"]), np.array(document["index"], dtype=np.float64),
            float(document["lift"]), np.array(document["ratios"], dtype=np.float64),
            json.dumps(document["prophet"], sort_keys=True),
        )  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Prophet and cmdstanpy talk on loggers and warn of their own dependencies; their news is not ours."""
    loggers = [logging.getLogger(name) for name in ("cmdstanpy", "prophet", "prophet.plot", "prophet.models")]
    before = [(logger, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled in before:
            logger.disabled = disabled


def _stamps(cadence: Cadence, periods: Ints) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """The first day of each period."""
    if cadence.name == "month":
        months = (periods - 1970 * 12).astype("datetime64[M]")
        return months.astype("datetime64[ns]")
    days = periods * (7 if cadence.name == "week" else 1)
    return (days - date(1970, 1, 1).toordinal()).astype("datetime64[D]").astype("datetime64[ns]")


def _fit_index(
    cadence: Cadence, first: int, pooled: Floats, table_first: int, periods: int, seed: int
) -> tuple[Floats, str]:
    """Prophet's yhat for `periods` periods from `table_first`, and Prophet's JSON."""
    with quiet():
        # Imported here: only training needs Prophet, and importing it costs a scoring process a second and 100 MB.
        import pandas as pd
        from prophet import Prophet
        from prophet.serialize import model_to_json

        seen = ~np.isnan(pooled)
        stamps = _stamps(cadence, np.arange(len(pooled)) + first)
        yearly = 6 if len(pooled) >= YEARLY_FROM_SEASONS * cadence.season else False
        model = Prophet(
            n_changepoints=8, yearly_seasonality=yearly, weekly_seasonality=cadence.cycle > 1, daily_seasonality=False,
            uncertainty_samples=0,
        )  # fmt: skip
        # In logarithms trend, year and week multiply; fitted to the units themselves Prophet adds year and week, and
        # misses the quiet season of a sharp one by a multiple.
        model.fit(pd.DataFrame({"ds": stamps[seen], "y": np.log(pooled[seen] + OFFSET)}), seed=seed)
        forecast = model.predict(pd.DataFrame({"ds": _stamps(cadence, np.arange(periods) + table_first)}))
        index = np.exp(np.clip(np.asarray(forecast["yhat"], dtype=np.float64), -10.0, 10.0)) - OFFSET
        floored: Floats = np.round(np.maximum(index, INDEX_FLOOR), 6).astype(np.float64)
        return floored, str(model_to_json(model))


def fit_profile(panel: Panel, members: Ints, *, seed: int) -> SegmentProfile | None:
    """The profile of these rows from all that the panel knows; None where there is nothing to fit."""
    cadence, units = panel.cadence, panel.units[members]
    promoted = panel.promoted[members, : panel.periods]
    known = ~np.isnan(units)
    size = np.nan_to_num(ratio(np.where(known, units, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64)))
    plain = known & ~promoted
    # The index of a period compares what was sold with what the observed items usually sell.
    pooled = ratio(np.where(plain, units, 0.0).sum(axis=0), np.where(plain, size[:, None], 0.0).sum(axis=0))
    if np.count_nonzero(pooled > 0) < max(2 * cadence.quarter, 8):
        return None
    table_first = max(panel.first, panel.last - 3 * cadence.season) - cadence.quarter
    periods = panel.last + cadence.ahead + KEPT_QUARTERS * cadence.quarter - table_first + 1
    index, prophet = _fit_index(cadence, panel.first, pooled, table_first, periods, seed)
    inside = np.arange(panel.periods) + panel.first - table_first
    usual = np.where(inside >= 0, index[np.maximum(inside, 0)], 1.0)[None, :] * size[:, None]
    both = known & promoted
    lifted = ratio(np.array([units[both].sum()]), np.array([usual[both].sum()]))
    lift = float(np.clip(np.nan_to_num(lifted, nan=1.0)[0], 1.0, 10.0))
    rows = np.ones((len(LEVEL_EDGES) + 2, len(QUANTILES)))
    return _with_residuals(SegmentProfile(cadence, table_first, index, lift, rows, prophet), panel, members)


def _with_residuals(bare: SegmentProfile, panel: Panel, members: Ints) -> SegmentProfile:
    """Residual ratios over the newest origins: each level is what was known then, so they are honest about levels."""
    expected: list[Floats] = []
    actual: list[Floats] = []
    step = panel.cadence.short
    for number in range(1, SAMPLED_ORIGINS + 1):
        origin = panel.last - step * number
        if origin - panel.cadence.quarter + 1 < bare.first or origin <= panel.first + panel.cadence.quarter:
            break
        windows = panel.windows(origin, members)
        rows = np.repeat(np.arange(len(members)), step)
        horizons = np.tile(np.arange(1, step + 1), len(members))
        observed = panel.targets(members[rows], origin + horizons)
        mean = bare.expected(windows, rows, horizons)
        keep = ~np.isnan(observed) & (mean > INDEX_FLOOR)
        expected.append(mean[keep])
        actual.append(observed[keep])
    mean = np.concatenate(expected) if expected else np.zeros(0)
    strays = np.concatenate(actual) / mean if len(mean) else np.zeros(0)
    pooled = np.quantile(strays, QUANTILES) if len(strays) else np.ones(len(QUANTILES))
    bands = np.searchsorted(LEVEL_EDGES, mean)
    rows_of = [strays[bands == band] for band in range(len(LEVEL_EDGES) + 1)]
    ratios = [np.quantile(found, QUANTILES) if len(found) >= MIN_BAND else pooled for found in rows_of]
    return replace(bare, ratios=np.round(np.stack([*ratios, pooled]), 6))
