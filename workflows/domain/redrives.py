"""A dead letter is sent again by two people: one asks and says why, another confirms those very bytes or declines."""

from enum import StrEnum
from typing import Protocol

from workflows.domain.approvals import Actor
from workflows.domain.errors import AlreadyAnswered, Conflict, NotAllowed
from workflows.domain.identity import Digest, Instant, Payload
from workflows.domain.policy_changes import same_person
from workflows.domain.stops import Reason


class RedriveState(StrEnum):
    """What became of what was asked."""

    ASKED = "asked"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Redrive(Payload):
    """One wish to send a dead letter again, and the answer to it."""

    redrive_id: int
    dead_letter_id: int
    state: RedriveState
    asked_by: str
    asked_at: Instant
    reason: str
    mended: bool
    """Other bytes are sent than those that came; they were fixed when it was asked."""
    bytes: int
    payload_sha256: Digest
    """Of exactly what is sent."""
    decided_by: str | None = None
    decided_at: Instant | None = None
    decided_reason: str = ""
    sent_at: Instant | None = None
    """When the broker had it. Confirmed without it: it may have been sent, and whoever confirmed it may say so anew."""


class Redriven(Payload):
    """A dead letter that was sent again."""

    dead_letter_id: int
    topic: str


def given_so(redrive: Redrive, actor: Actor, word: RedriveState) -> bool:
    """Whether this person gave this very word already."""
    return redrive.state is word and same_person(redrive.decided_by or "", actor.name)


def refusal(
    redrive: Redrive, actor: Actor, word: RedriveState, *, digest: str | None = None, redriven_at: Instant | None = None
) -> Conflict | None:
    """Why this word about what was asked does not count; None when it does.

    `digest`: of the bytes that somebody means who confirms. `redriven_at`: when the letter was sent again last.
    """
    letter = redrive.dead_letter_id
    if redrive.state is not RedriveState.ASKED:
        return AlreadyAnswered(
            f"re-drive {redrive.redrive_id} of dead letter {letter} is {redrive.state} already, by {redrive.decided_by}"
        )
    own = same_person(redrive.asked_by, actor.name)
    if word is RedriveState.WITHDRAWN:
        return None if own else NotAllowed("only whoever asked takes it back: decline it, with a reason")
    if own:
        return NotAllowed(f"whoever asks for a re-drive is not the one to answer it: another person must, or take "
                          f"back what you asked of dead letter {letter}")  # fmt: skip
    if word is RedriveState.DECLINED:
        return None
    if digest != redrive.payload_sha256:
        return Conflict("the bytes that you confirm are not those that were asked for: look again")
    if redriven_at is not None and redriven_at > redrive.asked_at:
        return Conflict(
            f"dead letter {letter} was sent again since this was asked: decline it, and ask anew if need be"
        )
    return None


def may_send(redrive: Redrive, actor: Actor) -> bool:
    """Whether this person's word sends it: somebody else asked and it waits, or they confirmed it themselves and it may
    not have been sent."""
    if redrive.state is RedriveState.ASKED:
        return not same_person(redrive.asked_by, actor.name)
    return given_so(redrive, actor, RedriveState.CONFIRMED) and redrive.sent_at is None


def asked_so(standing: Redrive, actor: Actor, reason: str, digest: str) -> bool:
    """Whether this very wish stands already.

    Raises:
        Conflict: another one stands.
    """
    if same_person(standing.asked_by, actor.name):
        if (standing.reason, standing.payload_sha256) == (reason, digest):
            return True
        raise Conflict(f"you asked for dead letter {standing.dead_letter_id} with another reason or other bytes: "
                       "take that back first")  # fmt: skip
    raise Conflict(f"{standing.asked_by} asked for dead letter {standing.dead_letter_id} already: "
                   "confirm or decline that")  # fmt: skip


class Redrives(Protocol):
    """The words about sending a dead letter again. Each is a ledger entry; given twice it is one word.

    A `command_id` makes a word safe to repeat: the same one gets the same answer, for another word it is InvalidInput.
    """

    async def ask_redrive(
        self, dead_letter_id: int, reason: Reason, actor: Actor, *, mended: bytes | None = None,
        command_id: str | None = None,
    ) -> Redrive:  # fmt: skip
        """Ask that the letter be sent to its topic again, as it is or mended. Another person confirms it.

        Raises:
            NotFound: there is no such dead letter.
            Conflict: another wish for it stands.
        """
        ...

    async def confirm_redrive(
        self, redrive_id: int, payload_sha256: str, actor: Actor, *, command_id: str | None = None
    ) -> Redriven:
        """Send exactly what was asked. The inbox still knows its event id, so twice is harmless.

        Raises:
            NotFound: nobody asked for this.
            NotAllowed: the same person asked.
            Conflict: it was answered by somebody else, other bytes are meant, or the letter was sent again since.
            Unavailable: the broker did not take it; the word stands, and the same person gives it once more.
        """
        ...

    async def decline_redrive(
        self, redrive_id: int, reason: Reason, actor: Actor, *, command_id: str | None = None
    ) -> Redrive:
        """Do not send what somebody else asked.

        Raises:
            NotFound: nobody asked for this.
            NotAllowed: the same person asked.
            Conflict: it was answered already.
        """
        ...

    async def withdraw_redrive(self, redrive_id: int, actor: Actor, *, command_id: str | None = None) -> Redrive:
        """Take back what this person asked.

        Raises:
            NotFound: nobody asked for this.
            NotAllowed: somebody else asked.
            Conflict: it was answered already.
        """
        ...
