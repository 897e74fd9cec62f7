"""Who may import whom: the contracts of pyproject.toml, and what a linter cannot see."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DRIVERS = ("xgboost", "prophet", "pandas", "numpy", "psycopg", "psycopg_pool", "httpx", "confluent_kafka")
DOMAIN_MAY_IMPORT = {"pydantic", "rfc8785"}
"""Canonical JSON is the one exception to "standard library and pydantic": every digest of the domain is made of it."""


def modules_under(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Every absolute dotted name that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.relative_to(ROOT)}:{node.lineno}: name the module in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_import_contracts_hold() -> None:
    linter = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    linted = subprocess.run([sys.executable, "-c", linter], cwd=ROOT, capture_output=True, text=True, check=False)

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_importing_every_workflow_loads_no_driver() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in modules_under("workflows")
    ]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {DRIVERS!r} if name in sys.modules])"
    )

    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split() == [], "a workflow's import pulled in a driver; inject a port instead"


@pytest.mark.parametrize("path", modules_under("workflows/domain"), ids=lambda path: path.stem)
def test_the_domain_imports_only_the_standard_library_pydantic_and_itself(path: Path) -> None:
    foreign = [
        name
        for name in imports_of(path)
        if (top := name.split(".")[0]) not in sys.stdlib_module_names
        and top not in DOMAIN_MAY_IMPORT
        and not name.startswith("workflows.domain.")
    ]

    assert foreign == []


def test_only_workers_and_workflows_know_workflows_beyond_the_domain() -> None:
    strays = [
        f"{path.relative_to(ROOT)} imports {name}"
        for folder in ("activities", "connectors", "console")
        for path in modules_under(folder)
        for name in imports_of(path)
        if name.split(".")[0] == "workflows" and not name.startswith("workflows.domain.")
    ]

    assert strays == [], "everything points to workflows.domain"


def test_activities_are_given_learning_and_do_not_import_it() -> None:
    learning = ROOT / "activities" / "learning"
    strays = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules_under("activities")
        if not path.is_relative_to(learning)
        for name in imports_of(path)
        if name.startswith("activities.learning")
    ]

    assert strays == [], "ask for a port of workflows.domain.ports in the constructor; workers.wiring picks the model"
