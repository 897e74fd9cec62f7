"""The sweep of failpoints: what its sample is, and when it has failed. The sweep itself needs a world of processes."""

from tests.faults.points import failpoints_in_source
from tests.faults.sweep import MODES, SHORT, Shot, Sweep, sample

SHOTS = [Shot(f"noun.verb{n:02d}:after", mode, "an order") for mode in MODES for n in range(40)]


def test_the_sample_is_the_same_each_time_and_has_every_mode() -> None:
    picked = sample(SHOTS)
    assert picked == sample(list(SHOTS))
    assert len(picked) == len({shot.point for shot in picked}) == SHORT
    assert {shot.mode for shot in picked} == set(MODES)


def test_the_sample_of_a_few_is_all_of_them_once() -> None:
    few = [Shot(point, mode, "an order") for mode in MODES for point in ("a.b:after", "a.b:before")]
    assert sample(few) == [Shot("a.b:after", "crash", "an order"), Shot("a.b:before", "raise", "an order")]


def test_a_sweep_in_which_something_did_not_fire_has_failed() -> None:
    assert Sweep(shots=2, fired=2).ok
    assert not Sweep(shots=2, fired=1, not_fired=["a.b:after crash (an order)"]).ok
    assert not Sweep(shots=2, fired=2, violations=["I3: two orders under one key"]).ok
    assert Sweep(reached={"a.b:after": "an order"}).as_json()["swept"] == 1


def test_the_source_names_each_moment_once() -> None:
    points = [point.point for point in failpoints_in_source()]
    assert len(points) == len(set(points)) > 200
    assert {"inbox.accept:before", "orders.begin_attempt:after", "supplier.place:after"} <= set(points)
