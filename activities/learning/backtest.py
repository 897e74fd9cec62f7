"""Prophet earns a segment on days it has not seen: a lower pinball loss than XGBoost's, or it does not speak."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import numpy as np
import xgboost as xgb

from activities.learning.demand import quantile_ratios, to_milli, train_booster
from activities.learning.evaluation import pinball
from activities.learning.features import demand_class, features, sale_days, scale
from activities.learning.forecasting import PROPHET, XGBOOST
from activities.learning.sampling import MIN_SALE_DAYS, sample
from activities.learning.seasonal import SegmentProfile, fit_profile
from activities.learning.windows import Floats, Ints, Panel
from workflows.domain.models import SegmentScore

HOLDOUT_DAYS = 42
HORIZON_DAYS = 28
MIN_HISTORY_DAYS = 182 + HOLDOUT_DAYS
MIN_MEMBERS = 8
"""A category needs this many series of one demand class to be a segment of its own."""
MAX_PROPHET_SEGMENTS = 8
"""The segments with the most demand get a Prophet fit; each costs a few tenths of a second."""
MAX_JUDGED = 60
"""Series of a segment that are judged: enough to see a difference of a few per cent."""
MARGIN = 0.98
"""Prophet must be better by two per cent: a smaller difference is noise (science 5)."""

Report = Callable[[str, int, int], None]


def segment_members(panel: Panel, origin: int) -> dict[str, Ints]:
    """Rows of each segment as they looked on the origin day; rows too thin for either forecaster are left out."""
    windows = panel.windows(origin)
    thick = sale_days(windows) >= MIN_SALE_DAYS
    kinds = demand_class(windows)
    full = [f"{kind}/{category}" for kind, category in zip(kinds, windows.category, strict=True)]
    counts: dict[str, int] = {}
    for name, is_thick in zip(full, thick, strict=True):
        counts[name] = counts.get(name, 0) + bool(is_thick)
    grouped: dict[str, list[int]] = {}
    for row, name in enumerate(full):
        if thick[row]:
            grouped.setdefault(name if counts[name] >= MIN_MEMBERS else kinds[row], []).append(row)
    return {name: np.array(rows, dtype=np.int64) for name, rows in sorted(grouped.items())}


def choose_forecasters(
    panel: Panel, *, rows: int, rounds: int, seed: int, nthread: int, categories: Mapping[str, int], report: Report
) -> tuple[tuple[SegmentScore, ...], dict[str, SegmentProfile]]:
    """Each segment's losses, and the seasons (fitted anew through the last day) of the segments that Prophet won."""
    cut = panel.last - HOLDOUT_DAYS
    if panel.days < MIN_HISTORY_DAYS:
        return _unjudged(segment_members(panel, panel.last)), {}
    members = segment_members(panel, cut)
    taught = sample(panel, through=cut, rows=rows, seed=seed, categories=categories)
    if len(taught) == 0:
        return _unjudged(members), {}
    booster = train_booster(
        taught.vectors, taught.targets, taught.weights, rounds=rounds, seed=seed, nthread=nthread,
        report=lambda done: report("backtest", done, rounds),
    )  # fmt: skip
    tried = _most_demanded(panel, members)
    scores: list[SegmentScore] = []
    winners: dict[str, SegmentProfile] = {}
    for number, (name, found) in enumerate(members.items()):
        report("segments", number, len(members))
        # A sample spread over the segment, so that judging a large one costs no more than a small one.
        judged = found[np.unique(np.linspace(0, len(found) - 1, MAX_JUDGED).astype(np.int64))]
        profile = fit_profile(panel, found, through=cut, seed=seed) if name in tried else None
        losses = _losses(panel, judged, cut, booster, profile, categories)
        won = PROPHET in losses and losses[PROPHET] < MARGIN * losses[XGBOOST]
        final = fit_profile(panel, found, through=panel.last, seed=seed) if won else None
        if final is not None:
            winners[name] = final
        rounded = {key: Decimal(repr(value)).quantize(Decimal("0.0001")) for key, value in losses.items()}
        chosen = PROPHET if final is not None else XGBOOST
        scores.append(SegmentScore(segment=name, series=len(found), chosen=chosen, loss_by_forecaster=rounded))
    report("segments", len(members), len(members))
    return tuple(scores), winners


def _unjudged(members: Mapping[str, Ints]) -> tuple[SegmentScore, ...]:
    return tuple(
        SegmentScore(segment=name, series=len(rows), chosen=XGBOOST, loss_by_forecaster={})
        for name, rows in members.items()
    )


def _most_demanded(panel: Panel, members: Mapping[str, Ints]) -> frozenset[str]:
    """Segments worth a fit: at least eight series, the largest demand first."""
    demand = {
        name: float(np.nansum(panel.units[rows])) for name, rows in members.items() if len(rows) >= MIN_MEMBERS
    }  # fmt: skip
    return frozenset(sorted(demand, key=lambda name: (-demand[name], name))[:MAX_PROPHET_SEGMENTS])


def _losses(
    panel: Panel, rows: Ints, cut: int, booster: xgb.Booster, profile: SegmentProfile | None,
    categories: Mapping[str, int],
) -> dict[str, float]:  # fmt: skip
    """Mean pinball loss relative to mean demand, both forecasters on the same days from the same origins."""
    losses: dict[str, list[Floats]] = {XGBOOST: []}
    if profile:
        losses[PROPHET] = []
    demand: list[Floats] = []
    for origin in range(cut, panel.last - HORIZON_DAYS + 1, 14):
        windows = panel.windows(origin, rows)
        pairs = np.repeat(np.arange(len(rows)), HORIZON_DAYS)
        ahead = np.tile(np.arange(1, HORIZON_DAYS + 1), len(rows))
        actual = panel.targets(rows[pairs], origin + ahead)
        seen = ~np.isnan(actual)
        pairs, ahead, actual = pairs[seen], ahead[seen], actual[seen]
        demand.append(actual)
        ratios = quantile_ratios(booster, features(windows, pairs, ahead, categories))
        losses[XGBOOST].append(pinball(actual, to_milli(ratios * scale(windows)[pairs][:, None]) / 1000))
        if profile:
            losses[PROPHET].append(pinball(actual, profile.knots(windows, pairs, ahead) / 1000))
    everything = np.concatenate(demand)
    mean = float(everything.mean()) if len(everything) else 0.0
    if mean == 0.0:
        return {}
    return {name: float(np.concatenate(parts).mean()) / mean for name, parts in losses.items()}
