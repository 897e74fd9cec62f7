"""What an auditor asks of the ledger, and what the ledger answers; every answer that was read is itself an entry."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Protocol

from pydantic import Field, StringConstraints, model_validator

from workflows.domain.approvals import STORABLE, Actor
from workflows.domain.identity import Digest, Instant, Payload
from workflows.domain.ledger import Break, EntryType, Verification

SUBJECTS = 2_000
"""Decisions whose chains a search by item, location or model looks at: the newest."""
EXPORT_LINES = 10_000
"""Entries in one export; a larger one is asked for in parts, by date."""

Word = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True, pattern=STORABLE)]


class Question(Payload):
    """What is looked for. Everything that is given must hold; nothing given means everything, newest first."""

    subject: Word = ""
    """A decision, a purchase order (our id or the supplier's number), or any chain by its name."""
    item: Word = ""
    location: Word = ""
    person: Word = ""
    model: Word = ""
    """The digest of a model version, or its beginning (8 characters at least)."""
    types: tuple[EntryType, ...] = Field(default=(), max_length=20)
    first_day: date | None = None
    last_day: date | None = None
    """Inclusive; days on which the entries were recorded, in UTC."""

    @model_validator(mode="after")
    def _answerable(self) -> "Question":
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ValueError("the last day lies before the first")
        if self.model and len(self.model) < 8:
            raise ValueError("of a model give at least 8 characters of its digest")
        return self


class LedgerLine(Payload):
    """One entry with its content read."""

    stream: str
    seq: int
    type: str
    actor: str
    occurred_at: str
    """When it happened, on the business clock where there is one."""
    recorded_at: str
    """When the database wrote it."""
    body: dict[str, Any]
    body_sha256: Digest
    prev_hash: Digest
    hash: Digest


class Found(Payload):
    """One page of an answer."""

    lines: tuple[LedgerLine, ...]
    after: str | None = None
    """Where the next page begins; None: this is the last one."""
    capped: bool = False
    """There are more subjects than a search looks at: narrow it by date, location or item."""


class Chain(Payload):
    """One chain, whole, with what recomputing it found."""

    stream: str
    lines: tuple[LedgerLine, ...]
    breaks: tuple[Break, ...]
    truncated: bool = False
    """There are more entries than one page shows; those shown were verified."""


class Export(Payload):
    """Entries for somebody outside: what was asked, by whom, when, the entries, and a signature over all of it."""

    format: str = "quartermaster.ledger-export.v1"
    question: Question
    exported_by: str
    exported_at: Instant
    lines: tuple[LedgerLine, ...]
    capped: bool
    """True: not everything that was asked for is in it."""


class SignedExport(Payload):
    """The export with an Ed25519 signature (RFC 8032) over its canonical JSON (RFC 8785)."""

    export: Export
    sha256: Digest
    public_key: str
    """Raw 32 bytes, base64."""
    signature: str
    """64 bytes, base64."""


class Signer(Protocol):
    """Signs what leaves the house."""

    public_key: str
    """Raw Ed25519 public key, base64."""

    def sign(self, message: bytes) -> str:
        """The signature, base64."""
        ...


class AuditTrail(Protocol):
    """The ledger as auditors read it. Who reads is part of each call, because the reading is recorded."""

    async def search(self, question: Question, actor: Actor, *, limit: int = 100, after: str | None = None) -> Found:
        """Entries, newest first.

        Raises:
            InvalidInput: `after` is not what a page said.
        """
        ...

    async def chain(self, stream: str, actor: Actor) -> Chain:
        """One chain, oldest entry first, verified.

        Raises:
            NotFound: there is no such chain.
        """
        ...

    async def verify(self, actor: Actor) -> Verification:
        """Recompute every chain. Takes about a second for 100,000 entries."""
        ...

    async def export(self, question: Question, actor: Actor) -> tuple[Sequence[LedgerLine], bool]:
        """At most `EXPORT_LINES` entries, oldest first, and whether there were more."""
        ...
