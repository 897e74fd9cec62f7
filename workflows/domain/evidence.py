"""Evidence is all that a decision rests on, kept under its own SHA-256: with it alone a decision is re-made.

A decision names its inputs, its model and its policy by digest; the inputs name the snapshot that was scored. A
snapshot is stored folded: what many decisions share (a supplier's deliveries, a season's numbers) stands once, as a
part of its own, and its digest stands in its place. So hashing the stored bytes proves everything below them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from workflows.domain.errors import QuartermasterError
from workflows.domain.identity import Digest, Payload
from workflows.domain.scores import DemandHistory, ScoringRow
from workflows.domain.writing import fields_written, written

REF = "$ref"
"""A folded place is `{"$ref": DIGEST}`."""
_SHARED = frozenset({"lead_times", "drivers", "holidays"})
"""Fields of a row that many rows have in common."""
_ROW = tuple(sorted(ScoringRow.model_fields))


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
    EARLIER_ITEMS = "earlier_items"
    """The same for a batch of an earlier release, whose entry does not name it: its root proves it."""
    MODEL = "model"
    POLICY = "policy"
    SOURCE = "source"
    RECORD = "record"
    """A long part of a ledger entry's body."""
    HISTORY = "history"
    """A closed workflow's history."""
    DICTIONARY = "dictionary"
    """What other evidence is compressed with."""


class Kept(NamedTuple):
    """One object to keep: its digest is that of the body."""

    kind: EvidenceKind
    body: bytes


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
    return Folder().fold(snapshot)


class Folder:
    """Folds many snapshots; what they share is written and hashed once."""

    def __init__(self) -> None:
        self._parts: dict[int, tuple[Any, Digest, bytes]] = {}
        # What stands in a row where a part of it stood.
        self._told: dict[int, str] = {}

    def fold(self, snapshot: Snapshot) -> tuple[Digest, dict[Digest, bytes]]:
        """As the function of this name."""
        kept: dict[Digest, bytes] = {}
        first = snapshot.row
        row = self._written(first, _ROW, kept)
        # Only what another supplier's row has differently.
        alternatives = ",".join([
            self._written(other, [name for name in _ROW if _differs(other, first, name)], kept)
            for other in snapshot.alternatives
        ])  # fmt: skip
        body = f'{{"alternatives":[{alternatives}],"row":{row},"source":{written(snapshot.source)}}}'.encode()
        sha256 = hashlib.sha256(body).hexdigest()
        return sha256, kept | {sha256: body}

    def _written(self, row: ScoringRow, names: Sequence[str], kept: dict[Digest, bytes]) -> str:
        """These fields of the row, in the order of canonical JSON, with references to what others share."""
        for shared in (*(getattr(row, name) for name in _SHARED), *(one.lead_times for one in row.open_receipts)):
            if shared:
                self._fold(shared, kept)
        # Not known for longer than the row: its history is nobody else's.
        self._told[id(row.history)] = _history(row.history)
        text = fields_written(row, names, self._told)
        del self._told[id(row.history)]
        return text

    def _fold(self, value: Any, kept: dict[Digest, bytes]) -> None:
        # By the object, not by what is in it: hashing a supplier's thousand deliveries takes longer than writing them.
        found = self._parts.get(id(value))
        if found is None:
            body = written(value).encode()
            found = self._parts[id(value)] = value, hashlib.sha256(body).hexdigest(), body
            self._told[id(value)] = f'{{"{REF}":"{found[1]}"}}'
        _, sha256, body = found
        kept[sha256] = body


class _Spelled(dict[int | None, str]):
    """Units of a day as JSON: the few that occur are looked up a million times."""

    def __missing__(self, units: int | None) -> str:
        return str(units)


_SPELLED = _Spelled({None: "null"} | {units: str(units) for units in range(1_000)})


def _history(history: DemandHistory) -> str:
    units = ",".join(map(_SPELLED.__getitem__, history.daily_units))
    return f'{{"daily_units":[{units}],"first_day":"{history.first_day.isoformat()}"}}'


def _differs(one: ScoringRow, other: ScoringRow, name: str) -> bool:
    mine, others = getattr(one, name), getattr(other, name)
    return mine is not others and bool(mine != others)


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


def _unfolded(value: Any, evidence: EvidenceSource) -> Any:
    if isinstance(value, dict):
        if set(value) == {REF}:
            return json.loads(evidence.get(value[REF]))
        return {name: _unfolded(item, evidence) for name, item in value.items()}
    return [_unfolded(item, evidence) for item in value] if isinstance(value, list) else value
