"""What auditors ask for beside entries: the state of the record, proofs, decisions made again, copies and reviews."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple, Protocol

from workflows.domain.access_review import AccessReview
from workflows.domain.approvals import Actor
from workflows.domain.controls import Controls
from workflows.domain.entry_proofs import EntryProof
from workflows.domain.identity import Digest, Instant, Payload
from workflows.domain.notary import SignedCheckpoint, Waiting
from workflows.domain.packs import PackRequest
from workflows.domain.population import PopulationFormat, Wanted
from workflows.domain.proofs import Alarm
from workflows.domain.remaking import Remade

Place = tuple[str, int]
"""An entry by its chain and its number there."""


class CheckpointTold(Payload):
    """A signed checkpoint, as readers are told of it."""

    number: int
    size: int
    """Entries under it."""
    root: Digest
    signed_at: Instant
    key_id: str
    note: str
    """The whole signed note (C2SP)."""

    @classmethod
    def of(cls, found: SignedCheckpoint) -> "CheckpointTold":
        """The part of a stored checkpoint that means something outside of the notary."""
        return cls.model_validate(found.model_dump(include=set(cls.model_fields)))


class KeyTold(Payload):
    """A key of the notary."""

    verifier_key: str
    first_checkpoint: int
    """The first that it signed."""
    installed_at: Instant


class AnchorTold(Payload):
    """A place outside of the database to which checkpoints go."""

    where: str
    has_newest: bool | None
    """Whether the newest checkpoint is there; null: it cannot be seen from here."""
    says: str


class RecordState(Payload):
    """How far the record is certified, and who could tell if it were changed."""

    at: Instant
    """The database's clock."""
    checkpoint: CheckpointTold | None
    """The newest; null: no notary has signed anything yet."""
    age_seconds: float | None
    """Since it was signed."""
    waiting: Waiting
    alarms: tuple[Alarm, ...]
    keys: tuple[KeyTold, ...]
    """Oldest first."""
    anchors: tuple[AnchorTold, ...]


class Certified(NamedTuple):
    """Which entries are under a signed checkpoint."""

    size: int
    """Leaves under the newest checkpoint."""
    leaves: Mapping[Place, int]
    """The leaf of each entry that has one."""

    def covers(self, stream: str, seq: int) -> bool:
        """Whether a signed checkpoint is over this entry."""
        leaf = self.leaves.get((stream, seq))
        return leaf is not None and leaf < self.size


class RecordDesk(Protocol):
    """The record as the notary certified it. Whoever asks for more than its state is noted in it."""

    async def state(self) -> RecordState:
        """How far it is."""
        ...

    async def certified(self, entries: Sequence[Place]) -> Certified:
        """Where these entries stand in the tree."""
        ...

    async def proof(self, stream: str, seq: int, actor: Actor) -> EntryProof:
        """The proof that one entry is under the newest checkpoint, and what checking it found.

        Raises:
            NotFound: there is no such entry.
            Conflict: it waits for the next checkpoint.
        """
        ...


class DecisionReplays(Protocol):
    """Makes one recorded decision again from the ledger and the evidence alone."""

    async def remade(self, decision_id: str, actor: Actor) -> Sequence[Remade]:
        """Every revision of it, oldest first; that it was asked is recorded.

        Raises:
            NotFound: the ledger records no such decision.
            InvalidInput: it would take longer than a page waits.
            Conflict: another one is being made again.
        """
        ...


class MadeFile(NamedTuple):
    """A file that was made for somebody and lies on this machine until it was sent."""

    path: Path
    name: str
    sha256: Digest
    """Of its bytes; the ledger has it too."""
    size: int


class RecordCopies(Protocol):
    """Files that auditors take along. Each is recorded before it is given, and bounded in size."""

    async def pack(self, request: PackRequest, actor: Actor) -> MadeFile:
        """An evidence pack (docs/audit.md), a zip.

        Raises:
            NotFound: there is no such decision.
            InvalidInput: nothing was recorded then, or it would be larger than is made here.
            Conflict: another one is being made.
        """
        ...

    async def population(self, wanted: Wanted, form: PopulationFormat, actor: Actor) -> MadeFile:
        """Every item of a period with its proof, in a zip of two files.

        Raises:
            InvalidInput: it would be larger than is made here.
            Conflict: another one is being made.
        """
        ...


class RecordReviews(Protocol):
    """Who could do what, who did, and what was kept from happening, from the ledger alone."""

    async def review(self, on: date, since: date, actor: Actor) -> AccessReview:
        """Rights at the end of the day `on`, and answers from `since` to then."""
        ...

    async def controls(self, since: date, until: date, actor: Actor) -> Controls:
        """What was kept from happening on these days."""
        ...
