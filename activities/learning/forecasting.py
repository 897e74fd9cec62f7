"""One forecaster speaks for each row: the global model, its segment's season, its own past, or its category's prior.

Scoring, comparison, backtest and simulation all ask here, so what is judged is what decides.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from activities.learning.cold_start import ColdForecast, cold_forecast
from activities.learning.conformal import GROUPS, groups_of, move
from activities.learning.demand import QUANTILES, Matrix, quantile_ratios, to_milli
from activities.learning.empirical import empirical_quantiles
from activities.learning.features import features, sale_periods, scale
from activities.learning.model_file import Model
from activities.learning.occurrence import no_sale_permille, with_occurrence
from activities.learning.rolling import demand_class
from activities.learning.sampling import MIN_SALE_PERIODS
from activities.learning.windows import Flags, Floats, Ints, Windows

XGBOOST, PROPHET, COLD_START = "xgboost", "prophet", "cold_start"
EMPIRICAL, RECENT = "empirical", "recent"
"""An item's own last year; the same with the newest quarter weighing most."""
BLEND = "blend"
"""The mean of the global model's quantiles and of the item's own recent ones: their errors differ."""
THIN = "thin"
"""The segment of rows with fewer than eight sale periods."""


@dataclass(frozen=True)
class Forecast:
    """Quantiles of every row's coming periods; rows whose forecaster is the prior carry their law too."""

    forecaster: tuple[str, ...]
    segment: tuple[str, ...]
    thin: Flags
    """Rows with too little history for anybody to speak from experience."""
    correlation: Ints
    """Per row, in hundredths: how much one period's surprise says about the next one's."""
    knots: Ints
    """Thousandths of a unit [rows, periods, quantiles]; periods beyond a row's own horizon are zero."""
    no_sale: Ints
    """Chance that a period passes without a sale, in thousandths [rows, periods]; 0 where the knots say it all."""
    cold_rows: Ints
    cold: ColdForecast | None

    def take(self, rows: Ints, periods: int) -> "Forecast":
        """These rows only, in this order, and no more than so many periods of each."""
        place = {row: n for n, row in enumerate(self.cold_rows.tolist())}
        listed = rows.tolist()
        cold = [n for n, row in enumerate(listed) if row in place]
        law = self.cold.take(np.array([place[listed[n]] for n in cold])) if self.cold and cold else None
        return Forecast(
            tuple([self.forecaster[n] for n in listed]), tuple([self.segment[n] for n in listed]), self.thin[rows],
            self.correlation[rows], self.knots[rows, :periods], self.no_sale[rows, :periods],
            np.array(cold, dtype=np.int64), law,
        )  # fmt: skip

    def within(self, horizon: Ints) -> "Forecast":
        """Without what was said beyond each row's own horizon."""
        inside = np.arange(self.knots.shape[1]) < horizon[:, None]
        return replace(self, knots=self.knots * inside[:, :, None], no_sale=self.no_sale * inside)


@dataclass(frozen=True)
class Vectors:
    """The features of every wanted period of every row, for all who ask a booster about them."""

    values: Matrix
    rows: Ints
    ahead: Ints
    """Of each vector: its row, and how many periods ahead it looks."""

    def of(self, rows: Ints) -> Matrix:
        """Those of these rows, which are ascending."""
        return self.values[np.isin(self.rows, rows)]

    def within(self, periods: Ints) -> Matrix:
        """Those of each row's first `periods` periods."""
        return self.values[self.ahead <= periods[self.rows]]


def vectors_of(model: Model, windows: Windows, horizon: Ints) -> Vectors | None:
    """All features at once; None where the model has no booster that would ask for them."""
    if model.booster is None and model.mean is None:
        return None
    rows, ahead = pairs_of(horizon)
    return Vectors(features(windows, rows, ahead, model.context), rows, ahead)


def segments_of(windows: Windows, known: frozenset[str]) -> list[str]:
    """`thin`, else demand class and category where training met enough of them, else the demand class alone."""
    thin = sale_periods(windows) < MIN_SALE_PERIODS
    named = [
        (kind, f"{kind}/{category}")
        for kind, category in zip(demand_class(windows), windows.category, strict=True)
    ]  # fmt: skip
    return [THIN if few else full if full in known else kind for few, (kind, full) in zip(thin, named, strict=True)]


def forecast(model: Model, windows: Windows, horizon: Ints, vectors: Vectors | None = None) -> Forecast:
    """`horizon` is the number of periods wanted of each row (at least 1); `vectors` their features, if known."""
    longest = int(horizon.max(initial=1))
    segments = segments_of(windows, model.segment_names)
    thin = np.array([segment == THIN for segment in segments], dtype=np.bool_)
    chosen = _chosen(model, windows, horizon, segments, thin)
    knots = np.zeros((len(windows), longest, len(QUANTILES)), dtype=np.int64)
    no_sale = np.zeros((len(windows), longest), dtype=np.int64)
    for name in (XGBOOST, BLEND, EMPIRICAL, RECENT):
        rows = np.flatnonzero(chosen == name)
        if len(rows):
            pairs, ahead = pairs_of(horizon[rows])
            kinds = np.array([segments[row].split("/")[0] for row in rows])
            place = rows[pairs], ahead - 1
            knots[place], no_sale[place] = _calibrated(
                name, model, windows.take(rows), kinds, pairs, ahead, vectors.of(rows) if vectors else None
            )
    for name, profile in model.profiles.items():
        rows = np.array([i for i in np.flatnonzero(chosen == PROPHET) if segments[i] == name], dtype=np.int64)
        if len(rows):
            pairs, ahead = pairs_of(horizon[rows])
            knots[rows[pairs], ahead - 1] = profile.knots(windows.take(rows), pairs, ahead)
    cold_rows = np.flatnonzero(chosen == COLD_START)
    law = cold_forecast(model.priors, windows.take(cold_rows)) if len(cold_rows) else None
    if law is not None:
        knots[cold_rows] = law.knots(longest)
    correlation = np.array([model.correlations.get(segment, 0) for segment in segments], dtype=np.int64)
    return Forecast(
        tuple(str(name) for name in chosen), tuple(segments), thin, correlation, knots, no_sale, cold_rows, law
    )  # fmt: skip


def _chosen(
    model: Model, windows: Windows, horizon: Ints, segments: list[str], thin: Flags
) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """Who speaks for each row: whom the backtest chose for its segment, as far as he can."""
    usual = EMPIRICAL if model.booster is None else XGBOOST
    picks = model.chosen
    chosen = np.array(
        [picks.get(segment, COLD_START if few else usual) for segment, few in zip(segments, thin, strict=True)],
        dtype=object,
    )
    # Each row's own horizon: whether a season covers a row must not depend on its neighbours.
    covered = np.zeros(len(windows), dtype=np.bool_)
    for name, profile in model.profiles.items():
        in_segment = np.array([segment == name for segment in segments], dtype=np.bool_)
        covered |= in_segment & profile.covers(windows, horizon)
    chosen[(chosen == PROPHET) & ~covered] = usual
    if model.booster is None:
        chosen[(chosen == XGBOOST) | (chosen == BLEND)] = EMPIRICAL
    # Nothing but the prior can speak of an item that was hardly ever observed.
    seen = np.count_nonzero(~np.isnan(windows.units), axis=1)
    by_model = (chosen == XGBOOST) | (chosen == BLEND)
    chosen[(seen < windows.cadence.min_age) & (thin | ~by_model)] = COLD_START
    return chosen


def _calibrated(
    name: str,
    model: Model,
    windows: Windows,
    kinds: npt.NDArray[np.str_],
    pairs: Ints,
    ahead: Ints,
    vectors: Matrix | None = None,
) -> tuple[Ints, Ints]:
    """Knots and chances of no sale in thousandths, with the corrections that each row's demand class has earned."""
    earned = {kind: found for kind, found in model.manifest.calibrations.items() if kind in kinds}
    if vectors is None and (name in (XGBOOST, BLEND) or any(found.occurrence for found in earned.values())):
        vectors = features(windows, pairs, ahead, model.context)
    quantiles = quantiles_by(name, model, windows, pairs, ahead, vectors)
    silent = np.zeros(len(pairs), dtype=np.int64)
    size = scale(windows)[pairs]
    for kind, calibration in earned.items():
        mine = kinds[pairs] == kind
        if calibration.occurrence and model.occurrence is not None and vectors is not None:
            silent[mine] = no_sale_permille(model.occurrence, vectors[mine])
            quantiles[mine] = with_occurrence(quantiles[mine], silent[mine])
        for group, member in zip(GROUPS, groups_of(ahead, model.manifest.horizon), strict=True):
            if group in calibration.shifts:
                chosen = mine & member
                shifts = np.array(calibration.shifts[group], dtype=np.int64)[None, :]
                quantiles[chosen] = move(quantiles[chosen], shifts, size[chosen], silent[chosen])
    return to_milli(quantiles), silent


def quantiles_by(
    name: str, model: Model, windows: Windows, pairs: Ints, ahead: Ints,
    vectors: Matrix | None = None,
) -> Floats:  # fmt: skip
    """Quantiles in units of each (row, periods ahead) pair by the global model or the items' own past.

    `vectors` are the pairs' features, for who has them already.
    """
    if name == BLEND:
        both = (quantiles_by(one, model, windows, pairs, ahead, vectors) for one in (XGBOOST, RECENT))
        return sum(both, np.zeros(1)) / 2
    if name == XGBOOST:
        assert model.booster is not None  # noqa: S101 - `_chosen` never picks it then
        asked = features(windows, pairs, ahead, model.context) if vectors is None else vectors
        ratios = quantile_ratios(model.booster, asked)
        return ratios * scale(windows)[pairs][:, None]
    half_life = windows.cadence.quarter if name == RECENT else None
    return empirical_quantiles(windows, pairs, ahead, half_life=half_life)


def pairs_of(horizon: Ints) -> tuple[Ints, Ints]:
    """(row, periods ahead) for every wanted period of every row."""
    rows = np.repeat(np.arange(len(horizon)), horizon)
    starts = np.repeat(np.cumsum(horizon) - horizon, horizon)
    return rows, np.arange(len(rows)) - starts + 1
