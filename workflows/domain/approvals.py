"""A person's word is a fact: bound to the proposal's hash, the first valid one counts, silence never approves."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from workflows.domain.identity import Digest, Instant, Payload


class Meaning(StrEnum):
    """What a verdict says."""

    APPROVE = "approve"
    APPROVE_EDITED = "approve_edited"
    REJECT = "reject"
    EXPIRE = "expire"


class RejectReason(StrEnum):
    """Reason codes; they feed retraining."""

    NOT_NEEDED = "not_needed"
    TOO_MUCH = "too_much"
    TOO_EXPENSIVE = "too_expensive"
    WRONG_FORECAST = "wrong_forecast"
    SUPPLIER_ISSUE = "supplier_issue"
    PHASE_OUT = "phase_out"
    OTHER = "other"


class TaskState(StrEnum):
    """Where a restock task is."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOIDED = "voided"
    """The need went away when the proposal was re-scored."""


STORABLE = r"^[^\x00]*$"
"""What a text column holds: anything but NUL."""
Text = Annotated[str, StringConstraints(max_length=1000, strip_whitespace=True, pattern=STORABLE)]


class VerdictCommand(Payload):
    """What a client sends. `command_id` is the client's: sending it again gives the same answer."""

    command_id: Annotated[str, StringConstraints(min_length=8, max_length=100, pattern=STORABLE)]
    decision_id: Annotated[str, StringConstraints(max_length=200, pattern=STORABLE)]
    proposal_hash: Digest
    meaning: Meaning
    units: int | None = Field(default=None, gt=0, le=100_000_000)
    """The quantity, for `approve_edited` only."""
    reason: RejectReason | None = None
    comment: Text = ""

    @model_validator(mode="after")
    def _complete(self) -> "VerdictCommand":
        if self.meaning is Meaning.EXPIRE:
            raise ValueError("only the business clock expires a task")
        if (self.meaning is Meaning.APPROVE_EDITED) != (self.units is not None):
            raise ValueError("units go with approve_edited, and only with it")
        if self.meaning is Meaning.REJECT and self.reason is None:
            raise ValueError("a rejection needs a reason: " + ", ".join(RejectReason))
        return self


class UndoCommand(Payload):
    """What a client sends to take its own answer back. `command_id` is the client's, as a verdict's is."""

    command_id: Annotated[str, StringConstraints(min_length=8, max_length=100, pattern=STORABLE)]
    decision_id: Annotated[str, StringConstraints(max_length=200, pattern=STORABLE)]
    approval_id: Annotated[str, StringConstraints(max_length=100, pattern=STORABLE)] | None = None
    """Which answer; None: whichever of the actor's stands."""


class Actor(Payload):
    """An authenticated person or machine. `channel` is how they came in: console, api, cli, signal or policy."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    channel: str = "console"


class Approval(Payload):
    """A stored verdict: it exists once Postgres has it."""

    approval_id: str
    decision_id: str
    revision: int
    proposal_hash: Digest
    meaning: Meaning
    units: int | None = None
    reason: RejectReason | None = None
    actor: str
    recorded_at: Instant
    complete: bool = True
    """False: a first signature. Another person must sign too before anything comes of it."""
    undo_until: Instant | None = None
    """Nothing comes of the answer before this instant (wall clock); None: there is no such time."""


class Withdrawal(Payload):
    """An answer that its author took back: the task waits again."""

    approval_id: str
    decision_id: str
    meaning: Meaning
    actor: str
    complete: bool
    """False: it was a first signature, of which no workflow had heard."""


class VerdictNotice(Payload):
    """What a workflow hears of a verdict: only where to find it, and for which proposal it was given."""

    approval_id: str
    proposal_hash: Digest
    meaning: Meaning


class VerdictReceipt(Payload):
    """What the caller learns: whether it counted, and whether the workflow has heard of it yet."""

    approval_id: str
    decision_id: str
    meaning: Meaning
    heard: bool
    """False: recorded, but the workflow could not be reached; the relay will tell it."""
    complete: bool = True
    """False: the first of two signatures. The task stays open until another person signs the same units too."""
    undo_until: Instant | None = None
    """Until then the answer can be taken back for certain (wall clock); None: at once something may come of it."""
    undo_seconds: int = 0
    """Length of that time."""


class UndoReceipt(Payload):
    """What the caller of an undo learns: the answer counts no more and the task waits again."""

    approval_id: str
    decision_id: str
    meaning: Meaning
    heard: bool
    """False: taken back, but the workflow could not be reached; it finds out before it orders."""
