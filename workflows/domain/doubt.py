"""What people see and may say of an order that nobody is sure about: whether its supplier has it.

Each word needs a reason, is carried out once under its command's id, and is in the ledger with who said it. What a
person says takes the place of what a supplier cannot, and of nothing else: nobody sends an order again while the last
request may still be carried out.
"""

from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import StringConstraints

from workflows.domain.approvals import STORABLE, Actor
from workflows.domain.capabilities import DedupeLevel, Manifest, may_send_again, settles_in
from workflows.domain.identity import Instant, Payload
from workflows.domain.operations import OrderDone
from workflows.domain.requests import Request, RequestKind, RequestState
from workflows.domain.stops import Reason

SupplierNumber = Annotated[
    str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=STORABLE)
]  # fmt: skip

ASSUMED = Manifest(name="unknown", level=DedupeLevel.L1, longest_transaction_s=60, http_timeout_s=60)
"""Of an order that was prepared before the connector's promises were noted."""
_OPEN = frozenset(
    {RequestState.UNKNOWN, RequestState.RECONCILING, RequestState.ABSENT, RequestState.DUPLICATE_DETECTED}
)


class SentRequest(Payload):
    """One request that left, and what it came to."""

    seq: int
    n: int
    kind: RequestKind
    draft: str | None = None
    rests_on: str = ""
    """Why it could be sent."""
    sent_at: Instant
    answered_at: Instant | None = None
    outcome: str | None = None
    """None: nobody came to note an answer."""
    said: str = ""


class Doubt(Payload):
    """Where the request of an order is, and what a person may say of it now. A `why_not_` is empty where it may be."""

    order_id: str
    supplier: str
    location: str
    request: RequestState | None
    """None: the order is not prepared yet."""
    n: int = 0
    level: DedupeLevel | None = None
    reason: str = ""
    """Why it waits."""
    awaits_operator_at: Instant | None = None
    last_sent_at: Instant | None = None
    in_doubt: bool = False
    """Something of it may be at the supplier, and no request is under way."""
    drafts: bool = False
    """The supplier's system makes orders from drafts, and only the last step orders anything."""
    settles_in_seconds: float = 0.0
    """How long what was sent may still be carried out."""
    settles_at: Instant | None = None
    """Until then what was sent may still be carried out; None: nothing was sent."""
    sends_again_itself: bool = False
    """Once that time is over and the supplier has said that it has none, it is sent again without a person."""
    why_not_look: str = ""
    why_not_confirm: str = ""
    why_not_send: str = ""
    sent: tuple[SentRequest, ...] = ()
    """The newest fifty, oldest first; empty in a list."""


class OrderWords(Protocol):
    """What operators see and say of orders in doubt. A `command_id` makes a word safe to repeat: the same one gets the
    same answer, for another word it is InvalidInput."""

    async def in_doubt(self, *, limit: int = 100) -> list[Doubt]:
        """Orders that nobody is sure about, those first that wait for a person, then the longest in doubt."""
        ...

    async def doubt(self, order_id: str) -> Doubt:
        """One order's request, whatever its state, with what was sent.

        Raises:
            NotFound: there is no such order.
        """
        ...

    async def look_again(
        self, order_id: str, reason: Reason, actor: Actor, *, command_id: str | None = None
    ) -> OrderDone:
        """Ask the supplier now what it has.

        Raises:
            NotFound: there is no such order.
            Conflict: there is no doubt, somebody is at it, or the supplier's system finds nothing by our key.
        """
        ...

    async def confirm_by_hand(
        self, order_id: str, number: SupplierNumber, reason: Reason, actor: Actor, *, command_id: str | None = None
    ) -> OrderDone:
        """The supplier has the order, under this number of its own: the order is placed.

        Raises:
            NotFound: there is no such order.
            Conflict: there is no doubt, somebody is at it, or another order of this supplier has the number.
        """
        ...

    async def send_again(
        self, order_id: str, reason: Reason, actor: Actor, *, command_id: str | None = None
    ) -> OrderDone:
        """The supplier does not have it: send it again, after looking once more where that can be done.

        Raises:
            NotFound: there is no such order.
            Conflict: there is no doubt, somebody is at it, the supplier has more than one, or what was sent may still
                be carried out.
        """
        ...


def is_in_doubt(request: Request | None) -> bool:
    """Whether something of it may be at the supplier, and no request is under way."""
    if request is None or request.state not in _OPEN:
        return False
    # An earlier release could leave one unknown with nothing counted as open.
    return request.in_doubt or request.state is RequestState.UNKNOWN


def sends_again_itself(request: Request | None, manifest: Manifest, now: datetime) -> bool:
    """Whether the engine sends it again by itself, should the supplier say after the settle window that it has none."""
    if request is None or request.first_sent_at is None or request.last_sent_at is None:
        return True
    if request.state is RequestState.DUPLICATE_DETECTED:
        return False
    over = now + timedelta(seconds=settles_in(manifest, request.last_sent_at, now))
    # A draft that a confirmation was sent for and that is not there is a question to a person.
    itself = manifest.drafts_first and request.draft is None
    return itself or may_send_again(manifest, request.first_sent_at, request.last_sent_at, over)


def why_not_look(request: Request | None, manifest: Manifest, *, leased: bool) -> str:
    """Why the supplier is not asked again on a person's word; empty: it may be."""
    if not manifest.finds:
        return "nobody can look for an order in the supplier's system: ask the supplier"
    return _no_doubt(request, leased=leased)


def why_not_confirm(request: Request | None, *, leased: bool) -> str:
    """Why nobody may say that the supplier has it; empty: a person may."""
    return _no_doubt(request, leased=leased)


def why_not_send(request: Request | None, manifest: Manifest, now: datetime, *, leased: bool) -> str:
    """Why nobody may say that the supplier does not have it; empty: a person may."""
    if request is not None and request.state is RequestState.DUPLICATE_DETECTED:
        return "the supplier has more than one: settle that with the supplier, and confirm the one that stays"
    if refusal := _no_doubt(request, leased=leased):
        return refusal
    wait = 0.0 if request is None or request.last_sent_at is None else settles_in(manifest, request.last_sent_at, now)
    return f"what was sent may still be carried out for {wait:.0f} s" if wait > 0 else ""


def _no_doubt(request: Request | None, *, leased: bool) -> str:
    if request is None or request.n == 0:
        return "nothing of it was sent"
    if not is_in_doubt(request):
        return f"there is no doubt about it: its request is {request.state.replace('_', ' ')}"
    return "an attempt to place it is under way; wait a minute" if leased else ""
