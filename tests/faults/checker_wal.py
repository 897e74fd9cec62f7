"""What reached the audit tables, by PostgreSQL's own log of what it did to its pages: it outlives every crash.

PostgreSQL's counters begin anew after a crash. Its write-ahead log does not: whatever changed a row before the server
was killed is in it, or never happened. So it is read from its first segment (a world keeps them all) with the server's
own `pg_waldump`, also where a guard was switched off for the occasion. It has what was rolled back, too: a change that
got past the guards is one that reached the table.
"""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.faults.checker import Evidence, Row

FIRST_SEGMENT = "000000010000000000000001"
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HEAP = re.compile(
    rb"tx: +(?P<tx>\d+), .*desc: (?P<what>\w+)[ +].*?(?:flags: 0x(?P<flags>[0-9A-F]+).*?)?"
    rb"blkref #0: rel \d+/(?P<database>\d+)/(?P<node>\d+) "
)
CHANGES = {b"UPDATE", b"HOT_UPDATE", b"DELETE"}
TAKEN_BACK = 0x08
"""A deletion of this kind takes back an insertion of its own statement that met an equal row: nothing was there."""
WITHIN_S = 300.0


def rows_rewritten(evidence: Evidence, tables: Sequence[str]) -> Iterator[str]:
    """What was changed in these tables, deleted from them or truncated since the cluster was made."""
    named = """SELECT c.relname, c.oid::bigint AS oid, pg_relation_filenode(c.oid)::bigint AS node, d.oid::bigint AS db
               FROM pg_class c, pg_database d WHERE c.relname = ANY(%s) AND d.datname = current_database()"""
    relations = evidence.rows(named, list(tables))
    for row in relations:
        if row["oid"] != row["node"]:
            yield f"{row['relname']} was truncated or written anew as a whole"
    here = evidence.rows(
        """SELECT current_setting('data_directory') AS data, through::text, pg_walfile_name(through) AS newest,
                  (SELECT setting FROM pg_config WHERE name = 'BINDIR') AS programs
           FROM pg_current_wal_flush_lsn() AS through"""
    )
    for row in here:
        yield from _logged(row, relations)


def _logged(here: Row, relations: Sequence[Row]) -> Iterator[str]:
    segments = Path(here["data"]) / "pg_wal"
    first = min((name for name in os.listdir(segments) if _SEGMENT.fullmatch(name)), default="none")
    if first != FIRST_SEGMENT:
        yield f"the server's log is kept from {first} on: nobody can say what was changed before"
        return
    tables = {(row["db"], node): row["relname"] for row in relations for node in (row["oid"], row["node"])}
    # Segments are named, or it looks at any that there is to learn their size: at one that was made ahead, empty.
    asked = [
        Path(here["programs"]) / "pg_waldump", "--path", segments, "--start", "0/1000000", "--end", here["through"],
        "--rmgr", "Heap", FIRST_SEGMENT, here["newest"],
    ]  # fmt: skip
    done = subprocess.run(asked, capture_output=True, check=False, timeout=WITHIN_S)
    if done.returncode != 0:
        yield f"the server's log cannot be read up to {here['through']}: {done.stderr.decode(errors='replace')[-300:]}"
    for (table, what, transaction), rows in changes(done.stdout, tables).items():
        yield f"{table}: the server's log has {what} of {rows} rows by transaction {transaction}"


def changes(printed: bytes, tables: Mapping[tuple[int, int], str]) -> Counter[tuple[str, str, str]]:
    """How many rows were changed, by (table, what, transaction), of what `pg_waldump` printed; `tables` are named by
    the numbers of their database and their file."""
    found: Counter[tuple[str, str, str]] = Counter()
    for one in _HEAP.finditer(printed):
        table = tables.get((int(one["database"]), int(one["node"])))
        if table is None or one["what"] not in CHANGES:
            continue
        if one["what"] == b"DELETE" and int(one["flags"] or b"0", 16) & TAKEN_BACK:
            continue
        found[table, one["what"].decode(), one["tx"].decode()] += 1
    return found
