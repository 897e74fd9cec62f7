"""What the engine believes, compared with what it was told, and whether it has come to rest."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from tests.faults.checker import PLACED, Evidence, Row

SETTLED = PLACED | {"refused", "empty", "withheld"}
LOOPS_FROM = 4
"""Attempts of one workflow task: more are a loop, fewer are a worker that was killed."""
LONG = 300
"""Workflows that are looked at."""


def positions_are_folds(evidence: Evidence) -> Iterator[str]:
    """I7. The newest count and everything that moved after it, by the events' own bytes."""
    counts: dict[tuple[str, str], tuple[datetime, str, str, int]] = {}
    moves: dict[tuple[str, str], list[tuple[datetime, int]]] = defaultdict(list)
    reserved: dict[tuple[str, str], int] = defaultdict(int)
    for row in evidence.rows("SELECT source, event_id, payload FROM inbox"):
        event = json.loads(bytes(row["payload"]))
        data, kind = event["data"], event["type"].removeprefix("quartermaster.")
        key = data.get("location", ""), data.get("item", "")
        at = datetime.fromisoformat(event["time"])
        if kind == "stock.counted.v1":
            newest = at, row["source"], row["event_id"], data["on_hand_units"]
            counts[key] = max(counts.get(key, newest), newest)
        elif kind == "stock.reserved.v1":
            reserved[key] += data["delta_units"]
        else:
            moves[key].append((at, _moved(kind, data)))
    for row in evidence.rows("SELECT * FROM position"):
        key = row["location"], row["item"]
        counted = counts.get(key)
        on_hand = (counted[3] if counted else 0) + sum(
            units for at, units in moves[key] if counted is None or at > counted[0]
        )
        if row["on_hand_units"] != on_hand:
            yield f"{'/'.join(key)} has {row['on_hand_units']} on hand, and its events come to {on_hand}"
        if row["reserved_units"] != reserved[key]:
            yield f"{'/'.join(key)} has {row['reserved_units']} reserved, and its events come to {reserved[key]}"
    yield from _on_order(evidence)


def all_ended(evidence: Evidence) -> Iterator[str]:
    """I8. At rest: what is open waits for a person or for an instant of the business clock that has not come."""
    for row in evidence.rows("SELECT need_id FROM need WHERE state = 'open'"):
        yield f"need {row['need_id']} is not assessed"
    for row in evidence.rows("SELECT batch_id FROM need_batch WHERE finished_at IS NULL"):
        yield f"batch {row['batch_id']} is not finished: its assessment runs for ever, or was lost"
    query = """SELECT decision_id FROM replenishment r WHERE state = 'proposed' AND NOT EXISTS (
                   SELECT 1 FROM task t WHERE t.decision_id = r.decision_id AND t.state = 'open')"""
    for row in evidence.rows(query):
        yield f"proposal {row['decision_id']} waits for nobody"
    query = """SELECT o.*, c.watermark FROM purchase_order o LEFT JOIN business_clock c USING (location)
               WHERE NOT (o.state = ANY(%s))"""
    for row in evidence.rows(query, sorted(SETTLED)):
        early = row["state"] == "collecting" and row["watermark"] < row["cutoff_at"]
        if not early and row["awaits_operator_at"] is None and row["held_by"] is None:
            yield f"order {row['order_id']} is {row['state']} and waits for nobody"
    query = "SELECT dead_letter_id FROM dead_letter WHERE published_at IS NULL"
    for row in evidence.rows(query):
        yield f"dead letter {row['dead_letter_id']} is not published"
    if evidence.temporal:
        yield from asyncio.run(_looping(evidence.temporal))


def _moved(kind: str, data: Row) -> int:
    if kind == "sale.recorded.v1":
        return -int(data["units"])
    if kind == "sale.cancelled.v1":
        return int(data["units"]) if data.get("returned_to_stock", True) else 0
    if kind == "stock.adjusted.v1":
        return int(data["delta_units"])
    return int(data["units"]) if kind == "stock.received.v1" else 0


def _on_order(evidence: Evidence) -> Iterator[str]:
    """What is outstanding is what orders in flight will still bring."""
    flying: dict[tuple[str, str], int] = defaultdict(int)
    query = """SELECT l.*, o.state FROM order_line l JOIN purchase_order o USING (order_id)
               WHERE l.refused_reason IS NULL"""
    for line in evidence.rows(query):
        if line["state"] not in SETTLED - {"placed"}:
            left = line["units"] - line["received_units"] - line["short_units"]
            flying[line["location"], line["item"]] += max(0, left)
    for row in evidence.rows("SELECT location, item, on_order_units FROM position"):
        key = row["location"], row["item"]
        if row["on_order_units"] != flying[key]:
            yield f"{'/'.join(key)} has {row['on_order_units']} on order, and its orders come to {flying[key]}"


async def _looping(address: str) -> Iterator[str]:
    """Workflows whose task failed again and again. The client is Temporal's, not the product's."""
    from temporalio.client import Client

    client = await Client.connect(address)
    found, seen = [], 0
    async for one in client.list_workflows("ExecutionStatus = 'Running'"):
        seen += 1
        if seen > LONG:
            break
        described = await client.get_workflow_handle(one.id, run_id=one.run_id).describe()
        attempt = described.raw_description.pending_workflow_task.attempt
        if attempt >= LOOPS_FROM:
            found.append(f"workflow {one.id} fails in a loop ({attempt} attempts)")
    async for one in client.list_workflows("ExecutionStatus = 'Failed'"):
        found.append(f"workflow {one.id} failed")
    return iter(found)
