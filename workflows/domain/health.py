"""Health is what the database knows about the engine, as facts and as lines with a light that a person can act on."""

from enum import StrEnum
from typing import Protocol

from workflows.domain.identity import Instant, Payload
from workflows.domain.notary import Waiting
from workflows.domain.proofs import Alarm
from workflows.domain.stops import Stop

CAP = 5_000


class Light(StrEnum):
    """Green: nothing to do. Amber: look today. Red: act now. Unknown: nobody said."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    UNKNOWN = "unknown"


class Aspect(StrEnum):
    """What a line of the page is about."""

    STUCK = "stuck"
    IN_DOUBT = "in_doubt"
    LAGGING = "lagging"
    POISONED = "poisoned"
    RUNNING = "running"


class Pile(Payload):
    """Rows of one kind that wait; counts stop at 5,000. `oldest_seconds` is the age of the oldest."""

    n: int = 0
    capped: bool = False
    oldest_seconds: float | None = None


class PartitionLag(Payload):
    """How far intake is on one partition, as the database knows it."""

    topic: str
    partition: int
    next_offset: int
    behind: int | None = None
    looked_seconds: float | None = None
    """How long ago intake last compared itself with the end of the log."""


class ClockAge(Payload):
    """A location's business clock and how long ago (wall clock) it last moved."""

    location: str
    watermark: Instant
    moved_seconds: float


class Reason(Payload):
    """Dead letters of one reason that nobody sent again, of the newest 10,000."""

    code: str
    n: int
    newest_seconds: float


class ProcessSeen(Payload):
    """Connections of one of our processes and when the newest of them last did something."""

    name: str
    connections: int
    quiet_seconds: float


class TableSize(Payload):
    """A large table with its indexes."""

    name: str
    bytes: int


class HistoriesSeen(Payload):
    """How far the keeping of closed workflows' histories is, and how long Temporal keeps them."""

    swept_seconds: float
    """How long ago was closed what is not known to be kept."""
    retention_seconds: int


class Facts(Payload):
    """Everything that health is judged by."""

    at: Instant
    needs_open: Pile = Pile()
    batches_unfinished: Pile = Pile()
    proposals_unseen: Pile = Pile()
    approvals_unheard: Pile = Pile()
    orders_overdue: Pile = Pile()
    orders_awaiting: Pile = Pile()
    orders_held: Pile = Pile()
    orders_in_doubt: Pile = Pile()
    orders_refused: Pile = Pile()
    """Refused and seen by nobody yet."""
    circuits_open: Pile = Pile()
    """Suppliers that nothing is sent to, because they did not answer."""
    reports_unfinished: Pile = Pile()
    """Suppliers whose list is being read, or could not be read to its end."""
    differences_open: Pile = Pile()
    """Unexplained differences in the newest report of each supplier."""
    partitions: tuple[PartitionLag, ...] = ()
    clocks: tuple[ClockAge, ...] = ()
    """Those that stand longest first, at most 200."""
    live_clocks: bool = False
    reasons: tuple[Reason, ...] = ()
    processes: tuple[ProcessSeen, ...] = ()
    database_bytes: int = 0
    tables: tuple[TableSize, ...] = ()
    model_days: int | None = None
    """Business days since the last day that the champion was trained on; None: there is no champion."""
    drift_alarms: int = 0
    stops: tuple[Stop, ...] = ()
    histories: HistoriesSeen | None = None
    uncertified: Waiting = Waiting(entries=0)
    """Entries of the ledger that no notary has seen."""
    notary_alarms: tuple[Alarm, ...] = ()


class Check(Payload):
    """One line: what was found, what it means, and what to do about it."""

    name: str
    aspect: Aspect
    title: str
    light: Light
    says: str
    means: str
    advice: str
    href: str = ""


class Health(Payload):
    """The state of the engine."""

    light: Light
    """The worst of the checks."""
    at: Instant
    checks: tuple[Check, ...]
    facts: Facts


class HealthDesk(Protocol):
    """Where the facts come from."""

    async def facts(self) -> Facts:
        """Look now. Bounded: it reads no more when there is more."""
        ...
