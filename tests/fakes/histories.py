"""A Temporal and a store of histories that tests fill, make fail and look into."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from workflows.domain.histories import (
    ClosedRun,
    Fetched,
    Histories,
    Override,
    RunStatus,
    SweepPoint,
    Swept,
    canonical_history,
)

NOW = datetime(2025, 3, 3, 12, 0, tzinfo=UTC)
RETENTION = timedelta(days=30)


def closed(
    number: int, *, ago: timedelta = timedelta(hours=2), status: RunStatus = RunStatus.COMPLETED,
    type: str = "replenishment",
) -> ClosedRun:  # fmt: skip
    """A run that was closed so long before `NOW`."""
    at = NOW - ago - timedelta(seconds=number)
    return ClosedRun(
        workflow_id=f"{type}/{number}", run_id=f"run-{number}", type=type, status=status,
        started_at=at - timedelta(hours=1), closed_at=at, events=3,
    )  # fmt: skip


def document(*events: dict[str, Any]) -> bytes:
    """A history with these events."""
    return canonical_history({"events": list(events)})


class ToldRuns:
    """`ClosedRuns`: what tests say there is, in pages of `page_size`."""

    def __init__(self, *runs: ClosedRun, page_size: int = 100) -> None:
        self.runs = list(runs)
        self.bodies: dict[str, bytes | None] = {}
        """By run id; a run without one has an empty history, None is gone."""
        self.resets: list[Override] = []
        self.page_size = page_size
        self.fetched: list[str] = []

    async def retention(self) -> timedelta:
        return RETENTION

    async def closed(self, after: datetime, through: datetime, page: str) -> tuple[Sequence[ClosedRun], str]:
        found = [run for run in self.runs if after < run.closed_at <= through]
        found.sort(key=lambda run: run.closed_at, reverse=True)
        start = int(page or 0)
        end = start + self.page_size
        return found[start:end], str(end) if end < len(found) else ""

    async def history(self, run: ClosedRun) -> bytes | None:
        self.fetched.append(run.run_id)
        return self.bodies.get(run.run_id, document())

    async def started_again(self, after: datetime, known: Histories) -> Sequence[Override]:
        return self.resets


class MemoryHistories:
    """`Histories` without a database. `entries` is what the ledger would be told."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Fetched] = {}
        self.noticed: dict[tuple[str, str, str], Override] = {}
        self.entries: list[list[str]] = []
        self.moved: SweepPoint | None = None

    async def point(self) -> SweepPoint | None:
        return self.moved

    async def move(self, point: SweepPoint) -> None:
        self.moved = point

    async def unknown(self, runs: Sequence[ClosedRun]) -> list[ClosedRun]:
        found = [run for run in runs if (run.workflow_id, run.run_id) not in self.kept]
        return sorted(found, key=lambda run: run.closed_at)

    async def seen_before(self, workflow_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(workflow_ids) & {one for one, _ in self.kept}

    async def keep(self, batch: Sequence[Fetched], overrides: Sequence[Override]) -> Swept:
        new = [one for one in batch if (one.run.workflow_id, one.run.run_id) not in self.kept]
        self.kept |= {(one.run.workflow_id, one.run.run_id): one for one in new}
        fresh = {(one.workflow_id, one.run_id, one.what): one for one in overrides}
        fresh = {key: one for key, one in fresh.items() if key not in self.noticed}
        self.noticed |= fresh
        if new:
            self.entries.append([one.run.run_id for one in new])
        lost = sum(1 for one in new if one.body is None)
        return Swept(exported=len(new) - lost, lost=lost, overridden=len(fresh))


def events_of(body: bytes) -> Any:
    """The events of a kept history."""
    return json.loads(body)["events"]
