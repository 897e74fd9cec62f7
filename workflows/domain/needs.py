"""A need is one item at one location that must be assessed now; at most one is open per item and location."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from workflows.domain.identity import Code, Instant, Payload

MAX_BATCH = 1_000
"""Needs in one assessment: bounds the activity's memory and the transaction's size."""


class NeedCause(StrEnum):
    """Why somebody must look."""

    BELOW_WATCH_LEVEL = "below_watch_level"
    FIRST_SIGHT = "first_sight"
    SWEEP = "sweep"


class ClockMode(StrEnum):
    """What moves an idle location's business clock, and so how a workflow waits for an instant of it."""

    LIVE = "live"
    """The wall clock: a durable timer."""
    REPLAYED = "replayed"
    """Events alone: a tick that the relay sends when the watermark passes."""


class Need(Payload):
    """One assessment that is owed. Its id is the decision's id."""

    need_id: str
    item: Code
    location: Code
    cause: NeedCause
    opened_at: Instant
    """On the business clock."""
    traceparent: str | None = None


class NeedBatch(Payload):
    """A reference to needs that are assessed together; the rows stay in Postgres."""

    batch_id: str
    location: Code
    clock: Instant
    needs: Annotated[int, Field(ge=1, le=MAX_BATCH)]
    brief: bool = False
    """Carried in fewer, larger steps. False: it began before there were any, and goes on as it began."""


class AssessmentSummary(Payload):
    """What became of a batch, in counts."""

    batch_id: str
    holds: int = 0
    proposals: int = 0
