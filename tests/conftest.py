"""Every test carries the marker of its folder, so that `-m durable` means `tests/durable`; and what Hypothesis makes up
is the same each time, unless other examples are looked for: `--hypothesis-profile explore`.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

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
ONE_WORLD = {"tests/integration/test_demo_killed.py": "tests/integration/test_cli.py"}
"""Files that share what takes minutes to make; two at a time, they stay in one process."""


class ByWorld(LoadFileScheduling):  # type: ignore[misc]  # it comes without types
    """Each process has whole files of tests, and those of one world together."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return ONE_WORLD.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWorld | None:
    """Who runs what, where tests run two at a time (`make test`), file by file."""
    return ByWorld(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test after its folder, and see that each has a name of its own.

    Raises:
        pytest.UsageError: two tests share a name; run two at a time, one of them would be left out without a word.
    """
    for item in items:
        kind = item.path.relative_to(HERE).parts[0]
        if kind in KINDS:
            item.add_marker(kind)
        # Schemathesis says in the item's name which operation it is about, not in the id that tells tests apart.
        if (operation := getattr(item, "operation_label", None)) is not None and item.id.params is None:
            item._id = item.id.with_params(operation)
    named = Counter(item.nodeid for item in items)
    if twice := [name for name, times in named.items() if times > 1]:
        raise pytest.UsageError(f"more than one test is called {twice[0]}")
