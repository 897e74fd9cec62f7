"""The record's tree, copies and reviews in memory: real hashes, proofs and signatures over invented entries."""

import hashlib
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from connectors.signing import SEED_BYTES, NoteSigner, verify
from tests.fakes.audit import MemoryAudit
from tests.fakes.desk import MemoryShop
from tests.fakes.shop import POLICY
from workflows.domain.access_review import AccessReview
from workflows.domain.approvals import Actor
from workflows.domain.auditing import (
    AnchorTold,
    Certified,
    CheckpointTold,
    KeyTold,
    MadeFile,
    Place,
    RecordState,
)
from workflows.domain.controls import BLOCKED, Controls, Counting
from workflows.domain.deciding import decide
from workflows.domain.entry_proofs import EntryProof, checked
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.notary import Checkpoint, InstalledKey, SignedCheckpoint, Waiting
from workflows.domain.packs import PackRequest
from workflows.domain.policy_timeline import PolicyTimeline
from workflows.domain.population import Item, PopulationFormat, PopulationKind, Wanted, header, items_of, line
from workflows.domain.proofs import Alarm, Inclusion
from workflows.domain.remaking import Remade
from workflows.domain.replay import DecisionRef, Findings, Missing
from workflows.domain.reviewing import Reviewing
from workflows.domain.tree import entry_leaf, inclusion_spans, root_of

SIGNED_AT = datetime(2025, 3, 4, 10, tzinfo=UTC)
SIGNER = NoteSigner("quartermaster/0123456789ab", bytes(SEED_BYTES))
TOO_MANY_DAYS = timedelta(days=400)


class MemoryRecord:
    """`RecordDesk` over the entries of a `MemoryAudit`; the newest `left` of them wait for their leaf."""

    def __init__(self, audit: MemoryAudit, left: int = 1) -> None:
        self._audit = audit
        self.left = left
        self.alarms: list[Alarm] = []
        self.leaves = [(entry.stream, entry.seq, entry.hash) for entry in audit.entries[: len(audit.entries) - left]]
        self.asked: list[tuple[str, str]] = []
        self.keys = [
            InstalledKey(key_id=SIGNER.key.key_id, verifier_key=SIGNER.key.text, first_checkpoint=1,
                         installed_at=SIGNED_AT - timedelta(days=1))
        ]  # fmt: skip
        self.checkpoints = [self._signed(1, 2), self._signed(2, len(self.leaves))]

    def _signed(self, number: int, size: int) -> SignedCheckpoint:
        root = root_of(entry_leaf(one) for _, _, one in self.leaves[:size]).hex()
        body = Checkpoint(
            origin=SIGNER.key.name, size=size, root=root, time=SIGNED_AT, ledger_time=SIGNED_AT
        )  # fmt: skip
        return SignedCheckpoint(
            number=number, size=size, root=root, signed_at=SIGNED_AT, key_id=SIGNER.key.key_id, note=SIGNER.note(body)
        )

    async def state(self) -> RecordState:
        """See the port."""
        newest, waits = self.checkpoints[-1], len(self._audit.entries) - len(self.leaves)
        return RecordState(
            at=SIGNED_AT + timedelta(seconds=41), checkpoint=CheckpointTold.of(newest), age_seconds=41,
            waiting=Waiting(entries=waits, oldest_seconds=12 if waits else None), alarms=tuple(self.alarms),
            keys=tuple(
                KeyTold(verifier_key=one.verifier_key, first_checkpoint=one.first_checkpoint,
                        installed_at=one.installed_at) for one in self.keys
            ),
            anchors=(
                AnchorTold(where="/mnt/elsewhere/anchors", has_newest=True, says="It has the newest checkpoint."),
                AnchorTold(where="https://anchor.example", has_newest=None, says="The notary posts it there."),
            ),
        )  # fmt: skip

    async def certified(self, entries: Sequence[Place]) -> Certified:
        """See the port."""
        known = {(stream, seq): index for index, (stream, seq, _) in enumerate(self.leaves)}
        return Certified(self.checkpoints[-1].size, {one: known[one] for one in entries if one in known})

    async def proof(self, stream: str, seq: int, actor: Actor) -> EntryProof:
        """See the port."""
        self.asked.append((actor.name, "proof"))
        found = {(one.stream, one.seq): one for one in self._audit.entries}
        if (stream, seq) not in found:
            raise NotFound(f"there is no entry {seq} in the chain {stream}")
        index = next((at for at, one in enumerate(self.leaves) if one[:2] == (stream, seq)), None)
        newest = self.checkpoints[-1]
        if index is None:
            raise Conflict(f"entry {seq} of {stream} waits for the next checkpoint; try again in a minute")
        leaves = [entry_leaf(one) for _, _, one in self.leaves]
        path = tuple(root_of(leaves[first:end]).hex() for first, end in inclusion_spans(index, newest.size))
        inclusion = Inclusion(
            stream=stream, seq=seq, hash=self.leaves[index][2], index=index, proof=path, checkpoint=newest
        )
        before = found.get((stream, seq - 1))
        return checked(found[stream, seq], before.hash if before else None, inclusion, self.keys, verify)


class MemoryReplays:
    """`DecisionReplays` over a shop's cases: decides again from their inputs, and lists what was not recorded."""

    def __init__(self, shop: MemoryShop) -> None:
        self._shop = shop
        self.asked: list[tuple[str, str]] = []
        self.failure: Exception | None = None
        self.missing: list[Missing] = []
        self.not_recorded = ["features: this release kept no snapshot"]

    async def remade(self, decision_id: str, actor: Actor) -> Sequence[Remade]:
        """See the port."""
        self.asked.append((decision_id, actor.name))
        if self.failure is not None:
            raise self.failure
        if decision_id not in self._shop.cases:
            raise NotFound(f"the ledger records no decision {decision_id}")
        decided, found = self._shop.cases[decision_id].decided, Findings()
        found.compare("", decided.decision.result, decide(decided.inputs, POLICY))
        found.not_recorded += self.not_recorded
        found.missing += self.missing
        ref = DecisionRef(decision_id, decided.decision.revision, decided.decision.proposal_hash)
        return [Remade(found.result(ref, "1.0.0", {"xgboost": "2.1.4"}), tuple(found.every))]


class MemoryCopies:
    """`RecordCopies` that writes small files; a period of more than `TOO_MANY_DAYS` is too large."""

    def __init__(self, audit: MemoryAudit) -> None:
        self._audit = audit
        self.made: list[MadeFile] = []

    async def pack(self, request: PackRequest, actor: Actor) -> MadeFile:
        """See the port."""
        if request.since and request.until and request.until - request.since > TOO_MANY_DAYS:
            raise InvalidInput("this pack holds more than 200 MiB: let `quartermaster audit pack` make it")
        if request.decision is not None and not any(one.stream == request.decision for one in self._audit.entries):
            raise NotFound(f"the ledger has no decision {request.decision}")
        return self._file(f"evidence-{request.kind}", {"manifest.json": request.model_dump_json()})

    async def population(self, wanted: Wanted, form: PopulationFormat, actor: Actor) -> MadeFile:
        """See the port."""
        if wanted.until - wanted.since > TOO_MANY_DAYS:
            raise InvalidInput("there are more than 200,000: let `quartermaster audit population` write all of them")
        items: list[Item] = []
        for entry in self._audit.entries:
            items += items_of(PopulationKind.ENTRIES, entry, {}, None, None)
        text = "".join(header(form)) + "".join(line(form, one) for one in items)
        return self._file(f"{wanted.what}", {f"{wanted.what}.{form}": text, "proof.json": "{}"})

    def _file(self, name: str, members: dict[str, str]) -> MadeFile:
        path = Path(tempfile.mkdtemp(prefix="quartermaster-audit-")) / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in members.items():
                archive.writestr(member, text)
        body = path.read_bytes()
        self.made.append(MadeFile(path, path.name, hashlib.sha256(body).hexdigest(), len(body)))
        return self.made[-1]


class MemoryReviews:
    """`RecordReviews`: the real review over entries in memory."""

    def __init__(self, audit: MemoryAudit) -> None:
        self._audit, self._people = audit, MemoryAudit()
        self.asked: list[tuple[str, str]] = []
        for person, after in (
            ("Ada", {"roles": ["planner", "approver"], "locations": ["LEEDS"], "approval_limit": "5000"}),
            ("Grace", {"roles": ["approver", "admin"]}), ("Vera", {"roles": ["viewer"], "disabled": True}),
        ):  # fmt: skip
            self._people.append(f"person:{person}", EntryType.PERSON_CHANGED, "Grace", {"after": after})

    async def review(self, on: date, since: date, actor: Actor) -> AccessReview:
        """See the port."""
        self.asked.append((actor.name, "review"))
        reviewing = Reviewing(on, since, PolicyTimeline())
        reviewing.take(self._until(on))
        return reviewing.result()

    async def controls(self, since: date, until: date, actor: Actor) -> Controls:
        """See the port."""
        self.asked.append((actor.name, "controls"))
        counting = Counting()
        counting.take(one for one in self._until(until) if one.type in BLOCKED)
        return counting.result(since, until, (await self.review(until, since, actor)).answers)

    def _until(self, day: date) -> list[Entry]:
        entries = [*self._people.entries, *self._audit.entries]
        return [one for one in entries if one.recorded_at[:10] <= day.isoformat()]
