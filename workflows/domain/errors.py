"""An error's class says what happened, whether to retry and who must act; nobody inspects message text.

QuartermasterError
├── InvalidInput              the caller sent something that can never be accepted
│   └── MalformedEvent        an event that goes to the dead letters
├── Conflict                  the world moved; read again, then decide again
│   ├── StaleProposal         the answer was given for another revision of the proposal
│   ├── AlreadyAnswered       somebody's valid verdict came first
│   └── NotAllowed            this person may not do this
├── NotFound                  no such decision, task, order or model
├── Unavailable               a server did not answer; trying again is right
│   └── TurnedAway            it did answer: not us, or not now
├── SupplierRefused           the supplier understood the order and said no
├── OutcomeUnknown            the order may or may not exist at the supplier: reconcile before anything else
│   └── OrderKeyKnown         the supplier refused it because it knows the key: look at what it has
├── PersonNeeded              nothing more may happen by itself; whoever operates the engine must say
└── ModelUnusable             the model's bytes are missing, damaged or newer than the library that reads them
"""

from enum import StrEnum
from typing import ClassVar, Self

from pydantic import ValidationError


class Audience(StrEnum):
    """Who must act on an error."""

    CALLER = "caller"
    PLANNER = "planner"
    OPERATOR = "operator"
    NOBODY = "nobody"


class QuartermasterError(Exception):
    """Base of all errors that the engine raises on purpose."""

    retryable: ClassVar[bool] = False
    audience: ClassVar[Audience] = Audience.OPERATOR
    wait_seconds: float | None = None
    """Retryable: how long to wait before the next try; None: as the retry policy says."""

    def later(self, wait_seconds: float | None) -> Self:
        """The error, to be tried again after so long."""
        self.wait_seconds = wait_seconds
        return self


class InvalidInput(QuartermasterError):
    """The input can never be accepted as it is."""

    audience = Audience.CALLER


class MalformedEvent(InvalidInput):
    """An event that cannot be read. `code` is its bounded reason; the bytes go to the dead letters."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Conflict(QuartermasterError):
    """The world is not what the caller thought it was."""

    audience = Audience.CALLER


class StaleProposal(Conflict):
    """The proposal changed after the answer was prepared; the answer does not count."""


class AlreadyAnswered(Conflict):
    """A valid verdict exists already; the first one counts."""


class NotAllowed(Conflict):
    """This person may not do this."""


class NotFound(QuartermasterError):
    """Nothing is known under this id."""

    audience = Audience.CALLER


class Unavailable(QuartermasterError):
    """A server did not answer; the same call may be made again."""

    retryable = True
    audience = Audience.NOBODY


class TurnedAway(Unavailable):
    """A server that is well turned the request away, for something about us or the moment; nothing came of it."""


class SupplierRefused(QuartermasterError):
    """The supplier understood the order and said no; sending it again would be refused again."""

    audience = Audience.PLANNER


class OutcomeUnknown(QuartermasterError):
    """The order may exist at the supplier. Retrying is right only because every retry reconciles first."""

    retryable = True
    audience = Audience.OPERATOR


class OrderKeyKnown(OutcomeUnknown):
    """The supplier refused the request because of its key: it has the order, is at it, or has another one under it."""


class PersonNeeded(QuartermasterError):
    """Nothing more may happen by itself; a person has to say."""


class ModelUnusable(QuartermasterError):
    """The model's bytes are missing, do not match their digest, or were written by a newer library."""


def explained(error: ValidationError, whole: str = "") -> str:
    """Where and what is wrong, for the person who wrote it; `whole` is the place of what has no field of its own."""
    found = ((".".join(map(str, item["loc"])) or whole, item["msg"]) for item in error.errors())
    return "; ".join((f"{where}: " if where else "") + words.removeprefix("Value error, ") for where, words in found)
