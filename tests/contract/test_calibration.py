"""What the engine says about the demo world comes true about as often as it says; the bench measures how nearly."""

import pytest

from activities.learning.learner import XgboostLearner
from activities.learning.model_file import unpack
from tests.bench import bench_calibration
from tests.bench.calibration_world import LAST_DAY, CalibrationWorld

SEED, ITEMS, DAYS = 5, 36, 7


@pytest.fixture(scope="module")
def world() -> CalibrationWorld:
    """108 shelves: too few to tell points, enough to tell that something is wrong."""
    return CalibrationWorld(SEED, ITEMS, days=DAYS, announced=True)


@pytest.fixture(scope="module")
def artefact(world: CalibrationWorld) -> bytes:
    """Trained through production's own door, on fewer rows."""
    learner = XgboostLearner(rows=16_000, rounds=60)
    return learner.train(world.training(), last_day=LAST_DAY, seed=7, progress=lambda *_: None)


def test_every_quantile_covers_about_what_it_says(world: CalibrationWorld, artefact: bytes) -> None:
    found = bench_calibration.covered(world, unpack(artefact, nthread=1), SEED, origins=(0, DAYS))
    known = [one for name, one in found.items() if name.endswith(" all") and not name.startswith("thin")]
    seen = sum(one["observations"] for one in known)
    assert seen > 10_000
    # Over all demand classes: each alone has too few shelves here.
    for level in known[0]["points"]:
        assert abs(sum(one["observations"] * one["points"][level] for one in known) / seen) < 5, level


def test_stock_outs_happen_about_as_often_as_is_said(world: CalibrationWorld, artefact: bytes) -> None:
    found = bench_calibration.risks(world, artefact, origins=(0, DAYS))
    assert found["decisions"] > 500
    for which in ("waiting", "before_arrival"):
        assert found[which]["ece"] < 0.06
        assert found[which]["brier"] < 0.75 * found[which]["brier_base_rate"]


def test_lead_times_take_about_as_long_as_is_said(world: CalibrationWorld) -> None:
    for points in bench_calibration.lead_times(world, SEED).values():
        assert max(abs(value) for value in points.values()) < 12
