"""Rescoring asks two scorers the same questions, and counts where their answers differ by as much as one bit."""

import io
import json
import zipfile
from collections.abc import Iterator

import numpy as np
import xgboost as xgb

from activities.learning.demand import load_booster
from activities.learning.model_file import BOOSTER, LATENESS, MEDIAN_BOOSTER, OCCURRENCE, read_manifest
from activities.learning.reference_scorer import ReferenceScorer, Singles
from workflows.domain.models import Rescored

PROBES = 2_000
SEED = 20_240_515


def rescore_self_test(model: bytes, *, probes: int = PROBES) -> Rescored:
    """Every booster of an artefact, scored by XGBoost and by `ReferenceScorer` on the same rows (science 6.3, gate f).

    The rows are made to tell the two apart: values on the splits' own thresholds, next to them, and missing. The same
    artefact is asked the same questions everywhere.

    Raises:
        ModelUnusable: when the artefact is damaged, or a booster is not scored by the reference.
    """
    read_manifest(model)
    asked, differently = 0, 0
    for raw in _boosters(model):
        reference = ReferenceScorer.read(raw)
        vectors = probing_rows(reference, probes)
        expected = reference.margins(vectors)
        booster = load_booster(raw, nthread=1)
        for answers in (_inplace(booster, vectors), _batch(booster, vectors)):
            asked += expected.size
            differently += int((answers.reshape(expected.shape).view(np.uint32) != expected.view(np.uint32)).sum())
    return Rescored(predictions=asked, differently=differently)


def _boosters(model: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        found = set(archive.namelist())
        for name in (BOOSTER, MEDIAN_BOOSTER, OCCURRENCE):
            if name in found:
                yield archive.read(name)
        if LATENESS in found:
            yield json.dumps(json.loads(archive.read(LATENESS))["booster"]).encode()


def _inplace(booster: xgb.Booster, vectors: Singles) -> Singles:
    """As the engine asks: without a matrix of the library's own."""
    return np.ascontiguousarray(booster.inplace_predict(vectors, missing=np.nan, predict_type="margin"), np.float32)


def _batch(booster: xgb.Booster, vectors: Singles) -> Singles:
    """As evaluations ask."""
    matrix = xgb.DMatrix(vectors, nthread=1, feature_names=booster.feature_names, feature_types=booster.feature_types)
    return np.ascontiguousarray(booster.predict(matrix, output_margin=True), np.float32)


def probing_rows(scorer: ReferenceScorer, rows: int) -> Singles:
    """[rows, features]: in each place a threshold that some tree asks for there, the float32 below or above it, or NaN.

    Features that no tree asks for are 0 or missing.
    """
    chance = np.random.Generator(np.random.PCG64(SEED))
    vectors = np.zeros((rows, scorer.features), dtype=np.float32)
    for feature, thresholds in enumerate(scorer.thresholds):
        if len(thresholds):
            picked = thresholds[chance.integers(0, len(thresholds), rows)]
            side = chance.integers(0, 3, rows)
            below, above = np.nextafter(picked, np.float32(-np.inf)), np.nextafter(picked, np.float32(np.inf))
            vectors[:, feature] = np.choose(side, [below, picked, above])
        vectors[chance.random(rows) < 0.1, feature] = np.nan
    return vectors
