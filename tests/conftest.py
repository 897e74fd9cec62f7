"""Every test carries the marker of its folder, so that `-m durable` means `tests/durable`; and what Hypothesis makes up
is the same each time, unless other examples are looked for: `--hypothesis-profile explore`.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Here, for the command line's `--hypothesis-profile` is looked up before any test is read.
settings.register_profile("explore", deadline=None)
settings.register_profile(
    "nightly", max_examples=100_000, stateful_step_count=80, deadline=None, print_blob=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
settings.register_profile("same each time", derandomize=True, deadline=None, database=None)
settings.load_profile("same each time")
KINDS = ("unit", "durable", "replay", "contract", "integration", "browser", "architecture", "fuzz", "model")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test after its folder."""
    for item in items:
        kind = item.path.relative_to(HERE).parts[0]
        if kind in KINDS:
            item.add_marker(kind)
