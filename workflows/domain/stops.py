"""A stop switch holds orders back and loses none: they wait where they are, and go on by themselves when it is lifted.

Collecting, approving and releasing go on meanwhile; what a request under way comes to is still recorded.
"""

import re
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import Field, StringConstraints, model_validator

from workflows.domain.approvals import STORABLE, Actor
from workflows.domain.identity import CODE_PATTERN, Instant, Payload


class StopScope(StrEnum):
    """Which orders a switch holds."""

    EVERYTHING = "everything"
    LOCATION = "location"
    SUPPLIER = "supplier"
    MODEL = "model"
    """Orders with a line that this model's decision asked for."""
    ORDER = "order"
    """One order. The engine sets this one too, where an order would exceed a value cap: see `caps`."""


Reason = Annotated[str, StringConstraints(min_length=3, max_length=500, strip_whitespace=True, pattern=STORABLE)]
StopId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:-]+$")]


class StopCommand(Payload):
    """Hold these orders. Stopping what is stopped already for as long changes nothing; a pause that would end earlier
    gives way."""

    scope: StopScope
    subject: Annotated[str, StringConstraints(max_length=160, strip_whitespace=True)] = Field(
        default="",
        description="The location, the supplier, the model's digest (64 hex digits) or the order's id; nothing else",
    )
    reason: Reason
    ends_at: Instant | None = None
    """A pause: it ends by itself at this instant of the wall clock. None: somebody has to lift it."""

    @model_validator(mode="after")
    def _complete(self) -> "StopCommand":
        if (self.scope is StopScope.EVERYTHING) != (self.subject == ""):
            raise ValueError("say which location, supplier, model or order is held; for everything, say none")
        patterns = {StopScope.EVERYTHING: "", StopScope.MODEL: "[0-9a-f]{64}", StopScope.ORDER: "[A-Za-z0-9._:-]+"}
        pattern = patterns.get(self.scope, CODE_PATTERN[1:-1])
        if not re.fullmatch(pattern, self.subject):
            raise ValueError(f"{self.subject!r} is no {self.scope}'s name")
        return self


class Stop(Payload):
    """One switch, from when it was set until it was lifted."""

    stop_id: str
    scope: StopScope
    subject: str = ""
    reason: str
    stopped_by: str
    stopped_via: str = "console"
    stopped_at: Instant
    """Wall clock, like everything of a switch: people throw it, and it acts at once."""
    lifted_by: str | None = None
    lifted_reason: str | None = None
    lifted_at: Instant | None = None
    ends_at: Instant | None = None
    """A pause ends by itself then."""
    over_cap: str | None = None
    """The value cap (`caps.CapName`) for which the engine set it; lifting it lets the order go over that cap."""
    held_orders: int = 0
    """Orders that wanted to go and wait at this switch; at most 5,000 are counted."""
    under_way: int = 0
    """Requests that had left when it was set: their answers are still recorded. Counted when it is set, else zero."""

    @property
    def words(self) -> str:
        """What it holds, in words."""
        return in_words(self.scope, self.subject)


def in_words(scope: StopScope, subject: str) -> str:
    """What such a switch holds: `all orders`, `orders of LEEDS`."""
    if scope is StopScope.EVERYTHING:
        return "all orders"
    if scope is StopScope.MODEL:
        return f"orders decided by model {subject[:12]}"
    if scope is StopScope.ORDER:
        return f"order {subject}"
    return f"orders {'for' if scope is StopScope.LOCATION else 'to'} {subject}"


def why_held(scope: StopScope, subject: str, reason: str) -> str:
    """Why such a switch holds an order, as people read it beside the order."""
    return reason if scope is StopScope.ORDER else f"{in_words(scope, subject)} are stopped: {reason}"


class Held(Payload):
    """An order that may not leave now: which switch holds it, and the reason that was given for it."""

    order_id: str
    stop_id: str
    reason: str
    over_cap: str | None = None
    """The value cap (`caps.CapName`) that it would exceed; None: a person stopped it."""


class Stops(Protocol):
    """Where the switches are kept. Each change is one transaction with its ledger entry in the stream `stops`."""

    async def in_force(self) -> list[Stop]:
        """Switches that are set, oldest first."""
        ...

    async def history(self, *, limit: int = 100, after: str | None = None) -> list[Stop]:
        """All of them, newest first.

        Raises:
            InvalidInput: `after` is no switch's id.
        """
        ...

    async def stop(self, command: StopCommand, actor: Actor, *, command_id: str | None = None) -> Stop:
        """Set a switch: once this has returned, no request leaves that it is about. Set already: the one that stands.

        Raises:
            InvalidInput: the command id was used for something else.
            NotFound: no such location, supplier or model.
        """
        ...

    async def lift(self, stop_id: str, reason: str, actor: Actor, *, command_id: str | None = None) -> Stop:
        """Let the orders go on; lifted already: as it was lifted.

        Raises:
            NotFound: there is no such switch.
        """
        ...
