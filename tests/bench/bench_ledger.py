"""How many entries a second eight writers append, beside plain inserts of the same complete rows into a copy.

Each transaction appends to 250 chains what a decision usually leaves: a proposal of about 1.3 kB and a short entry; the
chains grow from round to round. Both sides send the same number of rows a transaction through the same eight
connections, with durable commits, and what they send was made and encoded before: only the server works on it.
`ledger_append` also locks each chain, numbers, links and hashes. Verification is what `audit verify` does: it reads
every entry back, recomputes every hash and the whole tree, and compares all of it with signed checkpoints and anchors;
a real notary certified it before. Evidence is measured on what deciding really keeps.
"""

import asyncio
import hashlib
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import pq
from psycopg.adapt import PyFormat, Transformer

from connectors.anchors import FileAnchor
from connectors.notary_folder import NotaryFolder
from connectors.postgres.live_check import check
from connectors.postgres.notary import PostgresNotary
from connectors.postgres.pool import Connection, connect
from tests.bench import evidence_bytes
from tests.bench.measuring import (
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
from workers.certifying import Notary
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import GENESIS, Entry, EntryType, NewEntry, Verification, chain_hash

WRITERS, TRANSACTIONS, CHAINS = 8, 3, 250
QUICK_CHAINS = 10
AT = datetime(2025, 3, 3, 5, tzinfo=UTC)
GIVEN = {"stream": "text", "type": "text", "actor": "text", "occurred_at": "text", "body": "bytea"}
COLUMNS = {
    "stream": "text", "seq": "int", "type": "text", "actor": "text", "occurred_at": "text", "recorded_at": "text",
    "body": "bytea", "body_sha256": "text", "prev_hash": "text", "hash": "text", "written_by": "bigint",
}  # fmt: skip
Columns = dict[str, list[Any]]


def _arrays(kinds: Sequence[str]) -> str:
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, start=1))


APPEND = f"SELECT ledger_append({_arrays(list(GIVEN.values()))})".encode()
PLAIN = f"INSERT INTO plain_ledger SELECT * FROM unnest({_arrays(list(COLUMNS.values()))})".encode()  # noqa: S608 - constants


class Message(NamedTuple):
    """One transaction, encoded as it goes over the wire."""

    command: bytes
    values: Sequence[Any]
    types: Sequence[int]
    formats: Sequence[int]


class Writers:
    """Connections that each send their transactions as fast as the server takes them."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections
        self.milliseconds: list[float] = []
        """Of each transaction of the last run."""

    def encode(self, command: bytes, columns: Columns, names: Sequence[str]) -> Message:
        """What one transaction sends."""
        transformer = Transformer(self._connections[0])
        values = transformer.dump_sequence([columns[name] for name in names], [PyFormat.BINARY] * len(names))
        return Message(command, values, transformer.types or (), transformer.formats or ())

    def run(self, messages: Sequence[Sequence[Message]]) -> None:
        """Writer n sends the n-th list; all at once. Ends when the last one is acknowledged."""
        self.milliseconds, failures = [], list[str]()
        at_once = threading.Barrier(len(self._connections))
        threads = [
            threading.Thread(target=self._write, args=(connection, mine, at_once, failures))
            for connection, mine in zip(self._connections, messages, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise RuntimeError(failures[0])

    def _write(
        self, connection: Connection, messages: Sequence[Message], at_once: threading.Barrier, failures: list[str]
    ) -> None:
        at_once.wait()
        for message in messages:
            begun = time.perf_counter()
            done = connection.pgconn.exec_params(message.command, message.values, message.types, message.formats)
            if done.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                failures.append(done.error_message.decode(errors="replace"))
                return
            self.milliseconds.append((time.perf_counter() - begun) * 1000)


class Scene:
    """Chains that grow by two entries in each round, in the ledger and as rows for its copy."""

    def __init__(self, chains: int, transactions: int) -> None:
        self.chains, self.transactions = chains, transactions
        self._ends: dict[str, tuple[int, str]] = defaultdict(lambda: (0, GENESIS))

    def batches(self, number: int) -> list[list[list[NewEntry]]]:
        """The round's entries: by writer, by transaction."""
        return [
            [
                [
                    entry
                    for chain in range(self.chains)
                    for entry in _decision(f"LEEDS:SKU-{self.chains}-{writer}-{transaction}-{chain:04}:1", number + 1)
                ]
                for transaction in range(self.transactions)
            ]
            for writer in range(WRITERS)
        ]

    def columns(self, batch: Sequence[NewEntry]) -> Columns:
        """The rows that appending makes of them, by column; only instants of recording, and so hashes, differ."""
        rows = [self._seal(entry) for entry in batch]
        found = {name: [getattr(row, name) for row in rows] for name in COLUMNS if name != "written_by"}
        return {**found, "written_by": [1_000] * len(rows)}

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


def appending(owner: Connection, writers: Writers, scene: Scene, *, quick: bool) -> dict[str, Any]:
    """Entries a second of both sides, round by round in turns."""
    per_round = WRITERS * scene.transactions * scene.chains * 2
    pairs, making, took, plain_took = [], [], list[float](), list[float]()
    for number in rounds(quick=quick):
        given, making_s = _made(scene, number)
        columns = [[scene.columns(batch) for batch in mine] for mine in given]
        ours, plain = (
            [[writers.encode(command, one, list(names)) for one in mine] for mine in columns]
            for command, names in ((APPEND, GIVEN), (PLAIN, COLUMNS))
        )
        mine_took, other = list[float](), list[float]()
        taken = pair(number, partial(_noted, writers, ours, mine_took), partial(_noted, writers, plain, other))
        if number:
            pairs.append(taken)
            making.append(per_round / making_s)
            took += mine_took
            plain_took += other
        owner.execute("VACUUM ANALYZE")  # the server finishes what it owes, and knows what is there
    entries, plainly = spread([per_round / one for one, _ in pairs]), spread([per_round / one for _, one in pairs])
    ratios = spread([other / one for one, other in pairs], 3)
    return {
        "writers": WRITERS, "entries_per_transaction": scene.chains * 2, "rounds": len(pairs),
        "entries_per_round": per_round, "entries_per_s": entries["median"], "plain_insert_per_s": plainly["median"],
        "ratio": ratios["median"], **_percentiles(took), "plain": _percentiles(plain_took),
        "spread": {"entries_per_s": entries, "plain_insert_per_s": plainly, "ratio": ratios},
        "canonical_entries_per_s": spread(making)["median"],
    }  # fmt: skip


def _made(scene: Scene, number: int) -> tuple[list[list[list[NewEntry]]], float]:
    begun = time.perf_counter()
    return scene.batches(number), time.perf_counter() - begun


def _noted(writers: Writers, messages: Sequence[Sequence[Message]], took: list[float]) -> None:
    writers.run(messages)
    took += writers.milliseconds


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Of one transaction, from its sending to its acknowledgement."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def certify(state: Path, dsn: str) -> tuple[Path, float]:
    """Let a notary certify everything; the anchors, and how long it took."""
    anchors = state / "anchors"
    folder, anchor = NotaryFolder(state / "notary" / "notary.key"), FileAnchor(anchors)
    notary, begun = Notary(lambda: PostgresNotary(dsn), folder, anchor, None), time.perf_counter()
    try:
        notary.round(3_600.0)
        return anchors, time.perf_counter() - begun
    finally:
        notary.close()


def verifying(state: Path, dsn: str, *, quick: bool) -> dict[str, Any]:
    """Entries a second that one process verifies, reading included: chains, tree, signatures and anchors."""
    anchors, certified_s = certify(state, dsn)

    def whole() -> Verification:
        found = check(dsn, anchors)
        if not found.ok or not found.entries == found.leaves == found.anchored_leaves:
            raise RuntimeError(f"the ledger is broken, or not all of it was certified: {found}"[:500])
        return found

    found = whole()
    rates = spread([found.entries / seconds(whole) for number in rounds(quick=quick) if number])
    return {
        "verify_per_s": rates["median"], "verified_entries": found.entries, "verify_spread": rates,
        "verified_leaves": found.anchored_leaves, "certified_per_s": round(found.entries / certified_s),
    }  # fmt: skip


@contextmanager
def connected(dsn: str) -> Iterator[Writers]:
    """The writers, each with a connection of its own."""
    with ExitStack() as opened:
        yield Writers([opened.enter_context(connect(dsn, name=f"bench-{n}")) for n in range(WRITERS)])


def measure(owner: Connection, state: Path, dsn: str, *, quick: bool) -> dict[str, Any]:
    """Everything; `one_decision` is the same with what one decision leaves in each transaction."""
    owner.execute("CREATE TABLE plain_ledger (LIKE ledger_entry INCLUDING ALL)")
    with connected(dsn) as writers:
        progress("ledger: appending")
        scene = Scene(QUICK_CHAINS if quick else CHAINS, TRANSACTIONS)
        figures = appending(owner, writers, scene, quick=quick)
        progress("ledger: appending, one decision in a transaction")
        one = appending(owner, writers, Scene(1, TRANSACTIONS if quick else 40), quick=quick)
    progress("ledger: verifying")
    kept = ("entries_per_transaction", "entries_per_s", "plain_insert_per_s", "ratio", "p50_ms", "p99_ms")
    settings = owner.execute(
        "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')"
    ).fetchall()
    return {
        **figures, **verifying(state, dsn, quick=quick), "one_decision": {name: one[name] for name in kept},
        "durability": {row["name"]: row["setting"] for row in settings},
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    told, begun, before = options(__doc__ or ""), time.monotonic(), machine()
    with temporary_database() as (state, dsn), connect(dsn, name="bench") as owner:
        figures = measure(owner, state, dsn, quick=told.quick)
        evidence = asyncio.run(evidence_bytes.measure(state, dsn, quick=told.quick))
    figures |= {"evidence_bytes_per_decision": evidence.pop("evidence_bytes_per_decision"), "evidence": evidence}
    publish(told, "ledger", before, begun, figures)


if __name__ == "__main__":
    main()
