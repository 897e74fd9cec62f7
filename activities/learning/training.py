"""Training turns a panel into a model: priors, pooled seasons, the booster, and who speaks for which segment.

Production and simulation call it alike; only the cadence and the horizon differ.
"""

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import replace

import xgboost as xgb

from activities.learning.backtest import Report, holdout, judge_forecasters, unjudged, with_judgement
from activities.learning.cold_start import fit_priors
from activities.learning.demand import ROUNDS, median_booster, train_booster
from activities.learning.features import codes_of, names, schema_sha256
from activities.learning.forecasting import PROPHET
from activities.learning.model_file import Manifest, Model, SegmentCalibration
from activities.learning.occurrence import train_occurrence
from activities.learning.outside import worth_learning
from activities.learning.pool import Pools
from activities.learning.recalibration import calibrations_of
from activities.learning.sampling import sample
from activities.learning.seasonal import fit_profile
from activities.learning.second_opinion import train_mean
from activities.learning.windows import Panel

TRAINING_ROWS = 60_000
FINAL = "rounds"
"""The stage that makes the model itself; a trial of the backtest needs neither explanations nor second opinions."""
MIN_BOOSTER_ROWS = 200
"""With fewer rows a booster learns the noise; the items' own past speaks instead."""
Rehearse = Callable[[Model], Mapping[str, int]]
MIN_JUDGED_PERIODS = {"day": 224, "week": 20, "month": 12}
"""A shorter history keeps nothing back to judge forecasters on."""


def train_panel(
    panel: Panel, *, horizon: int, seed: int, nthread: int, report: Report, rows: int = TRAINING_ROWS,
    rounds: int = ROUNDS, rehearse: Rehearse | None = None,
) -> Model:  # fmt: skip
    """A model of everything that the panel knows; the same panel, seed and libraries give the same model.

    `rehearse` is asked, with a model that has not seen the newest periods, for the scales of tau by segment.
    """
    scales: Mapping[str, int] = {}
    judgement = unjudged(panel)
    profiles, calibrations = {}, {}
    if panel.periods >= MIN_JUDGED_PERIODS[panel.cadence.name]:
        earlier = panel.through(panel.last - holdout(panel, horizon))
        trial = _fitted(
            earlier, horizon=horizon, seed=seed, nthread=nthread, report=report, rows=rows // 2, rounds=rounds,
            stage="backtest",
        )  # fmt: skip
        judgement = judge_forecasters(trial, panel, horizon=horizon, seed=seed, report=report)
        speaking = with_judgement(trial, judgement, {})
        calibrations = calibrations_of(speaking, panel, cut=earlier.last, horizon=horizon)
        scales = rehearse(_calibrated(speaking, calibrations)) if rehearse else scales
        for name, members in judgement.members.items():
            profile = fit_profile(panel, members, seed=seed) if judgement.chosen(name) == PROPHET else None
            if profile is not None:
                profiles[name] = profile
    model = _fitted(
        panel, horizon=horizon, seed=seed, nthread=nthread, report=report, rows=rows, rounds=rounds, stage=FINAL
    )
    return _calibrated(with_judgement(model, judgement, profiles), calibrations).tuned(scales)


def _calibrated(model: Model, calibrations: Mapping[str, SegmentCalibration]) -> Model:
    return replace(model, manifest=model.manifest.model_copy(update={"calibrations": dict(calibrations)}))


def _fitted(
    panel: Panel, *, horizon: int, seed: int, nthread: int, report: Report, rows: int, rounds: int, stage: str
) -> Model:
    cadence = panel.cadence
    drivers = worth_learning(panel.outside, cadence.min_age)
    manifest = Manifest(
        xgboost_version=xgb.__version__, prophet_version=importlib.metadata.version("prophet"), cadence=cadence.name,
        feature_names=names(cadence, drivers), feature_schema_sha256=schema_sha256(cadence, drivers), drivers=drivers,
        horizon=horizon, seed=seed, trained_through=cadence.last_day(panel.last), rows=0, rounds=rounds,
        codes=codes_of(panel.groups), segments=(), profiles={},
    )  # fmt: skip
    bare = Model(manifest, None, None, fit_priors(panel.windows(panel.last)), Pools.of(panel))
    taught = sample(panel, rows=rows, seed=seed, context=bare.context, horizon=horizon)
    if len(taught) < MIN_BOOSTER_ROWS:
        return bare.taught(len(taught), None, None)
    booster = train_booster(
        taught.vectors, taught.targets, taught.weights, rounds=rounds, seed=seed, nthread=nthread,
        report=lambda done: report(stage, done, rounds),
    )  # fmt: skip
    occurrence = train_occurrence(taught.vectors, taught.targets, taught.weights, seed=seed, nthread=nthread)
    if stage != FINAL:
        return bare.taught(len(taught), booster, occurrence=occurrence)
    mean = train_mean(taught.vectors, taught.targets, taught.weights, seed=seed, nthread=nthread)
    return bare.taught(len(taught), booster, median_booster(booster), mean, occurrence)
