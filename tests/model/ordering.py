"""Attempts to place one order, as the activity makes them: each line that may be the last one of a crash is a pause."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.model.supplier import Fate, ModelSupplier
from workflows.domain import sending
from workflows.domain.capabilities import Manifest
from workflows.domain.identity import digest
from workflows.domain.requests import (
    MOVES,
    Do,
    NotAsked,
    NoWord,
    Request,
    RequestKind,
    RequestState,
    Seen,
    Step,
    Taken,
    left,
    moved,
)

LEASE_S = 60.0
KINDS = {
    Do.SEND: RequestKind.SEND, Do.DRAFT: RequestKind.DRAFT, Do.CANCEL: RequestKind.CANCEL,
    Do.CONFIRM: RequestKind.CONFIRM,
}  # fmt: skip
STEPS = 40
"""More than any attempt needs: one that goes on for longer goes in a circle."""


StepRule = Callable[[Request, Seen, Manifest, datetime], Step]


@dataclass
class Rules:
    """The rules that are in force; a planted bug replaces one."""

    step: StepRule = sending.step
    checks_lease: bool = True
    notes_before_sending: bool = True
    gate_reads_drafts: bool = True
    sends_at_once: bool = True
    """A request leaves within its own timeout after that was committed, or not at all."""


@dataclass
class OrderRow:
    """The order as PostgreSQL has it. Every method is one transaction."""

    supplier: ModelSupplier
    rules: Rules = field(default_factory=Rules)
    request: Request = field(default_factory=Request)
    lease: str = ""
    lease_until: datetime | None = None
    asks: bool = False
    """A person must say; nothing more happens by itself."""
    stopped: bool = False
    """A switch holds the next request; it is lifted before the one after."""
    refused: int = 0
    """Lines that may not leave any more."""

    @property
    def lines(self) -> str:
        """The digest of the lines that may leave now."""
        return digest(self.refused)

    def take(self, token: str, now: datetime) -> Request | None:
        """Take the lease, if nobody has it."""
        free = self.lease_until is None or self.lease_until < now
        if self.request.state.is_final or self.asks or not free:
            return None
        self.lease, self.lease_until = token, now + timedelta(seconds=LEASE_S)
        return self.request

    def leave(self, token: str, step: Step, now: datetime) -> Request | None:
        """Commit that a request leaves; None: it must not (a switch, a lost lease)."""
        stopped, self.stopped = self.stopped, False
        if not self._holds(token, now) or stopped:
            return None
        if step.do is Do.CONFIRM and step.holds != self.lines and self.rules.gate_reads_drafts:
            # A line may not be ordered any more that is in the draft: a person is asked, and may say what there is.
            self.request = step.request.model_copy(update={"open": max(1, step.request.open)})
            self.asks, self.lease_until = True, None
            return None
        leaving = left(step.request, KINDS[step.do], now, draft=step.draft, lines_digest=self.lines)
        if self.rules.notes_before_sending:
            self.request = leaving
        return leaving

    def note(self, token: str, step: Step, now: datetime) -> bool:
        """Commit where it stands; False: somebody else's attempt goes on with it."""
        if not self._holds(token, now):
            return False
        self.request = step.request
        self.asks = step.do is Do.ASK
        if step.do in {Do.WAIT, Do.ASK, Do.DONE}:
            self.lease_until = None
        return True

    def give_back(self, token: str) -> None:
        """Let the lease go."""
        if self.lease == token:
            self.lease_until = None

    def _holds(self, token: str, now: datetime) -> bool:
        if not self.rules.checks_lease:
            return True
        return self.lease == token and self.lease_until is not None and now < self.lease_until


@dataclass
class Clock:
    """What time it is for everybody."""

    now: datetime


def attempt(row: OrderRow, token: str, clock: Clock, fates: "Fates") -> Generator[str, None, None]:
    """One attempt; at each `yield` the process may die, or stand still for as long as the world likes."""
    request = row.take(token, clock.now)
    if request is None:
        return
    step = _seen(row, request, Taken(), clock)
    for _ in range(STEPS):
        if not row.note(token, step, clock.now):
            return
        if step.do in {Do.WAIT, Do.ASK, Do.DONE}:
            return
        yield f"noted {step.do}"
        if step.do in KINDS:
            request = row.leave(token, step, clock.now)
            if request is None:
                row.give_back(token)
                return
            decided_at, lines = clock.now, row.lines
            yield "about to send"
            too_late = clock.now > decided_at + timedelta(seconds=row.supplier.manifest.http_timeout_s)
            if row.rules.sends_at_once and too_late:
                return
            call = row.supplier.send(KINDS[step.do], clock.now, step.draft, fates.next(), lines)
            yield "sent"
            seen: Seen = call.answer or NoWord(reason="no answer in time")
        else:
            request, seen = step.request, _asked(row, step.do, fates)
        step = _seen(row, request, seen, clock)
    raise AssertionError(f"an attempt goes in a circle: {step}")


def _asked(row: OrderRow, do: Do, fates: "Fates") -> Seen:
    if fates.deaf:
        fates.deaf = False
        return NotAsked(reason="the supplier could not be asked")
    return row.supplier.list() if do is Do.LIST else row.supplier.find()


def _seen(row: OrderRow, request: Request, seen: Seen, clock: Clock) -> Step:
    return row.rules.step(request, seen, row.supplier.manifest, clock.now)


@dataclass
class Fates:
    """What becomes of the next requests, and whether the next question is heard; all is well when nothing was said."""

    waiting: list[Fate] = field(default_factory=list)
    deaf: bool = False

    def next(self) -> Fate:
        return self.waiting.pop(0) if self.waiting else Fate.WELL


def told_by_a_person(row: OrderRow) -> None:
    """Somebody looked into the supplier's books, found the truth there and says it."""
    request, state = row.request, RequestState.CONFIRMED if row.supplier.booked else RequestState.ABSENT
    if state is request.state or state in MOVES[request.state]:
        row.request = moved(request, state, open=0, draft=None)
        row.asks = False
