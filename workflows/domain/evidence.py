"""Evidence is all that a decision rests on, kept under its own SHA-256: with it alone a decision is re-made.

A decision names its inputs, its model and its policy by digest; the inputs name the snapshot that was scored. A
snapshot is stored folded: what many decisions share (a supplier's deliveries, a season's numbers) stands once, as a
part of its own, and its digest stands in its place. So hashing the stored bytes proves everything below them.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from workflows.domain.errors import QuartermasterError
from workflows.domain.identity import Digest, Payload, canonical, digest, plain
from workflows.domain.scores import ScoringRow

REF = "$ref"
"""A folded place is `{"$ref": DIGEST}`."""
_SHARED = ("lead_times", "drivers")
"""Fields of a row that many rows have in common."""


class EvidenceKind(StrEnum):
    """What the bytes are."""

    INPUTS = "inputs"
    SNAPSHOT = "snapshot"
    PART = "part"
    """A folded part of snapshots."""
    DECISION = "decision"
    """The canonical bytes of a hold's decision; a proposal's are in its ledger entry."""
    ITEMS = "items"
    """The list behind a batch entry's Merkle root."""
    MODEL = "model"
    POLICY = "policy"
    SOURCE = "source"
    HISTORY = "history"
    """A closed workflow's history."""
    DICTIONARY = "dictionary"
    """What other evidence is compressed with."""


class EvidenceMissing(QuartermasterError):
    """Nothing is kept under this digest."""


class EvidenceDamaged(QuartermasterError):
    """The bytes under this digest are not those that were kept."""


class Source(Payload):
    """The code that decided."""

    release: str
    """The version of this project."""
    code_sha256: Digest
    """Over the engine's own source files, by path."""
    python: str
    packages: Mapping[str, str]
    """Versions of the libraries that numbers depend on (xgboost, numpy, ...)."""


class Snapshot(Payload):
    """What was scored for one decision: the need's row, and the row of each other supplier that might be asked."""

    row: ScoringRow
    alternatives: tuple[ScoringRow, ...] = ()
    source: Digest
    """Of the canonical bytes of `Source`."""


class EvidenceSource(Protocol):
    """Where evidence is read from: the store, or a pack that an auditor was given."""

    def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            EvidenceMissing, EvidenceDamaged: the message names the digest.
        """
        ...


def fold(snapshot: Snapshot) -> tuple[Digest, dict[Digest, bytes]]:
    """The snapshot's digest, and every object to keep for it by digest (its own bytes included)."""
    kept: dict[Digest, bytes] = {}

    def keep(value: Any) -> Digest:
        body = canonical(value)
        sha256 = digest(body)
        kept[sha256] = body
        return sha256

    def folded(row: dict[str, Any]) -> dict[str, Any]:
        shared = {name: {REF: keep(row[name])} for name in _SHARED if row.get(name)}
        receipts = [
            {**one, "lead_times": {REF: keep(one["lead_times"])}} if one["lead_times"] else one
            for one in row["open_receipts"]
        ]
        return {**row, **shared, "open_receipts": receipts}

    document = plain(snapshot)
    row = folded(document["row"])
    others = [_apart(folded(other), row) for other in document["alternatives"]]
    return keep({"row": row, "alternatives": others, "source": document["source"]}), kept


def unfold(sha256: Digest, evidence: EvidenceSource) -> Snapshot:
    """The snapshot under this digest.

    Raises:
        EvidenceMissing, EvidenceDamaged: it, or a part of it.
    """
    document = json.loads(evidence.get(sha256))
    row = document["row"]
    rows = [row, *({**row, **other} for other in document["alternatives"])]
    first, *others = (_unfolded(one, evidence) for one in rows)
    return Snapshot.model_validate({"row": first, "alternatives": others, "source": document["source"]})


def references(body: bytes) -> Sequence[Digest]:
    """The digests that a folded object stands on, in no particular order."""
    found: set[Digest] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if set(value) == {REF}:
                found.add(value[REF])
            else:
                for item in value.values():
                    walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(json.loads(body))
    return sorted(found)


def _apart(other: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Only what another supplier's row has differently."""
    return {name: value for name, value in other.items() if value != row[name]}


def _unfolded(value: Any, evidence: EvidenceSource) -> Any:
    if isinstance(value, dict):
        if set(value) == {REF}:
            return json.loads(evidence.get(value[REF]))
        return {name: _unfolded(item, evidence) for name, item in value.items()}
    return [_unfolded(item, evidence) for item in value] if isinstance(value, list) else value
