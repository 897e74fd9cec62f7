"""The artefact: one digest per training, readable parts, and no trust in damaged or newer bytes."""

import io
import json
import zipfile

import numpy as np
import pytest
import xgboost as xgb

from activities.learning.demand import quantile_ratios
from activities.learning.learner import XgboostLearner
from activities.learning.model_file import MANIFEST, pack, read_manifest, unpack
from tests.unit.learning_world import LAST_DAY, almanac_world, seasonal_world
from workflows.domain.errors import ModelUnusable
from workflows.domain.models import TrainingSeries


def train(world: list[TrainingSeries], seed: int = 7) -> bytes:
    learner = XgboostLearner(rows=4_000, rounds=12)
    return learner.train(world, last_day=LAST_DAY, seed=seed, progress=lambda what, done, of: None)


@pytest.fixture(scope="module")
def artefact() -> bytes:
    """A model with a Prophet segment in it."""
    return train(almanac_world())


def rewritten(raw: bytes, **changes: object) -> bytes:
    """The artefact with another manifest."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[MANIFEST] = json.dumps(json.loads(members[MANIFEST]) | changes).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_the_same_training_gives_the_same_bytes_in_whatever_order_it_is_told(artefact: bytes) -> None:
    assert train(almanac_world()[::-1]) == artefact
    assert train(almanac_world(), seed=8) != artefact


def test_the_parts_are_plain_and_nothing_is_pickled(artefact: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(artefact)) as archive:
        names = archive.namelist()
        assert names[0] == MANIFEST
        assert {name.split(".")[-1] for name in names} == {"json", "ubj"}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        season = next(name for name in names if name.startswith("prophet/"))
        assert "params" in json.loads(archive.read(season))["prophet"]


def test_the_manifest_says_where_the_model_comes_from(artefact: bytes) -> None:
    manifest = read_manifest(artefact)
    assert manifest.xgboost_version == xgb.__version__
    assert manifest.trained_through == LAST_DAY
    assert manifest.codes[0] == {"calendar": 0, "restless": 1}
    assert {score.segment for score in manifest.segments} >= set(manifest.profiles)
    assert manifest.quantiles[4] == "0.5"


def test_what_is_unpacked_packs_to_the_same_bytes(artefact: bytes) -> None:
    assert pack(unpack(artefact, nthread=1)) == artefact


def test_the_explained_trees_are_those_of_the_median() -> None:
    world = seasonal_world(count=30, days=300)
    model = unpack(train(world), nthread=1)
    vectors = np.random.default_rng(1).normal(1, 1, (50, len(model.manifest.feature_names))).astype(np.float32)
    assert model.booster
    assert model.median
    outputs = model.booster.inplace_predict(vectors)
    np.testing.assert_array_equal(outputs[:, 4], model.median.inplace_predict(vectors))
    assert (quantile_ratios(model.booster, vectors) >= 0).all()


@pytest.mark.parametrize("where", [200, 5_000, 200_000, -10])
def test_a_flipped_byte_is_found(artefact: bytes, where: int) -> None:
    damaged = bytearray(artefact)
    damaged[where] ^= 0x40
    with pytest.raises(ModelUnusable):
        unpack(bytes(damaged), nthread=1)


@pytest.mark.parametrize("raw", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_model_is_refused(raw: bytes) -> None:
    with pytest.raises(ModelUnusable):
        unpack(raw, nthread=1)


def test_half_a_model_is_refused(artefact: bytes) -> None:
    with pytest.raises(ModelUnusable):
        unpack(artefact[: len(artefact) // 2], nthread=1)


@pytest.mark.parametrize(
    "changes",
    [{"xgboost_version": "99.0.0"}, {"format_version": 3}, {"feature_schema_sha256": "0" * 64}, {"members": {}}],
)
def test_a_model_that_this_installation_cannot_read_is_refused(artefact: bytes, changes: dict[str, object]) -> None:
    assert unpack(rewritten(artefact), nthread=1)
    with pytest.raises(ModelUnusable):
        unpack(rewritten(artefact, **changes), nthread=1)
