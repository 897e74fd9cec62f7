"""What the oldest supported XGBoost decided comes out again under the newest; the other way round is refused."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import xgboost

from tests.fakes.elsewhere import made, read, replayed, written

ROOT = Path(__file__).parents[2]
FOLDER = Path(sys.prefix) / "oldest-xgboost"


def bound() -> str:
    """The oldest version that the project says it supports."""
    found = set(re.findall(r'"xgboost(?:-cpu)?>=([0-9.]+);', (ROOT / "pyproject.toml").read_text()))
    assert len(found) == 1, found
    return str(found.pop())


def oldest(environ: Mapping[str, str] = os.environ, folder: Path = FOLDER) -> Path:
    """Where the oldest XGBoost is. Without it the test skips, or fails where it must run."""
    if not (folder / "xgboost").is_dir():
        missing = "the oldest XGBoost is not beside this environment: `make setup` installs it"
        if environ.get("OLDEST_XGBOOST") == "required":
            pytest.fail(f"{missing}, and OLDEST_XGBOOST=required says that this test must run")
        pytest.skip(missing)
    return folder


def elsewhere(what: str, folder: Path) -> dict[str, Any]:
    """Done by a process with the oldest XGBoost."""
    path = os.pathsep.join([str(oldest()), str(ROOT)])
    command = [sys.executable, "-W", "ignore", "-m", "tests.fakes.elsewhere", what, str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=480,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["xgboost"] == bound(), "the test means the oldest version, and got another one"
    return found


def test_decisions_of_the_oldest_come_out_equal_under_the_newest(tmp_path: Path) -> None:
    told = elsewhere("make", tmp_path)
    assert xgboost.__version__ != bound()

    books = read(tmp_path)
    found = replayed(books)

    assert found.told == ()
    assert found.counts.equal == found.counts.decisions == told["decisions"] > 20
    kinds = {entry.type for entry in books.ledger.entries}
    assert kinds == {"decision.proposed", "holds.recorded"}


def test_decisions_of_the_newest_are_refused_by_the_oldest_in_words(tmp_path: Path) -> None:
    written(made(), tmp_path)

    found = elsewhere("replay", tmp_path)

    assert found["counts"]["equal"] == found["counts"]["different"] == 0
    assert found["counts"]["incomplete"] == found["counts"]["decisions"] > 20
    needed = f"it takes xgboost {xgboost.__version__} or newer"
    assert all(needed in one["missing"][0]["what"] for one in found["told"])


def test_the_lock_holds_the_oldest_supported_version() -> None:
    pinned = set(re.findall(r"^xgboost(?:-cpu)?==([0-9.]+) ;", (ROOT / "requirements-oldest.lock").read_text(), re.M))
    assert pinned == {bound()}


def test_without_the_oldest_the_test_fails_where_it_must_run(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="must run"):
        oldest({"OLDEST_XGBOOST": "required"}, tmp_path)
    with pytest.raises(pytest.skip.Exception, match="make setup"):
        oldest({}, tmp_path)
    assert "OLDEST_XGBOOST=required" in (ROOT / "Makefile").read_text()
