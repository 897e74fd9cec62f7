"""A population has every item with its place, and a proof whose counts a reader can repeat."""

import csv
import io
import json
from datetime import date
from typing import Any

from tests.unit.test_access_review import HASH, START, answered, entry
from workflows.domain.ledger import EntryType
from workflows.domain.population import (
    COLUMNS,
    PopulationFormat,
    PopulationKind,
    Tally,
    TreeHead,
    Wanted,
    header,
    items_of,
    line,
)

WANTED = Wanted(what=PopulationKind.DECISIONS, since=date(2026, 3, 1), until=date(2026, 3, 31))
PROPOSED: dict[str, Any] = {
    "decision": {"decision_id": "L:A:1", "revision": 2,
                 "result": {"kind": "proposal", "tier": "review", "supplier": "=cmd()", "units": 12, "value": "50.40",
                            "currency": "EUR"}},
    "proposal_hash": HASH,
}  # fmt: skip
HOLDS = {"batch": "L:abc", "holds": 2, "merkle_root": HASH}
TREE = TreeHead(number=4, size=10, root=HASH, signed_at=START, note="note")


def test_a_proposal_is_one_item_with_its_place() -> None:
    found = entry("L:A:1", EntryType.DECISION_PROPOSED, "engine", PROPOSED, seq=3)
    (item,) = items_of(PopulationKind.DECISIONS, found, PROPOSED, None, 7)
    assert (item.id, item.revision, item.outcome, item.units, item.value) == ("L:A:1", 2, "review", 12, "50.40")
    assert (item.stream, item.seq, item.hash, item.leaf) == ("L:A:1", 3, found.hash, 7)


def test_each_hold_of_a_batch_is_an_item_and_of_an_earlier_release_their_number() -> None:
    batch = entry("batch:L:abc", EntryType.HOLDS_RECORDED, "engine", HOLDS)
    named = items_of(PopulationKind.DECISIONS, batch, HOLDS, [["L:A:1", 1, HASH], ["L:B:1", 1, HASH]], None)
    assert [(one.id, one.place, one.outcome, one.count) for one in named] == [
        ("L:A:1", 0, "hold", 1), ("L:B:1", 1, "hold", 1),
    ]  # fmt: skip
    (counted,) = items_of(PopulationKind.DECISIONS, batch, HOLDS, None, None)
    assert (counted.id, counted.count, counted.place) == ("L:abc", 2, None)


def test_orders_and_answers_say_what_they_are() -> None:
    body = {"key": HASH, "order": {"supplier": "acme", "currency": "EUR", "lines": [{"units": 5}, {"units": 7}]}}
    (order,) = items_of(
        PopulationKind.ORDERS, entry("order:acme:L:1:1", EntryType.ORDER_PREPARED, "engine", body), body, None, 0
    )
    assert (order.id, order.supplier, order.units, order.content) == ("acme:L:1:1", "acme", 12, HASH)
    said = {"meaning": "approve", "proposal_hash": HASH, "units": None, "revision": 1}
    (answer,) = items_of(PopulationKind.APPROVALS, answered("p", "approve", minutes=1), said, None, None)
    assert (answer.id, answer.outcome, answer.actor) == ("L:A:1", "approve", "p")


def test_a_csv_file_runs_nothing_in_a_spreadsheet() -> None:
    (item,) = items_of(
        PopulationKind.DECISIONS, entry("L:A:1", EntryType.DECISION_PROPOSED, "engine", PROPOSED), PROPOSED, None, None
    )
    text = "".join(header(PopulationFormat.CSV)) + line(PopulationFormat.CSV, item)
    (row,) = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert tuple(row) == COLUMNS
    assert (row["supplier"], row["units"], row["leaf"]) == ("'=cmd()", "12", "")
    assert json.loads(line(PopulationFormat.JSONL, item))["supplier"] == "=cmd()"
    assert list(header(PopulationFormat.JSONL)) == []


def test_the_proof_counts_what_was_written_and_what_no_checkpoint_covers() -> None:
    tally = Tally(WANTED)
    for seq, leaf in ((1, 3), (2, 10), (3, None)):
        one = entry("L:A:1", EntryType.DECISION_PROPOSED, "engine", PROPOSED, seq=seq)
        tally.entry(one, items_of(PopulationKind.DECISIONS, one, PROPOSED, None, leaf), leaf, TREE)
    proof = tally.proof({"decision.proposed": 3}, TREE, "now")
    assert (proof.entries, proof.items, proof.without_leaf, proof.beyond_checkpoint) == (3, 3, 1, 1)
    assert proof.first is not None
    assert proof.last is not None
    assert (proof.first.seq, proof.last.seq) == (1, 3)
    assert proof.whole
    assert not tally.proof({"decision.proposed": 4}, TREE, "now").whole
    assert not tally.proof({"decision.proposed": 3, "holds.recorded": 1}, TREE, "now").whole
