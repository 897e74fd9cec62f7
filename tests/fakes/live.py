"""The outbox of changes in memory: what a page hears is what a test tells."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from workflows.domain.errors import Unavailable
from workflows.domain.live import BEGINNING, Heard, LiveBatch, LiveEvent, LiveKind, place_of


class MemoryLive:
    """`Live` in memory. `away` makes it a database that does not answer."""

    def __init__(self) -> None:
        self.events: list[LiveEvent] = []
        self.floor = BEGINNING
        self.away = False
        self.listeners = 0
        self.prunings = 0
        self._news: set[asyncio.Event] = set()

    def tell(self, kind: LiveKind = LiveKind.TASK, **body: Any) -> str:
        """Something changed; the event's id."""
        event_id = f"{len(self.events) + 1}-1"
        self.events.append(LiveEvent(event_id=event_id, kind=kind, body=body))
        for news in self._news:
            news.set()
        return event_id

    async def newest(self) -> str:
        self._asked()
        return self.events[-1].event_id if self.events else self.floor

    async def since(self, after: str, *, limit: int = 500) -> LiveBatch:
        self._asked()
        place = place_of(after)
        found = [event for event in self.events if place_of(event.event_id) > place]
        lost = place < place_of(self.floor)
        return LiveBatch(events=() if lost else tuple(found[:limit]), lost=lost)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Heard]:
        self._asked()
        news = asyncio.Event()
        self._news.add(news)
        self.listeners += 1

        async def heard(seconds: float) -> bool:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), seconds)
            self._asked()
            found = news.is_set()
            news.clear()
            return found

        try:
            yield heard
        finally:
            self._news.discard(news)
            self.listeners -= 1

    async def prune(self) -> int:
        self._asked()
        self.prunings += 1
        return 0

    def _asked(self) -> None:
        if self.away:
            raise Unavailable("PostgreSQL did not answer")
