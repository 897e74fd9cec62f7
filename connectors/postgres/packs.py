"""Reads what goes into an evidence pack, as of one instant, and from the ledger, the tree and the evidence alone."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from time import sleep
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.notary import as_kept, rows_of
from connectors.postgres.pool import Connection, connect
from connectors.postgres.pool import reading as only_reading
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing
from workflows.domain.identity import rfc3339
from workflows.domain.notary import read_note
from workflows.domain.packs import LeafRange, PackRequest, Scope, ScopeKind
from workflows.domain.recordable import dereferenced
from workflows.domain.tree import Place, inclusion_spans, places, root_over

AT_ONCE = 2_000
SETTLE_S = 2.0
"""A checkpoint that is being signed now is stored within this time: a pack that says when it was made has it, or else
it would look as if it had been taken away."""
_COLUMNS = "e.stream, e.seq, e.type, e.actor, e.occurred_at, e.recorded_at, e.body, e.body_sha256, e.prev_hash, e.hash"
_ORDER = 'ORDER BY e.stream COLLATE "C", e.seq'
_ABOUT_ORDERS = ("decision.", "verdict.", "order.")

_PERIOD = f"""
SELECT {_COLUMNS} FROM ledger_entry e LEFT JOIN ledger_leaf l ON l.stream = e.stream AND l.seq = e.seq
WHERE e.stream = ANY(%(streams)s)
   OR (l.tree_index >= %(first)s AND l.tree_index < %(end)s)
   OR (l.tree_index IS NULL AND e.recorded_at >= %(since)s AND e.recorded_at < %(until)s)
{_ORDER}
"""  # noqa: S608 - our own column names
_RANGE = """
SELECT min(l.tree_index) AS first, max(l.tree_index) + 1 AS end FROM ledger_entry e
JOIN ledger_leaf l ON l.stream = e.stream AND l.seq = e.seq
WHERE e.recorded_at >= %(since)s AND e.recorded_at < %(until)s
"""
_TOUCHED = """
SELECT e.stream, e.type, e.body FROM ledger_entry e LEFT JOIN ledger_leaf l ON l.stream = e.stream AND l.seq = e.seq
WHERE ((l.tree_index >= %(first)s AND l.tree_index < %(end)s)
    OR (l.tree_index IS NULL AND e.recorded_at >= %(since)s AND e.recorded_at < %(until)s))
  AND e.type ~ '^(decision|verdict|order)[.]'
"""
_ONE_DECISION = f"""
SELECT {_COLUMNS} FROM ledger_entry e
WHERE e.stream = ANY(%(streams)s) OR (e.type = 'policy.adopted' AND e.stream = 'installation')
{_ORDER}
"""  # noqa: S608


class PackReader:
    """One connection, one snapshot of the database: what is committed meanwhile is in the next pack."""

    def __init__(self, connection: Connection, at: datetime) -> None:
        self.at = at
        """On the database's clock; whatever was certified until then is in the snapshot."""
        self._connection = connection
        self._evidence = PostgresEvidence(connection)
        self._names = 0

    def checkpoints(self, newest_only: bool) -> Iterator[dict[str, Any]]:
        """Checkpoints, oldest first."""
        last = "WHERE number = (SELECT max(number) FROM ledger_checkpoint)" if newest_only else ""
        query = f"SELECT number, size, root, signed_at, key_id, note FROM ledger_checkpoint {last} ORDER BY number"  # noqa: S608
        for row in self._stream(query):
            yield {**row, "signed_at": rfc3339(row["signed_at"])}

    def keys(self) -> Iterator[dict[str, Any]]:
        """The notary's keys, oldest first."""
        query = """SELECT key_id, verifier_key, first_checkpoint, installed_at, statement, old_signature, new_signature
                   FROM notary_key ORDER BY first_checkpoint, installed_at"""
        for row in self._stream(query):
            statement = row["statement"]
            told = bytes(statement).decode(errors="replace") if statement is not None else None
            yield {**row, "installed_at": rfc3339(row["installed_at"]), "statement": told}

    def leaves(self) -> Iterator[tuple[int, str, int, str]]:
        """The whole tree: index, stream, seq, the entry's hash."""
        for row in self._stream("SELECT tree_index, stream, seq, hash FROM ledger_leaf ORDER BY tree_index"):
            yield row["tree_index"], row["stream"], row["seq"], row["hash"]

    def tree_size(self) -> int:
        """Leaves that there are."""
        return int(self._one("SELECT coalesce(max(tree_index) + 1, 0) AS size FROM ledger_leaf")["size"])

    def scope(self, request: PackRequest) -> tuple[Scope, LeafRange]:
        """What exactly is in the pack that was asked for.

        Raises:
            NotFound: there is no such decision.
            InvalidInput: nothing was recorded in the period.
        """
        size = self.tree_size()
        if request.kind is ScopeKind.EVERYTHING:
            return Scope(kind=request.kind), LeafRange(size=size, first=0, end=size)
        if request.kind is ScopeKind.DECISION:
            assert request.decision is not None  # noqa: S101 - the kind says so
            whole = self._chains_of(request.decision)
            return Scope(kind=request.kind, decision=request.decision, whole=whole), LeafRange(
                size=size, first=0, end=0
            )
        assert request.since is not None  # noqa: S101
        assert request.until is not None  # noqa: S101
        since, until = _midnight(request.since), _midnight(request.until + timedelta(days=1))
        scope = Scope(kind=request.kind, since=rfc3339(since), until=rfc3339(until))
        return scope, self._range(scope, since, until, size)

    def entries(self, scope: Scope, leaves: LeafRange) -> Iterator[DictRow]:
        """The entries of this scope, chain by chain."""
        if scope.kind is ScopeKind.EVERYTHING:
            yield from self._stream(f"SELECT {_COLUMNS} FROM ledger_entry e {_ORDER}")  # noqa: S608
        elif scope.kind is ScopeKind.DECISION:
            yield from self._stream(_ONE_DECISION, {"streams": list(scope.whole)})
        else:
            span = {"first": leaves.first, "end": leaves.end, "since": scope.since, "until": scope.until}
            yield from self._stream(_PERIOD, {**span, "streams": sorted(self._touched(span))})

    def proofs(self, entries: Iterable[tuple[str, int]]) -> Iterator[dict[str, Any]]:
        """For each entry under the newest checkpoint: the path from it to the root."""
        newest = next(iter(self.checkpoints(newest_only=True)), None)
        if newest is None:
            return
        asked = sorted(set(entries))
        rows = self._connection.execute(
            """SELECT l.tree_index, l.stream, l.seq, l.hash FROM unnest(%s::text[], %s::integer[]) AS k (stream, seq)
               JOIN ledger_leaf l USING (stream, seq) WHERE l.tree_index < %s ORDER BY l.tree_index""",
            [[stream for stream, _ in asked], [seq for _, seq in asked], newest["size"]],
        ).fetchall()
        for row in rows:
            spans = inclusion_spans(row["tree_index"], newest["size"])
            kept: dict[Place, bytes] = {}
            for level, ranges in places(spans).items():
                query, arguments = rows_of(level, ranges)
                found = self._connection.execute(query.encode(), arguments)
                kept |= {(level, one["at"]): as_kept(level, one["hash"]) for one in found}
            try:
                path = [root_over(span, kept).hex() for span in spans]
            except KeyError:
                continue  # leaves were taken away: what cannot be proven is not said to be
            yield {"index": row["tree_index"], "stream": row["stream"], "seq": row["seq"], "hash": row["hash"],
                   "size": newest["size"], "path": path}  # fmt: skip

    def objects(self, digests: Sequence[str]) -> Mapping[str, bytes | str]:
        """The bytes under each digest; where there are none, `missing` or `damaged`."""
        found: dict[str, bytes | str] = {}
        for begin in range(0, len(digests), AT_ONCE):
            some = digests[begin : begin + AT_ONCE]
            try:
                found |= self._evidence.get_many(some)
            except (EvidenceMissing, EvidenceDamaged):
                found |= {sha256: self._object(sha256) for sha256 in some}
        return found

    def _object(self, sha256: str) -> bytes | str:
        try:
            return self._evidence.get(sha256)
        except EvidenceMissing:
            return "missing"
        except EvidenceDamaged:
            return "damaged"

    def _range(self, scope: Scope, since: datetime, until: datetime, size: int) -> LeafRange:
        """From the last checkpoint before the period to the first one after it: nothing of it can be elsewhere."""
        before, after = 0, size
        for row in self.checkpoints(newest_only=False):
            try:
                at = read_note(row["note"]).checkpoint.ledger_time
            except InvalidInput:
                continue
            if at < since:
                before = max(before, row["size"])
            elif at >= until:
                after = min(after, row["size"])
        found = self._one(_RANGE, {"since": scope.since, "until": scope.until})
        first = before if found["first"] is None else min(before, found["first"])
        return LeafRange(size=size, first=first, end=max(after, found["end"] or 0))

    def _touched(self, span: Mapping[str, Any]) -> set[str]:
        """Chains of decisions and orders of the period, and of what those speak of: they are in the pack as a whole."""
        found: set[str] = set()
        for row in self._stream(_TOUCHED, span):
            found |= {row["stream"], *self._spoken_of(row)}
        return found

    def _chains_of(self, decision: str) -> tuple[str, ...]:
        rows = list(self._stream("SELECT type, body FROM ledger_entry WHERE stream = %(stream)s", {"stream": decision}))
        if not any(row["type"] == "decision.proposed" for row in rows):
            return (self._batch_with(decision),)
        models = {f"model:{model}" for row in rows if (model := _model_of(row))}
        return tuple(sorted({decision, *(one for row in rows for one in self._spoken_of(row)), *models}))

    def _batch_with(self, decision: str) -> str:
        """The batch in which this decision was a hold."""
        place = decision.split(":", 1)[0].replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        query = "SELECT stream, body FROM ledger_entry WHERE type = 'holds.recorded' AND stream LIKE %(like)s"
        for row in list(self._stream(query, {"like": f"batch:{place}:%"})):
            listed = self._object(str(_said(row).get("items", "")))
            if isinstance(listed, bytes) and any(item[0] == decision for item in json.loads(listed)):
                return str(row["stream"])
        raise NotFound(f"the ledger has no decision {decision}")

    def _spoken_of(self, row: DictRow) -> set[str]:
        """The chains that an entry of a decision or of an order leads to."""
        said = _said(row)
        if row["type"] == "decision.released":
            return {f"order:{said.get('order')}"}
        if row["type"] == "order.prepared":
            try:
                order = dereferenced(said, self._evidence).get("order")
            except (EvidenceMissing, EvidenceDamaged, ValueError):
                return set()  # for the verifier to tell
            lines = order.get("lines", ()) if isinstance(order, dict) else ()
            return {str(line["need_id"]) for line in lines if isinstance(line, dict) and "need_id" in line}
        return set()

    def _one(self, query: str, arguments: Mapping[str, Any] | None = None) -> DictRow:
        found = self._connection.execute(query.encode(), arguments).fetchone()
        assert found is not None, query  # noqa: S101 - each of these always gives one row
        return found

    def _stream(self, query: str, arguments: Mapping[str, Any] | None = None) -> Iterator[DictRow]:
        self._names += 1
        with self._connection.cursor(name=f"pack_{self._names}") as cursor:
            cursor.itersize = AT_ONCE
            cursor.execute(query.encode(), arguments)
            yield from cursor


@contextmanager
def reading(dsn: str, settle_s: float = SETTLE_S) -> Iterator[PackReader]:
    """A reader on one snapshot of this database.

    Raises:
        Unavailable: the server does not answer, or its schema is older than the notary.
    """
    with connect(dsn, name="quartermaster-pack") as connection:
        with only_reading(connection) as cursor:
            at = cursor.execute("SELECT clock_timestamp() AS at").fetchone()
        sleep(settle_s)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with only_reading(connection):
            yield PackReader(connection, at["at"] if at else datetime.now(UTC))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, clock(), UTC)


def _said(row: DictRow) -> dict[str, Any]:
    """What an entry says; nothing, when somebody made it unreadable: that is for the verifier to tell."""
    try:
        found = json.loads(bytes(row["body"]))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _model_of(row: DictRow) -> str | None:
    decision = _said(row).get("decision") if row["type"] == "decision.proposed" else None
    return str(decision.get("model_digest")) if isinstance(decision, dict) else None
