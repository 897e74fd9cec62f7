"""How many entries a second the ledger takes and verifies, beside plain inserts of the same rows into the same table.

Each transaction appends to 500 chains what a decision usually leaves: a proposal of about 1.3 kB and a short entry.
Both sides are given ready bytes (what making those costs is measured apart) and ready rows; `ledger_append` also locks
each chain, numbers, links and hashes. Verification reads every entry back and recomputes every hash.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from connectors.postgres.ledger import read_entries, verify
from connectors.postgres.pool import Connection, connect, transaction
from tests.bench.measuring import (
    against,
    machine,
    options,
    pair,
    progress,
    publish,
    rounds,
    seconds,
    spread,
    temporary_database,
)
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import GENESIS, Entry, EntryType, NewEntry, chain_hash

TRANSACTIONS, CHAINS = 4, 500
QUICK_CHAINS = 25
AT = datetime(2025, 3, 3, 5, tzinfo=UTC)
COLUMNS = {
    "stream": "text", "seq": "int", "type": "text", "actor": "text", "occurred_at": "text", "recorded_at": "text",
    "body": "bytea", "body_sha256": "text", "prev_hash": "text", "hash": "text",
}  # fmt: skip
APPEND = b"SELECT ledger_append(%s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])"
APPENDED = ("stream", "type", "actor", "occurred_at", "body")
PLAIN = f"INSERT INTO plain_ledger SELECT * FROM unnest({', '.join(f'%s::{kind}[]' for kind in COLUMNS.values())})"  # noqa: S608 - constants
Columns = dict[str, list[Any]]


class Scene:
    """The real ledger and its plain copy, both with chains that grow by two entries in each round."""

    def __init__(self, connection: Connection, chains: int) -> None:
        self._connection = connection
        self._chains = chains
        self._ends: dict[str, tuple[int, str]] = defaultdict(lambda: (0, GENESIS))
        connection.execute("CREATE TABLE plain_ledger (LIKE ledger_entry INCLUDING ALL)")

    def entries(self, number: int) -> list[list[NewEntry]]:
        """The round's entries, by transaction."""
        return [
            [
                entry
                for chain in range(self._chains)
                for entry in _decision(f"LEEDS:SKU-{transaction_number}-{chain:04}:1", number)
            ]
            for transaction_number in range(TRANSACTIONS)
        ]

    def columns(self, batch: Sequence[NewEntry]) -> Columns:
        """The rows that appending makes of them, by column; only instants of recording, and so hashes, differ."""
        rows = [self._seal(entry) for entry in batch]
        return {name: [getattr(row, name) for row in rows] for name in COLUMNS}

    def append(self, batches: Sequence[Columns]) -> None:
        """As the engine does: the function is given what an entry says, and makes the chain."""
        for columns in batches:
            with transaction(self._connection) as cursor:
                cursor.execute(APPEND, [columns[name] for name in APPENDED])

    def insert_plainly(self, batches: Sequence[Columns]) -> None:
        """The same rows, a transaction for each batch."""
        for columns in batches:
            with transaction(self._connection) as cursor:
                cursor.execute(PLAIN.encode(), list(columns.values()))

    def verify(self) -> int:
        """Recompute everything; how many entries there are.

        Raises:
            RuntimeError: a chain is broken.
        """
        found = verify(read_entries(self._connection))
        if not found.ok:
            raise RuntimeError(f"the ledger is broken: {found.breaks[:3]}")
        return found.entries

    def settle(self) -> None:
        """Let the planner know what is there, and the server finish what it owes."""
        self._connection.execute("VACUUM ANALYZE")

    def _seal(self, entry: NewEntry) -> Entry:
        seq, previous = self._ends[entry.stream]
        body = entry.body_bytes()
        draft = Entry(
            stream=entry.stream, seq=seq + 1, type=entry.type, actor=entry.actor,
            occurred_at=rfc3339(entry.occurred_at), recorded_at=rfc3339(AT), body=body,
            body_sha256=hashlib.sha256(body).hexdigest(), prev_hash=previous, hash=GENESIS,
        )  # fmt: skip
        done = draft.model_copy(update={"hash": chain_hash(draft)})
        self._ends[entry.stream] = done.seq, done.hash
        return done


def _decision(stream: str, number: int) -> list[NewEntry]:
    """What a revision of a decision leaves."""
    key = hashlib.sha256(f"{stream}:{number}".encode()).hexdigest()
    steps = [
        {"step": step, "rule": f"a rule in words, about as long as the engine's own are, for {step}", "units": units,
         "cost": "-0.2997"}
        for step, units in (("demand", 21), ("net of stock", -9), ("safety", 79), ("pack", 84))
    ]  # fmt: skip
    result = {
        "kind": "proposal", "supplier": "MAPLE", "units": 84, "unit_cost": "14.6700", "value": "1232.2800",
        "currency": "EUR", "tier": "auto", "rules": [], "expected_cost": "1.7198", "expected_cost_without": "63.8061",
        "sentence": "Order 84 of this item from MAPLE for 1232.28 EUR, expected in 4 days; without it there is a 3.9 % "
        "chance of running out before the next chance to order.", "waterfall": steps,
    }  # fmt: skip
    decision = {
        "decision_id": stream, "revision": number, "decided_at": rfc3339(AT), "inputs_digest": key, "model_digest": key,
        "policy_digest": key, "result": result,
    }  # fmt: skip
    proposed = {"decision": decision, "proposal_hash": key}
    released = {"order_id": f"po/MAPLE/LEEDS/{number}", "proposal_hash": key}
    return [
        NewEntry(stream=stream, type=kind, actor="engine", occurred_at=AT, body=body)
        for kind, body in ((EntryType.DECISION_PROPOSED, proposed), (EntryType.DECISION_RELEASED, released))
    ]


def measure(connection: Connection, chains: int, *, quick: bool) -> dict[str, Any]:
    """Entries a second."""
    scene = Scene(connection, chains)
    pairs, making = [], []
    per_round = TRANSACTIONS * chains * 2
    for number in rounds(quick=quick):
        given = scene.entries(number)
        making_s = seconds(partial(_make_bytes, given))
        batches = [scene.columns(batch) for batch in given]
        taken = pair(number, partial(scene.append, batches), partial(scene.insert_plainly, batches))
        if number:
            pairs.append(taken)
            making.append(per_round / making_s)
        else:
            scene.settle()
    progress("ledger: verifying")
    verified = scene.verify()
    verifying = [verified / seconds(scene.verify) for number in rounds(quick=quick) if number]
    return {
        "entries_per_transaction": chains * 2, "entries_per_round": per_round, "rounds": len(pairs),
        "body_bytes": [len(body) for body in batches[0]["body"][:2]], **against(pairs, per_round, "entries"),
        "canonical_entries_per_s": spread(making),
        "verified_entries": verified, "verify_rounds": len(verifying), "verified_entries_per_s": spread(verifying),
    }  # fmt: skip


def _make_bytes(batches: Sequence[Sequence[NewEntry]]) -> None:
    for batch in batches:
        for entry in batch:
            entry.body_bytes()


def main() -> None:
    """Measure and print."""
    told, begun, before = options(__doc__ or ""), time.monotonic(), machine()
    with temporary_database() as (_, dsn), connect(dsn, name="bench") as connection:
        progress("ledger: appending")
        figures = measure(connection, QUICK_CHAINS if told.quick else CHAINS, quick=told.quick)
    publish(told, "ledger", before, begun, figures)


if __name__ == "__main__":
    main()
