"""Failpoints: asked for in a folder, done once, noted where they were reached, and nothing without a folder."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from workers.failing import ARMED, CRASHED, FIRED, REACHED, FolderTrigger, listen
from workers.settings import Settings
from workflows.domain import failpoints
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.failpoints import AFTER, BEFORE, reach, reached


@pytest.fixture(autouse=True)
def nothing_armed_afterwards() -> Iterator[None]:
    yield
    failpoints.install(None)


def arm(folder: Path, point: str, mode: str, seconds: float = 0.0) -> None:
    (folder / ARMED).mkdir(exist_ok=True)
    (folder / ARMED / point).write_text(json.dumps({"mode": mode, "seconds": seconds}))


def names(folder: Path, part: str) -> list[str]:
    return sorted(path.name for path in (folder / part).iterdir())


def settings(folder: Path | None) -> Settings:
    return Settings.from_environment({"HOME": "/h"} | ({"QM_FAILPOINTS": str(folder)} if folder else {}))


def test_without_the_setting_nothing_is_installed() -> None:
    listen(settings(None))
    assert failpoints._trigger is None


def test_a_process_that_listens_says_so_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL):
        listen(settings(tmp_path))
    assert "QM_FAILPOINTS is set" in caplog.text
    reach("orders.send", BEFORE)
    assert names(tmp_path, REACHED) == ["orders.send:before"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"QM_FAILPOINTS=.*unset it"):
        listen(settings(tmp_path / "away"))


def test_a_failure_happens_once_and_is_noted_by_the_process(tmp_path: Path) -> None:
    failpoints.install(FolderTrigger(tmp_path))
    arm(tmp_path, "orders.send:after", "raise")
    reach("orders.send", BEFORE)
    with pytest.raises(Unavailable, match=r"failpoint orders.send:after"):
        reach("orders.send", AFTER)
    reach("orders.send", AFTER)
    assert names(tmp_path, ARMED) == []
    (fired,) = names(tmp_path, FIRED)
    assert fired.startswith("orders.send:after.")
    assert names(tmp_path, REACHED) == ["orders.send:after", "orders.send:before"]


async def test_a_delay_holds_the_caller_for_so_long(tmp_path: Path) -> None:
    listen(settings(tmp_path))
    for _ in range(2):
        arm(tmp_path, "orders.send:before", "delay", 0.05)
        begun = monotonic()
        await reached("orders.send", BEFORE)
        assert monotonic() - begun >= 0.05
        arm(tmp_path, "orders.send:before", "delay", 0.05)
        reach("orders.send", BEFORE)


def test_of_many_threads_one_is_hit(tmp_path: Path) -> None:
    trigger, hits = FolderTrigger(tmp_path), list[int]()
    arm(tmp_path, "orders.send:before", "raise")

    def come(number: int) -> None:
        try:
            trigger("orders.send:before")
        except Unavailable:
            hits.append(number)

    threads = [Thread(target=come, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hits) == 1


def test_a_crash_leaves_nothing_behind_but_the_note(tmp_path: Path) -> None:
    arm(tmp_path, "orders.send:after", "crash")
    program = """
import atexit, sys
from pathlib import Path
from workers.failing import FolderTrigger
from workflows.domain import failpoints
atexit.register(print, "goodbye")
failpoints.install(FolderTrigger(Path(sys.argv[1])))
try:
    failpoints.reach("orders.send", "after")
finally:
    print("cleaned up", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (CRASHED, b"")
    assert len(names(tmp_path, FIRED)) == 1


def test_a_request_that_says_nothing_sensible_is_told(tmp_path: Path) -> None:
    arm(tmp_path, "orders.send:after", "explode")
    with pytest.raises(ValueError, match="can crash, raise or delay"):
        FolderTrigger(tmp_path)("orders.send:after")
