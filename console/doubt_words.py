"""What is known of an order's requests in words that need no manual: what left, what came of it, what happens next."""

from collections.abc import Mapping
from types import MappingProxyType

from console.words import Word
from workflows.domain.capabilities import DedupeLevel
from workflows.domain.caps import CapName
from workflows.domain.doubt import Doubt
from workflows.domain.permits import CallOutcome
from workflows.domain.requests import RequestKind, RequestState

KINDS: Mapping[str, str] = MappingProxyType(
    {
        RequestKind.SEND: "The order was sent",
        RequestKind.DRAFT: "A draft was asked for",
        RequestKind.CANCEL: "A spare draft was cancelled",
        RequestKind.CONFIRM: "The draft was confirmed",
        RequestKind.RECONCILE: "The supplier was asked what they have",
    }
)
OUTCOMES: Mapping[str, Word] = MappingProxyType(
    {
        "confirmed": Word("They have it", "check", "good"),
        "rejected": Word("They said no", "cross", "bad"),
        "unknown": Word("No usable answer", "alert", "warn"),
        "absent": Word("They do not have it", "dash"),
        "duplicate_detected": Word("They have more than one", "alert", "bad"),
        "not_carried_out": Word("Certainly not carried out", "dash"),
        "drafted": Word("Drafted", "check"),
        "cancelled": Word("Cancelled", "dash"),
        "listed": Word("They listed their drafts", "check"),
        "not_asked": Word("They could not be asked", "alert", "warn"),
        "": Word("Nobody noted an answer", "alert", "warn"),
    }
)
"""By the outcome that was noted of a request; empty: none was."""
LEVELS: Mapping[str, str] = MappingProxyType(
    {
        DedupeLevel.L0: "Takes every order as a new one, and nobody can look an order up (mail, files). Only a person "
        "at the supplier can say whether one arrived.",
        DedupeLevel.L1: "Can be asked for an order by our key, but takes every order that is sent as a new one. So it "
        "is not sent twice unless a person says so.",
        DedupeLevel.L2: "Knows our key and refuses a second order under it. Sending again cannot order twice.",
        DedupeLevel.L3: "Remembers our key for a while and gives its first answer again. Within that time sending "
        "again cannot order twice; after it, only a person has it sent again.",
    }
)
DRAFTS = (
    "Drafts an order first and orders it when the draft is confirmed. A spare draft orders nothing and is cancelled, "
    "so sending again cannot order twice."
)
ASSUMED = "What it does about orders that are sent twice was not noted for this order: it is treated with most care."
CAPS: Mapping[str, str] = MappingProxyType(
    {
        CapName.HOUR: "value sent to all suppliers within an hour",
        CapName.DAY: "value sent to all suppliers within 24 hours",
        CapName.SUPPLIER_DAY: "value sent to this supplier within 24 hours",
    }
)
"""What each cap of the policy bounds."""


_NOT_ANSWERED: Mapping[str, str] = MappingProxyType({
    CallOutcome.UNKNOWN: "no usable answer", CallOutcome.UNAVAILABLE: "they could not be reached",
})  # fmt: skip


def trouble(noted: str) -> str:
    """The newest request without an answer, as a circuit notes it (`send: unknown`)."""
    kind, _, outcome = noted.partition(": ")
    return f"{KINDS.get(kind, kind)}: {_NOT_ANSWERED.get(outcome, outcome)}" if outcome else noted


def system(doubt: Doubt) -> str:
    """What the supplier's system does about an order that is sent twice."""
    if doubt.level is None:
        return ASSUMED
    return DRAFTS if doubt.drafts else LEVELS[doubt.level]


def next_step(doubt: Doubt, *, waits: bool, taken_up: bool, held: bool) -> str:
    """What happens by itself next. `waits`: for a person; `taken_up`: a person has said to go on with it."""
    if taken_up:
        return "Somebody asked for it: the engine takes it up within seconds."
    if doubt.request is RequestState.DUPLICATE_DETECTED:
        return "Nothing. Settle with the supplier which of the orders stays, then say its number here."
    if waits:
        return "Nothing: it waits for a person."
    if doubt.level is DedupeLevel.L0:
        return "Nothing can be looked up there, so it will wait for a person."
    looks = "The engine asks the supplier what they have, at most five minutes apart. If they have it, it is placed. "
    if not doubt.sends_again_itself:
        absent = "If they do not have it, a person is asked: sending it twice could order it twice."
    elif held:
        absent = "If they do not have it once that time is over, it is sent again when its stop is lifted."
    else:
        absent = "If they do not have it once that time is over, it is sent again by itself."
    return looks + absent + " After six hours without an answer it waits for a person."
