"""Kill -9 in mid-demo, thrice; `demo --resume` ends with the books balanced and no order placed twice."""

from collections import Counter
from typing import Any

import pytest

from tests.demos import DAYS, FIRST_DAY, LAST_DAY, KilledDemo
from workflows import naming

pytestmark = pytest.mark.timeout(1200)
"""The first of these tests plays the demo."""
Spans = dict[str, dict[str, Any]]


def test_each_kill_hit_a_demo_at_work_and_what_was_killed_was_started_again(killed_demo: KilledDemo) -> None:
    for victim, successor in killed_demo.killed.values():
        assert successor
        assert successor != victim
    assert FIRST_DAY < killed_demo.mid_demo <= LAST_DAY, "neither before it began nor after its end"


def test_what_the_killed_supervisor_left_is_ended_by_the_resumed_one(killed_demo: KilledDemo) -> None:
    assert len(killed_demo.orphans) >= 6, "servers, suppliers, intake and worker lived on"
    assert not any(orphan.alive() for orphan in killed_demo.orphans)
    assert "Ended what a killed run had left: postgres" in killed_demo.resumed.err


def test_the_resumed_demo_ends_with_its_books_balanced(killed_demo: KilledDemo) -> None:
    assert killed_demo.resumed.code == 0, killed_demo.resumed.err
    books = killed_demo.resumed.json
    assert books["days"] == DAYS, "it remembers what it plays"
    assert books["ledger_ok"] is True
    assert books["dead_lettered"] == 0
    assert books["needs"] == books["holds"] + books["proposals"]
    assert books["proposals"] == books["auto_released"] + books["blocked"] + books["tasks_opened"]
    states = ("approved", "rejected", "expired", "voided", "open")
    assert books["tasks_opened"] == sum(books[state] for state in states)
    assert books["orders_placed"] == books["orders_at_supplier"] > 0
    assert books["orders_in_doubt"] == 0


def test_no_order_is_at_the_suppliers_twice(killed_demo: KilledDemo) -> None:
    orders = [entry["order"] for entry in killed_demo.journal()]

    assert len(orders) == killed_demo.resumed.json["orders_at_supplier"]
    assert set(Counter(order["key"] for order in orders).values()) == {1}
    lines = Counter(line["need_id"] for order in orders for line in order["lines"])
    assert set(lines.values()) == {1}, "each need is on one order"


def test_resuming_a_demo_that_has_ended_changes_nothing(killed_demo: KilledDemo) -> None:
    assert killed_demo.again.code == 0, killed_demo.again.err
    assert killed_demo.again.json | {"seconds": 0} == killed_demo.resumed.json | {"seconds": 0}


def test_nothing_is_left_running(killed_demo: KilledDemo) -> None:
    assert killed_demo.commands.processes() == []
    assert killed_demo.commands.run_of("demo") is None


def test_one_trace_leads_from_the_kafka_message_to_the_suppliers_journal(killed_demo: KilledDemo) -> None:
    """The message's own span is its sender's; every one below it is ours, and each names the one above."""
    spans = {span["span_id"]: span for span in killed_demo.spans()}
    needs = {span["attributes"]["need_id"]: span for span in spans.values() if span["name"] == "need opened"}
    connected = []
    for entry in killed_demo.journal():
        order, (trace_id, sent_by) = entry["order"], _ids(entry["traceparent"])
        above = _upwards(spans, sent_by)
        first = next((line["need_id"] for line in order["lines"] if _trace(needs, line["need_id"]) == trace_id), None)
        if first is None or [span["name"] for span in above] not in CHAINS:
            continue  # whoever wrote a part of it was killed before it was on the disk
        assert {span["trace_id"] for span in above} == {trace_id}
        assert needs[first]["parent_id"] == above[-1]["parent_id"], "the span of the Kafka message"
        assert above[-1]["attributes"]["workflow_id"] == naming.purchasing_id(order["order_id"])
        connected.append(order["order_id"])
    assert len(connected) > len(killed_demo.journal()) / 2, Counter(span["name"] for span in spans.values())


def test_a_need_that_waits_for_a_person_goes_on_in_the_trace_of_its_message(killed_demo: KilledDemo) -> None:
    """It has a workflow of its own; needs within the policy have none, and go with the batch to their order."""
    spans = killed_demo.spans()
    needs = {naming.replenishment_id(s["attributes"]["need_id"]): s for s in spans if s["name"] == "need opened"}
    launches = [span for span in spans if span["name"] == "launch" and span["attributes"]["workflow_id"] in needs]
    assert launches
    for launch in launches:
        need = needs[launch["attributes"]["workflow_id"]]
        assert (launch["trace_id"], launch["parent_id"]) == (need["trace_id"], need["parent_id"])
        assert launch["links"], "and is linked to the batch that decided it"


CHAINS = [
    [f"RunActivity:{place}", f"StartActivity:{place}", "StartWorkflow:purchasing", "launch"]
    for place in ("place_at_once", "place")
]
"""From the supplier's HTTP request up to the Kafka message."""


def _ids(traceparent: str) -> tuple[str, str]:
    """(trace id, span id) of a W3C traceparent."""
    _, trace_id, span_id, _ = traceparent.split("-")
    return trace_id, span_id


def _trace(needs: Spans, need_id: str) -> str | None:
    return needs[need_id]["trace_id"] if need_id in needs else None


def _upwards(spans: Spans, span_id: str) -> list[dict[str, Any]]:
    """The span and all above it, as far as they are ours."""
    above = []
    while (span := spans.get(span_id)) is not None:
        above.append(span)
        span_id = span["parent_id"]
    return above
