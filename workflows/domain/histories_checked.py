"""What checking kept histories comes to: whether each still replays, and whether all are kept."""

from enum import StrEnum

from workflows.domain.identity import Instant, Payload

NAMED = 100
"""Differences that a report names one by one."""


class HistoryOutcome(StrEnum):
    """What replaying a kept history came to."""

    REPLAYED = "replayed"
    """Today's code gives the commands that it gave."""
    FAILED = "failed"
    """It does not: nondeterminism, or a type that is no longer there."""
    DAMAGED = "damaged"
    """The bytes are not those that the ledger names."""
    MISSING = "missing"
    """The ledger names it, and it is not kept."""
    LOST = "lost"
    """It was gone before it could be read, and the ledger said so at the time."""


class HistoryReplay(Payload):
    """One history and what came of it."""

    workflow_id: str
    run_id: str
    type: str
    outcome: HistoryOutcome
    why: str = ""


class Completeness(Payload):
    """Three counts that should tell the same, and everything by which they differ."""

    swept_through: Instant | None
    visible: int
    """Closed executions that Temporal shows now."""
    kept: int
    lost: int
    removed: int
    """Kept, or known to be lost, and shown by Temporal no more: its retention took them."""
    waiting: int
    """Shown and not kept yet, closed since the last sweep or a little before: the next sweep takes them."""
    overdue: tuple[str, ...] = ()
    """Shown and not kept though a sweep passed them; at most `NAMED`."""
    decisions: int
    """Proposals that came to an end in Postgres, and whose workflow was started."""
    decisions_kept: int
    """Of these, those of which a history is kept."""
    decisions_waiting: int
    """Of these, those whose workflow still runs, or is closed and not kept yet."""
    decisions_without: tuple[str, ...] = ()
    """Of these, those of which there is neither history nor execution; at most `NAMED`."""
    histories_without: tuple[str, ...] = ()
    """Kept histories of proposals that are open in Postgres, or not there: terminated ones, say; at most `NAMED`."""

    @property
    def complete(self) -> bool:
        """Nothing is missing that does not come by itself."""
        return not (self.overdue or self.decisions_without or self.lost)

    @property
    def explained(self) -> tuple[str, ...]:
        """The differences, in words."""
        told = (
            (self.removed, "kept here, removed from Temporal by its retention"),
            (self.waiting, "closed since the last sweep; the next one keeps them"),
            (len(self.overdue), "closed and passed by a sweep, yet not kept"),
            (self.lost, "gone from Temporal before they could be read; the ledger says which"),
            (self.decisions_waiting, "decisions that ended, whose workflow runs on or is not kept yet"),
            (len(self.decisions_without), "decisions that ended, without a history and without an execution"),
            (len(self.histories_without), "histories of proposals that did not end"),
        )
        return tuple(f"{count:,} {words}" for count, words in told if count)
