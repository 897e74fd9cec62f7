"""A forecaster earns a segment on periods it has not seen: a lower loss than the usual one's, or it is silent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from activities.learning.cold_start import cold_forecast
from activities.learning.demand import MILLI, to_milli
from activities.learning.evaluation import correlation, mid_pit, pinball
from activities.learning.forecasting import (
    BLEND,
    COLD_START,
    EMPIRICAL,
    PROPHET,
    RECENT,
    THIN,
    XGBOOST,
    pairs_of,
    quantiles_by,
    segments_of,
)
from activities.learning.model_file import Model
from activities.learning.seasonal import SegmentProfile, fit_profile
from activities.learning.windows import Floats, Ints, Panel
from workflows.domain.models import SegmentScore

MIN_MEMBERS = 8
"""A category needs this many series of one demand class to be a segment of its own."""
MAX_PROPHET_SEGMENTS = 8
"""The segments with the most demand get a Prophet fit; each costs a few tenths of a second."""
MAX_JUDGED = 200
"""Series of a segment that are judged: enough to see a difference of a few per cent."""
MAX_ORIGINS = 4
MIN_OBSERVATIONS = 300
"""A segment with fewer judged periods follows the choice of its kind as a whole."""
MARGIN, BLEND_MARGIN = 0.98, 0.995
"""A challenger must be better by two per cent: a smaller difference is noise (science 5). A mean of two forecasts
varies less than either, so it needs less."""
CORRELATION_STEP, CORRELATION_CAP = 5, 80

Report = Callable[[str, int, int], None]


def holdout(panel: Panel, horizon: int) -> int:
    """Periods kept back to judge on: at least the horizon, at most a quarter of what there is."""
    return max(1, min(max(horizon, panel.cadence.short * 3 // 2), panel.periods // 4))


@dataclass(frozen=True)
class Judgement:
    """What the backtest found."""

    scores: tuple[SegmentScore, ...]
    correlations: dict[str, int]
    """Per segment, hundredths."""
    members: dict[str, Ints]
    """Per segment, its rows in the panel."""

    def chosen(self, segment: str) -> str:
        """Who speaks for the segment."""
        return next(score.chosen for score in self.scores if score.segment == segment)


def judge_forecasters(model: Model, panel: Panel, *, horizon: int, seed: int, report: Report) -> Judgement:
    """Each segment's losses, whom it chooses and how its surprises hang together.

    `model` was trained on what the panel knew `holdout` periods ago.
    """
    cut = panel.last - holdout(panel, horizon)
    members = _members(panel, cut)
    tried = _most_demanded(panel, members)
    known = panel.through(cut)
    found: dict[str, _Losses] = {}
    for number, (name, rows) in enumerate(members.items()):
        report("segments", number, len(members))
        profile = fit_profile(known, rows, seed=seed) if name in tried else None
        # A sample spread over the segment, so that judging a large one costs no more than a small one.
        judged = rows[np.unique(np.linspace(0, len(rows) - 1, MAX_JUDGED).astype(np.int64))]
        found[name] = _losses(model, panel, judged, cut, horizon, name, profile)
    report("segments", len(members), len(members))
    scores, correlations = [], {}
    for name, rows in members.items():
        own = found[name]
        kind = [other for label, other in found.items() if (label == THIN) == (name == THIN)]
        decided = own if own.observations >= MIN_OBSERVATIONS else _together(kind)
        chosen = _choice(decided, fallback=COLD_START if name == THIN else XGBOOST, offered=own.loss)
        mean = own.demand / max(own.observations, 1)
        relative = (
            {who: Decimal(repr(loss / mean)).quantize(Decimal("0.0001")) for who, loss in own.mean.items()}
            if mean
            else {}
        )
        scores.append(SegmentScore(segment=name, series=len(rows), chosen=chosen, loss_by_forecaster=relative))
        correlations[name] = decided.correlation.get(chosen, 0)
    return Judgement(tuple(scores), correlations, members)


def unjudged(panel: Panel) -> Judgement:
    """The segments of a history that is too short to keep any of it back."""
    members = _members(panel, panel.last)
    usual = {name: COLD_START if name == THIN else XGBOOST for name in members}
    return Judgement(
        tuple(
            SegmentScore(segment=name, series=len(rows), chosen=usual[name], loss_by_forecaster={})
            for name, rows in members.items()
        ),
        {},
        members,
    )


def _members(panel: Panel, origin: int) -> dict[str, Ints]:
    """Rows of each segment as they looked at the origin."""
    windows = panel.windows(origin)
    full = segments_of(windows, frozenset(f"{kind}/{name}" for kind in KINDS for name in set(panel.category)))
    names, counts = np.unique(np.array(full), return_counts=True)
    enough = {str(name) for name, count in zip(names, counts, strict=True) if count >= MIN_MEMBERS}
    grouped: dict[str, list[int]] = {}
    for row, name in enumerate(full):
        if windows.age[row] > 0:
            grouped.setdefault(name if name in enough else name.split("/")[0], []).append(row)
    return {name: np.array(rows, dtype=np.int64) for name, rows in sorted(grouped.items())}


KINDS = ("smooth", "erratic", "intermittent", "lumpy")


def _most_demanded(panel: Panel, members: dict[str, Ints]) -> frozenset[str]:
    """Segments worth a Prophet fit: at least eight series, the largest demand first."""
    demand = {
        name: float(np.nansum(panel.units[rows]))
        for name, rows in members.items()
        if len(rows) >= MIN_MEMBERS and name != THIN
    }
    return frozenset(sorted(demand, key=lambda name: (-demand[name], name))[:MAX_PROPHET_SEGMENTS])


@dataclass(frozen=True)
class _Losses:
    """Summed pinball loss of each forecaster on the same periods."""

    loss: dict[str, float]
    observations: int
    demand: float
    correlation: dict[str, int]

    @property
    def mean(self) -> dict[str, float]:
        return {name: total / max(self.observations, 1) for name, total in self.loss.items()}


def _together(parts: list[_Losses]) -> _Losses:
    shared = set.intersection(*(set(part.loss) for part in parts))
    count = sum(part.observations for part in parts)
    correlations = {
        name: _stepped(sum(part.correlation.get(name, 0) * part.observations for part in parts) / max(count, 1) / 100)
        for name in shared
    }
    return _Losses(
        {name: sum(part.loss[name] for part in parts) for name in sorted(shared)}, count,
        sum(part.demand for part in parts), correlations,
    )  # fmt: skip


def _choice(judged: _Losses, *, fallback: str, offered: dict[str, float]) -> str:
    """The forecaster with the lowest loss, if it beats the usual one by the margin."""
    if fallback not in judged.loss:
        fallback = EMPIRICAL if EMPIRICAL in judged.loss else fallback
    candidates = {name: loss for name, loss in judged.loss.items() if name in offered}
    if judged.observations < MIN_OBSERVATIONS or not candidates or fallback not in candidates:
        return fallback
    margins = {name: BLEND_MARGIN if name == BLEND else MARGIN for name in candidates} | {fallback: 1.0}
    return min(candidates, key=lambda name: (candidates[name] / margins[name], name))


def _losses(
    model: Model, panel: Panel, rows: Ints, cut: int, horizon: int, segment: str, profile: SegmentProfile | None
) -> _Losses:
    names = [EMPIRICAL, RECENT]
    if model.booster is not None:
        names += [XGBOOST, BLEND]
    if segment == THIN:
        names.append(COLD_START)
    if profile:
        names.append(PROPHET)
    totals = dict.fromkeys(names, 0.0)
    places: dict[str, list[Floats]] = {name: [] for name in names}
    observations, demand = 0, 0.0
    step = max(1, -(-(panel.last - cut) // MAX_ORIGINS))
    for origin in range(cut, panel.last, step):
        reach = min(horizon, panel.last - origin)
        windows = panel.windows(origin, rows)
        pairs, ahead = pairs_of(np.full(len(rows), reach, dtype=np.int64))
        actual = panel.targets(rows[pairs], origin + ahead)
        seen = ~np.isnan(actual)
        observations, demand = observations + int(seen.sum()), demand + float(actual[seen].sum())
        for name in names:
            if name == PROPHET and profile:
                knots = profile.knots(windows, pairs, ahead)
            elif name == COLD_START:
                knots = cold_forecast(model.priors, windows).knots(reach)[pairs, ahead - 1]
            else:
                knots = to_milli(quantiles_by(name, model, windows, pairs, ahead))
            quantiles = knots / MILLI
            totals[name] += float(pinball(actual[seen], quantiles[seen]).sum())
            places[name].append(mid_pit(actual, quantiles).reshape(len(rows), reach))
    correlations = {name: _stepped(correlation(found)) for name, found in places.items()}
    return _Losses(totals, observations, demand, correlations)


def _stepped(value: float) -> int:
    """Hundredths, in steps of five and never negative: finer is noise."""
    return int(np.clip(round(value * 100 / CORRELATION_STEP) * CORRELATION_STEP, 0, CORRELATION_CAP))


def with_judgement(model: Model, judgement: Judgement, profiles: Mapping[str, SegmentProfile]) -> Model:
    """The model that speaks as the backtest decided."""
    return replace(
        model, manifest=model.manifest.model_copy(
            update={"segments": judgement.scores, "correlations": judgement.correlations}
        ), profiles=profiles,
    )  # fmt: skip
