"""A circuit breaker decides whether a request may leave for a supplier, from what earlier requests came to.

    closed ──too many in a row, or too large a share──> open ──its wait is over──> half-open
       ^                                                 ^                            │
       └──────────the probe was answered─────────────────┼──the probe was not─────────┘

It knows nothing of orders and says nothing about them: it lets a request go or says how long to wait. What a request
that was not answered left behind stays unknown until somebody looks. So the probe of the half-open circuit is a
question (`find`), which leaves nothing behind whatever becomes of it, and only one is under way. The breaker never
makes an unknown outcome anything else: it is told outcomes, and gives none.

The share is taken over tumbling windows: two numbers instead of a list, and at worst a burst over the border of two
windows is noticed one window later.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from workflows.domain.identity import Instant, Payload


class Phase(StrEnum):
    """Where the circuit is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Rule(Payload):
    """When a circuit opens and for how long. The defaults suit a supplier that is asked a few times a minute."""

    in_a_row: int = 5
    """Requests in a row without an answer that open it."""
    window_seconds: float = 60.0
    window_requests: int = 20
    """Fewer requests in a window say nothing about a share."""
    window_share: float = 0.5
    """From this share of unanswered requests in a window on, it opens."""
    open_seconds: float = 15.0
    """How long it stays open at first; twice as long after each probe that was not answered."""
    longest_open_seconds: float = 300.0
    probe_seconds: float = 60.0
    """A probe of which nothing was heard for so long is given up: whoever made it died."""
    look_again_seconds: float = 3.0
    """Until whoever met another's probe under way looks again."""
    can_be_asked: bool = True
    """Whether the supplier answers questions. Of one that does not (level L0), a single order is the probe: there is no
    other way to find out, and it is one that would have gone anyway."""


class Circuit(Payload):
    """What is remembered of one supplier."""

    phase: Phase = Phase.CLOSED
    in_a_row: int = 0
    window_began_at: Instant | None = None
    window_requests: int = 0
    window_unanswered: int = 0
    opened_at: Instant | None = None
    """When it opened from closed."""
    openings: int = 0
    """How often it has opened since it was last closed: what the wait doubles by."""
    wait_until: Instant | None = None
    """Open: until when. Half-open: until when the probe under way is waited for."""

    @property
    def quiet(self) -> bool:
        """Closed and nothing went wrong lately: one more answer changes nothing that must be kept at once."""
        return self.phase is Phase.CLOSED and self.in_a_row == 0


class Gate(NamedTuple):
    """Whether a request may leave."""

    circuit: Circuit
    wait_seconds: float
    """Zero: it may."""
    reason: str = ""
    probe_first: bool = False
    """It may not, but a question may: whoever asks one first finds out for everybody."""


def gate(circuit: Circuit, *, changes_something: bool, now: datetime, rule: Rule) -> Gate:
    """Whether a request may leave now. A granted question of a circuit whose wait is over is the probe."""
    if circuit.phase is Phase.CLOSED:
        return Gate(circuit, 0)
    left = _left(circuit, now, rule)
    if left > 0 and circuit.phase is Phase.OPEN:
        return Gate(circuit, left, "the circuit is open")
    if left > 0:
        # An answer is a matter of moments; the whole wait is only for a prober that died.
        return Gate(circuit, min(left, rule.look_again_seconds), "somebody else asks whether it answers again")
    if changes_something and rule.can_be_asked:
        # Refused for one question's time. Whoever sends may ask that question himself.
        reason = "the circuit is half-open: a question goes first, and nothing that changes something"
        return Gate(circuit, rule.open_seconds, reason, probe_first=True)
    probing = {"phase": Phase.HALF_OPEN, "wait_until": now + timedelta(seconds=rule.probe_seconds)}
    return Gate(circuit.model_copy(update=probing), 0, "this request is the probe")


def after(circuit: Circuit, *, answered: bool, asked: bool, now: datetime, rule: Rule, requests: int = 1) -> Circuit:
    """The circuit after a request was answered (a refusal is an answer too) or was not. `asked`: it was a question.

    `requests` were made since the last time that this was told, all answered but perhaps the last.
    """
    if circuit.phase is Phase.OPEN:
        # Requests that left before it opened still come home; they say nothing about now.
        return circuit
    if circuit.phase is Phase.HALF_OPEN:
        if answered:
            return Circuit() if asked or not rule.can_be_asked else circuit
        return _opened(circuit, now, rule)
    counted = _counted(circuit, answered=answered, now=now, rule=rule, requests=requests)
    many = counted.window_requests >= rule.window_requests
    share = counted.window_unanswered >= rule.window_share * counted.window_requests
    if not answered and (counted.in_a_row >= rule.in_a_row or (many and share)):
        return _opened(counted, now, rule)
    return counted


def _counted(circuit: Circuit, *, answered: bool, now: datetime, rule: Rule, requests: int) -> Circuit:
    began, total, unanswered = circuit.window_began_at, circuit.window_requests, circuit.window_unanswered
    if began is None or not timedelta(0) <= now - began < timedelta(seconds=rule.window_seconds):
        began, total, unanswered = now, 0, 0
    return circuit.model_copy(update={
        "in_a_row": 0 if answered else (circuit.in_a_row if requests == 1 else 0) + 1, "window_began_at": began,
        "window_requests": total + requests, "window_unanswered": unanswered + (not answered),
    })  # fmt: skip


def _opened(circuit: Circuit, now: datetime, rule: Rule) -> Circuit:
    seconds = _wait(circuit.openings + 1, rule)
    return Circuit(
        phase=Phase.OPEN, in_a_row=circuit.in_a_row, openings=circuit.openings + 1,
        opened_at=circuit.opened_at or now, wait_until=now + timedelta(seconds=seconds),
    )  # fmt: skip


def _wait(openings: int, rule: Rule) -> float:
    return float(min(rule.longest_open_seconds, rule.open_seconds * 2 ** min(openings - 1, 30)))


def _left(circuit: Circuit, now: datetime, rule: Rule) -> float:
    """Seconds until the wait is over: never more than such a wait can last, should a clock have been set back."""
    if circuit.wait_until is None:
        return 0
    longest = rule.probe_seconds if circuit.phase is Phase.HALF_OPEN else _wait(circuit.openings, rule)
    return min(longest, (circuit.wait_until - now).total_seconds())


class CircuitSeen(Payload):
    """A supplier's circuit and pause as people see them."""

    supplier: str
    phase: Phase
    in_a_row: int = 0
    openings: int = 0
    opened_at: Instant | None = None
    wait_until: Instant | None = None
    paused_until: Instant | None = None
    last_trouble: str = ""
    """The newest request without an answer: its kind and what it came to."""
    last_trouble_at: Instant | None = None


class CircuitsDesk(Protocol):
    """What people look at."""

    async def circuits(self) -> list[CircuitSeen]:
        """Every supplier that a request went to: those that are not closed first."""
        ...
