"""Asks whether a request to a supplier may go now: rate limits and a breaker that opens when nobody answers."""

from enum import StrEnum
from typing import Protocol

from workflows.domain.identity import Payload
from workflows.domain.requests import RequestKind


class Permit(Payload):
    """Whether this request may go now."""

    granted: bool
    wait_seconds: float = 0.0
    """Not granted: when to ask again."""
    reason: str = ""
    """Not granted: why, in words for people."""
    probe: bool = False
    """Not granted, but a read may go to find out whether the supplier answers again: look for the order by its key."""


class CallOutcome(StrEnum):
    """What a request to a supplier came to, as far as its health is concerned."""

    ANSWERED = "answered"
    """A yes or a no to the order: the supplier is well."""
    UNAVAILABLE = "unavailable"
    """Certainly not carried out: not reached, throttled, or out of order."""
    UNKNOWN = "unknown"
    """No answer that proves anything."""


class SendPermits(Protocol):
    """Asked before each request that goes to a supplier, and told what it came to. It only ever delays: it never makes
    an unknown outcome anything else."""

    async def permit(self, supplier: str, kind: RequestKind) -> Permit:
        """Whether a request of this kind may go to this supplier now."""
        ...

    async def observed(
        self, supplier: str, kind: RequestKind, outcome: CallOutcome, retry_after_s: float | None = None
    ) -> None:
        """What it came to; `retry_after_s` is what the supplier asked for."""
        ...


class Unlimited:
    """`SendPermits` that grant everything."""

    async def permit(self, supplier: str, kind: RequestKind) -> Permit:
        return Permit(granted=True)

    async def observed(
        self, supplier: str, kind: RequestKind, outcome: CallOutcome, retry_after_s: float | None = None
    ) -> None:
        return None
