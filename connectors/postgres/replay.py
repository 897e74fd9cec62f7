"""Reads of the ledger what a replay needs, in chunks: entries and nothing that the engine writes to as it goes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from connectors.postgres import ledger
from connectors.postgres.ledger import COLUMNS
from connectors.postgres.pool import Connection, reading, transaction
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import Entry, EntryType, NewEntry
from workflows.domain.replaying import DECIDING, Point, ReplayPlan, ReplayRequest

# By the primary key, so that each chunk costs what it reads; instants are compared as they are spelled.
_DECIDING = f"""
SELECT {COLUMNS} FROM ledger_entry
WHERE (stream, seq) > (%(stream)s, %(seq)s) AND type = ANY(%(types)s) AND recorded_at <= %(through)s
  AND (%(since)s::text IS NULL OR occurred_at >= %(since)s) AND (%(until)s::text IS NULL OR occurred_at < %(until)s)
ORDER BY stream, seq LIMIT %(limit)s
"""  # noqa: S608 - our own names
_CHAINS = f"SELECT {COLUMNS} FROM ledger_entry WHERE stream = ANY(%s) ORDER BY stream, seq"  # noqa: S608
_POLICIES = f"""
SELECT {COLUMNS} FROM ledger_entry WHERE stream = ANY(%s) AND type = ANY(%s) ORDER BY recorded_at, stream, seq
"""  # noqa: S608
_POLICY_STREAMS = ["installation", "policy"]
_NOW = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now"""
_NOTED = (
    "SELECT 1 FROM ledger_entry WHERE stream = %s AND type = %s AND convert_from(body, 'UTF8')::jsonb ->> 'run' = %s"
)


class PostgresDecisionLedger:
    """The `DecisionLedger` port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def now(self) -> str:
        """See the port."""
        with reading(self._connection) as cursor:
            cursor.execute(_NOW)
            row = cursor.fetchone()
            assert row is not None  # noqa: S101 - a SELECT without FROM has a row
            return str(row["now"])

    def deciding(self, after: Point, plan: ReplayPlan, request: ReplayRequest, limit: int) -> Sequence[Entry]:
        """See the port."""
        given = {
            "stream": after.stream, "seq": after.seq - (1 if after.items else 0), "types": list(map(str, DECIDING)),
            "through": plan.through, "since": request.since and rfc3339(request.since),
            "until": request.until and rfc3339(request.until), "limit": limit,
        }  # fmt: skip
        with reading(self._connection) as cursor:
            cursor.execute(_DECIDING, given)
            return [Entry(**row) for row in cursor.fetchall()]

    def chains(self, streams: Iterable[str]) -> Mapping[str, tuple[Entry, ...]]:
        """See the port."""
        found: dict[str, list[Entry]] = defaultdict(list)
        with reading(self._connection) as cursor:
            cursor.execute(_CHAINS, [sorted(set(streams))])
            for row in cursor:
                found[row["stream"]].append(Entry(**row))
        return {stream: tuple(entries) for stream, entries in found.items()}

    def policies(self) -> Sequence[Entry]:
        """See the port."""
        types = [EntryType.POLICY_ADOPTED, EntryType.POLICY_PROPOSED]
        with reading(self._connection) as cursor:
            cursor.execute(_POLICIES, [_POLICY_STREAMS, list(map(str, types))])
            return [Entry(**row) for row in cursor.fetchall()]

    def earlier_lists(self) -> Sequence[str]:
        """See the port."""
        with reading(self._connection) as cursor:
            cursor.execute("SELECT sha256 FROM evidence_part WHERE kind = 'earlier_items' ORDER BY sha256")
            return [row["sha256"] for row in cursor.fetchall()]

    def note(self, entry: NewEntry, run: str) -> bool:
        """Append what a replay came to, once for each `run` (which is in its body); whether it was new."""
        with transaction(self._connection, "replay.note") as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [entry.stream])
            cursor.execute(_NOTED, [entry.stream, str(entry.type), run])
            if cursor.fetchone() is not None:
                return False
            ledger.append_now(cursor, [entry])
            return True
