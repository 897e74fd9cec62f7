"""How many entries a second the offline verifier checks: a pack of more than 100,000, against its anchor and the
supplier's list, in a process of its own as an auditor runs it.

Every decision has what it leaves when all goes well: a proposal of about 1.3 kB on inputs of about 3 kB and a snapshot,
an answer, its release, and an order of one line that the supplier took. Nothing is wrong, and nothing may be found.
"""

import hashlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.measuring import machine, options, progress, publish, rounds, spread
from tests.offline import VERIFY, Book
from workflows.domain.identity import canonical, order_key
from workflows.domain.orders import lines_digest

DECISIONS, QUICK_DECISIONS = 17_000, 200
A_MINUTE = 500
"""Decisions between two checkpoints."""
CYCLE, PLACE = "2026-03-03", "LEEDS"
PAST = [f"a rule in words, about as long as the engine's own are, and a number of the past {n}" for n in range(30)]
STEPS = [
    {"step": name, "rule": PAST[0], "units": 84, "cost": "-0.2997"} for name in ("demand", "stock", "safety", "pack")
]


def record(decisions: int) -> tuple[Book, list[dict[str, Any]]]:
    """A ledger of so many decisions, and the orders as the supplier has them."""
    book, erp = Book(), list[dict[str, Any]]()
    model, policy, source = book.keep(b"a model"), book.keep({"version": 1}), book.keep({"release": "1"})
    for number in range(decisions):
        erp.append(_one(book, number, {"model": model, "policy": policy}, source))
        if number % A_MINUTE == A_MINUTE - 1:
            book.sign(timedelta(0))
    book.sign()
    return book, erp


def _one(book: Book, number: int, rests_on: dict[str, str], source: str) -> dict[str, Any]:
    need, item, supplier = f"{PLACE}:SKU-{number:06}:1", f"SKU-{number:06}", f"S{number:06}"
    snapshot = book.keep({"row": {"item": item, "on_hand": number}, "alternatives": [], "source": source})
    inputs = book.keep({"need": {"need_id": need}, "snapshot": snapshot, "past": PAST})
    result = {
        "kind": "proposal", "supplier": supplier, "units": 84, "unit_cost": "14.6700", "value": "1232.2800",
        "currency": "EUR", "tier": "review", "sentence": PAST[1] + PAST[2], "waterfall": STEPS,
    }  # fmt: skip
    digests = {"inputs_digest": inputs, **{f"{name}_digest": digest for name, digest in rests_on.items()}}
    decision = {"decision_id": need, "revision": 1, "result": result, **digests}
    agreed = hashlib.sha256(canonical(decision)).hexdigest()
    name = f"{supplier}:{PLACE}:{CYCLE}:1"
    key, digest = order_key(supplier, PLACE, CYCLE, 1), lines_digest([(item, 84)])
    line = {"line_no": 1, "need_id": need, "item": item, "units": 84, "unit_cost": "14.6700"}
    order = {"order_id": name, "key": key, "supplier": supplier, "location": PLACE, "cycle": CYCLE, "lines": [line]}
    answer = {"command": f"c-{number}", "meaning": "approve", "proposal_hash": agreed, "units": None}
    took = {"answer": "placed", "supplier_number": f"A-{number}", "lines_digest": digest}
    said = [
        (need, "decision.proposed", {"decision": decision, "proposal_hash": agreed}),
        (need, "verdict.recorded", answer),
        (need, "decision.released", {"order": name, "units": 84, "proposal_hash": agreed, "tier": "review"}),
        (f"order:{name}", "order.prepared", {"key": key, "lines_digest": digest, "order": order}),
        (f"order:{name}", "order.sent", {"attempt": 1}),
        (f"order:{name}", "order.answered", took),
    ]
    for stream, kind, body in said:
        book.append(stream, kind, body)
    return {"key": key, "number": f"A-{number}", "lines": [{"item": item, "units": 84}]}


def checking(arguments: list[str], report: Path, *, quick: bool) -> Iterator[dict[str, float]]:
    """Wall and processor seconds of each round, and what the verifier says itself."""
    for number in rounds(quick=quick):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            raise RuntimeError(f"a clean record is not clean: {done.stdout[-500:]}{done.stderr[-500:]}")
        if number:
            told = json.loads(report.read_text())["checked"]
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            yield {"wall_s": wall, "cpu_s": cpu, "entries": told["entries"], "peak_mib": after.ru_maxrss / 1024}


def main() -> None:
    """Measure and print."""
    told, begun, before = options(__doc__ or ""), time.monotonic(), machine()
    with TemporaryDirectory(prefix="qm-bench-") as folder:
        at = Path(folder)
        progress("verify: making a record")
        book, erp = record(QUICK_DECISIONS if told.quick else DECISIONS)
        pack, orders, report = book.write(at), at / "erp.jsonl", at / "report.json"
        orders.write_text("".join(json.dumps(one) + "\n" for one in erp))
        size = pack.stat().st_size
        del book, erp
        progress("verify: checking it")
        arguments = [VERIFY, pack, "--anchor", at / "anchors", "--erp", orders, "--json", report]
        taken = list(checking([str(one) for one in arguments], report, quick=told.quick))
    figures = {
        "entries": int(taken[0]["entries"]), "pack_bytes": size, "rounds": len(taken),
        "entries_per_s": spread([one["entries"] / one["wall_s"] for one in taken]),
        "entries_per_cpu_s": spread([one["entries"] / one["cpu_s"] for one in taken]),
        "wall_s": spread([one["wall_s"] for one in taken], 2), "cpu_s": spread([one["cpu_s"] for one in taken], 2),
        "peak_mib": round(max(one["peak_mib"] for one in taken)),
    }  # fmt: skip
    publish(told, "verify", before, begun, figures)


if __name__ == "__main__":
    main()
