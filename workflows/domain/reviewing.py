"""Reads entries in the order in which they were recorded, and puts an access review together from them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from statistics import median_high
from typing import Any

from workflows.domain.access_review import (
    NO_PEOPLE,
    QUICK_SECONDS,
    STRANGERS,
    UNREAD_POLICY,
    AccessReview,
    Answers,
    Conflict,
    ConflictKind,
    PolicyInForce,
    Rights,
    conflicts_of,
    permissions_of,
)
from workflows.domain.approvals import Meaning
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import same_person
from workflows.domain.policy_timeline import PolicyTimeline, body_of

ENGINE = frozenset({"clock", "engine", "send gate", "policy"})
APPROVED = frozenset({Meaning.APPROVE, Meaning.APPROVE_EDITED})
_ANSWERED = {Meaning.APPROVE: "approved", Meaning.APPROVE_EDITED: "edited", Meaning.REJECT: "rejected"}


class Reviewing:
    """One review in the making: entries come in the order of their recording, and each is looked at once."""

    def __init__(self, on: date, since: date, policies: PolicyTimeline) -> None:
        self._on, self._since, self._policies = on, since, policies
        self._from = datetime.combine(since, time.min, UTC)
        self._rights: dict[str, Rights] = {}
        self._done: list[Conflict] = []
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._opened: dict[str, datetime] = {}
        self._signed: dict[str, tuple[str, str]] = {}
        self._proposed: dict[str, str] = {}
        self._decided_by: dict[str, str] = {}

    def take(self, entries: Iterable[Entry]) -> None:
        """Look at these."""
        for entry in entries:
            at, body = datetime.fromisoformat(entry.recorded_at), body_of(entry)
            match entry.type:
                case EntryType.PERSON_CHANGED | EntryType.PERSON_ERASED:
                    self._person(entry, body, at)
                case EntryType.TASK_OPENED:
                    self._opened[entry.stream] = at
                case EntryType.DECISION_PROPOSED:
                    self._decided_by[entry.stream] = str(body.get("decision", {}).get("policy_digest"))
                case EntryType.POLICY_PROPOSED:
                    self._proposed[str(body.get("change"))] = entry.actor
                case EntryType.POLICY_APPROVED:
                    self._adopted(entry, body, at)
                case _ if at >= self._from:
                    self._answer(entry, body, at)

    def _person(self, entry: Entry, body: Mapping[str, Any], at: datetime) -> None:
        person = entry.stream.removeprefix("person:")
        before, after = self._rights.get(person), body.get("after") or {}
        erased = entry.type == EntryType.PERSON_ERASED
        limit = after.get("approval_limit")
        roles, locations = after.get("roles", ()), after.get("locations", () if erased else None)
        off = erased or bool(after.get("disabled"))
        told: dict[str, Any] = {
            "roles": tuple(roles), "permissions": () if off else permissions_of(roles),
            "locations": None if locations is None else tuple(locations),
            "approval_limit": Decimal(0) if erased else None if limit is None else Decimal(limit),
            "state": "erased" if erased else "disabled" if off else "active",
        }  # fmt: skip
        if before is None or any(getattr(before, name) != value for name, value in told.items()):
            told |= {"since": at, "granted_by": entry.actor, "channel": str(body.get("channel", ""))}
            if same_person(person, entry.actor) and at >= self._from:
                self._done.append(Conflict(kind=ConflictKind.GRANTED_OWN_RIGHTS, person=person, what=person, at=at))
        else:
            told |= {"since": before.since, "granted_by": before.granted_by, "channel": before.channel}
        known = before.known_since if before else at
        self._rights[person] = Rights(
            person=person, known_since=known, changes=before.changes + 1 if before else 1, **told
        )

    def _adopted(self, entry: Entry, body: Mapping[str, Any], at: datetime) -> None:
        change = str(body.get("change"))
        author = self._proposed.get(change)
        if author is not None and same_person(author, entry.actor) and at >= self._from:
            self._done.append(Conflict(kind=ConflictKind.ADOPTED_OWN_POLICY, person=entry.actor, what=change, at=at))

    def _answer(self, entry: Entry, body: Mapping[str, Any], at: datetime) -> None:
        counts = self._counts[entry.actor]
        if entry.type in (EntryType.VERDICT_REFUSED, EntryType.ACCESS_REFUSED):
            counts["refused"] += 1
        elif entry.type == EntryType.VERDICT_WITHDRAWN:
            counts["withdrawn"] += 1
        elif entry.type == EntryType.SESSION_OPENED:
            counts["sessions"] += 1
        elif entry.type == EntryType.VERDICT_SIGNED:
            counts["signed_first"] += 1
            self._signed[entry.stream] = (entry.actor, str(body.get("proposal_hash")))
        elif entry.type == EntryType.VERDICT_RECORDED and body.get("meaning") in _ANSWERED:
            self._verdict(entry, body, at)

    def _verdict(self, entry: Entry, body: Mapping[str, Any], at: datetime) -> None:
        meaning, person, counts = Meaning(body["meaning"]), entry.actor, self._counts[entry.actor]
        counts[_ANSWERED[meaning]] += 1
        opened = self._opened.get(entry.stream)
        if opened is not None:
            seconds = (at - opened).total_seconds()
            self._seconds[person].append(seconds)
            counts["quick"] += int(meaning in APPROVED and seconds < QUICK_SECONDS)
        if meaning not in APPROVED:
            return
        first = self._signed.get(entry.stream)
        if first and same_person(first[0], person) and first[1] == body.get("proposal_hash"):
            what = entry.stream
            if int(body.get("signatures_needed", 1)) > 1:
                self._done.append(Conflict(kind=ConflictKind.SIGNED_TWICE, person=person, what=what, at=at))
        for step in self._policies.steps([self._decided_by.get(entry.stream, "")]):
            if same_person(step.author, person) or same_person(step.adopter, person):
                kind = ConflictKind.APPROVED_UNDER_OWN_POLICY
                self._done.append(Conflict(kind=kind, person=person, what=entry.stream, at=at))

    def result(self) -> AccessReview:
        """The review of all that was looked at."""
        people = tuple(self._rights[person] for person in sorted(self._rights))
        answers = tuple(self._answers(person) for person in sorted(self._counts) if person not in ENGINE)
        by_rights = [conflict for one in people for conflict in conflicts_of(one)]
        notes = [] if people else [NO_PEOPLE]
        if people and any(not one.known for one in answers):
            notes.append(STRANGERS)
        notes += [UNREAD_POLICY.format(digest[:12]) for digest in self._policies.unread]
        return AccessReview(
            on=self._on, since=self._since, people=people, policy=in_force(self._policies, self._on),
            conflicts=(*by_rights, *sorted(self._done, key=_by_time)), answers=answers,
            notes=tuple(notes),
        )  # fmt: skip

    def _answers(self, person: str) -> Answers:
        counts, seconds = self._counts[person], self._seconds[person]
        approved = counts["approved"] + counts["edited"]
        all_told = approved + counts["rejected"]
        share = (Decimal(approved) / all_told).quantize(Decimal("0.001"), ROUND_HALF_EVEN) if all_told else None
        return Answers(
            person=person, approve_share=share, median_seconds=int(median_high(seconds)) if seconds else None,
            known=person in self._rights, **{name: counts[name] for name in _COUNTED},
        )  # fmt: skip


_COUNTED = ("approved", "edited", "rejected", "signed_first", "withdrawn", "refused", "quick", "sessions")


def in_force(policies: PolicyTimeline, on: date) -> PolicyInForce:
    """The policy at the end of that day."""
    end = datetime.combine(on + timedelta(days=1), time.min, UTC)
    before: Sequence[Any] = [one for one in policies.adoptions if one.at < end]
    if not before:
        return PolicyInForce.of(Policy())
    newest = before[-1]
    return PolicyInForce.of(
        newest.policy, since=newest.at, proposed_by=newest.author, adopted_by=newest.adopter
    )  # fmt: skip


def _by_time(one: Conflict) -> tuple[str, str, str]:
    return one.at.isoformat() if one.at else "", one.kind, one.what
