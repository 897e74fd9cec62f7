"""An evidence pack is a copy of the record that an auditor takes along: what is in it, and what it says of itself.

The offline verifier (deploy/verify.py) reads it and shares no code with this project; docs/audit.md has the format.
"""

from datetime import date
from enum import StrEnum

from pydantic import model_validator

from workflows.domain.identity import Digest, Payload

FORMAT = "quartermaster-evidence-pack-1"
MANIFEST, README = "manifest.json", "README.txt"
ENTRIES, LEAVES, CHECKPOINTS = "ledger/entries.jsonl", "ledger/leaves.jsonl", "ledger/checkpoints.jsonl"
KEYS, PROOFS, INDEX = "ledger/keys.jsonl", "ledger/proofs.jsonl", "evidence/index.jsonl"
EVIDENCE, ANCHORS = "evidence/", "anchors/"


class ScopeKind(StrEnum):
    """What a pack is about."""

    EVERYTHING = "everything"
    PERIOD = "period"
    DECISION = "decision"


class PackRequest(Payload):
    """What an auditor asks for: one decision, or the days in which entries were recorded (UTC), or everything."""

    decision: str | None = None
    since: date | None = None
    until: date | None = None
    """The last day, inclusive."""
    models: bool = True
    """With the bytes of the models that decided."""

    @model_validator(mode="after")
    def _one_scope(self) -> "PackRequest":
        if self.decision is not None and (self.since or self.until):
            raise ValueError("a pack is about one decision or about a period, not both")
        if (self.since is None) != (self.until is None):
            raise ValueError("a period has a first and a last day")
        if self.since and self.until and self.since > self.until:
            raise ValueError("the period ends before it begins")
        return self

    @property
    def kind(self) -> ScopeKind:
        """Which of the three."""
        if self.decision is not None:
            return ScopeKind.DECISION
        return ScopeKind.PERIOD if self.since else ScopeKind.EVERYTHING


class Scope(Payload):
    """What a pack says it is about."""

    kind: ScopeKind
    decision: str | None = None
    since: str | None = None
    """RFC 3339; the period's first instant."""
    until: str | None = None
    """The first instant after it."""
    whole: tuple[str, ...] = ()
    """Of one decision: chains that are complete. Of the others only some entries are there."""


class LeafRange(Payload):
    """The part of the tree whose entries are all in the pack."""

    size: int
    """Leaves of the whole tree."""
    first: int
    end: int


class Counts(Payload):
    """How much of everything."""

    entries: int
    chains: int
    leaves: int
    checkpoints: int
    keys: int
    evidence: int
    evidence_bytes: int
    evidence_absent: int
    """Named by what is in the pack, and not there."""


class Manifest(Payload):
    """The pack's own account of itself; the verifier believes none of it that can be checked."""

    format: str = FORMAT
    release: str
    made_by: str
    made_at: str
    """The database's clock, at the instant whose record this is."""
    scope: Scope
    leaves: LeafRange
    root: Digest | None
    """Of the newest checkpoint."""
    counts: Counts
    models: bool


class PackMade(Payload):
    """What came of it."""

    path: str
    sha256: Digest
    size: int
    manifest: Manifest


README_TEXT = """\
An evidence pack of Quartermaster
=================================

Check it, offline and without our code, with the verifier that you got from elsewhere (one file, Python 3.11 or newer,
and the package `cryptography`):

    python verify.py THIS_FILE --anchor FOLDER_OF_ANCHORS --erp THE_SUPPLIERS_ORDERS

An anchor is what the notary left on another disk or host: without one, somebody who holds both the database and the
notary's key may have written everything anew, and nobody sees what was cut off the end.

manifest.json              what this pack is about, how much it holds, when and by whom it was made
ledger/entries.jsonl       entries of the ledger, chain by chain; `body` is the text (RFC 8785 JSON) that is hashed
ledger/leaves.jsonl        [index, stream, seq, hash]: the Merkle tree (RFC 9162) over all entries; hash is the entry's
ledger/checkpoints.jsonl   signed notes (C2SP): size and root of the tree, every minute
ledger/keys.jsonl          the notary's public keys; each but the first with a statement that both keys signed
ledger/proofs.jsonl        a pack of one decision: the path of each entry to the newest root, instead of the tree
evidence/SHA256            what decisions rest on, each object under the SHA-256 of its bytes: inputs, what was scored,
                           policy, model, lists behind batches
evidence/index.jsonl       what each object is, and which ones could not be found or read
anchors/                   what we know of the anchors: for information; get your own copy

An entry's hash is SHA-256 over its fields, each as LENGTH:BYTES, in this order: qm.ledger.v1, stream, seq, type, actor,
occurred_at, recorded_at, prev_hash, body_sha256.
"""
