"""Compares what the anchors remember with what the database has: each leaf, each signed checkpoint, each key."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from connectors.postgres.pool import Connection
from workflows.domain.errors import InvalidInput
from workflows.domain.notary import InstalledKey, read_note

AT_ONCE = 5_000
ANCHORS = "the anchors"
_BY_INDEX = "SELECT tree_index, stream, seq, hash FROM ledger_leaf WHERE tree_index = ANY(%s)"


@dataclass(frozen=True)
class AnchorMarks:
    """How far each file of an anchor went at an instant."""

    files: tuple[tuple[Path, int], ...]

    @classmethod
    def of(cls, folder: Path | None) -> "AnchorMarks | None":
        """None: the folder cannot be read from here."""
        try:
            if folder is None or not folder.is_dir():
                return None
            marks = cls(tuple((path, path.stat().st_size) for path in sorted(folder.glob("anchor-????-??-??.jsonl"))))
            for path, _ in marks.files:
                with path.open("rb"):
                    pass
        except OSError:
            return None
        return marks

    def lines(self, only: bytes = b"") -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and content of each whole line; of those that begin so. What a crash broke off is passed over."""
        number = 0
        for path, length in self.files:
            with path.open("rb") as file:
                while file.tell() < length and (line := file.readline()):
                    number += 1
                    if not line.startswith(only):
                        continue
                    try:
                        found = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(found, dict):
                        yield number, found


class Against(NamedTuple):
    """What the anchors are compared with."""

    connection: Connection
    notes: Callable[[], Iterator[str]]
    """Every stored checkpoint, oldest first."""
    keys: Sequence[InstalledKey]
    found: Callable[[str, int, str], None]
    """Takes a break: chain, number, what is wrong."""


class Compared(NamedTuple):
    """How much was compared."""

    leaves: int
    checkpoints: int


class _Loss(NamedTuple):
    line: int
    leaves: int


def compare(marks: AnchorMarks, against: Against) -> Compared:
    """Everything that is anchored is in the database, but for the newest checkpoint, which a crash may have kept out.

    Where a loss was accepted, what it took is expected no longer.
    """
    losses = _keys(marks, against)
    leaves = checkpoints = 0
    batch: list[list[Any]] = []
    stored = _Stored(against)
    for number, line in marks.lines():
        try:
            if "leaf" in line:
                index = int(line["leaf"][0])
                if not any(number < loss.line and index >= loss.leaves for loss in losses):
                    batch.append(line["leaf"])
                    leaves += 1
            elif "checkpoint" in line and not any(number < loss.line for loss in losses):
                stored.expect(str(line["checkpoint"]), number)
                checkpoints += 1
        except (ValueError, TypeError, IndexError, InvalidInput):
            against.found(ANCHORS, number, "this line of the anchors cannot be read")
        if len(batch) >= AT_ONCE:
            _leaves(batch, against)
            batch = []
    _leaves(batch, against)
    stored.finish()
    return Compared(leaves, checkpoints)


def _keys(marks: AnchorMarks, against: Against) -> list[_Loss]:
    """Losses that were accepted; and that every key that is anchored is installed, and the other way round."""
    installed = [one.verifier_key for one in against.keys]
    accepted = {one.verifier_key for one in against.keys if one.begins_a_log()}
    anchored: list[tuple[int, str]] = []
    losses: list[_Loss] = []
    for number, line in marks.lines(b'{"key"'):
        anchored.append((number, str(line.get("key"))))
        if anchored[-1][1] in accepted:
            told = json.loads(line.get("statement") or "{}")
            losses.append(_Loss(number, int(told.get("loss", {}).get("leaves", 0))))
    for number, key in anchored:
        if key not in installed and not any(number < loss.line for loss in losses):
            against.found(ANCHORS, number, f"they know the key {key[:120]}, and the database does not")
    known = {key for _, key in anchored}
    first = next((place for place, key in enumerate(installed) if key in known), 0 if known else len(installed))
    for place, key in enumerate(installed[first:], start=first + 1):
        if key not in known:
            against.found("the notary's keys", place, f"the anchors do not know {key[:120]}")
    return losses


def _leaves(batch: Sequence[Sequence[Any]], against: Against) -> None:
    rows = against.connection.execute(_BY_INDEX, [[int(leaf[0]) for leaf in batch]]).fetchall()
    there = {row["tree_index"]: (row["stream"], row["seq"], row["hash"]) for row in rows}
    for leaf in batch:
        index, stream, seq, *_, entry_hash = leaf
        found = there.get(index)
        if found is None:
            against.found(str(stream), int(seq), f"the anchors have it as leaf {index:,}, and the tree has not")
        elif found != (stream, seq, entry_hash):
            words = "another hash" if found[:2] == (stream, seq) else f"entry {found[1]} of {found[0]}"
            against.found(str(stream), int(seq), f"the anchors have it as leaf {index:,}, and the tree has {words}")


class _Stored:
    """Walks through the stored checkpoints beside the anchored ones: both are in the order of the notary's clock."""

    def __init__(self, against: Against) -> None:
        self._notes = against.notes()
        self._found = against.found
        self._ahead: tuple[datetime, str] | None = None
        self._at: datetime | None = None
        self._together: set[str] = set()
        self._missing: list[tuple[int, datetime]] = []
        self._next()

    def _next(self) -> None:
        self._ahead = None
        for note in self._notes:
            try:
                self._ahead = read_note(note).checkpoint.time, note
            except InvalidInput:
                continue  # which was said already
            return

    def expect(self, note: str, line: int) -> None:
        """An anchored one."""
        at = read_note(note).checkpoint.time
        if at != self._at:
            self._at, self._together = at, set()
        while self._ahead is not None and self._ahead[0] <= at:
            if self._ahead[0] == at:
                self._together.add(self._ahead[1])
            self._next()
        if note not in self._together:
            self._missing.append((line, at))

    def finish(self) -> None:
        """Those that are stored nowhere; the very last one may be on its way."""
        if self._missing and self._missing[-1][1] == self._at and self._ahead is None:
            self._missing.pop()
        for line, at in self._missing:
            self._found(ANCHORS, line, f"they have a checkpoint of {at.isoformat()}, and the database has not")
