"""Controls that worked: what the engine kept from happening in a period, each attempt as the ledger has it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, Protocol

from workflows.domain.access_review import Answers
from workflows.domain.identity import Digest, Payload
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.policy_timeline import body_of

SHOWN = 500
"""Attempts that a report lists, the newest; `audit population` writes all of them."""

BLOCKED: Mapping[EntryType, str] = MappingProxyType({
    EntryType.VERDICT_REFUSED: "answers that did not count",
    EntryType.ACCESS_REFUSED: "attempts at what the person's rights do not reach",
    EntryType.POLICY_REFUSED: "answers to policy changes that did not count",
    EntryType.LINE_REFUSED: "order lines that the send gate took off",
    EntryType.ORDER_HELD: "orders that a stop held back",
    EntryType.APPROVAL_VOIDED: "approvals that became void because the proposal changed",
})  # fmt: skip
"""Kinds of entries that say that something was kept from happening."""


class Blocked(Payload):
    """How often one control worked, for one reason."""

    type: str
    code: str
    """Why, as the entry has it: a code where it has one."""
    entries: int


class Attempt(Payload):
    """One thing that was kept from happening."""

    stream: str
    seq: int
    type: str
    code: str
    actor: str
    recorded_at: str
    hash: Digest


class ByPerson(Payload):
    """How often somebody was held back."""

    actor: str
    entries: int


class Controls(Payload):
    """What was kept from happening on these days (inclusive, UTC, by when it was recorded), and how people answered."""

    since: date
    until: date
    blocked: tuple[Blocked, ...]
    by_person: tuple[ByPerson, ...]
    attempts: tuple[Attempt, ...]
    """The newest first, at most `SHOWN`."""
    entries: int
    only_counted: int
    """Refused attempts beyond those that were recorded: of one person only so many an hour are."""
    answers: tuple[Answers, ...]


class Counting:
    """One report in the making: entries come oldest first."""

    def __init__(self) -> None:
        self._blocked: Counter[tuple[str, str]] = Counter()
        self._people: Counter[str] = Counter()
        self._newest: list[Attempt] = []
        self._only_counted = 0

    def take(self, entries: Iterable[Entry]) -> None:
        """Count these."""
        for entry in entries:
            body = body_of(entry)
            code = code_of(body)
            self._blocked[entry.type, code] += 1
            self._people[entry.actor] += 1
            self._only_counted += int(body.get("left_out", 0))
            found = {name: getattr(entry, name) for name in ("stream", "seq", "type", "actor", "recorded_at", "hash")}
            self._newest.append(Attempt(code=code, **found))
            if len(self._newest) > 2 * SHOWN:
                del self._newest[:-SHOWN]

    def result(self, since: date, until: date, answers: tuple[Answers, ...]) -> Controls:
        """The report over all that was counted."""
        blocked = sorted(self._blocked.items(), key=lambda found: (found[0][0], -found[1], found[0][1]))
        people = sorted(self._people.items(), key=lambda found: (-found[1], found[0]))
        return Controls(
            since=since, until=until, attempts=tuple(reversed(self._newest[-SHOWN:])),
            blocked=tuple(Blocked(type=kind, code=code, entries=entries) for (kind, code), entries in blocked),
            by_person=tuple(ByPerson(actor=actor, entries=entries) for actor, entries in people),
            entries=sum(self._blocked.values()), only_counted=self._only_counted, answers=answers,
        )  # fmt: skip


def code_of(body: Mapping[str, Any]) -> str:
    """Why something was refused, as briefly as the entry says it."""
    for name in ("code", "refused", "why", "reason"):
        if isinstance(body.get(name), str) and body[name]:
            return str(body[name])[:200]
    return ""


class ControlRecords(Protocol):
    """Reads the controls' work from the ledger."""

    def controls(self, since: date, until: date) -> Controls:
        """What was kept from happening on these days."""
        ...
