"""What moves is told in one order that never changes afterwards, so that whoever was away resumes without a gap."""

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Payload

BEGINNING = "0-0"
"""Before everything."""
_EVENT_ID = re.compile(r"([0-9]{1,19})-([0-9]{1,18})")

Heard = Callable[[float], Awaitable[bool]]
"""Waits until something changed (true), or for so many seconds (false)."""


class LiveKind(StrEnum):
    """What an event is about; it is the event's name on the stream."""

    TASK = "task"
    ORDER = "order"


class LiveEvent(Payload):
    """One change of a task or an order, told after it was committed."""

    event_id: str
    kind: LiveKind
    body: dict[str, Any]
    """Of a task: decision_id, location, item, state, version, by, kind. Of an order: order_id, supplier, location,
    state."""


class LiveBatch(Payload):
    """Events after a place, in order."""

    events: tuple[LiveEvent, ...] = ()
    unsettled: bool = False
    """Something is committed that cannot be told yet, because an older transaction still runs: ask again soon."""
    lost: bool = False
    """What followed the place was thrown away, or the place is none of this database: read everything anew."""


class Live(Protocol):
    """The outbox of changes. Kept for a day."""

    async def newest(self) -> str:
        """The id of the newest event that can be told: what is read after asking for it misses nothing from then on."""
        ...

    async def since(self, after: str, *, limit: int = 500) -> LiveBatch:
        """What was told after this id.

        Raises:
            InvalidInput: it is no event's id.
        """
        ...

    def listening(self) -> AbstractAsyncContextManager[Heard]:
        """A way to wait for the next change, for as long as the context is open."""
        ...

    async def prune(self) -> int:
        """Throw away what is older than a day; how many events that were."""
        ...


def place_of(event_id: str) -> tuple[int, int]:
    """An id as what ids are ordered by.

    Raises:
        InvalidInput: it is no event's id.
    """
    found = _EVENT_ID.fullmatch(event_id)
    if found is None:
        raise InvalidInput("this is no event's id; leave it out to begin now")
    return int(found[1]), int(found[2])
