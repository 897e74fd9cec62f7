"""What became of each message, and which event opened each need, by rows and by what the ledger says of every batch.

What is recorded, and so what can be asked: an entry `events.accepted` names the offsets of its batch, how many messages
were new, duplicates and dead letters, and by a digest the list of the new ones (source, id, SHA-256). A need names one
event, the newest of its batch at its item and location, or the clock that moved: by that event's `traceparent`, which
it carries into the inputs of its decision. The harness gives each event a trace of its own, so that this is a name.
Not recorded is which other events of the same batch made the need due, too: they are in no row and in no entry.
"""

import json
import lzma
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tests.faults.checker import Evidence, Row

CLOCK = "quartermaster.clock.advanced.v1"


def every_message_accounted_for(evidence: Evidence) -> Iterator[str]:
    """I1. By offsets: new ones, duplicates and dead letters of all batches come to what was read, without a gap."""
    kept = _items(evidence)
    listed: Counter[tuple[str, str, str]] = Counter()
    spans: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for entry in evidence.rows("SELECT * FROM ledger_entry WHERE type = 'events.accepted' ORDER BY stream, seq"):
        told, at = json.loads(bytes(entry["body"])), f"{entry['stream']} {entry['seq']}"
        items = kept.get(told["items"])
        if items is None or len(items) != told["accepted"]:
            yield f"{at} accepted {told['accepted']} events, and its list has {len(items or ())}"
        listed.update((source, event_id, sha256) for source, event_id, sha256 in items or ())
        messages = sum(last - first + 1 for first, last in told["ranges"].values())
        accounted = told["accepted"] + told["duplicates"] + told["dead_lettered"]
        if accounted != messages:
            yield f"{at} read {messages} messages and accounts for {accounted}"
        for partition, (first, last) in told["ranges"].items():
            spans[told["log"], partition].append((first, last))
    there = {
        (row["source"], row["event_id"], row["payload_sha256"])
        for row in evidence.rows("SELECT source, event_id, payload_sha256 FROM inbox")
    }
    for one, times in listed.items():
        if one not in there:
            yield f"event {one[1]} is in the ledger as accepted, and not in the inbox"
        if times > 1:
            yield f"event {one[1]} was accepted {times} times, says the ledger"
    for one in there - set(listed):
        yield f"event {one[1]} is in the inbox, and no entry says that it was accepted"
    yield from _gaps(evidence, spans)


def needs_name_their_events(evidence: Evidence) -> Iterator[str]:
    """I2. Each need was opened by an event that is in the inbox, is of its item and location, and opened no other."""
    events: dict[str, Row] = {}
    for row in evidence.rows("SELECT source, event_id, type, payload, traceparent FROM inbox"):
        if row["traceparent"]:
            if (other := events.get(row["traceparent"])) and other["event_id"] != row["event_id"]:
                yield f"events {other['event_id']} and {row['event_id']} have one trace: needs do not say which it was"
            events[row["traceparent"]] = row
    opened: dict[tuple[str, str, str], str] = {}
    for need in evidence.rows("SELECT * FROM need ORDER BY location, item, number"):
        name, trace = need["need_id"], need["traceparent"]
        if trace is None:
            yield f"need {name} ({need['cause']}) names no event"
            continue
        event = events.get(trace)
        if event is None:
            yield f"need {name} names an event that is not in the inbox (its trace is {trace})"
            continue
        key = need["location"], need["item"], trace
        if key in opened:
            yield f"needs {opened[key]} and {name} were both opened by event {event['event_id']}"
        opened[key] = name
        data = json.loads(bytes(event["payload"]))["data"]
        about = data.get("location"), need["item"] if event["type"] == CLOCK else data.get("item")
        if about != (need["location"], need["item"]):
            yield f"need {name} names event {event['event_id']}, which is of {'/'.join(map(str, about))}"
    yield from _snapshots(evidence)


def _snapshots(evidence: Evidence) -> Iterator[str]:
    """A decision's inputs carry the need as it was opened."""
    decided = """SELECT n.*, convert_from(e.body, 'UTF8')::jsonb -> 'need' AS told
                 FROM decision d JOIN need n ON n.need_id = d.decision_id
                 JOIN evidence e ON e.sha256 = d.inputs_sha256"""
    for row in evidence.rows(decided):
        for name in ("need_id", "location", "item", "cause", "traceparent"):
            if (told := row["told"].get(name)) != row[name]:
                yield f"the decision of need {row['need_id']} rests on a need whose {name} is {told}, not {row[name]}"


def _gaps(evidence: Evidence, spans: dict[tuple[str, str], list[tuple[int, int]]]) -> Iterator[str]:
    for row in evidence.rows("SELECT log_id, topic, partition, next_offset FROM kafka_position"):
        after = 0
        for first, last in sorted(spans[row["log_id"], f"{row['topic']}/{row['partition']}"]):
            if first > after:
                yield f"{row['topic']}[{row['partition']}]: no batch has offsets {after} to {first - 1}"
            after = max(after, last + 1)
        if after != (through := row["next_offset"]):
            yield f"{row['topic']}[{row['partition']}] is read up to {through}, and its batches end at {after}"


def _items(evidence: Evidence) -> dict[str, list[Any]]:
    """The lists behind the entries, by digest."""
    found = {}
    for row in evidence.rows("SELECT sha256, codec, body FROM evidence_part WHERE kind = 'items'"):
        body = bytes(row["body"])
        body = {"raw": bytes, "zlib": zlib.decompress, "xz": lzma.decompress}[row["codec"]](body)  # type: ignore[operator]
        found[row["sha256"]] = json.loads(body)
    return found
