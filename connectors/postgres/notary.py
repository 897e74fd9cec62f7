"""Gives the notary what was committed and has no leaf yet, and keeps what it certifies."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg

from connectors.postgres import ledger
from connectors.postgres.pool import Connection, connect, reading, transaction
from workflows.domain.errors import Unavailable
from workflows.domain.ledger import Entry, NewEntry
from workflows.domain.notary import InstalledKey, Leaf, NotaryRefuses, NotaryRuns, SignedCheckpoint
from workflows.domain.tree import Place, Span, entry_leaf

BATCH = 2_000
LOCK_WITHIN_S = 20.0
"""A notary that was killed holds its lock until the server notices."""
CHECKPOINT = "number, size, root, signed_at, key_id, note, frontier, horizon"
KEY = "key_id, verifier_key, first_checkpoint, installed_at, statement, old_signature, new_signature"

_ENTRY = "e.stream, e.seq, e.type, e.actor, e.occurred_at, e.recorded_at, e.body, e.body_sha256, e.prev_hash, e.hash"
# Whatever is visible is committed, in whatever order the transactions began; an open one keeps the next look from
# beginning after it.
_WITHOUT_LEAF = """
SELECT e.stream, e.seq FROM ledger_entry e
WHERE e.written_by >= %s AND NOT EXISTS (SELECT FROM ledger_leaf l WHERE l.stream = e.stream AND l.seq = e.seq)
ORDER BY e.written_by, e.stream COLLATE "C", e.seq
"""
_LOAD = f"""
SELECT {_ENTRY}, p.hash AS before
FROM unnest(%s::text[], %s::integer[]) WITH ORDINALITY AS k (stream, seq, n)
JOIN ledger_entry e ON e.stream = k.stream AND e.seq = k.seq
LEFT JOIN ledger_entry p ON p.stream = k.stream AND p.seq = k.seq - 1
ORDER BY k.n
"""  # noqa: S608
_LEAVES = """
SELECT l.tree_index AS index, l.stream, l.seq, e.type, e.actor, e.occurred_at, e.recorded_at, e.body_sha256, l.hash
FROM ledger_leaf l JOIN ledger_entry e ON e.stream = l.stream AND e.seq = l.seq AND e.hash = l.hash
WHERE l.tree_index >= %s AND l.tree_index < %s ORDER BY l.tree_index
"""
_ALTERED = """
SELECT l.tree_index, l.stream, l.seq, e.hash FROM ledger_leaf l
LEFT JOIN ledger_entry e ON e.stream = l.stream AND e.seq = l.seq
WHERE e.hash IS DISTINCT FROM l.hash ORDER BY l.tree_index LIMIT 1
"""


class PostgresNotary:
    """The notary's storage, over two connections: one reads far, the other writes and holds the lock."""

    def __init__(self, dsn: str, *, lock_within_s: float = LOCK_WITHIN_S) -> None:
        self._lock_within_s = lock_within_s
        self._writing: Connection = connect(dsn, name="quartermaster-notary")
        try:
            self._reading: Connection = connect(dsn, name="quartermaster-notary-reading")
        except Unavailable:
            self._writing.close()
            raise

    def close(self) -> None:
        """Let the lock go."""
        self._reading.close()
        self._writing.close()

    def lock(self) -> None:
        """Be the only notary of this database, for as long as the connection lives.

        Raises:
            NotaryRuns: another one is.
        """
        deadline = time.monotonic() + self._lock_within_s
        while True:
            with transaction(self._writing, "notary.lock") as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(hashtextextended('quartermaster.notary', 42)) AS taken")
                if (row := cursor.fetchone()) and row["taken"]:
                    return
            if time.monotonic() > deadline:
                raise NotaryRuns("another notary works on this database; two would sign two histories")
            time.sleep(0.2)

    def horizon(self) -> tuple[int, datetime]:
        """The oldest transaction that is not over, and the database's clock."""
        with reading(self._reading) as cursor:
            cursor.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest, clock_timestamp() AS now"
            )
            row = cursor.fetchone() or {"oldest": 0, "now": datetime.now(UTC)}
            return row["oldest"], row["now"]

    def without_leaf(self, written_from: int) -> Generator[list[tuple[str, int]]]:
        """(stream, seq) of committed entries of this transaction and later ones, in batches; seen at one instant."""
        with reading(self._reading), self._reading.cursor(name="without_leaf") as cursor:
            cursor.execute(_WITHOUT_LEAF, [written_from])
            while rows := cursor.fetchmany(BATCH):
                yield [(row["stream"], row["seq"]) for row in rows]

    def load(self, keys: Sequence[tuple[str, int]]) -> list[tuple[Entry, str | None]]:
        """These entries, each with the hash of the one before it in its chain."""
        with reading(self._writing) as cursor:
            cursor.execute(_LOAD, [[stream for stream, _ in keys], [seq for _, seq in keys]])
            rows = cursor.fetchall()
        return [(Entry.model_construct(**{**row, "body": bytes(row["body"])}), row.pop("before")) for row in rows]

    def append(self, first: int, entries: Sequence[Entry], nodes: Mapping[Place, bytes]) -> None:
        """Give these entries the leaves from `first` on, with the subtrees that they complete."""
        with self._alone(), transaction(self._writing, "notary.append") as cursor:
            cursor.execute(
                """INSERT INTO ledger_leaf (tree_index, stream, seq, hash)
                   SELECT %s + n - 1, stream, seq, hash
                   FROM unnest(%s::text[], %s::integer[], %s::text[]) WITH ORDINALITY AS u (stream, seq, hash, n)""",
                [first, [e.stream for e in entries], [e.seq for e in entries], [e.hash for e in entries]],
            )
            cursor.execute(
                "INSERT INTO ledger_node SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::text[])",
                [[level for level, _ in nodes], [at for _, at in nodes], [root.hex() for root in nodes.values()]],
            )

    def size(self) -> int:
        """How many leaves there are."""
        with reading(self._writing) as cursor:
            cursor.execute("SELECT coalesce(max(tree_index) + 1, 0) AS size FROM ledger_leaf")
            row = cursor.fetchone()
            return row["size"] if row else 0

    def leaf_hashes(self) -> Iterator[tuple[int, str]]:
        """(index, entry's hash) of every leaf, in order."""
        with reading(self._reading), self._reading.cursor(name="leaf_hashes") as cursor:
            cursor.itersize = 20_000
            cursor.execute("SELECT tree_index, hash FROM ledger_leaf ORDER BY tree_index")
            for row in cursor:
                yield row["tree_index"], row["hash"]

    def nodes(self) -> dict[Place, bytes]:
        """Every kept subtree's root."""
        with reading(self._reading) as cursor:
            cursor.execute("SELECT level, node_index, hash FROM ledger_node")
            return {(row["level"], row["node_index"]): bytes.fromhex(row["hash"]) for row in cursor}

    def kept(self, wanted: Mapping[int, Sequence[Span]]) -> dict[Place, bytes]:
        """What `tree.places` asks for, as far as it is there."""
        with reading(self._writing) as cursor:
            found: dict[Place, bytes] = {}
            for level, spans in wanted.items():
                cursor.execute(*rows_of(level, spans))
                found |= {(level, row["at"]): as_kept(level, row["hash"]) for row in cursor}
            return found

    def altered(self) -> tuple[int, str, int, bool] | None:
        """The first leaf whose entry has another hash by now: (index, stream, seq, whether the entry is there)."""
        with reading(self._reading) as cursor:
            cursor.execute(_ALTERED)
            row = cursor.fetchone()
            return (row["tree_index"], row["stream"], row["seq"], row["hash"] is not None) if row else None

    def leaves(self, first: int, end: int) -> list[Leaf]:
        """Leaves [first, end), without those whose entry was changed since."""
        with reading(self._writing) as cursor:
            cursor.execute(_LEAVES, [first, end])
            return [Leaf.model_construct(**row) for row in cursor]

    def latest(self) -> SignedCheckpoint | None:
        """The newest checkpoint."""
        with reading(self._writing) as cursor:
            cursor.execute(f"SELECT {CHECKPOINT} FROM ledger_checkpoint ORDER BY number DESC LIMIT 1")  # noqa: S608
            row = cursor.fetchone()
            return SignedCheckpoint(**row) if row else None

    def notes(self, after: int) -> Iterator[SignedCheckpoint]:
        """Checkpoints with a number above this, oldest first."""
        with reading(self._reading), self._reading.cursor(name="notes") as cursor:
            cursor.execute(f"SELECT {CHECKPOINT} FROM ledger_checkpoint WHERE number > %s ORDER BY number", [after])  # noqa: S608
            for row in cursor:
                yield SignedCheckpoint(**row)

    def insert(self, checkpoint: SignedCheckpoint) -> None:
        """Store a checkpoint."""
        with self._alone(), transaction(self._writing, "notary.insert") as cursor:
            cursor.execute(
                f"""INSERT INTO ledger_checkpoint ({CHECKPOINT}) VALUES (%(number)s, %(size)s, %(root)s,
                    %(signed_at)s, %(key_id)s, %(note)s, %(frontier)s, %(horizon)s)""",  # noqa: S608
                {**checkpoint.model_dump(), "frontier": list(checkpoint.frontier)},
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.UniqueViolation as error:
            detail = error.diag.message_detail or str(error)
            raise NotaryRefuses("fork", f"somebody else writes what only the notary may write: {detail}") from error

    def keys(self) -> list[InstalledKey]:
        """Every key, oldest first."""
        with reading(self._writing) as cursor:
            cursor.execute(f"SELECT {KEY} FROM notary_key ORDER BY first_checkpoint, installed_at")  # noqa: S608
            return [InstalledKey(**row) for row in cursor]

    def install(self, key: InstalledKey, entry: NewEntry) -> None:
        """Store a key and its entry in the ledger, together and once."""
        with transaction(self._writing, "notary.install") as cursor:
            cursor.execute(
                f"""INSERT INTO notary_key ({KEY}) VALUES (%(key_id)s, %(verifier_key)s, %(first_checkpoint)s,
                    %(installed_at)s, %(statement)s, %(old_signature)s, %(new_signature)s)
                    ON CONFLICT (key_id) DO NOTHING""",  # noqa: S608
                key.model_dump(),
            )
            if cursor.rowcount:
                ledger.append_now(cursor, [entry])

    def alarm(self, kind: str, detail: str) -> None:
        """Note what is wrong, for operators; an alarm of this kind that is not over says the newest."""
        with transaction(self._writing, "notary.alarm") as cursor:
            cursor.execute(
                """INSERT INTO notary_alarm (kind, detail) VALUES (%s, %s)
                   ON CONFLICT (kind) WHERE ended_at IS NULL DO UPDATE SET detail = EXCLUDED.detail""",
                [kind, detail[:2000]],
            )

    def end_alarms(self, but: Sequence[str] = ()) -> None:
        """All is well again, but for these kinds."""
        with transaction(self._writing, "notary.end_alarms") as cursor:
            cursor.execute(
                "UPDATE notary_alarm SET ended_at = clock_timestamp() WHERE ended_at IS NULL AND kind <> ALL (%s)",
                [list(but)],
            )


def rows_of(level: int, spans: Sequence[Span]) -> tuple[str, list[list[int]]]:
    """The query for what is kept of one level in these ranges."""
    table, at = ("ledger_leaf", "tree_index") if level == 0 else ("ledger_node", "node_index")
    which = "" if level == 0 else f"n.level = {level} AND "
    text = f"""SELECT n.{at} AS at, n.hash FROM unnest(%s::bigint[], %s::bigint[]) AS s (first, stop)
               JOIN {table} n ON {which}n.{at} >= s.first AND n.{at} < s.stop"""  # noqa: S608
    return text, [[first for first, _ in spans], [end for _, end in spans]]


def as_kept(level: int, text: str) -> bytes:
    """A leaf is kept as its entry's hash, a node as it is."""
    return entry_leaf(text) if level == 0 else bytes.fromhex(text)
