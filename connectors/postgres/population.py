"""Reads whole populations from the ledger, a row at a time, with the tree's newest checkpoint of the same instant."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.earlier_holds import EarlierHolds
from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.ledger import COLUMNS
from connectors.postgres.pool import connect, reading
from workflows.domain.evidence import EvidenceSource
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.population import TYPES, Item, PopulationKind, Proof, Tally, TreeHead, Wanted, items_of
from workflows.domain.recordable import dereferenced

AT_ONCE = 1_000
_WHERE = """
WHERE recorded_at >= %(first)s AND recorded_at < %(end)s AND (%(types)s::text[] IS NULL OR type = ANY(%(types)s))
"""
# The index gives the instants in order; entries of one instant are put in an order that every server has.
_ROWS = f"""
SELECT {COLUMNS}, l.tree_index AS leaf
FROM ledger_entry LEFT JOIN (SELECT stream, seq, tree_index FROM ledger_leaf) l USING (stream, seq)
{_WHERE} ORDER BY recorded_at, stream COLLATE "C", seq
"""  # noqa: S608 - our own text
_COUNT = f"SELECT type, count(*) AS n FROM ledger_entry {_WHERE} GROUP BY type"  # noqa: S608 - our own text
_TREE = "SELECT number, size, root, signed_at, note FROM ledger_checkpoint ORDER BY number DESC LIMIT 1"


class PostgresPopulations:
    """The `Populations` port: one reading sees the store as it was when it began."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def export(self, wanted: Wanted, take: Callable[[Item], None]) -> Proof:
        tally, asked = Tally(wanted), _asked(wanted)
        with connect(self._dsn, name="quartermaster-population") as connection, reading(connection) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT clock_timestamp() AS now")
            now = (cursor.fetchone() or {"now": datetime.now(UTC)})["now"]
            tree = _tree(cursor)
            evidence = PostgresEvidence(connection)
            earlier = EarlierHolds(connection, evidence)
            with connection.cursor(name="population") as rows:
                rows.itersize = AT_ONCE
                rows.execute(_ROWS.encode(), asked)
                for row in rows:
                    entry, leaf = Entry(**row), row["leaf"]
                    items = items_of(wanted.what, entry, *_read(wanted.what, entry, evidence, earlier), leaf)
                    for item in items:
                        take(item)
                    tally.entry(entry, items, leaf, tree)
            cursor.execute(_COUNT.encode(), asked)
            apart = {row["type"]: row["n"] for row in cursor.fetchall()}
            return tally.proof(apart, tree, rfc3339(now))


def _read(
    what: PopulationKind, entry: Entry, evidence: EvidenceSource, earlier: EarlierHolds
) -> tuple[dict[str, Any], list[Any] | None]:
    """What the entry tells, and the holds that it names."""
    if what is PopulationKind.ENTRIES:
        return {}, None
    body = dereferenced(json.loads(entry.body), evidence)
    if entry.type != EntryType.HOLDS_RECORDED:
        return body, None
    items = body.get("items")
    return body, earlier.items(body["merkle_root"]) if items is None else json.loads(evidence.get(items))


def _tree(cursor: psycopg.Cursor[DictRow]) -> TreeHead | None:
    cursor.execute(_TREE)
    row = cursor.fetchone()
    return TreeHead.model_validate(row) if row else None


def _asked(wanted: Wanted) -> dict[str, Any]:
    types = TYPES[wanted.what]
    return {
        "types": None if types is None else [str(one) for one in types],
        "first": _midnight(wanted.since), "end": _midnight(wanted.until + timedelta(days=1)),
    }  # fmt: skip


def _midnight(day: date) -> str:
    return rfc3339(datetime.combine(day, time.min, UTC))
