"""The ledger is the append-only record of everything above: one hash chain per stream, canonical bytes only."""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import PrivateAttr

from workflows.domain.identity import Instant, Payload
from workflows.domain.recordable import NotRecordable, entry_bytes

CHAIN_VERSION = b"qm.ledger.v1"
GENESIS = "0" * 64


class EntryType(StrEnum):
    """What an entry tells."""

    EVENTS_ACCEPTED = "events.accepted"
    HISTORY_IMPORTED = "history.imported"
    CATALOG_CHANGED = "catalog.changed"
    POLICY_ADOPTED = "policy.adopted"
    POLICY_PROPOSED = "policy.proposed"
    POLICY_APPROVED = "policy.approved"
    POLICY_REJECTED = "policy.rejected"
    POLICY_REFUSED = "policy.refused"
    HOLDS_RECORDED = "holds.recorded"
    DECISION_PROPOSED = "decision.proposed"
    DECISION_RELEASED = "decision.released"
    DECISION_CLOSED = "decision.closed"
    TASK_OPENED = "task.opened"
    TASK_REMINDED = "task.reminded"
    TASK_ESCALATED = "task.escalated"
    TASK_CLAIMED = "task.claimed"
    TASK_RELEASED_CLAIM = "task.released_claim"
    TASK_SNOOZED = "task.snoozed"
    TASK_WOKEN = "task.woken"
    TASK_COMMENTED = "task.commented"
    TASK_FORWARDED = "task.forwarded"
    TASK_RESCORE_ASKED = "task.rescore_asked"
    TASK_WISH_DROPPED = "task.wish_dropped"
    """Nothing can be proposed from the supplier that a person asked for."""
    SUBSTITUTE_NAMED = "substitute.named"
    VERDICT_RECORDED = "verdict.recorded"
    VERDICT_REFUSED = "verdict.refused"
    VERDICT_SIGNED = "verdict.signed"
    """The first of two signatures."""
    VERDICT_WITHDRAWN = "verdict.withdrawn"
    APPROVAL_VOIDED = "approval.voided"
    LINE_REFUSED = "order.line_refused"
    ORDER_PREPARED = "order.prepared"
    ORDER_SENT = "order.sent"
    ORDER_ANSWERED = "order.answered"
    ORDER_CLOSED = "order.closed"
    OUTCOME_MEASURED = "outcome.measured"
    MODEL_TRAINED = "model.trained"
    MODEL_JUDGED = "model.judged"
    MODEL_PROMOTED = "model.promoted"
    MODEL_ROLLED_BACK = "model.rolled_back"
    DRIFT_ALARMED = "drift.alarmed"
    DRIFT_ENDED = "drift.ended"
    DEAD_LETTER_REDRIVEN = "dead_letter.redriven"
    DEAD_LETTER_REDRIVE_ASKED = "dead_letter.redrive_asked"
    DEAD_LETTER_REDRIVE_CONFIRMED = "dead_letter.redrive_confirmed"
    DEAD_LETTER_REDRIVE_DECLINED = "dead_letter.redrive_declined"
    DEAD_LETTER_REDRIVE_WITHDRAWN = "dead_letter.redrive_withdrawn"
    SENDING_STOPPED = "sending.stopped"
    SENDING_RESUMED = "sending.resumed"
    ORDER_HELD = "order.held"
    ORDER_AWAITS_OPERATOR = "order.awaits_operator"
    ORDER_RETRIED = "order.retried"
    ORDER_ATTENDED = "order.attended"
    DEMAND_DEFINED = "demand.defined"
    DEMAND_ADJUSTED = "demand.adjusted"
    DEMAND_WITHDRAWN = "demand.withdrawn"
    DRIVERS_IMPORTED = "drivers.imported"
    SHELF_SUSPECTED = "shelf.suspected"
    SHELF_SETTLED = "shelf.settled"
    AUDIT_READ = "audit.read"
    EXPORT_MADE = "export.made"
    PERSON_CHANGED = "person.changed"
    ACCESS_REFUSED = "access.refused"
    SESSION_OPENED = "session.opened"
    SESSION_ENDED = "session.ended"
    ORDER_RECEIVED = "order.received"
    """Goods of the order came in."""
    KEY_INSTALLED = "notary.key_installed"
    KEY_ROTATED = "notary.key_rotated"
    HISTORIES_EXPORTED = "history.exported"
    WORKFLOW_OVERRIDDEN = "workflow.overridden"
    """Somebody ended or reset a workflow past the engine."""
    SETTING_CHANGED = "setting.changed"
    SCHEMA_CHANGED = "schema.changed"
    PERSON_ERASED = "person.erased"
    DECISIONS_REPLAYED = "decision.replayed"
    COUNTERFACTUAL_ASKED = "decision.counterfactual"
    RECONCILIATION_REPORTED = "reconciliation.reported"
    """Our orders were compared with a supplier's own list."""
    DIFFERENCE_EXPLAINED = "difference.explained"
    """Somebody said why such a comparison found something."""


class NewEntry(Payload):
    """An entry to append. Its body is held to the rules of `entry_bytes` when it is made.

    Raises:
        NotRecordable: the body keeps one of them not; the message names the entry and the place.
    """

    stream: str
    type: EntryType
    actor: str
    occurred_at: Instant
    body: dict[str, Any]
    _formed: tuple[dict[str, Any], bytes] = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        """Hold the body to the rules."""
        try:
            self._formed = self.body, entry_bytes(self.body)
        except NotRecordable as error:
            raise NotRecordable(f"the ledger cannot take {self.type} of {self.stream[:200]}: {error}") from None

    def body_bytes(self) -> bytes:
        """The canonical bytes that are stored and hashed."""
        body, formed = self._formed
        return formed if body is self.body else entry_bytes(self.body)  # a changed copy has the bytes of its original


class Entry(Payload):
    """A stored entry, as the verifier reads it. `meta` fields are hashed in the order of `chain_hash`."""

    stream: str
    seq: int
    type: str
    actor: str
    occurred_at: str
    recorded_at: str
    body: bytes
    # Hex, if nobody touched them: whoever verifies must be able to read what somebody did.
    body_sha256: str
    prev_hash: str
    hash: str


def chain_hash(entry: Entry) -> str:
    """SHA-256 over length-prefixed fields, so that no two entries share a pre-image. Postgres computes the same."""
    parts = (
        CHAIN_VERSION, entry.stream.encode(), str(entry.seq).encode(), entry.type.encode(), entry.actor.encode(),
        entry.occurred_at.encode(), entry.recorded_at.encode(), entry.prev_hash.encode(), entry.body_sha256.encode(),
    )  # fmt: skip
    return hashlib.sha256(b"".join(str(len(part)).encode() + b":" + part for part in parts)).hexdigest()


class Break(Payload):
    """One place where the ledger is not what was written."""

    stream: str
    seq: int
    problem: str


class Verification(Payload):
    """What `audit verify` found."""

    entries: int
    streams: int
    breaks: tuple[Break, ...]
    leaves: int = 0
    """Entries in the notary's tree."""
    checkpoints: int = 0
    """Signed ones, each compared with the leaves."""
    unsealed: int = 0
    """Entries that have no leaf yet."""
    oldest_unsealed_s: float | None = None
    """Seconds since the oldest of those was recorded."""
    anchored_leaves: int | None = None
    """Compared with what the anchors remember; None: the anchors cannot be seen from here."""
    anchored_checkpoints: int | None = None
    losses: tuple[str, ...] = ()
    """Who accepted that certified entries are gone for good, and why."""

    @property
    def ok(self) -> bool:
        """No break."""
        return not self.breaks


def verify_stream(entries: Iterable[Entry]) -> list[Break]:
    """Check one stream's entries, given in order, once: numbering, body digests, links and hashes."""
    breaks, previous, expected = [], GENESIS, 1
    for entry in entries:
        if entry.seq != expected:
            missing = (
                f"entry {expected} is" if entry.seq == expected + 1 else f"entries {expected} to {entry.seq - 1} are"
            )
            problem = f"{missing} missing" if entry.seq > expected else f"entry {entry.seq} is there twice"
            breaks.append(Break(stream=entry.stream, seq=entry.seq, problem=problem))
        expected = entry.seq + 1
        if hashlib.sha256(entry.body).hexdigest() != entry.body_sha256:
            breaks.append(Break(stream=entry.stream, seq=entry.seq, problem="the body was changed"))
        if entry.prev_hash != previous:
            breaks.append(Break(stream=entry.stream, seq=entry.seq, problem="it does not follow the entry before it"))
        if chain_hash(entry) != entry.hash:
            breaks.append(Break(stream=entry.stream, seq=entry.seq, problem="its hash is not that of its content"))
        previous = entry.hash
    return breaks


def merkle_root(leaves: Iterable[bytes]) -> str:
    """RFC 9162 root (hex) over the leaves: a batch entry carries it, so each item is provable by inclusion."""
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
        level = paired
    return level[0].hex()
