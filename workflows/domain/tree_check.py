"""Recomputes the whole tree and says where leaves, entries, checkpoints and keys do not agree; memory stays bounded."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Digest, Payload
from workflows.domain.ledger import Verification
from workflows.domain.notary import InstalledKey, SignedCheckpoint, VerifierKey, Verify, read_note
from workflows.domain.tree import Frontier, entry_leaf

TOLD = 200
"""Problems that are told one by one; all are counted."""


class LeafSeen(NamedTuple):
    """A leaf beside the entry that it is of."""

    place: int
    stream: str
    seq: int
    hash: Digest
    entry_hash: Digest | None
    """None: there is no such entry."""


class TreeCheck(Payload):
    """What recomputing everything found."""

    chains: Verification
    leaves: int
    checkpoints: int
    keys: int
    without_leaf: int
    """Entries that no checkpoint covers yet."""
    accepted: int = 0
    """Checkpoints over entries whose loss somebody accepted: their roots cannot be recomputed."""
    problems: tuple[str, ...] = ()
    """Of tree, checkpoints and keys, at most `TOLD`."""
    problems_found: int = 0

    @property
    def ok(self) -> bool:
        """Nothing is other than it was written and certified."""
        return self.chains.ok and not self.problems_found


def key_of(keys: Sequence[InstalledKey], number: int) -> InstalledKey | None:
    """The key that was in use for a checkpoint; None where there was none."""
    return next((key for key in reversed(keys) if key.first_checkpoint <= number), None)


def key_problems(keys: Sequence[InstalledKey], verify: Verify) -> list[str]:
    """Why these keys are not one row in which each change was signed by both."""
    found = []
    for old, new in pairwise(keys):
        try:
            signed = _joined(old, new, verify)
        except (InvalidInput, NotBase64, ValueError, AttributeError):
            signed = False
        if not signed:
            found.append(f"the change from key {old.key_id} to key {new.key_id} is not signed by both")
    if keys and keys[0].statement is not None:
        found.append(f"the first key, {keys[0].key_id}, followed one that is not there")
    return found


def _joined(old: InstalledKey, new: InstalledKey, verify: Verify) -> bool:
    said = new.told()
    if (said.get("old_key"), said.get("new_key")) != (old.verifier_key, new.verifier_key):
        return False
    return all(
        verify(VerifierKey.parse(key.verifier_key).public, b64decode(signature or ""), new.statement or b"")
        for key, signature in ((old, new.old_signature), (new, new.new_signature))
    )


class TreeChecking:
    """One pass over leaves and checkpoints, both in their order."""

    def __init__(self, keys: Sequence[InstalledKey], verify: Verify) -> None:
        self._keys, self._verify = keys, verify
        self._frontier = Frontier()
        self._problems: list[str] = []
        self._found = self._checkpoints = self._accepted = 0
        for problem in key_problems(keys, verify):
            self._tell(problem)

    def take(self, leaves: Iterable[LeafSeen], checkpoints: Iterable[SignedCheckpoint]) -> None:
        """Recompute the tree and look at each checkpoint where the tree has its size."""
        rest, last = iter(leaves), 0
        for checkpoint in checkpoints:
            self._checkpoints += 1
            if checkpoint.number != last + 1:
                self._tell(f"checkpoint {last + 1} is missing")
            last = checkpoint.number
            self._signature(checkpoint)
            if checkpoint.size > self._left(checkpoint.number):
                self._accepted += 1
                continue
            self._grow(rest, checkpoint.size)
            self._root(checkpoint)
        self._grow(rest, None)

    def result(self, chains: Verification, without_leaf: int) -> TreeCheck:
        """All that was found, beside what recomputing the chains found."""
        return TreeCheck(
            chains=chains, leaves=self._frontier.size, checkpoints=self._checkpoints, keys=len(self._keys),
            without_leaf=without_leaf, accepted=self._accepted, problems=tuple(self._problems),
            problems_found=self._found,
        )  # fmt: skip

    def _left(self, number: int) -> float:
        """Leaves that accepted losses left of the log that this checkpoint is of."""
        losses = [key.told()["loss"] for key in self._keys if key.begins_a_log() and key.first_checkpoint > number]
        return min((int(loss["leaves"]) for loss in losses), default=float("inf"))

    def _grow(self, leaves: Iterator[LeafSeen], size: int | None) -> None:
        while size is None or self._frontier.size < size:
            leaf = next(leaves, None)
            if leaf is None:
                return
            if leaf.place != self._frontier.size:
                self._tell(f"leaf {self._frontier.size} is missing")
            if leaf.entry_hash is None:
                self._tell(f"entry {leaf.seq} of {leaf.stream}, leaf {leaf.place}, is gone")
            elif leaf.entry_hash != leaf.hash:
                self._tell(f"entry {leaf.seq} of {leaf.stream} was changed after leaf {leaf.place} was made of it")
            self._frontier.append(entry_leaf(leaf.hash))

    def _root(self, checkpoint: SignedCheckpoint) -> None:
        if self._frontier.size != checkpoint.size:
            less = self._frontier.size < checkpoint.size
            self._tell(
                f"checkpoint {checkpoint.number} covers {checkpoint.size:,} entries, "
                + (f"and only {self._frontier.size:,} have a leaf" if less else "fewer than the one before it")
            )
        elif self._frontier.root().hex() != checkpoint.root:
            self._tell(f"checkpoint {checkpoint.number} has another root than its {checkpoint.size:,} leaves give")

    def _signature(self, checkpoint: SignedCheckpoint) -> None:
        key = key_of(self._keys, checkpoint.number)
        try:
            note = read_note(checkpoint.note)
            signed = key is not None and note.signed_by(VerifierKey.parse(key.verifier_key), self._verify)
        except InvalidInput as error:
            self._tell(f"checkpoint {checkpoint.number} cannot be read: {error}")
            return
        if not signed:
            self._tell(f"checkpoint {checkpoint.number} is not signed by the key that was in use then")
        if (note.checkpoint.size, note.checkpoint.root) != (checkpoint.size, checkpoint.root):
            self._tell(f"checkpoint {checkpoint.number} is stored with another size or root than its note has")

    def _tell(self, problem: str) -> None:
        self._found += 1
        if len(self._problems) < TOLD:
            self._problems.append(problem)
