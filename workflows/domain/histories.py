"""A closed workflow's history is kept before Temporal removes it, and nothing that ended past the engine goes unseen.

A history is stored as RFC 8785 JSON of Temporal's own protobuf JSON. That has 64-bit integers as strings already, and
its few numbers (32-bit integers, back-off coefficients) are spelled by the RFC's own rule for numbers: the ledger's
rule against floats holds for what the engine says itself, not for what it quotes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import rfc8785

from workflows.domain.identity import Digest, Instant, Payload

STREAM = "histories"
"""The ledger's chain of what was exported and overridden."""
ALARM_BEFORE = timedelta(days=7)
SHORTEST = timedelta(days=1)
ALARM_SHARE = 4
"""Short retentions: the alarm is a quarter of it before their end."""
OVERLAP = timedelta(hours=1)
"""What visibility may tell late, looked at again in each sweep."""
RELIST_EVERY = timedelta(days=1)
"""How often everything that Temporal still has is looked at again."""
MARGIN = timedelta(days=1)
"""Temporal removes late rather than early: so much further back is looked."""
SLICE = timedelta(hours=6)
NOT_KEPT = "(not kept)"
_PROCESS = re.compile(r"\d+@[\w.-]*")
FAILS_BY_ITSELF = frozenset({"retraining"})
"""Types for which failing is one of their ways to end."""


class RunStatus(StrEnum):
    """How an execution was closed, in Temporal's words."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    TERMINATED = "terminated"
    CONTINUED_AS_NEW = "continued_as_new"
    TIMED_OUT = "timed_out"


class ClosedRun(Payload):
    """One closed execution, as visibility lists it."""

    workflow_id: str
    run_id: str
    type: str
    status: RunStatus
    started_at: Instant
    closed_at: Instant
    events: int = 0


class Override(Payload):
    """Something that happened to an execution and that our code did not do."""

    workflow_id: str
    run_id: str
    type: str
    what: str
    """`terminated`, `canceled`, `failed`, `timed_out` or `reset`."""
    at: Instant
    by: str = ""
    """Whom Temporal names: an authenticated principal, else what the client said of itself; empty when nobody."""
    base_run_id: str = ""
    """Of a reset: the run that it goes on from."""


class Fetched(Payload):
    """A run with its history; None: Temporal has it no more."""

    run: ClosedRun
    body: bytes | None
    """Canonical JSON."""


class SweepPoint(Payload):
    """How far the sweeper is."""

    swept_through: Instant
    """Everything that was closed before is kept, or known to be lost."""
    passed_through: Instant
    """Where the pass is that goes on; one that began again from the start is behind `swept_through` for a while."""
    relisted_at: Instant
    retention_seconds: int

    def past(self, through: datetime) -> "SweepPoint":
        """The pass has come so far."""
        swept = max(self.swept_through, through)
        return self.model_copy(update={"passed_through": through, "swept_through": swept})


class Swept(Payload):
    """What one bounded round of the sweeper came to."""

    exported: int = 0
    lost: int = 0
    overridden: int = 0
    done: bool = True
    """False: there is more, and the next round goes on."""

    def and_then(self, later: "Swept") -> "Swept":
        """Both rounds together."""
        return Swept(
            exported=self.exported + later.exported, lost=self.lost + later.lost,
            overridden=self.overridden + later.overridden, done=later.done,
        )  # fmt: skip


class Room(Payload):
    """How long it is until retention removes the oldest history that is not known to be kept."""

    seconds: int
    alarm: bool


class KeptHistory(Payload):
    """A kept history, as replay and packs read it. `body` is None where it was lost."""

    run: ClosedRun
    sha256: Digest | None
    body: bytes | None
    damage: str = ""
    """Why the bytes cannot be read, if they cannot."""


class ClosedRuns(Protocol):
    """Where executions are listed and read: Temporal."""

    async def retention(self) -> timedelta:
        """How long the namespace keeps what is closed."""
        ...

    async def closed(self, after: datetime, through: datetime, page: str) -> tuple[Sequence[ClosedRun], str]:
        """A page of our executions closed in (after, through], newest first; and the next page's name, empty at the
        end. The first page's is empty."""
        ...

    async def history(self, run: ClosedRun) -> bytes | None:
        """Its canonical history; None when it is gone."""
        ...

    async def started_again(self, after: datetime, known: "Histories") -> Sequence[Override]:
        """Executions started since, still open, that are resets of earlier ones."""
        ...


class Histories(Protocol):
    """Where histories are kept: Postgres."""

    async def point(self) -> SweepPoint | None:
        """How far the sweeper is; None before its first round."""
        ...

    async def move(self, point: SweepPoint) -> None:
        """Note how far it is."""
        ...

    async def unknown(self, runs: Sequence[ClosedRun]) -> list[ClosedRun]:
        """Those that are neither kept nor known to be lost, oldest first."""
        ...

    async def seen_before(self, workflow_ids: Sequence[str]) -> frozenset[str]:
        """Those of which an earlier execution is kept."""
        ...

    async def keep(self, batch: Sequence[Fetched], overrides: Sequence[Override]) -> Swept:
        """Keep them and say so in the ledger, in one transaction; what is there already changes nothing."""
        ...


def canonical_history(document: Mapping[str, Any]) -> bytes:
    """RFC 8785 bytes of a history's protobuf JSON; what its clients call themselves is kept as `client_of` says."""
    return rfc8785.dumps(_nameless(dict(document)))


def client_of(identity: str) -> str:
    """What a client of Temporal says of itself, without the account that it names.

    A process number and a host (`7@host`, as the SDKs say) stay. Command line and web page name whoever uses them
    (`temporal-cli:user@host`, an e-mail address): nobody proves that, and what is kept for good is no place for it.
    """
    if not identity or _PROCESS.fullmatch(identity):
        return identity[:200]
    program, colon, _ = identity.partition(":")
    return f"{program[:100]}:{NOT_KEPT}" if colon and "@" not in program else NOT_KEPT


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: client_of(one) if key == "identity" and isinstance(one, str) else _nameless(one)
            for key, one in value.items()
        }
    return [_nameless(one) for one in value] if isinstance(value, list) else value


def first_instant(point: SweepPoint | None, now: datetime, retention: timedelta) -> SweepPoint:
    """Where this sweep begins: at the last one's end, or, daily, at the beginning of what Temporal may still have."""
    horizon = now - retention - MARGIN
    seconds = int(retention.total_seconds())
    swept = max(horizon, point.swept_through) if point else horizon
    if point is None or now - point.relisted_at >= RELIST_EVERY:
        passed, relisted = horizon, now
    else:
        passed, relisted = max(horizon, point.passed_through), point.relisted_at
    return SweepPoint(swept_through=swept, passed_through=passed, relisted_at=relisted, retention_seconds=seconds)


def room(swept_ago: timedelta, retention: timedelta) -> Room:
    """How long the sweeper may still be late. It alarms seven days before the end, or a quarter of a retention that is
    shorter than 28 days. A retention that nobody asked for (0) counts as the shortest that a shared Temporal allows."""
    retention = retention or SHORTEST
    left = retention - swept_ago
    return Room(seconds=int(left.total_seconds()), alarm=left < min(ALARM_BEFORE, retention / ALARM_SHARE))


def overrides_of(fetched: Fetched) -> list[Override]:
    """What was done to a closed execution past the engine: how it was closed, and each reset that made it.

    Our code ends executions by completing them, continues one as new, and lets some types fail; nothing of ours
    terminates, cancels, resets or times an execution out.
    """
    run = fetched.run
    events: Sequence[Mapping[str, Any]] = json.loads(fetched.body)["events"] if fetched.body else ()
    known = {"workflow_id": run.workflow_id, "run_id": run.run_id, "type": run.type}
    found = []
    for event in events:
        told = event.get("workflowTaskFailedEventAttributes", {})
        if told.get("cause", "").endswith("RESET_WORKFLOW") and told.get("newRunId", run.run_id) == run.run_id:
            at, by, base = event["eventTime"], _principal(event), told.get("baseRunId", "")
            found.append(Override(**known, what="reset", at=_instant(at), by=by, base_run_id=base))
    ours = {RunStatus.COMPLETED, RunStatus.CONTINUED_AS_NEW}
    if run.status not in ours and not (run.status is RunStatus.FAILED and run.type in FAILS_BY_ITSELF):
        found.append(Override(**known, what=run.status, at=run.closed_at, by=_who_closed(events)))
    return found


def _who_closed(events: Sequence[Mapping[str, Any]]) -> str:
    for event in reversed(events):
        for name in ("workflowExecutionTerminatedEventAttributes", "workflowExecutionCancelRequestedEventAttributes"):
            if name in event:
                return _principal(event) or client_of(str(event[name].get("identity", "")))
    return ""


def _principal(event: Mapping[str, Any]) -> str:
    """Whom the server authenticated, where it was told to say so."""
    principal = event.get("principal") or {}
    return ":".join(str(principal[key]) for key in ("type", "name") if principal.get(key))[:200]


def _instant(text: str) -> datetime:
    """Temporal tells nanoseconds; an instant here has microseconds."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(rest + '000000')[:6]}+00:00")
