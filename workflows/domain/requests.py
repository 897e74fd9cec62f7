"""The request that carries a purchase order to its supplier: its states, and what can be seen of it.

PREPARED ─> SENDING(n) ─> CONFIRMED | REJECTED | UNKNOWN ─> RECONCILING ─> CONFIRMED | ABSENT ─> SENDING(n+1)

DUPLICATE_DETECTED: the supplier has more than one order for the key; none is ever cancelled by us, a person is asked.
WITHDRAWN: it ended before anything of it could be at the supplier. The database refuses every other move.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from workflows.domain.capabilities import Manifest
from workflows.domain.identity import Instant, Payload
from workflows.domain.orders import Draft, OrderState, SupplierAnswer


class RequestState(StrEnum):
    """Where a request is."""

    PREPARED = "prepared"
    SENDING = "sending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    RECONCILING = "reconciling"
    ABSENT = "absent"
    DUPLICATE_DETECTED = "duplicate_detected"
    WITHDRAWN = "withdrawn"

    @property
    def is_final(self) -> bool:
        """Nothing more is sent, asked or said."""
        return self in {self.CONFIRMED, self.REJECTED, self.WITHDRAWN}


S = RequestState
MOVES: Final[Mapping[RequestState, frozenset[RequestState]]] = {
    S.PREPARED: frozenset({S.SENDING, S.UNKNOWN, S.WITHDRAWN}),
    S.SENDING: frozenset({S.CONFIRMED, S.REJECTED, S.UNKNOWN, S.ABSENT, S.RECONCILING, S.DUPLICATE_DETECTED}),
    S.UNKNOWN: frozenset({S.RECONCILING, S.CONFIRMED, S.ABSENT}),
    S.RECONCILING: frozenset({S.CONFIRMED, S.ABSENT, S.UNKNOWN, S.DUPLICATE_DETECTED, S.WITHDRAWN}),
    S.ABSENT: frozenset({S.RECONCILING, S.SENDING, S.CONFIRMED, S.WITHDRAWN}),
    S.DUPLICATE_DETECTED: frozenset({S.RECONCILING, S.CONFIRMED}),
    S.CONFIRMED: frozenset(),
    S.REJECTED: frozenset(),
    S.WITHDRAWN: frozenset(),
}
"""Each state and those that may follow it. UNKNOWN to ABSENT and every way to CONFIRMED but from SENDING and
RECONCILING are a person's word. SENDING to ABSENT: certainly nothing was carried out. PREPARED to UNKNOWN: a process of
an earlier release sent it."""


def planners_word(state: RequestState) -> OrderState:
    """What planners call it. A withdrawn request's order is empty or withheld, and says so itself."""
    words = {
        S.UNKNOWN: OrderState.IN_DOUBT, S.DUPLICATE_DETECTED: OrderState.IN_DOUBT, S.CONFIRMED: OrderState.PLACED,
        S.REJECTED: OrderState.REFUSED, S.WITHDRAWN: OrderState.EMPTY,
    }  # fmt: skip
    return words.get(state, OrderState.SENDING)


class RequestKind(StrEnum):
    """What a single request to the supplier asks for."""

    SEND = "send"
    DRAFT = "draft"
    CANCEL = "cancel"
    """Of a draft that is one too many."""
    CONFIRM = "confirm"
    """Of the one draft that is kept."""
    RECONCILE = "reconcile"

    @property
    def reads(self) -> bool:
        """It changes nothing at the supplier."""
        return self is self.RECONCILE


class AskedDraft(Payload):
    """A request for a draft that left."""

    draft: str | None = None
    """The draft's name; None: no answer named it."""
    lines_digest: str
    """Of what was to be in it."""


class Request(Payload):
    """A request as it is stored."""

    state: RequestState = RequestState.PREPARED
    n: int = 0
    """Requests that left and may have changed something at the supplier."""
    open: int = 0
    """Those of them of which nobody knows for certain that they left nothing behind."""
    first_sent_at: Instant | None = None
    """When the first request left that may have been carried out."""
    last_sent_at: Instant | None = None
    """When the newest request left."""
    draft: str | None = None
    """The draft that a confirmation was sent for."""
    lines_digest: str | None = None
    """Of what was sent last: lines that may not leave any more are not in it."""
    drafted: tuple[AskedDraft, ...] = ()
    """Every draft that was asked for under the key, oldest first; known to whoever has the lease."""

    @property
    def in_doubt(self) -> bool:
        """Something of it may be at the supplier."""
        return self.open > 0


class Attempt(Payload):
    """What an attempt that took the order's lease has before it."""

    request: Request
    manifest: Manifest | None = None
    """Under which it was prepared; None: before such was noted."""
    attempt: int = 1
    """How often an attempt took the lease."""
    as_of: Instant
    """When it was read, on the clock that `last_sent_at` is on."""


class Taken(Payload):
    """An attempt took the order's lease, whatever the one before it left."""


class Answered(Payload):
    """The supplier has the order, it says."""

    answer: SupplierAnswer


class Refused(Payload):
    """The supplier understood it and said no."""

    reason: str


class NotCarriedOut(Payload):
    """Certainly nothing came of the request, for now."""

    reason: str
    wait_seconds: float | None = None
    turned_away: bool = False
    """By the supplier itself, which is well: not us, or not now."""


class NoWord(Payload):
    """No answer came that proves anything."""

    reason: str


class KeyKnown(Payload):
    """The supplier refused it because it knows the key: it has the order, is at it, or has another one."""

    reason: str


class Nothing(Payload):
    """The supplier says that it has no order under the key."""


class Duplicates(Payload):
    """The supplier has several orders under the key: their numbers."""

    numbers: tuple[str, ...]


class NotAsked(Payload):
    """The supplier could not be asked."""

    reason: str
    wait_seconds: float | None = None
    turned_away: bool = False


class Drafts(Payload):
    """The drafts under the key, oldest first."""

    drafts: tuple[Draft, ...]


class Drafted(Payload):
    """A draft was made."""

    draft: str


class Cancelled(Payload):
    """A draft is none any more."""

    draft: str


Seen = (
    Taken | Answered | Refused | NotCarriedOut | NoWord | KeyKnown | Nothing | Duplicates | NotAsked | Drafts | Drafted
    | Cancelled
)  # fmt: skip


class Do(StrEnum):
    """What comes next."""

    SEND = "send"
    DRAFT = "draft"
    CANCEL = "cancel"
    CONFIRM = "confirm"
    FIND = "find"
    LIST = "list"
    """The drafts."""
    WAIT = "wait"
    """Give the lease back and begin again later."""
    ASK = "ask"
    """A person must say."""
    DONE = "done"


class Step(Payload):
    """What a request is now, and what comes next."""

    request: Request
    do: Do
    reason: str = ""
    """Why it waits or asks, in words for people."""
    wait_seconds: float | None = None
    """None: as the retry policy says."""
    draft: str | None = None
    """The draft to cancel or to confirm."""
    holds: str | None = None
    """To confirm: the digest of the lines in it."""
    answer: SupplierAnswer | None = None
    """Confirmed: what the supplier said."""
    numbers: tuple[str, ...] = ()
    """Duplicates: their numbers."""


class IllegalMove(Exception):
    """The machine was shown something that cannot follow: a mistake of ours, never of the supplier's."""


def moved(request: Request, state: RequestState, **more: object) -> Request:
    """The request in its next state.

    Raises:
        IllegalMove: no way leads there.
    """
    if state is not request.state and state not in MOVES[request.state]:
        raise IllegalMove(f"a request that is {request.state} does not become {state}")
    return request.model_copy(update={"state": state, **more})


def left(
    request: Request, kind: RequestKind, now: datetime, *, draft: str | None = None, lines_digest: str | None = None
) -> Request:
    """The request once this one is committed to leave, with these lines: SENDING(n+1).

    Raises:
        IllegalMove: nothing may leave from this state.
    """
    digest = lines_digest or request.lines_digest
    asked = (AskedDraft(lines_digest=digest or ""),) if kind is RequestKind.DRAFT else ()
    return moved(
        request, RequestState.SENDING, n=request.n + 1, open=request.open + 1, last_sent_at=now,
        first_sent_at=request.first_sent_at or now, lines_digest=digest, drafted=(*request.drafted, *asked),
        draft=draft if kind is RequestKind.CONFIRM else request.draft,
    )  # fmt: skip


def not_carried_out(request: Request) -> Request:
    """The request once it is certain that nothing came of the newest one; an earlier one may still be in doubt."""
    still = max(0, request.open - 1)
    since = request.first_sent_at if still or request.n > 1 else None
    return moved(request, RequestState.ABSENT, open=still, first_sent_at=since)


def duplicates(request: Request, numbers: tuple[str, ...]) -> Step:
    """The supplier has several orders for the key. A confirmed order is never cancelled by us."""
    found = moved(request, RequestState.DUPLICATE_DETECTED, open=max(1, request.open))
    reason = f"the supplier has {len(numbers)} orders for it: {', '.join(numbers)}"
    return Step(request=found, do=Do.ASK, reason=reason, numbers=numbers)
