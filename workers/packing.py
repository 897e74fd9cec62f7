"""Writes an evidence pack: streamed, whole or not at all, the same bytes for the same record and instant."""

import hashlib
import json
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from workers.drafts import draft_of
from workflows.domain.evidence import references
from workflows.domain.identity import canonical, rfc3339
from workflows.domain.packs import (
    ANCHORS,
    CHECKPOINTS,
    ENTRIES,
    EVIDENCE,
    INDEX,
    KEYS,
    LEAVES,
    MANIFEST,
    PROOFS,
    README,
    README_TEXT,
    Counts,
    LeafRange,
    Manifest,
    PackMade,
    PackRequest,
    Scope,
    ScopeKind,
)
from workflows.domain.recordable import REFERENCE

AT_ONCE = 500
"""Objects of evidence that are in memory together; models come one at a time."""
_MOMENT = (1980, 1, 1, 0, 0, 0)
Json = Mapping[str, Any] | list[Any]


class Record(Protocol):
    """Where a pack comes from, as of one instant (`connectors.postgres.packs.PackReader`)."""

    at: datetime

    def scope(self, request: PackRequest) -> tuple[Scope, LeafRange]: ...
    def entries(self, scope: Scope, leaves: LeafRange) -> Iterator[dict[str, Any]]: ...
    def leaves(self) -> Iterator[tuple[int, str, int, str]]: ...
    def checkpoints(self, newest_only: bool) -> Iterator[dict[str, Any]]: ...
    def keys(self) -> Iterator[dict[str, Any]]: ...
    def proofs(self, entries: Iterable[tuple[str, int]]) -> Iterator[dict[str, Any]]: ...
    def objects(self, digests: list[str]) -> Mapping[str, bytes | str]: ...


def write_pack(
    record: Record,
    request: PackRequest,
    output: Path,
    *,
    made_by: str,
    release: str,
    announce: Callable[[PackMade], None],
    anchors: Path | None = None,
) -> PackMade:
    """Write the pack to `output`, which is replaced only when the new one is whole, on disk and announced.

    Raises:
        InvalidInput: the file cannot be written.
        NotFound: there is no such decision.
    """
    with draft_of(output) as draft:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            manifest = _Writing(archive, record, request).write(made_by, release, anchors)
        with draft.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        made = PackMade(path=str(output), sha256=sha256, size=draft.stat().st_size, manifest=manifest)
        announce(made)
    return made


class _Writing:
    """One pack being written."""

    def __init__(self, archive: zipfile.ZipFile, record: Record, request: PackRequest) -> None:
        self._archive, self._record, self._request = archive, record, request
        self._wanted: dict[str, str] = {}
        """Digests that entries name, and what each is."""
        self._entries: list[tuple[str, int]] = []
        """Of one decision's pack: what is to be proven."""
        self._chains = 0

    def write(self, made_by: str, release: str, anchors: Path | None) -> Manifest:
        """Everything; the manifest, which counts it, comes last."""
        scope, leaves = self._record.scope(self._request)
        one = scope.kind is ScopeKind.DECISION
        self._text(README, README_TEXT.encode())
        entries = self._lines(ENTRIES, self._told(scope, leaves))
        tree = 0 if one else self._lines(LEAVES, (list(leaf) for leaf in self._record.leaves()))
        if one:
            self._lines(PROOFS, self._record.proofs(self._entries))
        newest: dict[str, Any] = {}
        checkpoints = self._lines(CHECKPOINTS, self._noting(newest, one))
        keys = self._lines(KEYS, self._record.keys())
        index, written = self._evidence()
        self._lines(INDEX, iter(index))
        if anchors is not None:
            self._anchors(anchors)
        counts = Counts(
            entries=entries, chains=self._chains, leaves=tree, checkpoints=checkpoints, keys=keys,
            evidence=sum("size" in row for row in index), evidence_bytes=written,
            evidence_absent=sum("size" not in row for row in index),
        )  # fmt: skip
        manifest = Manifest(
            release=release, made_by=made_by, made_at=rfc3339(self._record.at), scope=scope, leaves=leaves,
            root=newest.get("root"), counts=counts, models=self._request.models,
        )  # fmt: skip
        self._text(MANIFEST, canonical(manifest.model_dump(mode="json")))
        return manifest

    def _told(self, scope: Scope, leaves: LeafRange) -> Iterator[Json]:
        stream = None
        for row in self._record.entries(scope, leaves):
            body = bytes(row["body"])
            if row["stream"] != stream:
                stream, self._chains = row["stream"], self._chains + 1
            if scope.kind is ScopeKind.DECISION:
                self._entries.append((row["stream"], row["seq"]))
            self._note_evidence(row["type"], body, scope)
            try:
                told = {"body": body.decode()}
            except UnicodeDecodeError:
                told = {"body_base64": b64encode(body).decode()}
            yield {**row, **told} if "body" in told else {**{k: v for k, v in row.items() if k != "body"}, **told}

    def _noting(self, newest: dict[str, Any], newest_only: bool) -> Iterator[Json]:
        for row in self._record.checkpoints(newest_only):
            newest.update(row)
            yield row

    def _note_evidence(self, kind: str, body: bytes, scope: Scope) -> None:
        """What the entry rests on. An entry that cannot be read rests on nothing: the verifier says what it is."""
        try:
            said = json.loads(body)
            for part in said.values():
                if isinstance(part, dict) and REFERENCE in part:
                    self._wanted.setdefault(str(part[REFERENCE]), "record")
            if kind == "decision.proposed":
                self._want_of(said["decision"])
            elif kind == "holds.recorded" and "items" in said:
                self._wanted.setdefault(said["items"], "holds")
            elif kind == "events.accepted" and "items" in said and scope.kind is not ScopeKind.DECISION:
                self._wanted.setdefault(said["items"], "items")
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def _want_of(self, decision: Mapping[str, Any]) -> None:
        for name in ("inputs", "policy", "model"):
            if name != "model" or self._request.models:
                self._wanted.setdefault(str(decision[f"{name}_digest"]), name)

    def _evidence(self) -> tuple[list[dict[str, Any]], int]:
        """Object by object, each once, with all that it stands on; what was written, and what could not be."""
        index: list[dict[str, Any]] = []
        written, done = 0, set[str]()
        while self._wanted:
            batch = self._next()
            done |= batch.keys()
            for sha256, body in self._record.objects(sorted(batch)).items():
                row = {"sha256": sha256, "kind": "items" if batch[sha256] == "holds" else batch[sha256]}
                if isinstance(body, str):
                    index.append({**row, "absent": body})
                    continue
                self._text(EVIDENCE + sha256, body)
                index.append({**row, "size": len(body)})
                written += len(body)
                self._below(batch[sha256], body)
            for known in done & self._wanted.keys():
                del self._wanted[known]
        return sorted(index, key=lambda one: str(one["sha256"])), written

    def _next(self) -> dict[str, str]:
        model = next((sha256 for sha256, kind in self._wanted.items() if kind == "model"), None)
        some = [model] if model else list(self._wanted)[:AT_ONCE]
        return {sha256: self._wanted.pop(sha256) for sha256 in some}

    def _below(self, kind: str, body: bytes) -> None:
        if kind == "inputs":
            snapshot = json.loads(body).get("snapshot")
            if snapshot:
                self._wanted.setdefault(str(snapshot), "snapshot")
        elif kind == "snapshot":
            self._wanted.setdefault(json.loads(body)["source"], "source")
            for part in references(body):
                self._wanted.setdefault(part, "part")
        elif kind == "part":
            for part in references(body):
                self._wanted.setdefault(part, "part")
        elif kind == "holds":
            for decision, _, proposal_hash in json.loads(body):
                if self._request.decision in (None, decision):
                    self._wanted.setdefault(str(proposal_hash), "decision")
        elif kind == "decision":
            self._want_of(json.loads(body))

    def _anchors(self, folder: Path) -> None:
        """Keys and checkpoints of the anchors that we know, without their leaves: those are in the tree."""
        for path in sorted(folder.glob("anchor-*.jsonl")):
            with path.open("rb") as file, self._open(ANCHORS + path.name) as copy:
                for line in file:
                    if not line.startswith(b'{"leaf"'):
                        copy.write(line)

    def _lines(self, name: str, rows: Iterable[Json]) -> int:
        count = 0
        with self._open(name) as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
                count += 1
        return count

    def _text(self, name: str, body: bytes) -> None:
        with self._open(name) as file:
            file.write(body)

    def _open(self, name: str) -> Any:
        member = zipfile.ZipInfo(name, _MOMENT)
        member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
        return self._archive.open(member, "w", force_zip64=True)
