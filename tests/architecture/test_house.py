"""The rules of the house: short files, one promise per module, no drawers, nothing of one machine in the tree."""

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 300
LONGER_WITH_A_REASON = {
    "workflows/domain/ports.py": "one Protocol per role: the whole map of what the engine asks of the outside",
    "deploy/verify.py": "an auditor takes one file along and reads all of it",
}
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "shared", "base", "core", "manager"}


def tracked() -> list[Path]:
    """What git carries and is there: what another machine would get."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def modules() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_grows_into_a_second_noun() -> None:
    lengths = {short(path): len(path.read_text().splitlines()) for path in modules()}
    long = {name for name, lines in lengths.items() if lines > LONGEST and not name.startswith("tests/")}

    assert long - LONGER_WITH_A_REASON.keys() == set(), "split by noun, or give a reason in LONGER_WITH_A_REASON"
    assert LONGER_WITH_A_REASON.keys() - long == set(), "no longer that long: drop the reason"


def test_every_module_opens_with_its_promise() -> None:
    assert [short(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_package_files_hold_a_docstring_and_nothing_else() -> None:
    crowded = [
        short(path) for path in modules() if path.name == "__init__.py" and len(ast.parse(path.read_text()).body) != 1
    ]

    assert crowded == []


def test_there_are_no_drawers() -> None:
    assert [short(path) for path in modules() if {path.stem, *path.relative_to(ROOT).parts[:-1]} & DRAWERS] == []


def test_nothing_of_one_machine_or_of_a_registry_is_carried() -> None:
    # Put together here, so that this file does not carry them.
    hosts = [
        ".".join(parts)
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("registry", "npmjs"),
            ("npmjs", "com"),
            ("crates", "io"),
            ("proxy", "golang"),
            ("deb", "debian"),
            ("maven", "org"),
        )
    ]
    pattern = re.compile("|".join([*map(re.escape, hosts), re.escape(f"{ROOT}/"), r"(?<![\w.])/(?:work|farm|root)/"]))

    carried = [
        f"{short(path)}:{number}: {found.group()}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), start=1)
        if (found := pattern.search(line))
    ]

    assert carried == []


def test_locks_carry_hashes_and_no_index() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        pinned = (ROOT / lock).read_text()

        assert "--hash=sha256:" in pinned
        assert "http://" not in pinned
        assert "https://" not in pinned
        assert "--index" not in pinned
