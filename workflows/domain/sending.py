"""Decides what a request to a supplier does next, from what it is and what was just seen: never two orders for one key.

Pure: the activity carries out what is decided here, the database keeps where it stands and refuses every move that is
not in `requests.MOVES`, and a model checker explores this same code.

    first send                            -> SEND, or DRAFT where the system makes orders from drafts
    anything left before                  -> look first (FIND, LIST), and send again only when nothing can be there
    no word, and nobody can look (L0)     -> ASK
    absent within the settle window       -> WAIT: a request that we lost sight of may still be carried out
    absent after it                       -> send again where the level allows it, else ASK
    several orders under the key          -> ASK

What is UNKNOWN, and what a person is asked about, is in doubt: nobody closes it as not ordered, and a person has a
word about it.
"""

from datetime import datetime
from typing import assert_never

from workflows.domain import sending_drafts
from workflows.domain.capabilities import Manifest, may_send_again, settles_in
from workflows.domain.requests import (
    Answered,
    Cancelled,
    Do,
    Drafted,
    Drafts,
    Duplicates,
    IllegalMove,
    KeyKnown,
    NotAsked,
    NotCarriedOut,
    Nothing,
    NoWord,
    Refused,
    Request,
    RequestState,
    Seen,
    Step,
    Taken,
    duplicates,
    moved,
    not_carried_out,
)


def step(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """What the request is after this was seen, and what comes next. `now` is on the clock of `last_sent_at`.

    Raises:
        IllegalMove: this cannot be seen of a request in this state.
    """
    found = _step(request, seen, manifest, now)
    nobody_knows = found.do is Do.ASK or found.request.state is RequestState.UNKNOWN
    if not nobody_knows or found.request.in_doubt:
        return found
    return found.model_copy(update={"request": found.request.model_copy(update={"open": 1})})


def _step(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    match seen:
        case Taken():
            return _taken(request, manifest)
        case Answered(answer=answer):
            return _answered(request, answer.lines_digest, seen)
        case Duplicates(numbers=numbers):
            return duplicates(request, numbers)
        case Refused(reason=reason):
            return _refused(request, manifest, reason)
        case NotCarriedOut(reason=reason, wait_seconds=wait):
            return Step(request=not_carried_out(request), do=Do.WAIT, reason=reason, wait_seconds=wait)
        case NoWord(reason=reason):
            unknown = moved(request, RequestState.UNKNOWN)
            return Step(request=unknown, do=Do.WAIT if manifest.finds else Do.ASK, reason=reason)
        case KeyKnown(reason=reason):
            unknown = moved(request, RequestState.UNKNOWN)
            return _look(unknown, manifest) if manifest.finds else Step(request=unknown, do=Do.ASK, reason=reason)
        case Nothing():
            return _nothing(request, manifest, now)
        case NotAsked(reason=reason, wait_seconds=wait):
            state = RequestState.UNKNOWN if request.in_doubt else RequestState.ABSENT
            return Step(request=moved(request, state), do=Do.WAIT, reason=reason, wait_seconds=wait)
        case Drafts(drafts=drafts):
            return sending_drafts.listed(request, drafts, manifest, now)
        case Drafted(draft=name):
            return sending_drafts.drafted(request, name)
        case Cancelled(draft=name):
            return sending_drafts.cancelled(request, name)
        case _:
            assert_never(seen)


def _taken(request: Request, manifest: Manifest) -> Step:
    if request.state.is_final:
        return Step(request=request, do=Do.DONE)
    if request.state is RequestState.PREPARED:
        return first(request, manifest)
    if request.state is RequestState.SENDING:
        # Whoever sent it did not come to note what it came to.
        request = moved(request, RequestState.UNKNOWN)
    if manifest.finds:
        return _look(request, manifest)
    if request.state is RequestState.ABSENT and not request.in_doubt:
        return first(request, manifest)
    reason = "nobody can look for it at the supplier, and nobody knows whether it has the order"
    return Step(request=request, do=Do.ASK, reason=reason)


def first(request: Request, manifest: Manifest) -> Step:
    """The request that orders something, or the first of those that do."""
    return Step(request=request, do=Do.DRAFT if manifest.drafts_first else Do.SEND)


def _look(request: Request, manifest: Manifest) -> Step:
    do = Do.LIST if manifest.drafts_first else Do.FIND
    return Step(request=moved(request, RequestState.RECONCILING), do=do)


def _answered(request: Request, theirs: str | None, seen: Answered) -> Step:
    if theirs is not None and request.lines_digest is not None and theirs != request.lines_digest:
        unknown = moved(request, RequestState.UNKNOWN, open=max(1, request.open))
        number = seen.answer.supplier_number
        reason = f"the supplier has another order under this key: its number {number} has other lines"
        return Step(request=unknown, do=Do.ASK, reason=reason)
    if seen.answer.others:
        return duplicates(request, (seen.answer.supplier_number, *seen.answer.others))
    confirmed = moved(request, RequestState.CONFIRMED, open=0)
    return Step(request=confirmed, do=Do.DONE, answer=seen.answer)


def _refused(request: Request, manifest: Manifest, reason: str) -> Step:
    if request.open > 1:
        # An earlier one may still be carried out (a draft is confirmed more than once): a no to this one ends nothing.
        unknown = moved(request, RequestState.UNKNOWN, open=request.open - 1)
        return Step(request=unknown, do=Do.WAIT, reason=reason, wait_seconds=manifest.settle_s)
    return Step(request=moved(request, RequestState.REJECTED, open=0), do=Do.DONE, reason=reason)


def _nothing(request: Request, manifest: Manifest, now: datetime) -> Step:
    if not request.in_doubt:
        return first(moved(request, RequestState.ABSENT), manifest)
    if request.last_sent_at is None or request.first_sent_at is None:
        raise IllegalMove("a request is in doubt that never left")
    if (wait := settles_in(manifest, request.last_sent_at, now)) > 0:
        ago = manifest.settle_s - wait
        reason = f"absent {ago:.0f} s after sending; that counts after {manifest.settle_s:.0f} s"
        return Step(
            request=moved(request, RequestState.UNKNOWN), do=Do.WAIT, reason=reason, wait_seconds=wait
        )  # fmt: skip
    if may_send_again(manifest, request.first_sent_at, request.last_sent_at, now):
        return first(moved(request, RequestState.ABSENT, open=0), manifest)
    reason = f"the supplier says it has none, and on level {manifest.level} a second request may be a second order"
    return Step(request=moved(request, RequestState.ABSENT), do=Do.ASK, reason=reason)
