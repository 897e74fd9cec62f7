"""Arrivals are events as they come in, and how many: what an operator looks at while something is plugged in."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from workflows.domain.identity import Instant, Payload


class EventRow(Payload):
    """An event as it was accepted. Of its body only what names stock is shown; the rest is masked."""

    source: str
    event_id: str
    type: str
    topic: str
    partition: int
    kafka_offset: int
    location: str | None = None
    item: str | None = None
    event_time: Instant
    accepted_at: Instant
    body: dict[str, str]
    """Field -> value as text; `•••` where it is masked."""


class Rate(Payload):
    """How many events of a type came on a topic lately."""

    topic: str
    type: str
    last_minute: int
    last_quarter: int
    """Within 15 minutes."""


class Rates(Payload):
    """What arrives, and how far behind we are."""

    at: Instant
    rates: tuple[Rate, ...]
    partial_since: Instant | None = None
    """More came than is counted: figures of the quarter hour begin here."""
    today: int
    today_capped: bool = False
    behind: int | None = None
    """Messages that the log had and intake had not read when it last looked; None: it never said."""
    behind_at: Instant | None = None


SHOWN = frozenset({
    "item", "location", "units", "delta_units", "on_hand_units", "promotion", "through", "order_id", "status",
    "supplier", "blocked", "lead_time_days", "minimum_order_units", "returned_to_stock", "sold_at", "expected_at",
    "lines",
})  # fmt: skip
"""Fields of events that say nothing about people or prices."""
MASK = "•••"


def masked(data: Mapping[str, Any]) -> dict[str, str]:
    """An event's body for the live page: at most 12 fields, each at most 80 characters, the unknown ones masked."""
    shown = {}
    for name, value in list(data.items())[:12]:
        text = value if isinstance(value, str) else "" if value is None else str(value)
        shown[str(name)[:40]] = text[:80] if name in SHOWN else MASK
    return shown


class Arrivals(Protocol):
    """Reads of what was accepted lately; bounded, whatever the rate."""

    async def events(self, limit: int = 50) -> Sequence[EventRow]:
        """The newest accepted events, newest first."""
        ...

    async def rates(self) -> Rates:
        """How much arrives now."""
        ...
