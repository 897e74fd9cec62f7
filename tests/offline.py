"""Evidence packs made by hand, without a database, and the offline verifier called in this process."""

import hashlib
import importlib.util
import json
import sys
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from connectors.signing import NoteSigner
from workflows.domain.identity import canonical, rfc3339
from workflows.domain.ledger import GENESIS, Entry, chain_hash
from workflows.domain.notary import Checkpoint, SignedCheckpoint, statement_of
from workflows.domain.packs import FORMAT
from workflows.domain.tree import Frontier, entry_leaf

VERIFY = Path(__file__).parents[1] / "deploy" / "verify.py"
START = datetime(2026, 3, 3, 5, 0, tzinfo=UTC)
LOG = "quartermaster/0123456789ab"


def verifier() -> ModuleType:
    """deploy/verify.py as a module."""
    spec = importlib.util.spec_from_file_location("offline_verify", VERIFY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Book:
    """A ledger, its tree and its notary in memory; the clock goes on by a second an entry."""

    at: datetime = START
    entries: list[Entry] = field(default_factory=list)
    leaves: list[list[Any]] = field(default_factory=list)
    anchor: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[str, bytes] = field(default_factory=dict)
    signer: NoteSigner = field(default_factory=lambda: NoteSigner(LOG, bytes(32)))
    files: dict[str, bytes] = field(default_factory=dict)
    """Put into the zip instead of what belongs there."""

    def __post_init__(self) -> None:
        self._frontier = Frontier()
        self._heads: dict[str, Entry] = {}
        self.install(self.signer)

    def install(self, signer: NoteSigner) -> None:
        """The first key."""
        line = {"key": signer.key.text, "first_checkpoint": 1}
        self.anchor.append(line)
        self.keys.append({"verifier_key": signer.key.text, "first_checkpoint": 1})

    def rotate(
        self, signer: NoteSigner, old: NoteSigner | None = None, *, loss: dict[str, Any] | None = None
    ) -> None:  # fmt: skip
        """Another key, vouched for by `old`; with a `loss`, one that begins another log."""
        before = old or self.signer
        told = statement_of(
            before.key, signer.key, self._newest(), actor="pat", reason="old", time=self.at, loss=loss
        )  # fmt: skip
        row = {
            "first_checkpoint": len(self.checkpoints) + 1, "statement": told.decode(),
            "old_signature": before.sign(told), "new_signature": signer.sign(told),
        }  # fmt: skip
        self.keys.append({"verifier_key": signer.key.text, **row})
        self.anchor.append({"key": signer.key.text, **row})
        self.signer = signer

    def _newest(self) -> SignedCheckpoint | None:
        if not self.checkpoints:
            return None
        return SignedCheckpoint(**self.checkpoints[-1], signed_at=self.at, key_id=self.signer.key.key_id)

    def forget(self, leaves: int) -> None:
        """An older backup is put in place: the ledger has so many leaves again, and the checkpoints of then."""
        kept = {(stream, seq) for _, stream, seq, _ in self.leaves[:leaves]}
        self.entries = [one for one in self.entries if (one.stream, one.seq) in kept]
        self.leaves = self.leaves[:leaves]
        self.checkpoints = [one for one in self.checkpoints if one["size"] <= leaves]
        self._heads = {one.stream: one for one in self.entries}
        self._frontier = Frontier()
        for *_, own in self.leaves:
            self._frontier.append(entry_leaf(own))

    def append(
        self, stream: str, kind: str, said: Any = None, *, actor: str = "engine", recorded: datetime | None = None,
        body: bytes | None = None, sealed: bool = True,
    ) -> Entry:  # fmt: skip
        """One entry, and its leaf."""
        self.at += timedelta(seconds=1)
        raw, head = canonical(said or {}) if body is None else body, self._heads.get(stream)
        fields: dict[str, Any] = {
            "stream": stream, "seq": head.seq + 1 if head else 1, "type": kind, "actor": actor, "body": raw,
            "occurred_at": rfc3339(self.at), "recorded_at": rfc3339(recorded or self.at), "hash": "",
            "body_sha256": hashlib.sha256(raw).hexdigest(), "prev_hash": head.hash if head else GENESIS,
        }  # fmt: skip
        entry = Entry.model_construct(**{**fields, "hash": chain_hash(Entry.model_construct(**fields))})
        self._heads[stream] = entry
        self.entries.append(entry)
        if sealed:
            self.leaves.append([len(self.leaves), stream, entry.seq, entry.hash])
            self._frontier.append(entry_leaf(entry.hash))
            leaf = [*self.leaves[-1][:3], kind, actor, entry.occurred_at, entry.recorded_at, entry.body_sha256]
            self.anchor.append({"leaf": [*leaf, entry.hash]})
        return entry

    def sign(self, later: timedelta = timedelta(seconds=60)) -> None:
        """A checkpoint over what is there."""
        self.at += later
        checkpoint = Checkpoint(
            origin=self.signer.key.name, size=self._frontier.size, root=self._frontier.root().hex(), time=self.at,
            ledger_time=self.at,
        )  # fmt: skip
        note = self.signer.note(checkpoint)
        number = len(self.checkpoints) + 1
        self.checkpoints.append({"number": number, "size": checkpoint.size, "root": checkpoint.root, "note": note})
        self.anchor.append({"checkpoint": note})

    def keep(self, value: Any) -> str:
        """Evidence; its digest."""
        raw = value if isinstance(value, bytes) else canonical(value)
        sha256 = hashlib.sha256(raw).hexdigest()
        self.evidence[sha256] = raw
        return sha256

    def manifest(self) -> dict[str, Any]:
        """What the pack says of itself."""
        return {
            "format": FORMAT, "made_by": "auditor", "made_at": rfc3339(self.at + timedelta(seconds=1)), "models": True,
            "scope": {"kind": "everything"}, "leaves": {"size": len(self.leaves), "first": 0, "end": len(self.leaves)},
        }  # fmt: skip

    def write(self, folder: Path) -> Path:
        """The pack, and the anchor beside it in `anchors`."""
        rows = sorted(self.entries, key=lambda one: (one.stream, one.seq))
        told = [{**one.model_dump(), "body": one.body.decode(errors="surrogateescape")} for one in rows]
        members = {
            "manifest.json": canonical(self.manifest()), "ledger/entries.jsonl": _lines(told),
            "ledger/leaves.jsonl": _lines(self.leaves), "ledger/checkpoints.jsonl": _lines(self.checkpoints),
            "ledger/keys.jsonl": _lines(self.keys),
            **{f"evidence/{sha256}": raw for sha256, raw in self.evidence.items()}, **self.files,
        }  # fmt: skip
        with zipfile.ZipFile(folder / "pack.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, raw in members.items():
                archive.writestr(name, raw)
        (folder / "anchors").mkdir(exist_ok=True)
        (folder / "anchors" / "anchor-2026-03-03.jsonl").write_bytes(_lines(self.anchor))
        return folder / "pack.zip"


def _lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
