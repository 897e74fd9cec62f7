"""Orders from drafts: draft with the key, list, keep the oldest, cancel the others, confirm the one that is kept.

A draft orders nothing, so one too many does no harm; only one is ever confirmed. Once a confirmation has left for a
draft, no other is confirmed unless the supplier says that this one is cancelled: a request that we lost sight of may
still confirm it.

Only a draft is confirmed that is known to hold exactly the lines that may leave now: a draft may be listed late, when a
line of it may not be ordered any more. What is not known to hold them is cancelled, and drafted anew.
"""

from collections.abc import Sequence
from datetime import datetime

from workflows.domain.capabilities import Manifest, settles_in
from workflows.domain.orders import Draft, DraftState, SupplierAnswer
from workflows.domain.requests import Do, Request, RequestState, Step, duplicates, moved


def drafted(request: Request, name: str) -> Step:
    """What comes next, once the supplier has named the draft that was asked for last."""
    *before, newest = request.drafted or (None,)
    asked = request.drafted if newest is None else (*before, newest.model_copy(update={"draft": name}))
    # In doubt still: until it is listed, another draft would be one too many.
    return Step(request=moved(request, RequestState.RECONCILING, drafted=asked), do=Do.LIST)


def cancelled(request: Request, name: str) -> Step:
    """What comes next, once the supplier has cancelled a draft: nothing that comes late confirms that one."""
    still, kept = max(0, request.open - 1), None if request.draft == name else request.draft
    return Step(request=moved(request, RequestState.RECONCILING, open=still, draft=kept), do=Do.LIST)


def listed(request: Request, drafts: Sequence[Draft], manifest: Manifest, now: datetime) -> Step:
    """What comes next, once the supplier has listed the drafts under the key (oldest first)."""
    confirmed = [one for one in drafts if one.state is DraftState.CONFIRMED]
    if len(confirmed) > 1:
        return duplicates(request, tuple(one.supplier_number or one.draft for one in confirmed))
    if confirmed:
        return _confirmed(request, confirmed[0])
    waiting = [one for one in drafts if one.state is DraftState.DRAFT]
    gone = {one.draft for one in drafts if one.state is DraftState.CANCELLED}
    kept = request.draft if request.draft not in gone else None
    if kept is not None and all(one.draft != kept for one in waiting):
        return _later(request, manifest, now, f"the supplier does not list the draft {kept} that was to be confirmed")
    if kept is None and not waiting:
        return _none(request, manifest, now)
    for one in waiting:
        if _changed(request, one):
            reason = f"the supplier has other lines in the draft {one.draft} than were drafted: cancel it there"
            return Step(request=moved(request, RequestState.UNKNOWN), do=Do.ASK, reason=reason)
    # What is listed as a draft orders nothing. Unless a confirmation is under way there is no doubt, and a no is final.
    still = request.open if kept is not None and _settles(request, manifest, now) > 0 else 0
    absent = moved(request, RequestState.ABSENT, draft=kept, open=still)
    right = [one.draft for one in waiting if _is_right(request, one)]
    if kept is not None and kept not in right:
        return Step(request=absent, do=Do.CANCEL, draft=kept)
    keep = kept or (right[0] if right else None)
    if too_many := [one.draft for one in waiting if one.draft != keep]:
        return Step(request=absent, do=Do.CANCEL, draft=too_many[-1])
    return Step(request=absent, do=Do.CONFIRM, draft=keep, holds=request.lines_digest)


def _is_right(request: Request, draft: Draft) -> bool:
    """Whether it holds exactly the lines that may leave."""
    holds = draft.lines_digest or _asked_for(request, draft)
    return holds is not None and holds == request.lines_digest


def _asked_for(request: Request, draft: Draft) -> str | None:
    """What was drafted under this name, or under any where it was the same each time; None: nobody knows."""
    named = {one.lines_digest for one in request.drafted if one.draft == draft.draft}
    digests = named or {one.lines_digest for one in request.drafted}
    return digests.pop() if len(digests) == 1 else None


def _changed(request: Request, draft: Draft) -> bool:
    """Whether the supplier made something else of what may leave: it would do so again."""
    ours = {one.lines_digest for one in request.drafted if one.draft == draft.draft}
    return ours == {request.lines_digest} and draft.lines_digest not in {None, request.lines_digest}


def _confirmed(request: Request, draft: Draft) -> Step:
    if not draft.supplier_number:
        reason = f"the supplier says that the draft {draft.draft} is confirmed, and gives no number"
        return Step(request=moved(request, RequestState.UNKNOWN), do=Do.ASK, reason=reason)
    if draft.lines_digest is not None and draft.lines_digest != request.lines_digest:
        reason = f"the supplier has another order under this key: its number {draft.supplier_number} has other lines"
        return Step(request=moved(request, RequestState.UNKNOWN), do=Do.ASK, reason=reason)
    answer = SupplierAnswer(key=draft.key, supplier_number=draft.supplier_number)
    return Step(request=moved(request, RequestState.CONFIRMED, open=0), do=Do.DONE, answer=answer)


def _none(request: Request, manifest: Manifest, now: datetime) -> Step:
    """No draft that anything could come of. One that was lost sight of would be one too many, and is waited for."""
    if request.in_doubt and (wait := _settles(request, manifest, now)) > 0:
        reason = f"no draft yet; that counts {manifest.settle_s:.0f} s after sending"
        return Step(request=moved(request, RequestState.UNKNOWN), do=Do.WAIT, reason=reason, wait_seconds=wait)
    return Step(request=moved(request, RequestState.ABSENT, draft=None, open=0), do=Do.DRAFT)


def _later(request: Request, manifest: Manifest, now: datetime, reason: str) -> Step:
    unknown = moved(request, RequestState.UNKNOWN)
    wait = _settles(request, manifest, now)
    return Step(request=unknown, do=Do.WAIT if wait > 0 else Do.ASK, reason=reason, wait_seconds=wait or None)


def _settles(request: Request, manifest: Manifest, now: datetime) -> float:
    return 0.0 if request.last_sent_at is None else settles_in(manifest, request.last_sent_at, now)
