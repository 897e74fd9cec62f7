"""Does the replay of recorded decisions a stretch at a time; a stretch that is repeated comes to the same."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from temporalio import activity

from activities.heartbeats import heartbeats
from workflows.domain.replaying import Point, ReplayBatch, ReplayPlan, ReplayProgress, ReplayRequest


class Replays(Protocol):
    """Replays what one ledger records (`domain.remaking.Replaying`); the calls block."""

    def plan(self, request: ReplayRequest) -> ReplayPlan:
        """Fix what is replayed."""
        ...

    def stretch(self, request: ReplayRequest, plan: ReplayPlan, point: Point) -> ReplayBatch:
        """Replay what comes after this point."""
        ...

    def note(self, request: ReplayRequest, progress: ReplayProgress, run: str) -> bool:
        """Record what a run came to, once; whether it was new."""
        ...


class ReplayActivities:
    """Replays with what `opened` opens for each attempt."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Replays]]) -> None:
        self._opened = opened

    @activity.defn
    async def plan_replay(self, request: ReplayRequest) -> ReplayPlan:
        """Fix which decisions are replayed."""

        def work() -> ReplayPlan:
            with self._opened() as replays:
                return replays.plan(request)

        async with heartbeats():
            return await asyncio.to_thread(work)

    @activity.defn
    async def replay_some(self, request: ReplayRequest, plan: ReplayPlan, point: Point) -> ReplayBatch:
        """Replay the next stretch."""

        def work() -> ReplayBatch:
            with self._opened() as replays:
                return replays.stretch(request, plan, point)

        async with heartbeats():
            return await asyncio.to_thread(work)

    @activity.defn
    async def note_replay(self, request: ReplayRequest, progress: ReplayProgress, run: str) -> bool:
        """Record what it came to in the ledger, once for each run."""

        def work() -> bool:
            with self._opened() as replays:
                return replays.note(request, progress, run)

        return await asyncio.to_thread(work)
