"""Checks the record where it lies: every chain, the tree over them, every signature, and what was anchored of them.

All of it as of one snapshot, and streamed: memory does not grow with the ledger.
"""

import base64
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.live_anchors import Against, AnchorMarks, compare
from connectors.postgres.notary import CHECKPOINT, KEY
from connectors.postgres.pool import Connection, connect, reading
from connectors.signing import verify
from workflows.domain.errors import InvalidInput
from workflows.domain.ledger import Break, Verification
from workflows.domain.notary import InstalledKey, Note, SignedCheckpoint, VerifierKey, read_note
from workflows.domain.tree import Frontier, entry_leaf

AT_ONCE = 5_000
MOST_BREAKS = 1_000
"""More are counted, not listed."""
LEDGER, CHECKPOINTS, KEYS = "the tree", "checkpoints", "the notary's keys"
"""Where a break is that is in no chain: its number is a leaf's, a checkpoint's, or a key's place in their order."""

# LEFT JOIN: a leaf whose entry is gone is found as one.
_LEAVES = """
SELECT l.tree_index, l.stream, l.seq, l.hash, e.hash AS entry FROM ledger_leaf l
LEFT JOIN ledger_entry e ON e.stream = l.stream AND e.seq = l.seq ORDER BY l.tree_index
"""
_CHECKPOINTS = f"SELECT {CHECKPOINT} FROM ledger_checkpoint ORDER BY number"  # noqa: S608 - our own column names
_UNSEALED = """
SELECT e.stream, e.seq, e.recorded_at, e.written_by FROM ledger_entry e
WHERE NOT EXISTS (SELECT FROM ledger_leaf l WHERE l.stream = e.stream AND l.seq = e.seq)
"""


class Breaks:
    """What is wrong, up to `MOST_BREAKS`."""

    def __init__(self) -> None:
        self.found: list[Break] = []
        self._more = 0

    def add(self, stream: str, seq: int, problem: str) -> None:
        """One more."""
        if len(self.found) < MOST_BREAKS:
            self.found.append(Break(stream=stream, seq=seq, problem=problem))
        else:
            self._more += 1

    def told(self) -> tuple[Break, ...]:
        """All, and how many more there are."""
        more = [Break(stream=LEDGER, seq=0, problem=f"{self._more:,} more are broken")] if self._more else []
        return (*self.found, *more)


def check(dsn: str, anchors: Path | None = None) -> Verification:
    """Check everything, with the anchors where this process can read them.

    Raises:
        Unavailable: the server does not answer.
    """
    # Before the snapshot: whatever is anchored by then is in the database by then.
    marks = AnchorMarks.of(anchors)
    with connect(dsn, name="quartermaster-verify-live") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with reading(connection):
            return _Check(connection).whole(marks)


class _Check:
    """One pass over each of the tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._breaks = Breaks()
        self._names = 0
        self._installed: list[InstalledKey] = []
        self._keys: dict[str, VerifierKey] = {}
        self._newest: SignedCheckpoint | None = None
        self.leaves = self.checkpoints = 0

    def whole(self, marks: AnchorMarks | None) -> Verification:
        """Everything."""
        chains = ledger.verify(ledger.read_entries(self._connection))
        for one in chains.breaks:
            self._breaks.add(one.stream, one.seq, one.problem)
        self._read_keys()
        self._tree()
        unsealed, oldest = self._unsealed()
        anchored = compare(marks, self._against()) if marks is not None else None
        return Verification(
            entries=chains.entries, streams=chains.streams, breaks=self._breaks.told(), leaves=self.leaves,
            checkpoints=self.checkpoints, unsealed=unsealed, oldest_unsealed_s=oldest,
            anchored_leaves=anchored.leaves if anchored else None,
            anchored_checkpoints=anchored.checkpoints if anchored else None,
            losses=tuple(_loss_of(one) for one in self._installed if one.begins_a_log()),
        )  # fmt: skip

    def _against(self) -> Against:
        def notes() -> Iterator[str]:
            for row in self._stream(_CHECKPOINTS):
                yield row["note"]

        return Against(self._connection, notes, self._installed, self._breaks.add)

    def _read_keys(self) -> None:
        """Each but the first follows the one before it by a statement that both signed."""
        rows = self._connection.execute(f"SELECT {KEY} FROM notary_key ORDER BY first_checkpoint, installed_at")  # noqa: S608
        for place, row in enumerate(rows.fetchall(), start=1):
            try:
                one = InstalledKey(**row)
                key = VerifierKey.parse(one.verifier_key)
                told = one.told()
            except ValueError as error:
                self._breaks.add(KEYS, place, f"it cannot be read: {str(error)[:200]}")
                continue
            except InvalidInput as error:
                self._breaks.add(KEYS, place, str(error))
                continue
            if place > 1 or one.statement is not None:
                self._follows(place, one, key, told)
            self._installed.append(one)
            self._keys[one.key_id] = key

    def _follows(self, place: int, one: InstalledKey, key: VerifierKey, told: dict[str, Any]) -> None:
        statement = one.statement or b""
        said = told.get("new_key"), told.get("first_checkpoint")
        old = None
        with suppress(InvalidInput, TypeError, AttributeError):
            old = VerifierKey.parse(told["old_key"]) if "old_key" in told else None
        signed = old is not None and all(
            verify(who.public, _raw(signature), statement)
            for who, signature in ((old, one.old_signature), (key, one.new_signature))
        )
        # After a loss the key before may have been installed after the backup that was restored.
        known = old is not None and (
            told.get("loss") is not None or old.text in {before.verifier_key for before in self._installed}
        )
        if not signed or not known or said != (one.verifier_key, one.first_checkpoint):
            self._breaks.add(KEYS, place, "no statement that the key before it signed says that it follows")

    def _tree(self) -> None:
        """Leaves are the entries', and lead to the root of each checkpoint."""
        frontier = Frontier()
        signed = self._signed()
        following = next(signed, None)
        for row in self._stream(_LEAVES):
            while following is not None and following.size <= frontier.size:
                self._root(following, frontier)
                following = next(signed, None)
            index = row["tree_index"]
            if index != frontier.size:
                self._breaks.add(LEDGER, index, f"this leaf stands where leaf {frontier.size:,} should")
            if row["entry"] is None:
                self._breaks.add(row["stream"], row["seq"], f"it is gone; the tree has it as leaf {index:,}")
            elif row["entry"] != row["hash"]:
                self._breaks.add(row["stream"], row["seq"], f"it is not the one that the tree has as leaf {index:,}")
            try:
                frontier.append(entry_leaf(row["hash"]))
            except ValueError:
                self._breaks.add(LEDGER, index, "its hash is none")
                frontier.append(entry_leaf("0" * 64))
        self.leaves = frontier.size
        while following is not None:
            self._root(following, frontier)
            following = next(signed, None)

    def _root(self, one: SignedCheckpoint, frontier: Frontier) -> None:
        if one.size > frontier.size:
            words = f"it covers {one.size:,} entries, and the tree has {frontier.size:,}: certified entries are gone"
        elif one.size < frontier.size:
            words = "it covers fewer entries than the one before it"
        elif frontier.root().hex() != one.root:
            words = f"the first {one.size:,} leaves do not lead to the root that was signed"
        else:
            return
        self._breaks.add(CHECKPOINTS, one.number, words)

    def _signed(self) -> Iterator[SignedCheckpoint]:
        """Checkpoints in their order, each with its signature checked."""
        before: SignedCheckpoint | None = None
        for row in self._stream(_CHECKPOINTS):
            one = SignedCheckpoint.model_construct(**row)
            self.checkpoints += 1
            if one.number != (before.number + 1 if before else 1):
                self._breaks.add(CHECKPOINTS, one.number, "the one before it is missing")
            if before is not None and one.signed_at < before.signed_at:
                self._breaks.add(CHECKPOINTS, one.number, "it is older than the one before it")
            self._signature(one)
            before = self._newest = one
            yield one

    def _signature(self, one: SignedCheckpoint) -> None:
        try:
            note = read_note(one.note)
        except InvalidInput:
            self._breaks.add(CHECKPOINTS, one.number, "it is no signed note")
            return
        said = note.checkpoint
        if (said.size, said.root, said.time) != (one.size, one.root, one.signed_at):
            self._breaks.add(CHECKPOINTS, one.number, "its row says another thing than its signed note")
        key = self._key_then(one.number)
        if key is None or not _signed_by(note, key):
            self._breaks.add(CHECKPOINTS, one.number, "the key that was the notary's then did not sign it")

    def _key_then(self, number: int) -> VerifierKey | None:
        then = [one for one in self._installed if one.first_checkpoint <= number]
        return self._keys[then[-1].key_id] if then else None

    def _unsealed(self) -> tuple[int, float | None]:
        """Entries without a leaf, and the age of the oldest. One that the notary would never look at is a break."""
        horizon = self._newest.horizon if self._newest else 0
        row = self._connection.execute(
            "SELECT clock_timestamp() AS now, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest"
        ).fetchone() or {"now": datetime.now(UTC), "oldest": 0}
        if row["oldest"] < horizon:
            horizon = 0  # the database counts anew: it was restored elsewhere
        count, ages = 0, list[float]()
        for one in self._stream(_UNSEALED):
            count += 1
            if one["written_by"] < horizon:
                self._breaks.add(one["stream"], one["seq"], "it was put in behind the notary: its transaction is older "
                                 "than the newest checkpoint, which covers all of those")  # fmt: skip
            with suppress(ValueError, TypeError):
                ages = [max([*ages, (row["now"] - datetime.fromisoformat(one["recorded_at"])).total_seconds()])]
        return count, ages[0] if ages else None

    def _stream(self, query: str) -> Iterator[DictRow]:
        self._names += 1
        with self._connection.cursor(name=f"live_{self._names}") as cursor:
            cursor.itersize = AT_ONCE
            cursor.execute(query.encode())
            yield from cursor


def _signed_by(note: Note, key: VerifierKey) -> bool:
    return note.checkpoint.origin == key.name and note.signed_by(key, verify)


def _raw(signature: str | None) -> bytes:
    """The bytes of a signature as statements have it."""
    with suppress(ValueError):
        return base64.b64decode(signature or "", validate=True)
    return b""


def _loss_of(key: InstalledKey) -> str:
    told = key.told()
    return f"{told.get('actor')} accepted {told.get('time')} that entries are gone for good: {told.get('reason')}"[:500]
