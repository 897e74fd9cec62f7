"""Without a Chromium the browser tests skip and say why; where they must run, they fail."""

import subprocess
from pathlib import Path

import pytest

from tests.browser.having import MISSING, chromium_or_skip


def test_without_a_browser_the_tests_skip_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="make browser"):
        chromium_or_skip({"PATH": str(tmp_path)})
    with pytest.raises(pytest.skip.Exception, match="make browser"):
        chromium_or_skip({"PATH": str(tmp_path), "BROWSER_TESTS": "", "CHROMIUM": ""})


def test_where_they_must_run_they_fail(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="must run") as told:
        chromium_or_skip({"PATH": str(tmp_path), "BROWSER_TESTS": "required"})
    assert MISSING in str(told.value)


@pytest.mark.parametrize("name", ["chromium", "google-chrome"])
def test_a_browser_on_the_path_is_driven(tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    program.touch(mode=0o755)
    assert chromium_or_skip({"PATH": str(tmp_path), "BROWSER_TESTS": "required"}) == str(program)


def test_a_named_browser_comes_first(tmp_path: Path) -> None:
    (tmp_path / "chromium").touch(mode=0o755)
    assert chromium_or_skip({"PATH": str(tmp_path), "CHROMIUM": "/opt/own/chrome"}) == "/opt/own/chrome"


def test_the_proof_of_the_project_requires_them() -> None:
    script = Path(__file__).resolve().parents[2] / ".ci" / "run"
    parts = [line.partition("#")[0].strip() for line in script.read_text(encoding="utf-8").splitlines()]
    assert "export BROWSER_TESTS=required" in parts
    assert parts[-1] == "make test"
    subprocess.run(["bash", "-n", script], check=True)
