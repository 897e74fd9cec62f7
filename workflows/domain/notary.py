"""The notary certifies what is in the ledger: its words are signed notes that anybody can check without us.

A checkpoint is a C2SP signed note (https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note): the size and root
of the tree over all entries, with the time on the notary's clock and on the database's. Ed25519 signs (RFC 8032).
"""

import base64
import hashlib
import json
from binascii import Error as NotBase64
from collections.abc import Callable
from datetime import datetime
from typing import Any

from workflows.domain.errors import InvalidInput, QuartermasterError
from workflows.domain.identity import Digest, Instant, Payload, canonical, rfc3339

ED25519 = b"\x01"
"""The algorithm's byte in verifier keys and key hashes."""
STREAM = "notary"
"""The ledger's stream that tells of keys."""
ACTOR = "notary"
STATEMENT_FORMAT = "quartermaster.key-rotation.v1"
_DASH = "\u2014"

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, message) -> whether the signature is that key's."""


class NotaryRefuses(QuartermasterError):
    """Nothing is signed, and the message says why. `kind` is the reason's bounded name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class NotaryRuns(QuartermasterError):
    """Another notary works on this ledger, or on this key; two would sign two histories."""


class VerifierKey(Payload):
    """A public key with the name of the log that it signs for."""

    name: str
    public: bytes
    """32 bytes."""

    @property
    def hash(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def key_id(self) -> str:
        """The same in hex."""
        return self.hash.hex()

    @property
    def text(self) -> str:
        """NAME+HASH+BASE64, as signed-note tools take it."""
        return f"{self.name}+{self.key_id}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read `text` back.

        Raises:
            InvalidInput: it is no Ed25519 verifier key.
        """
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            body = base64.b64decode(encoded, validate=True)
        except NotBase64:
            body = b""
        if len(body) != 33 or body[:1] != ED25519 or not name:
            raise InvalidInput(f"{text[:80]!r} is no Ed25519 verifier key (NAME+HASH+BASE64)")
        key = cls(name=name, public=body[1:])
        if key.key_id != key_id:
            raise InvalidInput(f"the verifier key of {name} does not have the hash that it claims")
        return key


class Checkpoint(Payload):
    """What is signed: a tree's size and root, and when."""

    origin: str
    """The log's name; it stays when keys change."""
    size: int
    root: Digest
    time: Instant
    """The notary's clock, never earlier than that of the checkpoint before."""
    ledger_time: Instant
    """The database's clock."""

    def body(self) -> str:
        """The signed text."""
        root = base64.b64encode(bytes.fromhex(self.root)).decode()
        return f"{self.origin}\n{self.size}\n{root}\n{rfc3339(self.time)}\n{rfc3339(self.ledger_time)}\n"

    def note(self, key: VerifierKey, signature: bytes) -> str:
        """The whole note, with this signature over the body (64 bytes)."""
        signed = base64.b64encode(key.hash + signature).decode()
        return f"{self.body()}\n{_DASH} {key.name} {signed}\n"


class Note(Payload):
    """A note as it was read: the checkpoint, and who claims to have signed it."""

    checkpoint: Checkpoint
    body: str
    signatures: tuple[tuple[str, bytes, bytes], ...]
    """(name, key hash, signature)."""

    def signed_by(self, key: VerifierKey, verify: Verify) -> bool:
        """Whether this key signed it."""
        return any(
            name == key.name and known == key.hash and verify(key.public, signature, self.body.encode())
            for name, known, signature in self.signatures
        )


def read_note(text: str) -> Note:
    """Read a checkpoint's note; what its signatures are worth is another question.

    Raises:
        InvalidInput: it is no such note.
    """
    body, blank, ends = text.rpartition("\n\n")
    lines = body.split("\n")
    try:
        if not blank or len(lines) < 5 or not text.endswith("\n") or not lines[1].isdecimal():
            raise ValueError("it has not the lines of a checkpoint")
        checkpoint = Checkpoint(
            origin=lines[0], size=int(lines[1]), root=base64.b64decode(lines[2], validate=True).hex(),
            time=datetime.fromisoformat(lines[3]), ledger_time=datetime.fromisoformat(lines[4]),
        )  # fmt: skip
        signatures = []
        for line in ends.splitlines():
            dash, name, encoded = line.split(" ")
            signed = base64.b64decode(encoded, validate=True)
            if dash != _DASH:
                raise ValueError("a signature's line begins with a dash")
            signatures.append((name, signed[:4], signed[4:]))
    except ValueError as error:
        raise InvalidInput(f"this is no signed checkpoint: {error}") from None
    return Note(checkpoint=checkpoint, body=body + "\n", signatures=tuple(signatures))


class SignedCheckpoint(Payload):
    """A checkpoint as it is stored."""

    number: int
    size: int
    root: Digest
    signed_at: Instant
    key_id: str
    note: str
    frontier: tuple[Digest, ...] = ()
    """Roots of the tree's perfect subtrees, left to right."""
    horizon: int = 0
    """Every entry of a transaction below this number is in the tree."""


class InstalledKey(Payload):
    """A key that signs or has signed."""

    key_id: str
    verifier_key: str
    first_checkpoint: int
    installed_at: Instant
    statement: bytes | None = None
    """None for the first key; else what both keys signed."""
    old_signature: str | None = None
    new_signature: str | None = None

    def told(self) -> dict[str, Any]:
        """The statement, read; empty for the first key."""
        return dict(json.loads(self.statement)) if self.statement else {}

    def actor(self) -> str:
        """Who asked for it."""
        return str(self.told().get("actor", ACTOR))

    def begins_a_log(self) -> bool:
        """Whether a loss was accepted with it: checkpoints of before have another origin and may cover more."""
        return "loss" in self.told()

    def line(self) -> dict[str, Any]:
        """What anchors keep of it."""
        told = {"key": self.verifier_key, "first_checkpoint": self.first_checkpoint}
        if self.statement is None:
            return {**told, "installed_at": rfc3339(self.installed_at)}
        return {
            **told, "statement": self.statement.decode(), "old_signature": self.old_signature,
            "new_signature": self.new_signature,
        }  # fmt: skip


def statement_of(
    old: VerifierKey, new: VerifierKey, before: SignedCheckpoint | None, *, actor: str, reason: str, time: datetime,
    loss: dict[str, Any] | None = None,
) -> bytes:  # fmt: skip
    """What both keys sign when one follows the other: canonical JSON. `before` is the last checkpoint that stands.

    With `loss`, the new key begins a log of its own (another name): the older one cannot be gone on with, because its
    signed checkpoints cover entries that are no longer there.
    """
    told: dict[str, Any] = {
        "format": STATEMENT_FORMAT, "old_key": old.text, "new_key": new.text, "actor": actor, "reason": reason,
        "first_checkpoint": before.number + 1 if before else 1, "size": before.size if before else 0,
        "root": before.root if before else None, "time": rfc3339(time),
    }  # fmt: skip
    return canonical(told if loss is None else {**told, "loss": loss})


class Leaf(Payload):
    """An entry's place in the tree, and enough of the entry to say later which one was changed, and how."""

    index: int
    stream: str
    seq: int
    type: str
    actor: str
    occurred_at: str
    recorded_at: str
    body_sha256: Digest
    hash: Digest

    def line(self) -> dict[str, Any]:
        """What anchors keep of it."""
        return {"leaf": list(self.model_dump().values())}


class State(Payload):
    """What the notary remembers outside of the database: the last checkpoint that it signed."""

    origin: str
    number: int
    size: int
    root: Digest
    note: str
    posted: int = 0
    """The newest checkpoint that the URL anchor took."""


class Standing(Payload):
    """Where an anchor stands."""

    next_leaf: int = 0
    """The first leaf that it does not have."""
    notes: tuple[str, ...] = ()
    """Its newest checkpoints, oldest first."""
    recent: tuple[tuple[int, str, int, str], ...] = ()
    """(index, stream, seq, hash) of its newest leaves, oldest first."""
    empty: bool = True


class Waiting(Payload):
    """Entries that have no leaf yet."""

    entries: int
    oldest_seconds: float | None = None
