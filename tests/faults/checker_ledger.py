"""The ledger, recomputed from its rows: every chain, the notary's tree, and that nobody changed what was written."""

import hashlib
import json
from collections.abc import Iterator

from tests.faults.checker import Evidence, Row
from tests.faults.checker_wal import rows_rewritten

FIRST = "0" * 64
AUDIT_TABLES = (
    "ledger_entry",
    "ledger_leaf",
    "ledger_node",
    "ledger_checkpoint",
    "notary_key",
    "evidence",
    "evidence_part",
)


def ledger_verifies(evidence: Evidence) -> Iterator[str]:
    """I5."""
    entries = evidence.rows("SELECT * FROM ledger_entry ORDER BY stream, seq")
    yield from _chains(entries)
    yield from _tree(evidence, {(entry["stream"], entry["seq"]): entry["hash"] for entry in entries})
    yield from _passed_by(evidence, entries)
    yield from _acknowledged(evidence)


def audit_tables_untouched(evidence: Evidence) -> Iterator[str]:
    """I9. By the server's log, by its own counters (which begin anew after a crash), and by its guards standing."""
    yield from rows_rewritten(evidence, AUDIT_TABLES)
    query = "SELECT relname, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relname = ANY(%s)"
    for row in evidence.rows(query, list(AUDIT_TABLES)):
        if row["n_tup_upd"] or row["n_tup_del"]:
            yield f"{row['relname']}: {row['n_tup_upd']} rows changed, {row['n_tup_del']} deleted"
    query = """SELECT c.relname FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid
               WHERE c.relname = ANY(%s) AND NOT t.tgisinternal AND t.tgenabled = 'D'"""
    for row in evidence.rows(query, list(AUDIT_TABLES)):
        yield f"a guard of {row['relname']} is switched off"


def chain_hash(entry: Row) -> str:
    """SHA-256 over the parts with their lengths, as the migration that made the table says."""
    names = ("stream", "seq", "type", "actor", "occurred_at", "recorded_at", "prev_hash", "body_sha256")
    parts = [b"qm.ledger.v1", *(str(entry[name]).encode() for name in names)]
    return hashlib.sha256(b"".join(str(len(part)).encode() + b":" + part for part in parts)).hexdigest()


def _chains(entries: list[Row]) -> Iterator[str]:
    stream, seq, previous = None, 0, FIRST
    for entry in entries:
        if entry["stream"] != stream:
            stream, seq, previous = entry["stream"], 0, FIRST
        seq += 1
        at = f"{stream} {entry['seq']}"
        if entry["seq"] != seq:
            yield f"{at}: the entry before is missing"
            seq = entry["seq"]
        if hashlib.sha256(bytes(entry["body"])).hexdigest() != entry["body_sha256"]:
            yield f"{at}: the body is not what was hashed"
        if floats := _floats(bytes(entry["body"])):
            yield f"{at}: the body holds {floats[0]}, and a float has no single spelling"
        if entry["prev_hash"] != previous:
            yield f"{at}: it does not follow the entry before"
        if chain_hash(entry) != entry["hash"]:
            yield f"{at}: the hash is not its own"
        previous = entry["hash"]


def _tree(evidence: Evidence, hashes: dict[tuple[str, int], str]) -> Iterator[str]:
    """RFC 9162 over the leaves; each checkpoint's root is that of its size."""
    leaves = evidence.rows("SELECT * FROM ledger_leaf ORDER BY tree_index")
    roots = {row["size"]: row["root"] for row in evidence.rows("SELECT size, root FROM ledger_checkpoint")}
    stack: list[tuple[int, bytes]] = []
    for index, leaf in enumerate(leaves):
        if leaf["tree_index"] != index:
            yield f"the tree has no leaf {index}"
            return
        if hashes.get((leaf["stream"], leaf["seq"])) != leaf["hash"]:
            yield f"leaf {index} is not the entry {leaf['stream']} {leaf['seq']}"
        node, height = hashlib.sha256(b"\x00" + bytes.fromhex(leaf["hash"])).digest(), 0
        while stack and stack[-1][0] == height:
            node, height = hashlib.sha256(b"\x01" + stack.pop()[1] + node).digest(), height + 1
        stack.append((height, node))
        if (wanted := roots.pop(index + 1, None)) is not None and _root(stack) != wanted:
            yield f"the checkpoint of {index + 1} leaves has another root"
    if missing := sorted(size for size in roots if size > len(leaves)):
        yield f"checkpoints of {missing} leaves, and there are {len(leaves)}"


def _passed_by(evidence: Evidence, entries: list[Row]) -> Iterator[str]:
    """A checkpoint names the transaction before which every entry is in the tree."""
    leaves = {(row["stream"], row["seq"]) for row in evidence.rows("SELECT stream, seq FROM ledger_leaf")}
    horizon = max([row["horizon"] for row in evidence.rows("SELECT horizon FROM ledger_checkpoint")], default=0)
    for entry in entries:
        at = entry["stream"], entry["seq"]
        if horizon and entry["written_by"] < horizon and at not in leaves:
            yield f"{at[0]} {at[1]} has no leaf, and the notary says that all before transaction {horizon} have"


def _floats(body: bytes) -> list[str]:
    found: list[str] = []
    json.loads(body, parse_float=found.append, parse_constant=found.append)
    return found


def _root(stack: list[tuple[int, bytes]]) -> str:
    found = stack[-1][1]
    for _, node in reversed(stack[:-1]):
        found = hashlib.sha256(b"\x01" + node + found).digest()
    return found.hex()


def _acknowledged(evidence: Evidence) -> Iterator[str]:
    """What somebody was told has happened is in the database and on the record."""
    known = {row["approval_id"] for row in evidence.rows("SELECT approval_id FROM approval")}
    for approval in evidence.acknowledged:
        if approval not in known:
            yield f"approval {approval} was acknowledged and is not there"
    query = """SELECT decision_id FROM approval a WHERE meaning <> 'expire' AND NOT EXISTS (
                   SELECT 1 FROM ledger_entry e WHERE e.stream = a.decision_id
                   AND e.type IN ('verdict.recorded', 'verdict.signed'))"""
    for row in evidence.rows(query):
        yield f"an approval of {row['decision_id']} is not in the ledger"
