"""A supplier of each level, and the network before it: requests may come late, answers may not come, never both lies.

A request that leaves may be carried out until its connection is gone and the supplier's longest transaction is over:
that is what a connector declares, and what the settle window waits for. A frozen process may send later than that.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.orders import Draft, DraftState, SupplierAnswer
from workflows.domain.requests import (
    Answered,
    Cancelled,
    Drafted,
    Drafts,
    Duplicates,
    KeyKnown,
    NotCarriedOut,
    Nothing,
    Refused,
    RequestKind,
    Seen,
)


class Fate(StrEnum):
    """What becomes of one request."""

    WELL = "well"
    LOST_ANSWER = "lost answer"
    """Carried out, and the answer never comes."""
    LOST = "lost"
    """Never carried out, and nobody is told."""
    AWAY = "away"
    """Certainly not carried out, and we are told so."""
    LATE = "late"
    """Carried out as late as the supplier may be, when the caller has given up."""
    MUCH_LATER = "much later"
    """Carried out when the world likes: whoever relies on the settle window alone is wrong then."""


_LATE = {Fate.LATE, Fate.MUCH_LATER}


@dataclass
class Call:
    """A request on its way, or at the supplier."""

    kind: RequestKind
    sent_at: datetime
    draft: str | None
    fate: Fate
    lines: str = ""
    """The digest of the lines that may leave with it."""
    carried_out: bool = False
    answer: Seen | None = None


@dataclass
class ModelSupplier:
    """One key's orders and drafts at one supplier: the truth that I3 is about."""

    manifest: Manifest
    key: str
    booked: list[str] = field(default_factory=list)
    drafts: dict[str, Draft] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    refuses: bool = False
    """It says no to the next order that it does not have."""
    blind: bool = False
    """Its search is behind: it says that it has nothing, whatever it has."""
    hidden: set[str] = field(default_factory=set)
    """Drafts that its list leaves out, or that it deleted."""
    tells: bool = False
    """Its list says what is in a draft."""
    ordered: list[Call] = field(default_factory=list)
    """The confirmations that made orders of drafts, in step with `booked`."""
    holds: dict[str, str] = field(default_factory=dict)
    """What is in each draft."""
    first_answer_at: datetime | None = None

    def send(self, kind: RequestKind, now: datetime, draft: str | None, fate: Fate, lines: str = "") -> Call:
        """A request leaves now."""
        call = Call(kind, now, draft, fate, lines)
        self.calls.append(call)
        if fate in {Fate.WELL, Fate.LOST_ANSWER}:
            answer = self._carry_out(call, now)
            call.answer = answer if fate is Fate.WELL else None
        if fate is Fate.AWAY:
            call.answer = NotCarriedOut(reason="connection refused")
        return call

    @property
    def late(self) -> bool:
        """Whether something is on its way."""
        return any(call.fate in _LATE and not call.carried_out for call in self.calls)

    @property
    def kept_its_word(self) -> bool:
        """Whether nothing came later than is declared."""
        return all(call.fate is not Fate.MUCH_LATER for call in self.calls)

    @property
    def overdue(self) -> bool:
        """Whether something comes that by its own word cannot come any more."""
        return any(call.fate is Fate.MUCH_LATER and not call.carried_out for call in self.calls)

    def pass_time(self, now: datetime) -> None:
        """Late requests are carried out within the time that the supplier declares, and not after it."""
        for call in self.calls:
            over = call.sent_at + timedelta(seconds=self.manifest.settle_s)
            if call.fate is Fate.LATE and not call.carried_out and now >= over:
                self._carry_out(call, over)

    def hurry(self, now: datetime) -> None:
        """What is on its way arrives."""
        for call in self.calls:
            if call.fate in _LATE and not call.carried_out:
                self._carry_out(call, now)

    def find(self) -> Seen:
        """What it says when it is asked for the key."""
        if not self.booked or self.blind:
            return Nothing()
        if len(self.booked) > 1:
            return Duplicates(numbers=tuple(self.booked))
        return Answered(answer=SupplierAnswer(key=self.key, supplier_number=self.booked[0]))

    def list(self) -> Drafts:
        """Its drafts under the key, oldest first."""
        listed = [one for one in self.drafts.values() if not self.blind and one.draft not in self.hidden]
        told = [{"lines_digest": self.holds[one.draft]} if self.tells else {} for one in listed]
        return Drafts(drafts=tuple(one.model_copy(update=more) for one, more in zip(listed, told, strict=True)))

    def delete_a_draft(self) -> None:
        """Somebody there throws the newest draft away that is no order, and nothing is ever known of it again."""
        there = [one for one in self.drafts.values() if one.state is DraftState.DRAFT and one.draft not in self.hidden]
        for one in there[-1:]:
            self.drafts[one.draft] = one.model_copy(update={"state": DraftState.CANCELLED})
            self.hidden.add(one.draft)

    def _carry_out(self, call: Call, at: datetime) -> Seen:
        call.carried_out = True
        match call.kind:
            case RequestKind.DRAFT:
                name = f"D-{len(self.drafts) + 1:06}"
                self.drafts[name] = Draft(key=self.key, draft=name)
                self.holds[name] = call.lines
                return Drafted(draft=name)
            case RequestKind.CANCEL:
                return self._cancelled(call.draft or "")
            case RequestKind.CONFIRM:
                return self._confirmed(call)
            case _:
                return self._ordered(at)

    def _ordered(self, at: datetime) -> Seen:
        level = self.manifest.level
        refuses, self.refuses = self.refuses, False
        if refuses and not self.booked:
            return Refused(reason="item discontinued")
        remembered = self.first_answer_at is not None and at < self.first_answer_at + timedelta(
            seconds=self.manifest.memory_s
        )
        if level is DedupeLevel.L3 and remembered and self.booked:
            return Answered(answer=SupplierAnswer(key=self.key, supplier_number=self.booked[0]))
        if level is DedupeLevel.L2 and self.booked:
            return KeyKnown(reason=f"the key has the order {self.booked[0]}")
        number = f"S-{len(self.booked) + 1}"
        self.booked.append(number)
        self.first_answer_at = self.first_answer_at or at
        return Answered(answer=SupplierAnswer(key=self.key, supplier_number=number))

    def _cancelled(self, name: str) -> Seen:
        draft = self.drafts[name]
        if draft.state is DraftState.CONFIRMED:
            return KeyKnown(reason="it is confirmed")
        self.drafts[name] = draft.model_copy(update={"state": DraftState.CANCELLED})
        return Cancelled(draft=name)

    def _confirmed(self, call: Call) -> Seen:
        name = call.draft or ""
        draft = self.drafts[name]
        if draft.state is DraftState.CANCELLED:
            return KeyKnown(reason="it is cancelled")
        refuses, self.refuses = self.refuses, False
        if refuses and draft.state is DraftState.DRAFT:
            return Refused(reason="item discontinued")
        if draft.state is DraftState.DRAFT:
            number = f"S-{len(self.booked) + 1}"
            self.booked.append(number)
            self.ordered.append(call)
            self.drafts[name] = draft = draft.model_copy(
                update={"state": DraftState.CONFIRMED, "supplier_number": number}
            )
        return Answered(answer=SupplierAnswer(key=self.key, supplier_number=draft.supplier_number or ""))
