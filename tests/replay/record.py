"""Records the histories that the replay tests read: `python -m tests.replay.record [ENDING ...]`.

Each release has a folder of its own, and all of them are replayed for ever. Record an ending when it is new, and all of
them when a release is made: they show what that release wrote. Recording one again within a release throws away the
proof that running workflows survive a change of the code: do it only for code that was never released.
"""

import asyncio
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

from tests.fakes.engine import running_engine
from tests.replay.endings import ENDINGS, played

HISTORIES = Path(__file__).with_name("histories")
RELEASE = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]["version"]
THIS = HISTORIES / RELEASE
"""Where this release's histories are."""


async def recorded(name: str) -> WorkflowHistory:
    """A fresh history of this ending."""
    async with running_engine() as engine:
        handle = await played(engine, name)
        return await handle.fetch_history()


def write(name: str, history: WorkflowHistory, folder: Path = THIS) -> Path:
    """Store it, without stack traces: they name files of one machine and no replay reads them."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_scrubbed(history.to_json_dict()), indent=1, sort_keys=True) + "\n")
    return path


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _scrubbed(item) for key, item in value.items() if key != "stackTrace"}
    return [_scrubbed(item) for item in value] if isinstance(value, list) else value


async def main(names: list[str]) -> None:
    """Record these endings; without names, those that have no history of this release yet."""
    for name in names or [name for name in ENDINGS if not (THIS / f"{name}.json").exists()]:
        path = write(name, await recorded(name))
        sys.stderr.write(f"{path.name}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
