"""Reads recorded decisions back from the ledger and the evidence that it names, batch by batch, from nothing else."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.pool import Connection, connect, reading
from connectors.postgres.recorded import Opening, Place
from workflows.domain.counterfactual import Recorded, Which
from workflows.domain.errors import NotFound
from workflows.domain.identity import Digest, rfc3339
from workflows.domain.ledger import EntryType

Cursor = psycopg.Cursor[DictRow]
KEYS_AT_ONCE = 2_000
MOST_LOOKED_AT = 50_000
"""Entries that are gone through in search of the newest decisions of one model: it may have decided long ago."""
ONE_TRANSACTION = timedelta(seconds=10)
"""Entries of one transaction are recorded within so long of each other."""
_TYPES = [str(EntryType.DECISION_PROPOSED), str(EntryType.HOLDS_RECORDED)]
_LOCATION = "split_part(stream, ':', CASE WHEN type = 'holds.recorded' THEN 2 ELSE 1 END)"
_WHERE = """
FROM ledger_entry WHERE type = ANY(%(types)s)
  AND occurred_at COLLATE "C" >= %(first)s AND occurred_at COLLATE "C" < %(last)s
"""
_NEAR = f"""
  AND recorded_at >= %(from)s AND recorded_at <= %(to)s AND {_LOCATION} = %(location)s
"""
# What was written by one transaction comes together; where none was noted, all of one location and clock.
_KEYS = f"""
SELECT stream, seq, type, occurred_at COLLATE "C" AS occurred_at, {_LOCATION} COLLATE "C" AS location, written_by
"""
_ORDER = 'ORDER BY 4 {way}, 5, 6, stream COLLATE "C", seq'
_OF_ONE = "SELECT recorded_at, occurred_at FROM ledger_entry WHERE stream = %s AND type = %s ORDER BY seq DESC LIMIT 1"
_HOLDS_AT = """
SELECT stream, seq, recorded_at, occurred_at, body FROM ledger_entry
WHERE type = 'holds.recorded' AND starts_with(stream, %s) ORDER BY occurred_at DESC, stream, seq
"""


class PostgresRecordings:
    """The `Recordings` port: each reading is one transaction that sees the store as it was when it began."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def read(self, which: Which) -> Iterator[Recorded]:
        with self._reading() as connection, reading(connection) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            opening = Opening(connection, which)
            found = 0
            for batch in self._batches(connection, cursor, which, opening):
                recorded = opening.open(batch)
                asked = sum(1 for one in recorded.read if one.asked) + sum(1 for one in recorded.unread if one.asked)
                if asked:
                    yield recorded
                found += asked
                if which.newest is not None and found >= which.newest:
                    return
            if which.decision_id is not None and not found:
                raise NotFound(_unknown(which.decision_id))

    def count(self, which: Which) -> int:
        if which.decision_id is not None or which.newest is not None:
            return which.newest or 1
        with self._reading() as connection, reading(connection) as cursor:
            cursor.execute(f"SELECT count(*) AS n {_WHERE}", _stretch(which))
            row = cursor.fetchone()
            return int(row["n"]) if row else 0

    def model(self, digest: Digest) -> bytes:
        """The bytes of a model that decided something.

        Raises:
            EvidenceMissing, EvidenceDamaged: it never did, or is not what it was.
        """
        with self._reading() as connection:
            return Opening(connection, Which()).evidence.get(digest)

    def _reading(self) -> Connection:
        return connect(self._dsn, name="quartermaster-counterfactual")

    def _batches(
        self, connection: Connection, cursor: Cursor, which: Which, opening: Opening
    ) -> Iterator[Sequence[Place]]:
        arguments, where = _stretch(which), _WHERE
        if which.decision_id is not None:
            at = _recorded(cursor, which.decision_id, opening)
            near = datetime.fromisoformat(at["recorded_at"])
            where += _NEAR
            arguments |= {
                "from": rfc3339(near - ONE_TRANSACTION), "to": rfc3339(near + ONE_TRANSACTION),
                "location": which.decision_id.partition(":")[0], "first": at["occurred_at"],
                "last": at["occurred_at"] + "~",
            }  # fmt: skip
        order = _ORDER.format(way="DESC" if which.newest else "ASC")
        limit = f" LIMIT {MOST_LOOKED_AT}" if which.newest else ""
        with connection.cursor(name="recorded_decisions") as keys:
            keys.itersize = KEYS_AT_ONCE
            keys.execute((_KEYS + where + order + limit).encode(), arguments)
            for _, batch in groupby(keys, key=lambda row: (row["occurred_at"], row["location"], row["written_by"])):
                yield [Place(row["stream"], row["seq"]) for row in batch]


def _stretch(which: Which) -> dict[str, Any]:
    first = _midnight(which.since) if which.since else "0"
    last = _midnight(which.until + timedelta(days=1)) if which.until else "~"
    return {"types": _TYPES, "first": first, "last": last}


def _midnight(day: date) -> str:
    return rfc3339(datetime.combine(day, time.min, UTC))


def _recorded(cursor: Cursor, decision_id: str, opening: Opening) -> DictRow:
    """When the newest revision was recorded and decided: in its own chain, else among the holds of its location."""
    cursor.execute(_OF_ONE, [decision_id, str(EntryType.DECISION_PROPOSED)])
    if row := cursor.fetchone():
        return row
    cursor.execute(_HOLDS_AT, [f"batch:{decision_id.partition(':')[0]}:"])
    unnamed = 0
    for row in cursor.fetchall():
        held = opening.held(row["body"])
        if held is None:
            unnamed += 1
        elif any(one.decision_id == decision_id for one in held):
            return row
    raise NotFound(_unknown(decision_id, unnamed))


def _unknown(decision_id: str, unnamed: int = 0) -> str:
    words = f"the ledger has no decision {decision_id[:200]}"
    if not unnamed:
        return words
    batches = "one batch" if unnamed == 1 else f"{unnamed} batches"
    return f"{words}; it may be one of the holds of {batches} of its location that an earlier release did not name"
