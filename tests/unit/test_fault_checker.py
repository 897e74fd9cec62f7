"""The fault harness's checker sees what it says that it checks, also where the product says that all is well."""

import json
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.checker import Evidence, Row, check
from tests.faults.checker_orders import limits_at
from tests.faults.checker_wal import changes

PLACE = {"item": "milk", "category": "dairy", "supplier": "acme", "location": "P1"}
LIMITED: Row = {
    "auto_value_limit": "5000",
    "overrides": [{"category": "dairy", "auto_value_limit": "6000"}, {"item": "bread", "auto_value_limit": "9000"}],
}
SENT = "2025-03-03T05:00:00.000000Z"


def policy(**limits: Any) -> bytes:
    """A policy as it is stored."""
    return json.dumps({**LIMITED, **limits}).encode()


class Told(Evidence):
    """Evidence whose tables hold these rows, and whose supplier booked this order."""

    def __init__(self, tables: dict[str, list[Row]], lines: list[Row]) -> None:
        super().__init__("", Path("absent"), Path("absent"))
        self.tables, self._lines = tables, lines

    def rows(self, query: str, *arguments: Any) -> list[Row]:
        return next((rows for words, rows in self.tables.items() if words in query), [])

    def booked(self) -> list[Row]:
        return [{"key": "k", "order_id": "o-1", "lines": self._lines}] if self._lines else []


def ordered(units: int, tier: str = "auto", *adopted: tuple[str, bytes], signers: int = 0, **more: Any) -> Told:
    """An order of so many units at 10 each, under the policies that were `adopted` at these instants."""
    proposal = {
        "decision_id": "n-1", "proposal_hash": "h", "tier": tier, "units": units, "unit_cost": Decimal(10),
        "document": policy(), "firsts": 0, **PLACE, **more,
    }  # fmt: skip
    approvals = [
        {"decision_id": "n-1", "actor": f"p{n}", "proposal_hash": "h", "units": None, "signatures_needed": None,
         "recorded_at": datetime(2025, 3, 3, tzinfo=UTC)}
        for n in range(signers)
    ]  # fmt: skip
    in_force = adopted or (("2025-01-01T00:00:00Z", policy()),)
    tables: dict[str, list[Row]] = {
        "FROM replenishment": [proposal],
        "type = 'order.sent'": [{"stream": "order:o-1", "at": SENT}],
        "adopted_at FROM": [{"adopted_at": datetime.fromisoformat(at), "document": words} for at, words in in_force],
        "FROM approval": approvals,
        "FROM person": [{"name": one["actor"]} for one in approvals],
    }
    return Told(tables, [{"need_id": "n-1", "units": units}])


def said(evidence: Evidence, invariant: str = "I4") -> str:
    """What was found, as one text."""
    return "; ".join(found.detail for found in check(evidence, invariant))


def test_an_order_below_every_limit_needs_nobody() -> None:
    assert check(ordered(600), "I4") == []


def test_an_order_above_the_policys_limit_that_nobody_was_asked_about_is_seen() -> None:
    (found,) = check(ordered(601), "I4")

    assert "ordered without a person" in found.detail


def test_an_order_of_a_proposal_for_people_that_nobody_agreed_to_is_seen() -> None:
    (found,) = check(ordered(1, "review"), "I4")

    assert "0 of 1 approvals" in found.detail


def test_a_need_that_was_proposed_more_often_than_it_was_decided_is_seen() -> None:
    counts = {"AS known": [{"stream": "n-1", "n": 2, "known": 1}, {"stream": "n-2", "n": 2, "known": 2}]}

    (found,) = check(Told(counts, []), "I2")

    assert "n-1" in found.detail


def test_a_limit_of_another_item_is_no_excuse() -> None:
    assert "the policy's limit is 6000" in said(ordered(700)), "the item bread may have 9000, and this is milk"
    assert said(ordered(700, item="bread")) == ""
    assert "the policy's limit is 5000" in said(ordered(501, category="tins"))


@pytest.mark.parametrize(
    ("overrides", "limit"),
    [
        ([{"item": "milk", "auto_value_limit": "10"}, {"category": "dairy", "supplier": "acme", "location": "P1",
           "auto_value_limit": "99"}], "10"),
        ([{"category": "dairy", "auto_value_limit": "10"}, {"category": "dairy", "location": "P1",
           "auto_value_limit": "99"}], "99"),
        ([{"category": "dairy", "auto_value_limit": "99"}, {"location": "P1", "auto_value_limit": "10"}], "10"),
        ([{"item": "milk", "autonomy": "L3"}, {"location": "P2", "auto_value_limit": "1"}], "5000"),
    ],
    ids=["who names the item", "who names more", "the strictest of equals", "none that is meant"],
)  # fmt: skip
def test_the_most_specific_override_is_the_limit(overrides: list[Row], limit: str) -> None:
    assert limits_at(policy(overrides=overrides), PLACE)["auto_value_limit"] == Decimal(limit)


def test_what_counts_is_the_policy_in_force_when_the_order_left() -> None:
    old, new = ("2025-01-01T00:00:00Z", policy()), ("2025-03-03T04:00:00Z", policy(overrides=[]))

    assert said(ordered(600, "auto", old)) == ""
    assert "the policy's limit is 5000" in said(ordered(600, "auto", old, new))
    assert said(ordered(600, "auto", old, ("2025-03-03T05:00:01Z", new[1]))) == "", "adopted when it had left"
    assert said(ordered(600, "auto", old, ("2025-03-03T04:59:58Z", new[1]))) == "", "adopted while it was leaving"


def test_what_the_policy_lets_nobody_or_no_single_one_order_is_seen() -> None:
    def under(signers: int = 1, tier: str = "review", firsts: int = 0, **limits: Any) -> str:
        return said(ordered(600, tier, ("2025-01-01T00:00:00Z", policy(**limits)), signers=signers, firsts=firsts))

    assert under() == ""
    assert "above 5999 nobody may release" in under(review_value_limit="5999")
    assert "may only suggest" in under(autonomy="L1")
    assert "1 of 2 signatures" in under(four_eyes_above="5999")
    assert under(2, four_eyes_above="5999") == ""
    assert "1 of 2 signatures" in under(four_eyes_for_new_supplier=True, firsts=1)
    assert under(four_eyes_for_new_supplier=True) == ""
    assert "one is asked about each order" in under(0, "auto", autonomy="L2")


def entry(seq: int, first: int, last: int, items: str, **counts: int) -> Row:
    """What the ledger says of one batch."""
    told = {"log": "log", "ranges": {"qm.sales/0": [first, last]}, "items": items, **counts}
    return {"stream": "intake:log", "seq": seq, "body": json.dumps(told).encode()}


def taken_in() -> dict[str, list[Row]]:
    """Two batches: two events, then one of them again, a dead letter and a third event."""
    lists = {"A": [["s", "e1", "h1"], ["s", "e2", "h2"]], "B": [["s", "e3", "h3"]]}
    return {
        "'events.accepted'": [
            entry(1, 0, 1, "A", accepted=2, duplicates=0, dead_lettered=0),
            entry(2, 2, 4, "B", accepted=1, duplicates=1, dead_lettered=1),
        ],
        "kind = 'items'": [
            {"sha256": "A", "codec": "raw", "body": json.dumps(lists["A"]).encode()},
            {"sha256": "B", "codec": "zlib", "body": zlib.compress(json.dumps(lists["B"]).encode())},
        ],
        "FROM inbox": [{"source": "s", "event_id": f"e{n}", "payload_sha256": f"h{n}"} for n in (1, 2, 3)],
        "FROM kafka_position": [{"log_id": "log", "topic": "qm.sales", "partition": 0, "next_offset": 5}],
    }


def test_messages_that_are_new_again_or_dead_are_all_that_were_read() -> None:
    tables = taken_in()
    assert said(Told(tables, []), "I1") == ""

    lost = {**tables, "FROM inbox": tables["FROM inbox"][1:]}
    assert said(Told(lost, []), "I1") == "event e1 is in the ledger as accepted, and not in the inbox"
    silent = {**tables, "'events.accepted'": tables["'events.accepted'"][:1]}
    found = said(Told(silent, []), "I1")
    assert "event e3 is in the inbox, and no entry says" in found
    assert "read up to 5, and its batches end at 2" in found
    gap = [tables["'events.accepted'"][0], entry(2, 3, 4, "B", accepted=1, duplicates=0, dead_lettered=1)]
    assert "no batch has offsets 2 to 2" in said(Told({**tables, "'events.accepted'": gap}, []), "I1")
    miscounted = [tables["'events.accepted'"][0], entry(2, 2, 4, "B", accepted=1, duplicates=0, dead_lettered=1)]
    assert "read 3 messages and accounts for 2" in said(Told({**tables, "'events.accepted'": miscounted}, []), "I1")
    twice = [*tables["'events.accepted'"], entry(3, 4, 4, "B", accepted=1, duplicates=0, dead_lettered=0)]
    assert "e3 was accepted 2 times" in said(Told({**tables, "'events.accepted'": twice}, []), "I1")


def opened(event: Row | None = None, *needs: Row) -> Told:
    """A need of milk at P1 and the sale that opened it; `needs` are more, `event` is what else is said of the sale."""
    sale = {
        "source": "s", "event_id": "e1", "type": "quartermaster.sale.recorded.v1", "traceparent": "T",
        "payload": json.dumps({"data": {"location": "P1", "item": "milk"}}).encode(),
    }  # fmt: skip
    need = {
        "need_id": "P1:milk:1", "location": "P1", "item": "milk", "cause": "below_watch_level", "traceparent": "T",
    }  # fmt: skip
    told = {"told": {name: need[name] for name in ("need_id", "location", "item", "cause", "traceparent")}}
    events, opened = [{**sale, **(event or {})}], [need, *({**need, **one} for one in needs)]
    return Told({"payload, traceparent": events, "SELECT * FROM need": opened, "AS told": [need | told]}, [])


def test_a_need_names_the_event_that_opened_it_and_no_other_need_does() -> None:
    assert said(opened(), "I2") == ""
    assert "both opened by event e1" in said(opened(None, {"need_id": "P1:milk:2"}), "I2")
    assert "P1:milk:2 (sweep) names no event" in said(
        opened(None, {"need_id": "P1:milk:2", "traceparent": None, "cause": "sweep"}), "I2"
    )
    assert "names an event that is not in the inbox" in said(opened({"traceparent": "U"}), "I2")
    other = json.dumps({"data": {"location": "P1", "item": "bread"}}).encode()
    assert "which is of P1/bread" in said(opened({"payload": other}), "I2")
    clock = json.dumps({"data": {"location": "P1"}}).encode()
    assert said(opened({"payload": clock, "type": "quartermaster.clock.advanced.v1"}), "I2") == ""


def test_a_decision_that_rests_on_another_need_than_was_opened_is_seen() -> None:
    evidence = opened()
    evidence.tables["AS told"][0]["told"]["traceparent"] = "V"

    assert "rests on a need whose traceparent is V, not T" in said(evidence, "I2")


def test_an_insertion_that_took_itself_back_is_no_deletion() -> None:
    line = (
        "rmgr: Heap        len (rec/tot):     54/    54, tx:        767, lsn: 0/01789AB8, prev 0/01789A80, "
        "desc: DELETE xmax: 767, off: 2, infobits: [KEYS_UPDATED], flags: 0x{}, blkref #0: rel 1663/5/16401 blk 0\n"
    )

    def found(flags: str, node: int = 16401) -> list[int]:
        return list(changes(line.format(flags).encode(), {(5, node): "evidence"}).values())

    assert (found("00"), found("05"), found("08"), found("00", 16402)) == ([1], [1], [], [])
