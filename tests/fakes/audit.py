"""The ledger in memory, with real chains, for the audit pages and the REST API over them."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from workflows.domain.approvals import Actor
from workflows.domain.audit import Chain, Found, LedgerLine, Question
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.identity import canonical, rfc3339
from workflows.domain.ledger import GENESIS, Entry, EntryType, Verification, chain_hash, verify_stream


class MemoryAudit:
    """`AuditTrail` over entries that a test appends."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.read: list[tuple[str, str]] = []
        self._now = datetime(2025, 3, 4, 9, tzinfo=UTC)

    def append(self, stream: str, kind: EntryType, actor: str, body: dict[str, Any]) -> None:
        """One more entry, chained as Postgres would."""
        self._now += timedelta(seconds=7)
        before = [entry for entry in self.entries if entry.stream == stream]
        text = canonical(body)
        draft = Entry(
            stream=stream, seq=len(before) + 1, type=kind, actor=actor, occurred_at=rfc3339(self._now),
            recorded_at=rfc3339(self._now), body=text, body_sha256=hashlib.sha256(text).hexdigest(),
            prev_hash=before[-1].hash if before else GENESIS, hash=GENESIS,
        )  # fmt: skip
        self.entries.append(draft.model_copy(update={"hash": chain_hash(draft)}))

    async def search(self, question: Question, actor: Actor, *, limit: int = 100, after: str | None = None) -> Found:
        self.read.append((actor.name, "search"))
        if after is not None and not after.isdecimal():
            raise InvalidInput("`after` is not a place that a page of this search gave")
        found = [entry for entry in reversed(self.entries) if _answers(entry, question)]
        start = int(after or 0)
        more = str(start + limit) if len(found) > start + limit else None
        return Found(lines=tuple(_line(entry) for entry in found[start : start + limit]), after=more)

    async def chain(self, stream: str, actor: Actor) -> Chain:
        self.read.append((actor.name, "chain"))
        own = [entry for entry in self.entries if entry.stream == stream]
        if not own:
            raise NotFound(f"the ledger has no chain {stream}")
        return Chain(stream=stream, lines=tuple(_line(entry) for entry in own), breaks=tuple(verify_stream(own)))

    async def verify(self, actor: Actor) -> Verification:
        self.read.append((actor.name, "verify"))
        streams = sorted({entry.stream for entry in self.entries})
        breaks = [one for name in streams for one in verify_stream(e for e in self.entries if e.stream == name)]
        return Verification(entries=len(self.entries), streams=len(streams), breaks=tuple(breaks))

    async def export(self, question: Question, actor: Actor) -> tuple[list[LedgerLine], bool]:
        self.read.append((actor.name, "export"))
        return [_line(entry) for entry in self.entries if _answers(entry, question)], False


def _answers(entry: Entry, question: Question) -> bool:
    subject = question.subject in ("", entry.stream, entry.stream.removeprefix("order:"))
    person = question.person in ("", entry.actor)
    return subject and person and (not question.types or entry.type in question.types)


def _line(entry: Entry) -> LedgerLine:
    return LedgerLine.model_validate({**dict(entry), "body": json.loads(entry.body)})


def some_ledger() -> MemoryAudit:
    """A decision from proposal to order, a refused attempt, and a policy change."""
    audit = MemoryAudit()
    decision = "LEEDS:OAT-1L:1"
    audit.append(decision, EntryType.DECISION_PROPOSED, "engine", {"units": 492, "supplier": "NORTHMILL"})
    audit.append(decision, EntryType.TASK_OPENED, "engine", {"rules": ["value_above_limit"]})
    audit.append(decision, EntryType.VERDICT_REFUSED, "Grace", {"refused": "StaleProposal", "meaning": "approve"})
    audit.append(decision, EntryType.VERDICT_RECORDED, "Ada", {"meaning": "approve", "comment_sha256": None})
    audit.append("order:NORTHMILL:LEEDS:2025-03-05:1", EntryType.ORDER_SENT, "engine", {"attempt": 1})
    audit.append("policy", EntryType.POLICY_APPROVED, "Grace", {"number": 2, "reason": "spring limits"})
    return audit
