"""What suppliers will tell and have not told yet, in queues by when it is due: nobody looks through what is not."""

import heapq
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from workflows.domain.events import Event

BEFORE_TIME = datetime.min.replace(tzinfo=UTC)
Queued = tuple[str, datetime, str]
"""(location, when it is due, the event's id)."""


class News:
    """Not safe for several threads; its owner has a lock."""

    def __init__(self) -> None:
        self._waiting: dict[str, Event] = {}
        self._queues: dict[str, list[tuple[datetime, str]]] = {}
        """By location; ids that wait no more are left in them."""

    def add(self, location: str, ordered_at: datetime, events: Sequence[Event]) -> None:
        """What will be told of an order."""
        queue = self._queues.setdefault(location, [])
        for event in events:
            self._waiting[event.id] = event
            # An order's own instant is known to have come: its acknowledgement is due when it is placed.
            due_at = BEFORE_TIME if event.time <= ordered_at else event.time
            heapq.heappush(queue, (due_at, event.id))

    def take(self, location: str | None, clock_of: Callable[[str], datetime]) -> list[Queued]:
        """What is due at a location (at all, without one), out of its queue; told or put back by whoever takes it."""
        taken: list[Queued] = []
        for where in [*self._queues] if location is None else [location]:
            queue, now = self._queues.get(where, []), clock_of(where)
            while queue and queue[0][0] <= now:
                taken.append((where, *heapq.heappop(queue)))
        return taken

    def put_back(self, taken: Sequence[Queued]) -> None:
        """It could not be told."""
        for where, due_at, event_id in taken:
            heapq.heappush(self._queues[where], (due_at, event_id))

    def events(self, taken: Sequence[Queued]) -> list[Event]:
        """What was taken, in time order, each once: an order that was booked twice has its news queued twice."""
        found = {event_id: self._waiting[event_id] for _, _, event_id in taken if event_id in self._waiting}
        return sorted(found.values(), key=lambda event: (event.time, event.id))

    def told(self, event_id: str) -> Event:
        """It waits no more."""
        return self._waiting.pop(event_id)
