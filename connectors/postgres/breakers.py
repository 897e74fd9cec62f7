"""Keeps the circuit and the pace of each supplier for all workers, and answers whether a request may leave now.

Where nothing goes wrong and no rate is agreed, asking costs one read and nothing is written. What is written may be
lost with the server (`synchronous_commit = off` for that transaction alone): a few tokens and a few counts, of which no
promise depends. Everything that the engine promises is committed elsewhere, and waited for.
"""

from collections import Counter

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.pool import Database
from workflows.domain import breaker, pacing
from workflows.domain.breaker import Circuit, CircuitSeen, Phase, Rule
from workflows.domain.capabilities import Manifest
from workflows.domain.pacing import Bucket, Pace
from workflows.domain.permits import CallOutcome, Permit
from workflows.domain.requests import RequestKind

Cursor = psycopg.AsyncCursor[DictRow]
SHORTEST_WAIT_SECONDS = 0.05
MOST_UNTOLD = 50
"""Answers of a quiet circuit that are counted here before they are written down."""

_KEPT = "SELECT c.*, clock_timestamp() AS now FROM (SELECT %s::text AS asked) AS a LEFT JOIN supplier_circuit c"


class PostgresPermits:
    """The `SendPermits` port, for suppliers behind one connector."""

    def __init__(self, database: Database, manifest: Manifest, rule: Rule | None = None) -> None:
        self._database = database
        self._rule = (rule or Rule()).model_copy(update={"can_be_asked": manifest.finds})
        self._pace = Pace(requests_per_second=manifest.requests_per_second, burst=manifest.burst)
        self._untold: Counter[str] = Counter()

    async def permit(self, supplier: str, kind: RequestKind) -> Permit:
        """See the port."""
        async with self._database.reading() as cursor:
            row = await _read(cursor, supplier)
        paused = row["paused_until"] is not None and row["paused_until"] > row["now"]
        if self._pace.requests_per_second <= 0 and not paused and _circuit(row).phase is Phase.CLOSED:
            return Permit(granted=True)
        async with self._database.transaction("breakers.permit") as cursor:
            row = await _lock(cursor, supplier)
            gate = breaker.gate(_circuit(row), changes_something=not kind.reads, now=row["now"], rule=self._rule)
            if gate.wait_seconds > 0:
                return _wait(gate.wait_seconds, gate.reason, probe=gate.probe_first)
            taken = pacing.take(_bucket(row), self._pace, row["now"])
            if taken.wait_seconds > 0:
                return _wait(taken.wait_seconds, taken.reason)
            await _write(cursor, supplier, gate.circuit, taken.bucket)
            return Permit(granted=True)

    async def observed(
        self, supplier: str, kind: RequestKind, outcome: CallOutcome, retry_after_s: float | None = None
    ) -> None:
        """See the port."""
        # Who says when to come back is well enough to say so: that is a matter of pace, not of the circuit.
        answered = outcome is CallOutcome.ANSWERED or (outcome is CallOutcome.UNAVAILABLE and retry_after_s is not None)
        self._untold[supplier] += 1
        if answered and retry_after_s is None and self._untold[supplier] < MOST_UNTOLD:
            async with self._database.reading() as cursor:
                if _circuit(await _read(cursor, supplier)).quiet:
                    return
        requests = self._untold.pop(supplier, 1)  # somebody beside us may have told of ours
        async with self._database.transaction("breakers.observe") as cursor:
            row = await _lock(cursor, supplier)
            circuit = breaker.after(
                _circuit(row), answered=answered, asked=kind.reads, now=row["now"], rule=self._rule, requests=requests
            )
            bucket = _bucket(row)
            if retry_after_s is not None:
                bucket = pacing.paused(bucket, retry_after_s, row["now"])
            await _write(cursor, supplier, circuit, bucket, trouble="" if answered else f"{kind}: {outcome}")


class PostgresCircuits:
    """The `CircuitsDesk` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def circuits(self) -> list[CircuitSeen]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT supplier, phase, in_a_row, openings, opened_at, wait_until, paused_until, last_trouble,
                          last_trouble_at FROM supplier_circuit ORDER BY phase = 'closed', supplier LIMIT 1000"""
            )
            return [CircuitSeen.model_validate(row) for row in await cursor.fetchall()]


async def _read(cursor: Cursor, supplier: str) -> DictRow:
    await cursor.execute(_KEPT + " ON c.supplier = a.asked", [supplier])
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the outer join always gives its row
    return row


async def _lock(cursor: Cursor, supplier: str) -> DictRow:
    await cursor.execute("SET LOCAL synchronous_commit = off")
    await cursor.execute("INSERT INTO supplier_circuit (supplier) VALUES (%s) ON CONFLICT DO NOTHING", [supplier])
    await cursor.execute("SELECT 1 FROM supplier_circuit WHERE supplier = %s FOR UPDATE", [supplier])
    # A statement of its own: the clock is read after the lock was waited for.
    return await _read(cursor, supplier)


async def _write(cursor: Cursor, supplier: str, circuit: Circuit, bucket: Bucket, *, trouble: str = "") -> None:
    await cursor.execute(
        """UPDATE supplier_circuit SET phase = %(phase)s, in_a_row = %(in_a_row)s,
               window_began_at = %(window_began_at)s, window_requests = %(window_requests)s,
               window_unanswered = %(window_unanswered)s, opened_at = %(opened_at)s, openings = %(openings)s,
               wait_until = %(wait_until)s, full_at = %(full_at)s, paused_until = %(paused_until)s,
               last_trouble = coalesce(nullif(%(trouble)s, ''), last_trouble),
               last_trouble_at = CASE WHEN %(trouble)s = '' THEN last_trouble_at ELSE clock_timestamp() END,
               changed_at = clock_timestamp()
           WHERE supplier = %(supplier)s""",
        {**circuit.model_dump(), **bucket.model_dump(), "supplier": supplier, "trouble": trouble},
    )


def _circuit(row: DictRow) -> Circuit:
    return Circuit() if row["supplier"] is None else Circuit.model_validate(row)


def _bucket(row: DictRow) -> Bucket:
    return Bucket.model_validate(row)


def _wait(seconds: float, reason: str, *, probe: bool = False) -> Permit:
    return Permit(
        granted=False, wait_seconds=max(SHORTEST_WAIT_SECONDS, seconds), reason=f"not sent yet: {reason}", probe=probe
    )
