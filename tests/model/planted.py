"""Bugs planted in the rules that the model plays: each is one that some system had, and each must be found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.model.ordering import Rules
from tests.model.sending_machine import MANIFESTS, MEMORY_S, Sending
from tests.model.supplier import Fate
from workflows.domain import sending
from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.orders import DraftState
from workflows.domain.requests import (
    Do,
    Drafts,
    KeyKnown,
    Nothing,
    NoWord,
    Refused,
    Request,
    RequestState,
    Seen,
    Step,
    not_carried_out,
)


def no_settle_window(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """ "Absent" counts at once."""
    hasty = manifest.model_copy(update={"longest_transaction_s": 0.0, "http_timeout_s": 0.001})
    return sending.step(request, seen, hasty, now)


def sends_again_on_any_level(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """An absent order is sent again on L1, where nobody tells the second one from the first."""
    daring = manifest.model_copy(update={"level": DedupeLevel.L2}) if isinstance(seen, Nothing) else manifest
    return sending.step(request, seen, daring, now)


def remembers_for_ever(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """The supplier's memory of keys is taken to be endless."""
    return sending.step(request, seen, manifest.model_copy(update={"memory_s": 10.0**9}), now)


def takes_409_for_a_no(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """A key that the supplier knows is taken for an order that it will not have."""
    return sending.step(request, Refused(reason=seen.reason) if isinstance(seen, KeyKnown) else seen, manifest, now)


def retries_409_blindly(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """A key that the supplier knows is sent again, and nobody looks."""
    if isinstance(seen, KeyKnown):
        return Step(request=not_carried_out(request), do=Do.SEND)
    return sending.step(request, seen, manifest, now)


def takes_unknown_for_failed(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """No answer is taken for a no, as a careless breaker does."""
    return sending.step(request, Refused(reason=seen.reason) if isinstance(seen, NoWord) else seen, manifest, now)


def sends_without_looking(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """An attempt begins by sending, whatever the one before it left."""
    found = sending.step(request, seen, manifest, now)
    if found.do is Do.FIND:
        return Step(request=found.request.model_copy(update={"state": RequestState.ABSENT}), do=Do.SEND)
    return found


def overlooks_confirmed_drafts(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """Only what is still a draft is looked at: one that a lost answer confirmed is drafted again."""
    if isinstance(seen, Drafts):
        still = tuple(one for one in seen.drafts if one.state is DraftState.DRAFT)
        return sending.step(request.model_copy(update={"draft": None}), Drafts(drafts=still), manifest, now)
    return sending.step(request, seen, manifest, now)


def confirms_whatever_is_drafted(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """The oldest draft is confirmed on the newest one's digest, as if all held the same."""
    newest = request.drafted[-1:]
    trusting = request.model_copy(update={"drafted": newest and (newest[0].model_copy(update={"draft": None}),)})
    found = sending.step(trusting if isinstance(seen, Drafts) else request, seen, manifest, now)
    if not isinstance(seen, Drafts):
        return found
    return found.model_copy(update={"request": found.request.model_copy(update={"drafted": request.drafted})})


def asks_without_a_doubt(request: Request, seen: Seen, manifest: Manifest, now: datetime) -> Step:
    """A draft that is gone, and of which nothing is in doubt, is a question about which nobody has a word."""
    found = sending.step(request, seen, manifest, now)
    if found.do is Do.ASK and not request.in_doubt:
        return found.model_copy(update={"request": found.request.model_copy(update={"open": 0})})
    return found


@dataclass(frozen=True)
class Planted:
    """A bug, and what must notice it. `levels`: where it can do harm at all; `prelude`: how it begins, where the way
    there is long."""

    law: Rules
    noticed: str
    levels: tuple[Manifest, ...] = MANIFESTS
    prelude: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def machine(self) -> type[Sending]:
        """The world with this bug in it."""
        return type("Planted", (Sending,), {"law": self.law, "manifests": self.levels, "prelude": self.prelude})


L0, L1, L2, L3, DRAFTS = MANIFESTS
BLIND = (
    ("its_search_falls_behind_or_catches_up", ()), ("an_attempt", ([Fate.LOST_ANSWER], 99)), ("time_passes", (16.0,)),
)  # fmt: skip
FORGOTTEN = (*BLIND[:2], ("time_passes", (MEMORY_S + 16.0,)))
HIDDEN = (
    ("its_list_of_drafts_falls_behind_or_catches_up", ()), ("an_attempt", ([Fate.LOST_ANSWER], 99)),
    ("time_passes", (61.0,)), ("a_line_is_refused", ()),
)  # fmt: skip
GONE = (
    ("an_attempt", ([Fate.WELL, Fate.AWAY], 99)), ("somebody_there_deletes_a_draft", ()), ("time_passes", (61.0,)),
)  # fmt: skip
PLANTED: Mapping[str, Planted] = {
    "no settle window": Planted(
        Rules(no_settle_window), "I3|I10", (L1,), (("an_attempt", ([Fate.LATE], 99)), ("a_moment_passes", ()))
    ),
    "sends again on any level": Planted(
        Rules(sends_again_on_any_level),
        "I3",
        (L1,),
        (("an_attempt", ([Fate.MUCH_LATER], 99)), ("time_passes", (16.0,))),
    ),
    "the supplier remembers for ever": Planted(Rules(remembers_for_ever), "I3", (L3,), FORGOTTEN),
    "409 taken for a no": Planted(Rules(takes_409_for_a_no), "I10", (L2,), BLIND),
    "409 retried without looking": Planted(Rules(retries_409_blindly), "in a circle", (L2,), BLIND),
    "unknown taken for failed": Planted(Rules(takes_unknown_for_failed), "I10"),
    "a second attempt does not look": Planted(Rules(sends_without_looking), "I3", (L1,)),
    "confirmed drafts are overlooked": Planted(Rules(overlooks_confirmed_drafts), "I3|I10", (DRAFTS,)),
    "any draft is confirmed": Planted(Rules(confirms_whatever_is_drafted), "I4", (DRAFTS,), HIDDEN),
    "a question without a doubt": Planted(Rules(asks_without_a_doubt), "I3|I8", (DRAFTS,), GONE),
    "the gate does not read drafts": Planted(Rules(gate_reads_drafts=False), "I4", (DRAFTS,), HIDDEN[1:2]),
    "the lease is not checked": Planted(
        Rules(checks_lease=False), "I3|became", (L1,), (("an_attempt", ([], 1)), ("time_passes", (61.0,)))
    ),
    "nothing is noted before sending": Planted(Rules(notes_before_sending=False), "I3", (L0, L1)),
    "a frozen process sends late": Planted(
        Rules(sends_at_once=False), "I3", (L1, L3), (("an_attempt", ([], 2)), ("time_passes", (61.0,)))
    ),
}
