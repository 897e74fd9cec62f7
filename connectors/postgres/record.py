"""Reads how far the record is certified, and proves and rechecks it; whoever asks for that is noted in the ledger."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from connectors.postgres import ledger
from connectors.postgres.auditing import note
from connectors.postgres.notary import CHECKPOINT, KEY
from connectors.postgres.pool import Connection, Database, connect, transaction
from connectors.postgres.proofs import PostgresProofs
from connectors.signing import verify
from workflows.domain.approvals import Actor
from workflows.domain.auditing import AnchorTold, Certified, CheckpointTold, KeyTold, Place, RecordState
from workflows.domain.entry_proofs import EntryProof, checked
from workflows.domain.errors import NotFound
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.notary import InstalledKey, SignedCheckpoint
from workflows.domain.tree_check import LeafSeen, TreeCheck, TreeChecking

AT_ONCE = 5_000
PATIENCE_MS = 5_000
Anchors = Callable[[SignedCheckpoint | None], Sequence[AnchorTold]]
"""Where anchors are, as far as this process can see; it may look at files."""
_COLUMNS = "stream, seq, type, actor, occurred_at, recorded_at, body, body_sha256, prev_hash, hash"
_LEAVES = """
SELECT l.tree_index AS place, l.stream, l.seq, l.hash, e.hash AS entry_hash
FROM ledger_leaf l LEFT JOIN ledger_entry e USING (stream, seq) ORDER BY l.tree_index
"""
_WITHOUT = """
SELECT count(*) AS n FROM ledger_entry e
WHERE NOT EXISTS (SELECT FROM ledger_leaf l WHERE l.stream = e.stream AND l.seq = e.seq)
"""


class PostgresRecord:
    """The `RecordDesk` port."""

    def __init__(self, database: Database, dsn: str, anchors: Anchors) -> None:
        self._database, self._dsn, self._anchors = database, dsn, anchors
        self._proofs = PostgresProofs(database)

    async def state(self) -> RecordState:
        """See the port."""
        keys, newest = await self._proofs.keys(), await self._proofs.latest()
        waiting, alarms = await self._proofs.waiting(), await self._proofs.alarms()
        async with self._database.transaction() as cursor:
            await cursor.execute("SELECT clock_timestamp() AS now")
            now = (await cursor.fetchone() or {"now": datetime.now(UTC)})["now"]
        return RecordState(
            at=now, checkpoint=CheckpointTold.of(newest) if newest else None,
            age_seconds=max(0.0, (now - newest.signed_at).total_seconds()) if newest else None,
            waiting=waiting, alarms=tuple(alarms),
            keys=tuple(KeyTold.model_validate(key.model_dump(include=set(KeyTold.model_fields))) for key in keys),
            anchors=tuple(await asyncio.to_thread(self._anchors, newest)),
        )  # fmt: skip

    async def certified(self, entries: Sequence[Place]) -> Certified:
        """See the port."""
        newest = await self._proofs.latest()
        async with self._database.transaction() as cursor:
            await cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
            await cursor.execute(
                """SELECT stream, seq, tree_index FROM unnest(%s::text[], %s::integer[]) AS k (stream, seq)
                   JOIN ledger_leaf USING (stream, seq)""",
                [[stream for stream, _ in entries], [seq for _, seq in entries]],
            )
            leaves = {(row["stream"], row["seq"]): int(row["tree_index"]) for row in await cursor.fetchall()}
        return Certified(newest.size if newest else 0, leaves)

    async def proof(self, stream: str, seq: int, actor: Actor) -> EntryProof:
        """See the port."""
        async with self._database.transaction() as cursor:
            await cursor.execute(
                f"SELECT {_COLUMNS} FROM ledger_entry WHERE stream = %s AND seq BETWEEN %s AND %s ORDER BY seq",  # noqa: S608
                [stream, seq - 1, seq],
            )
            found = {row["seq"]: Entry(**row) for row in await cursor.fetchall()}
        if seq not in found:
            raise NotFound(f"there is no entry {seq} in the chain {stream}")
        inclusion = await self._proofs.inclusion(stream, seq)
        before = found[seq - 1].hash if seq - 1 in found else None
        proof = checked(found[seq], before, inclusion, await self._proofs.keys(), verify)
        told = {"what": "proof", "of": [stream, seq], "checkpoint": proof.checkpoint_number, "holds": proof.holds}
        await asyncio.to_thread(note, self._dsn, actor, EntryType.AUDIT_READ, told)
        return proof

    async def check(self, actor: Actor) -> TreeCheck:
        """See the port."""
        return await asyncio.to_thread(self._check, actor)

    def _check(self, actor: Actor) -> TreeCheck:
        with connect(self._dsn, name="quartermaster-audit-check") as connection, transaction(connection) as cursor:
            # One instant for all: what is appended meanwhile is neither counted nor missed.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(f"SELECT {KEY} FROM notary_key ORDER BY first_checkpoint, installed_at")  # noqa: S608
            checking = TreeChecking([InstalledKey(**row) for row in cursor.fetchall()], verify)
            checking.take(_leaves(connection), _checkpoints(connection))
            cursor.execute(_WITHOUT)
            row = cursor.fetchone() or {"n": 0}
            found = checking.result(ledger.verify(ledger.read_entries(connection)), int(row["n"]))
        body = {
            "what": "verify", "entries": found.chains.entries, "streams": found.chains.streams,
            "breaks": len(found.chains.breaks), "leaves": found.leaves, "checkpoints": found.checkpoints,
            "problems": found.problems_found,
        }  # fmt: skip
        note(self._dsn, actor, EntryType.AUDIT_READ, body)
        return found


def _leaves(connection: Connection) -> Iterator[LeafSeen]:
    with connection.cursor(name="leaves") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(_LEAVES)
        for row in cursor:
            yield LeafSeen(**row)


def _checkpoints(connection: Connection) -> Iterator[SignedCheckpoint]:
    with connection.cursor(name="checkpoints") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(f"SELECT {CHECKPOINT} FROM ledger_checkpoint ORDER BY number")  # noqa: S608
        for row in cursor:
            yield SignedCheckpoint(**row)
