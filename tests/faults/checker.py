"""Judges a world by what is on disk and in its database, with no line of the product: it could be wrong elsewhere only.

It reads the supplier's own journal, PostgreSQL by plain SQL, and the list of what was told to the engine. An outcome is
ok, failed or unknown: what may or may not have been carried out is held to nothing but to have happened at most once.

    found = check(Evidence(dsn, journal, produced))         # no violation: []
    found = check(evidence, "I3", "I10")                    # only these

    I1  no lost event: what the broker acknowledged is in the inbox or among the dead letters, and of all that was read
        each message is one that was accepted, a duplicate or a dead letter, says the ledger, without a gap
    I2  one decision per event: an event is taken in once and opens at most one need of an item and location, each need
        names the event that opened it, is decided once, and stands on at most one order line
    I3  at most one confirmed order per key in the supplier's journal, and each need on at most one line of it
    I4  no order of a proposal that waits for people without enough of them having agreed to this very proposal before,
        and none beyond what the policy allowed at its place when the order left
    I5  every chain of the ledger and the notary's tree verify, and what was acknowledged to somebody is in it
    I7  each position is the fold over its events
    I8  everything that does not wait for a person has come to its end, and no workflow fails in a loop
    I9  no row of the audit tables was changed or deleted, by the server's log of what it did
    I10 our orders and the supplier's journal agree, each way

I6 (replay agrees) needs the product itself, and is asked of it by the runner.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
ALWAYS = ("I5", "I7", "I8")
"""What every cell is held to."""
PLACED = frozenset({"placed", "received", "closed"})


@dataclass(frozen=True)
class Violation:
    """One promise that was broken, with what shows it."""

    invariant: str
    detail: str


@dataclass
class Evidence:
    """Where a world left its traces. `acknowledged`: ids of approvals that the API said it has."""

    dsn: str
    journal: Path
    produced: Path
    temporal: str | None = None
    """host:port, for workflows that fail in a loop; None: they are not looked at."""
    acknowledged: list[str] = field(default_factory=list)
    explained: dict[str, str] = field(default_factory=dict)
    """Violations (by words that are in them) which a cell brings about on purpose, with why."""

    def rows(self, query: str, *arguments: Any) -> list[Row]:
        """What the database has."""
        with psycopg.connect(self.dsn, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(query.encode(), arguments).fetchall()

    def told(self) -> list[Row]:
        """Every message that was produced, in order, with what the broker said of it."""
        return _lines(self.produced)

    def booked(self) -> list[Row]:
        """Every order in the supplier's journal that stands: the newest word on each booking or draft."""
        return standing(_lines(self.journal))


def standing(entries: list[Row]) -> list[Row]:
    """The orders that a journal's entries leave: one per booking, drafts that were confirmed among them."""
    drafts: dict[str, Row] = {}
    found: list[Row] = []
    for entry in entries:
        if entry["kind"] == "order":
            found.append({**entry["order"], "supplier_number": entry.get("supplier_number")})
        elif entry["kind"] == "draft":
            drafts[entry["draft"]] = entry
        elif entry["kind"] == "draft-confirmed":
            found.append({**drafts[entry["draft"]]["order"], "supplier_number": entry.get("supplier_number")})
    return found


def check(evidence: Evidence, *invariants: str) -> list[Violation]:
    """What does not hold, of these invariants or of all."""
    # Here: they stand on this module.
    from tests.faults.checker_intake import every_message_accounted_for, needs_name_their_events
    from tests.faults.checker_ledger import audit_tables_untouched, ledger_verifies
    from tests.faults.checker_orders import nothing_unapproved
    from tests.faults.checker_state import all_ended, positions_are_folds

    checks: dict[str, tuple[Callable[[Evidence], Iterator[str]], ...]] = {
        "I1": (no_lost_event, every_message_accounted_for), "I2": (one_decision_per_event, needs_name_their_events),
        "I3": (one_order_per_key,), "I4": (nothing_unapproved,), "I5": (ledger_verifies,),
        "I7": (positions_are_folds,), "I8": (all_ended,), "I9": (audit_tables_untouched,), "I10": (books_agree,),
    }  # fmt: skip
    return [
        Violation(name, detail)
        for name in invariants or checks
        for one in checks[name]
        for detail in one(evidence)
        if not any(words in detail for words in evidence.explained)
    ]


def no_lost_event(evidence: Evidence) -> Iterator[str]:
    """I1. A failed one must be nowhere; an unknown one may be anywhere, once."""
    inbox = {
        row["event_id"]: row["payload_sha256"] for row in evidence.rows("SELECT event_id, payload_sha256 FROM inbox")
    }
    dead = {row["payload_sha256"] for row in evidence.rows("SELECT payload_sha256 FROM dead_letter")}
    outcomes: dict[str, set[str]] = defaultdict(set)
    for told in evidence.told():
        outcomes[told["id"]].add(told["outcome"])
        if told["outcome"] == "ok" and told["sha256"] not in dead and inbox.get(told["id"]) != told["sha256"]:
            yield f"event {told['id']} on {told['topic']} was acknowledged and is nowhere"
    for event_id, said in outcomes.items():
        if said == {"failed"} and event_id in inbox:
            yield f"event {event_id} was never sent and is in the inbox"


def one_decision_per_event(evidence: Evidence) -> Iterator[str]:
    """I2. By what the tables hold and by what the ledger says happened."""
    for row in evidence.rows("SELECT source, event_id, count(*) AS n FROM inbox GROUP BY 1, 2 HAVING count(*) > 1"):
        yield f"event {row['event_id']} was taken in {row['n']} times"
    twice = "SELECT source, event_id, count(*) AS n FROM movement GROUP BY 1, 2 HAVING count(*) > 1"
    for row in evidence.rows(twice):
        yield f"event {row['event_id']} moved stock {row['n']} times"
    lines = "SELECT need_id, count(*) AS n FROM order_line GROUP BY 1 HAVING count(*) > 1"
    for row in evidence.rows(lines):
        yield f"need {row['need_id']} stands on {row['n']} order lines"
    open_twice = """SELECT location, item, count(*) AS n FROM need WHERE state IN ('open', 'proposed')
                    GROUP BY 1, 2 HAVING count(*) > 1"""
    for row in evidence.rows(open_twice):
        yield f"{row['location']}/{row['item']} has {row['n']} open needs"
    for kind in ("decision.proposed", "decision.released"):
        said = """SELECT stream, body_sha256, count(*) AS n FROM ledger_entry WHERE type = %s
                  GROUP BY 1, 2 HAVING count(*) > 1"""
        for row in evidence.rows(said, kind):
            yield f"the ledger has {row['n']} equal entries {kind} for {row['stream']}"
    again = """SELECT e.stream, count(*) AS n, (SELECT count(*) FROM decision d WHERE d.decision_id = e.stream) AS known
               FROM ledger_entry e WHERE e.type = 'decision.proposed' GROUP BY 1"""
    for row in evidence.rows(again):
        if row["n"] > row["known"]:
            yield f"the ledger has {row['n']} proposals of {row['stream']}, which was decided {row['known']} times"
    undecided = """SELECT need_id FROM need n WHERE state IN ('proposed', 'held')
                   AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.decision_id = n.need_id)"""
    for row in evidence.rows(undecided):
        yield f"need {row['need_id']} counts as decided and has no decision"


def one_order_per_key(evidence: Evidence) -> Iterator[str]:
    """I3. Whatever we believe, the supplier's journal is what will be delivered."""
    booked = evidence.booked()
    for key, number in Counter(order["key"] for order in booked).items():
        if number > 1:
            yield f"the supplier booked {number} orders under the key {key[:12]}"
    needs = Counter(line["need_id"] for order in booked for line in order["lines"])
    for need, number in needs.items():
        if number > 1:
            yield f"need {need} was ordered {number} times"


def books_agree(evidence: Evidence) -> Iterator[str]:
    """I10. Every booking is one of our orders with its number, units and prices, and every placed order of ours is a
    booking."""
    ours = {row["key"]: row for row in evidence.rows("SELECT * FROM purchase_order")}
    lines: dict[str, set[tuple[str, int, Decimal]]] = defaultdict(set)
    for row in evidence.rows("SELECT * FROM order_line WHERE refused_reason IS NULL"):
        lines[row["order_id"]].add((row["need_id"], row["units"], row["unit_cost"]))
    theirs = defaultdict(list)
    for order in evidence.booked():
        theirs[order["key"]].append(order)
    for key, orders in theirs.items():
        mine = ours.get(key)
        if mine is None:
            yield f"the supplier has an order under {key[:12]} that we do not know"
            continue
        if mine["state"] not in PLACED:
            yield f"the supplier has order {mine['order_id']}, which is {mine['state']} here"
        elif (
            mine["supplier_number"] not in (numbers := {one["supplier_number"] for one in orders})
            and None not in numbers
        ):
            yield f"order {mine['order_id']} has the number {mine['supplier_number']} here and another there"
        for order in orders:
            booked = {(line["need_id"], line["units"], Decimal(str(line["unit_cost"]))) for line in order["lines"]}
            if booked != lines[mine["order_id"]]:
                yield f"order {mine['order_id']} has other lines here than at the supplier"
    for key, mine in ours.items():
        if mine["state"] in PLACED and key not in theirs:
            yield f"order {mine['order_id']} is {mine['state']} here, and the supplier has none"


def _lines(path: Path) -> list[Row]:
    """Whole lines only: what a killed writer left half-written was never acknowledged."""
    if not path.exists():
        return []
    body = path.read_bytes()
    whole = body[: body.rfind(b"\n") + 1]
    return [json.loads(line, parse_float=Decimal) for line in whole.splitlines()]
