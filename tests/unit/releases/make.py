"""Takes a few decisions of a release out of what its own demo left: `python -m tests.unit.releases.make STATE NAME`.

How the files beside this one were made, each from the last commit of its release:

    git worktree add --detach RELEASE COMMIT
    (cd RELEASE && QM_HOME=HOME python -m workers.cli demo)      # that release's code decides
    python -m tests.unit.releases.make HOME/demo NAME            # ledger entries and evidence, as they are stored

`decision-loop` is 60ad7d4, `decision-science` 7c861ab, `console` 62f6cec. Of `ledger`, the first release that records
what was scored, the file is made by `python -m tests.unit.releases.make_ledger`.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from workers.embedded import EmbeddedStack
from workers.settings import Settings

HERE = Path(__file__).parent
ENTRY = "stream, seq, type, actor, occurred_at, recorded_at, body, body_sha256, prev_hash, hash"
Row = dict[str, Any]


def wanted(decisions: list[Row], chains: dict[str, list[Row]]) -> dict[str, str]:
    """Decision ids by what they are an example of: the first of each kind."""
    found: dict[str, str] = {}
    for row in decisions:
        body, own = json.loads(row["body"]), chains.get(row["decision_id"], [])
        for kind in kinds(body, json.loads(row["inputs"]), own):
            found.setdefault(kind, row["decision_id"])
    return found


def kinds(body: Row, inputs: Row, chain: list[Row]) -> Iterator[str]:
    """What one decision is an example of."""
    result, types = body["result"], {one["type"] for one in chain}
    yield f"hold {result['reason']}" if result["kind"] == "hold" else f"{result['tier']}"
    if "order.line_refused" in types:
        yield "line refused by the send gate"
    if "outcome.measured" in types:
        yield f"measured {result['kind']}"
    if body["revision"] > 1:
        yield f"scored again {result['kind']}"
    if len(inputs["options"]) > 1 and any(option.get("outlook") for option in inputs["options"]):
        yield "several suppliers"
    if (inputs.get("joint") or {}).get("lines", 1) > 1:
        yield "shared order"
    for one in chain:
        told = json.loads(one["body"])
        if one["type"] == "verdict.recorded":
            yield told["meaning"]
        if one["type"] == "decision.closed":
            yield told["state"]


def taken(connection: psycopg.Connection[Row]) -> Row:
    """The chosen decisions with every entry and all evidence that a replay of them reads."""
    decisions = connection.execute(
        """SELECT d.decision_id, d.revision, d.proposal_hash, convert_from(d.body, 'UTF8') AS body, d.inputs_sha256,
                  convert_from(e.body, 'UTF8') AS inputs, n.batch_id
           FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256 JOIN need n ON n.need_id = d.decision_id
           ORDER BY d.decision_id, d.revision"""
    ).fetchall()
    chains: dict[str, list[Row]] = defaultdict(list)
    for entry in connection.execute(f"SELECT {ENTRY} FROM ledger_entry ORDER BY stream, seq").fetchall():  # noqa: S608
        chains[entry["stream"]].append({**entry, "body": bytes(entry["body"]).decode()})
    examples = wanted(decisions, chains)
    rows = [row for row in decisions if row["decision_id"] in set(examples.values())]
    streams = {row["decision_id"] for row in rows} | {f"batch:{row['batch_id']}" for row in rows}
    for row in rows:
        for entry in chains[row["decision_id"]]:
            told = json.loads(entry["body"])
            streams |= {f"order:{told['order']}"} if entry["type"] == "decision.released" else set()
            streams.add(f"person:{entry['actor']}")
    policies = [e for name in ("installation", "policy") for e in chains[name] if e["type"].startswith("policy.")]
    return {
        "examples": examples,
        "decisions": [{key: row[key] for key in ("decision_id", "revision", "proposal_hash")}
                      | {"batch": f"batch:{row['batch_id']}"} for row in rows],
        "entries": [entry for name in sorted(streams) for entry in chains[name]],
        "policies": policies,
        "evidence": {row["inputs_sha256"]: row["inputs"] for row in rows}
        | {row["proposal_hash"]: row["body"] for row in rows if json.loads(row["body"])["result"]["kind"] == "hold"},
    }  # fmt: skip


def main(state: Path, name: str) -> None:
    """Start the database of a finished demo, take, and write."""
    elsewhere = "127.0.0.1:9"
    settings = Settings(home=state, temporal_address=elsewhere, kafka_bootstrap=elsewhere)
    stack = EmbeddedStack(state, settings)
    addresses = stack.start()
    try:
        with psycopg.connect(addresses.postgres_dsn, row_factory=dict_row) as connection:
            found = taken(connection)
    finally:
        stack.stop()
    (HERE / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    sys.stderr.write(f"{name}: {', '.join(sorted(found['examples']))}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
