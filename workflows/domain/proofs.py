"""Proofs are what readers ask the tree for: that an entry is in it, and that it only ever grew."""

from collections.abc import Sequence
from typing import Protocol

from workflows.domain.identity import Digest, Payload
from workflows.domain.notary import InstalledKey, SignedCheckpoint, Waiting, read_note
from workflows.domain.tree import entry_leaf, is_consistent, is_included


class Inclusion(Payload):
    """An entry's place in the tree, and the proof that leads from it to a checkpoint's root."""

    stream: str
    seq: int
    hash: Digest
    """The entry's chain hash."""
    index: int
    proof: tuple[Digest, ...]
    checkpoint: SignedCheckpoint

    def holds(self) -> bool:
        """Whether it leads to the root that is in the signed note. Whose signature that is, is another question."""
        signed = read_note(self.checkpoint.note).checkpoint
        path = [bytes.fromhex(one) for one in self.proof]
        return is_included(entry_leaf(self.hash), self.index, signed.size, path, bytes.fromhex(signed.root))


class Consistency(Payload):
    """The proof that a tree begins with an older one."""

    old_size: int
    new_size: int
    proof: tuple[Digest, ...]

    def holds(self, old_root: Digest, new_root: Digest) -> bool:
        """Whether it does, for these two roots."""
        path = [bytes.fromhex(one) for one in self.proof]
        return is_consistent(self.old_size, self.new_size, bytes.fromhex(old_root), bytes.fromhex(new_root), path)


class Alarm(Payload):
    """Something that the notary refuses to go on with, or warns of, and that is not over."""

    kind: str
    detail: str
    seconds: float
    """For how long."""

    @property
    def only_warns(self) -> bool:
        """The notary signs on."""
        return self.kind in ("clock", "anchor_url")


class LedgerProofs(Protocol):
    """What the notary certified, for whoever reads."""

    async def keys(self) -> list[InstalledKey]:
        """The notary's keys, oldest first."""
        ...

    async def checkpoints(self, after: int = 0, limit: int = 1000) -> list[SignedCheckpoint]:
        """Checkpoints with a number above `after`, oldest first."""
        ...

    async def latest(self) -> SignedCheckpoint | None:
        """The newest one."""
        ...

    async def inclusion(self, stream: str, seq: int) -> Inclusion:
        """The proof that an entry is in the newest checkpoint.

        Raises:
            NotFound: there is no such entry.
            Conflict: it waits for the next checkpoint.
        """
        ...

    async def inclusions(self, entries: Sequence[tuple[str, int]]) -> list[Inclusion]:
        """The same for many (stream, seq), in one look at one checkpoint.

        Raises:
            NotFound, Conflict: as above, for the first that has none.
        """
        ...

    async def consistency(self, old_size: int, new_size: int) -> Consistency:
        """The proof that the tree of `new_size` leaves begins with that of `old_size`.

        Raises:
            InvalidInput: the sizes are not 0 < old <= new <= the leaves there are.
        """
        ...

    async def waiting(self) -> Waiting:
        """Entries that have no leaf yet, and how long (by the database's clock) the oldest of them waits."""
        ...

    async def alarms(self) -> list[Alarm]:
        """What the notary refuses or warns of now, oldest first."""
        ...
