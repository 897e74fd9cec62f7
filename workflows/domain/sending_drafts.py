"""Orders from drafts: draft with the key, list, keep the oldest, cancel the others, confirm the one that is kept.

A draft orders nothing, so one too many does no harm; only one is ever confirmed. Once a confirmation has left for a
draft, no other is confirmed unless the supplier says that this one is cancelled: a request that we lost sight of may
still confirm it.
"""

from collections.abc import Sequence
from datetime import datetime

from workflows.domain.capabilities import Manifest, settles_in
from workflows.domain.orders import Draft, DraftState, SupplierAnswer
from workflows.domain.requests import Do, Request, RequestState, Step, duplicates, moved


def listed(request: Request, drafts: Sequence[Draft], manifest: Manifest, now: datetime) -> Step:
    """What comes next, once the supplier has listed the drafts under the key (oldest first)."""
    confirmed = [one for one in drafts if one.state is DraftState.CONFIRMED]
    if len(confirmed) > 1:
        return duplicates(request, tuple(one.supplier_number or one.draft for one in confirmed))
    if confirmed:
        return _confirmed(request, confirmed[0])
    waiting = [one.draft for one in drafts if one.state is DraftState.DRAFT]
    gone = {one.draft for one in drafts if one.state is DraftState.CANCELLED}
    kept = request.draft if request.draft not in gone else None
    if kept is not None and kept not in waiting:
        return _later(request, manifest, now, f"the supplier does not list the draft {kept} that was to be confirmed")
    if kept is None and not waiting:
        return _none(request, manifest, now)
    keep = kept or waiting[0]
    # What is listed as a draft orders nothing. Unless a confirmation is under way there is no doubt, and a no is final.
    still = request.open if kept is not None and _settles(request, manifest, now) > 0 else 0
    absent = moved(request, RequestState.ABSENT, draft=kept, open=still)
    too_many = [one for one in waiting if one != keep]
    if too_many:
        return Step(request=absent, do=Do.CANCEL, draft=too_many[-1])
    return Step(request=absent, do=Do.CONFIRM, draft=keep)


def _confirmed(request: Request, draft: Draft) -> Step:
    if not draft.supplier_number:
        reason = f"the supplier says that the draft {draft.draft} is confirmed, and gives no number"
        unknown = moved(request, RequestState.UNKNOWN, open=max(1, request.open))
        return Step(request=unknown, do=Do.ASK, reason=reason)
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
