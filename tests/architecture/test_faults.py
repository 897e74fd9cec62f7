"""The checker of the fault harness stands on nothing of the product: what is wrong there must not be believed here."""

from pathlib import Path

import pytest

from tests.architecture.test_imports import imports_of

ROOT = Path(__file__).parents[2]
PRODUCT = {"activities", "connectors", "console", "deploy", "workers", "workflows"}
ALONE = sorted((ROOT / "tests" / "faults").glob("checker*.py"))


@pytest.mark.parametrize("path", ALONE, ids=lambda path: path.stem)
def test_the_checker_imports_no_product_code(path: Path) -> None:
    foreign = [name for name in imports_of(path) if name.split(".")[0] in PRODUCT]
    beside = [
        name for name in imports_of(path)
        if name.startswith("tests.") and not name.startswith("tests.faults.checker")
    ]  # fmt: skip

    assert foreign == []
    assert beside == [], "whatever it imports of the harness could bring the product in"


def test_there_is_a_checker() -> None:
    assert {path.stem for path in ALONE} >= {"checker", "checker_ledger", "checker_state"}
