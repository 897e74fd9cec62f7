"""Reads how far the record is certified, and proves single entries; whoever asks for that is noted in the ledger."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from connectors.postgres.auditing import note
from connectors.postgres.ledger import COLUMNS
from connectors.postgres.pool import Database
from connectors.postgres.proofs import PostgresProofs
from connectors.signing import verify
from workflows.domain.approvals import Actor
from workflows.domain.auditing import AnchorTold, Certified, CheckpointTold, KeyTold, Place, RecordState
from workflows.domain.entry_proofs import EntryProof, checked
from workflows.domain.errors import NotFound
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.notary import SignedCheckpoint

PATIENCE_MS = 5_000
Anchors = Callable[[SignedCheckpoint | None], Sequence[AnchorTold]]
"""Where anchors are, as far as this process can see; it may look at files."""


class PostgresRecord:
    """The `RecordDesk` port."""

    def __init__(self, database: Database, dsn: str, anchors: Anchors) -> None:
        self._database, self._dsn, self._anchors = database, dsn, anchors
        self._proofs = PostgresProofs(database)

    async def state(self) -> RecordState:
        """See the port."""
        keys, newest = await self._proofs.keys(), await self._proofs.latest()
        waiting, alarms = await self._proofs.waiting(), await self._proofs.alarms()
        async with self._database.reading() as cursor:
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
        async with self._database.reading() as cursor:
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
        async with self._database.reading() as cursor:
            await cursor.execute(
                f"SELECT {COLUMNS} FROM ledger_entry WHERE stream = %s AND seq BETWEEN %s AND %s ORDER BY seq",  # noqa: S608
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
