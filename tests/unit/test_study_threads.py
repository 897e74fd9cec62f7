"""Whoever caps the threads of numeric libraries caps the engine's training in studies too."""

import pytest

from activities.learning import engine_study


@pytest.mark.parametrize(
    ("told", "cores", "wanted"),
    [("1", 8, 1), ("2", 1, 2), ("64", 8, 4), (None, 2, 2), (None, 64, 4), ("0", 2, 2), ("2,1", 2, 2), ("", 3, 3)],
)
def test_threads_follow_the_cap_and_else_the_machine(
    told: str | None, cores: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)

    assert engine_study.threads() == wanted
