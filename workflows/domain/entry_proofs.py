"""A proof about one entry is checked step by step, each told in words, and can be checked again elsewhere."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Digest, Payload
from workflows.domain.ledger import GENESIS, Entry, chain_hash
from workflows.domain.notary import InstalledKey, VerifierKey, Verify, read_note
from workflows.domain.proofs import Inclusion
from workflows.domain.tree import entry_leaf

FORMAT = "quartermaster.entry-proof.v1"


class EntryText(Payload):
    """An entry with its body as it is hashed."""

    stream: str
    seq: int
    type: str
    actor: str
    occurred_at: str
    recorded_at: str
    body: str | None
    """RFC 8785 JSON; null where the bytes are no text."""
    body_base64: str | None = None
    body_sha256: Digest
    prev_hash: Digest
    hash: Digest

    @classmethod
    def of(cls, entry: Entry) -> "EntryText":
        """The entry as it is stored."""
        told: dict[str, Any] = {name: value for name, value in dict(entry).items() if name != "body"}
        try:
            return cls(**told, body=entry.body.decode())
        except UnicodeDecodeError:
            return cls(**told, body=None, body_base64=b64encode(entry.body).decode())


class ProofStep(Payload):
    """One thing that was checked."""

    what: str
    ok: bool
    says: str


class EntryProof(Payload):
    """An entry, its leaf, the path from there to a signed root, and what checking all of it found."""

    format: str = FORMAT
    entry: EntryText
    leaf_index: int
    leaf_hash: Digest
    """SHA-256(0x00 || the entry's hash): RFC 9162."""
    path: tuple[Digest, ...]
    """Hashes of the subtrees beside the way up, lowest first."""
    checkpoint_number: int
    tree_size: int
    root: Digest
    note: str
    """The signed note over this size and root."""
    keys: tuple[dict[str, Any], ...]
    """Every key of the notary, oldest first, with the statements of their changes."""
    steps: tuple[ProofStep, ...]

    @property
    def holds(self) -> bool:
        """Every step is right."""
        return all(step.ok for step in self.steps)


def checked(
    entry: Entry, before: str | None, found: Inclusion, keys: Sequence[InstalledKey], verify: Verify
) -> EntryProof:
    """The proof with its steps. `before` is the stored hash of the entry before this one in its chain."""
    signed = found.checkpoint
    steps = (*_of_entry(entry, before), *_of_tree(entry, found), *_of_signature(found, keys, verify))
    return EntryProof(
        entry=EntryText.of(entry), leaf_index=found.index, leaf_hash=entry_leaf(found.hash).hex(), path=found.proof,
        checkpoint_number=signed.number, tree_size=signed.size, root=signed.root, note=signed.note,
        keys=tuple(key.line() for key in keys), steps=steps,
    )  # fmt: skip


def _of_entry(entry: Entry, before: str | None) -> tuple[ProofStep, ...]:
    same = hashlib.sha256(entry.body).hexdigest() == entry.body_sha256 and chain_hash(entry) == entry.hash
    follows = entry.prev_hash == (GENESIS if entry.seq == 1 else before)
    place = "It begins its chain" if entry.seq == 1 else f"It names the hash of entry {entry.seq - 1} of its chain"
    return (
        ProofStep(
            what="The entry is what was hashed", ok=same,
            says="Its hash was recomputed from its content just now and is the stored one." if same
            else "Its content was changed: another hash comes out than the stored one.",
        ),
        ProofStep(
            what="It follows the entry before it", ok=follows,
            says=f"{place}." if follows else "The entry before it is another one, or is missing.",
        ),
    )  # fmt: skip


def _of_tree(entry: Entry, found: Inclusion) -> tuple[ProofStep, ...]:
    own = found.hash == entry.hash
    try:
        leads = found.holds()
    except InvalidInput:
        leads = False
    steps = len(found.proof)
    return (
        ProofStep(
            what="Its leaf is its own", ok=own,
            says=f"Leaf {found.index:,} of the tree was made from this hash." if own
            else f"Leaf {found.index:,} was made from the hash {found.hash}: the entry was changed after that.",
        ),
        ProofStep(
            what="The leaf leads to the signed root", ok=leads,
            says=f"{steps} hash{'es' if steps != 1 else ''} lead from it to the root over "
            f"{found.checkpoint.size:,} entries that the note has." if leads
            else "The path leads to another root than the note has.",
        ),
    )  # fmt: skip


def _of_signature(
    found: Inclusion, keys: Sequence[InstalledKey], verify: Verify
) -> tuple[ProofStep, ...]:  # fmt: skip
    checkpoint = found.checkpoint
    key = next((one for one in reversed(keys) if one.first_checkpoint <= checkpoint.number), None)
    try:
        signed = key is not None and read_note(checkpoint.note).signed_by(VerifierKey.parse(key.verifier_key), verify)
    except InvalidInput:
        signed = False
    joined = key_problems(keys, verify)
    changes = len(keys) - 1
    return (
        ProofStep(
            what="The notary signed that root", ok=signed,
            says=f"Checkpoint {checkpoint.number:,} has an Ed25519 signature of the key {checkpoint.key_id}, which "
            "was in use then." if signed
            else f"Checkpoint {checkpoint.number:,} is not signed by the key that was in use then.",
        ),
        ProofStep(
            what="The key is the notary's", ok=not joined,
            says="; ".join(joined) if joined
            else "It is the first key of this record: compare it with the one that you wrote down." if not changes
            else f"Every change of keys ({changes}) was signed by the old and the new one: compare the first with the "
            "one that you wrote down.",
        ),
    )  # fmt: skip


def key_problems(keys: Sequence[InstalledKey], verify: Verify) -> list[str]:
    """Why these keys are not one row in which each change was signed by the key before and the one after."""
    found = []
    for at, key in enumerate(keys):
        before = {one.verifier_key for one in keys[:at]}
        if (at or key.statement is not None) and not _follows(key, before, verify):
            found.append(f"no statement that the key before it signed says that key {key.key_id} follows")
    return found


def _follows(key: InstalledKey, before: set[str], verify: Verify) -> bool:
    try:
        said, statement = key.told(), key.statement or b""
        old, new = VerifierKey.parse(str(said.get("old_key"))), VerifierKey.parse(key.verifier_key)
        signed = verify(old.public, b64decode(key.old_signature or ""), statement) and verify(
            new.public, b64decode(key.new_signature or ""), statement
        )
    except (InvalidInput, ValueError, AttributeError):
        return False
    # After an accepted loss the key before may be lost as well: the statement that it signed is all there is of it.
    known = old.text in before or key.begins_a_log()
    return signed and known and (said.get("new_key"), said.get("first_checkpoint")) == (new.text, key.first_checkpoint)
