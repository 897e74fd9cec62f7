"""Every test carries the marker of its folder, so that `-m durable` means `tests/durable`."""

from pathlib import Path

import pytest

KINDS = ("unit", "durable", "replay", "contract", "integration", "browser", "architecture", "fuzz", "model")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test after its folder."""
    for item in items:
        kind = item.path.relative_to(HERE).parts[0]
        if kind in KINDS:
            item.add_marker(kind)
