"""Keeps evidence once under its own digest, in the caller's transaction, and gives back exactly the bytes it was given.

`evidence` has the inputs of decisions as they are, because SQL reads them; `evidence_part` has everything else, packed.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.columns import literal
from connectors.postgres.evidence_codec import Packed, checked, dictionary, pack, unpack
from connectors.postgres.pool import Connection, reading
from workflows.domain.evidence import EvidenceKind, EvidenceMissing, Kept
from workflows.domain.identity import Digest

AT_ONCE = 2_000
"""Digests per query."""
_KNOWN = "SELECT sha256 FROM evidence_part WHERE sha256 = ANY(%s::text[])"
# %b: an array of bytes in text form is escaped byte by byte, which takes longer than making what it holds.
# In the order of the digests, as everybody inserts: two batches with objects in common wait, and never for each other.
_INSERT = """
INSERT INTO evidence_part (sha256, kind, codec, dictionary, size, body)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bytea[])
ON CONFLICT DO NOTHING
"""
_INSERT_INPUTS = """
INSERT INTO evidence (sha256, body) SELECT * FROM unnest(%b::text[], %b::bytea[]) ON CONFLICT DO NOTHING
"""
_SELECT = "SELECT sha256, kind, codec, dictionary, size, body FROM evidence_part WHERE sha256 = ANY(%s)"
_INPUTS = "SELECT sha256, body FROM evidence WHERE sha256 = ANY(%s)"


async def keep(cursor: psycopg.AsyncCursor[DictRow], objects: Mapping[Digest, Kept]) -> None:
    """Keep these objects, each once however often it is given, in the caller's transaction.

    What is there already is not packed again; the rest is packed in a thread.
    """
    if objects:
        await cursor.execute(_KNOWN, [_wanted(objects)])
        known = {row["sha256"] for row in await cursor.fetchall()}
        packed = await asyncio.to_thread(_packed, objects, known)
        for rows in packed:
            await cursor.execute(_INSERT, _columns(rows))


def keep_now(cursor: psycopg.Cursor[DictRow], objects: Mapping[Digest, Kept]) -> None:
    """`keep` for synchronous callers."""
    if objects:
        cursor.execute(_KNOWN, [_wanted(objects)])
        for rows in _packed(objects, {row["sha256"] for row in cursor.fetchall()}):
            cursor.execute(_INSERT, _columns(rows))


async def keep_inputs(cursor: psycopg.AsyncCursor[DictRow], inputs: Sequence[tuple[Digest, bytes]]) -> None:
    """Keep the canonical bytes of inputs, each once, where SQL reads them."""
    rows = sorted(inputs)
    await cursor.execute(_INSERT_INPUTS, [[sha256 for sha256, _ in rows], [body for _, body in rows]])


class PostgresEvidence:
    """The `EvidenceSource` port over one connection: every read is checked against its digest."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dictionaries: dict[Digest, bytes] = {}

    def get(self, sha256: str) -> bytes:
        """See the port."""
        return self.get_many([sha256])[sha256]

    def get_many(self, digests: Iterable[str]) -> dict[str, bytes]:
        """The bytes under each of these digests.

        Raises:
            EvidenceMissing, EvidenceDamaged: the message names the first such digest.
        """
        wanted = sorted(set(digests))
        found: dict[str, bytes] = {}
        with reading(self._connection) as cursor:
            for begin in range(0, len(wanted), AT_ONCE):
                found |= self._some(cursor, wanted[begin : begin + AT_ONCE])
        if absent := [sha256 for sha256 in wanted if sha256 not in found]:
            more = f", nor under {len(absent) - 1} others that were asked for" if len(absent) > 1 else ""
            raise EvidenceMissing(f"no evidence is kept under {absent[0]}{more}")
        return found

    def _some(self, cursor: psycopg.Cursor[DictRow], wanted: list[str]) -> dict[str, bytes]:
        cursor.execute(_SELECT, [wanted])
        parts = [Packed(**row) for row in cursor.fetchall()]
        self._learn(cursor, {part.dictionary for part in parts if part.dictionary} - set(self._dictionaries))
        found = {part.sha256: unpack(part, self._words(part)) for part in parts}
        if rest := [sha256 for sha256 in wanted if sha256 not in found]:
            cursor.execute(_INPUTS, [rest])
            for row in cursor.fetchall():
                found[row["sha256"]] = checked(row["sha256"], EvidenceKind.INPUTS, row["body"])
        return found

    def _learn(self, cursor: psycopg.Cursor[DictRow], names: Iterable[str]) -> None:
        if unknown := sorted(names):
            cursor.execute(_SELECT, [unknown])
            for part in [Packed(**row) for row in cursor.fetchall()]:
                self._dictionaries[part.sha256] = unpack(part, b"")

    def _words(self, part: Packed) -> bytes:
        if part.dictionary is None:
            return b""
        if part.dictionary not in self._dictionaries:
            raise EvidenceMissing(
                f"no evidence is kept under {part.dictionary}, the dictionary that {part.sha256} ({part.kind}) needs"
            )
        return self._dictionaries[part.dictionary]


def _wanted(objects: Mapping[Digest, Kept]) -> str:
    return literal([*objects, dictionary()[0]])


def _packed(objects: Mapping[Digest, Kept], known: set[Digest]) -> Sequence[list[Packed]]:
    """What to insert, statement by statement: the dictionary before what names it."""
    new = [pack(sha256, objects[sha256]) for sha256 in sorted(objects) if sha256 not in known]
    name, words = dictionary()
    if name not in known and any(one.dictionary == name for one in new):
        return [pack(name, Kept(EvidenceKind.DICTIONARY, words))], new
    return [new] if new else []


def _columns(rows: list[Packed]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
