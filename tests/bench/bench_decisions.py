"""How many proposals a second become confirmed orders, and how long a person waits for a task and for its order.

The whole engine, each process its own: Kafka, PostgreSQL, Temporal, intake, worker, console, notary, and suppliers
behind HTTP. Undo and the order cycle wait for nothing (`QM_UNDO_SECONDS=0`, `QM_ORDER_CYCLE=at_once`). Four of five
proposals are released within the policy; the fifth is approved through REST. Each proposal is the one line of an order
of its own, with a workflow, a request to its supplier and its entries in the ledger.

`proposals_per_s`: stock counts are published as fast as the broker takes them; the clock runs from the first one to the
supplier's last yes. `empty_workflows_per_s`: the same server, before and after that, from start to result. Then counts
come one by one at half that rate, at instants that were fixed before (open loop): `event_to_task` runs from the instant
at which a count was to be published until its task is there, `approve_to_confirmed` from the request until the order is
placed.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from connectors.postgres.pool import Connection
from console.auth import api_token
from tests.bench import decisions_world, empty_workflow
from tests.bench.decisions_world import MIXED, Place, World
from tests.bench.measuring import machine, options, progress, publish
from workers import temporal
from workers.wiring import console_key, required

APPROVERS = tuple(f"approver-{n}" for n in range(8))
"""The console lets each person answer 240 tasks a minute."""
BURST, HALF_LOAD_S, WARM = 1_600, 60.0, 80
QUICK_BURST, QUICK_HALF_LOAD_S, QUICK_WARM = 40, 4.0, 8
EMPTY_S, QUICK_EMPTY_S = 6.0, 1.0
LOOK_S = 0.025
PATIENCE_S = 180.0

_TASKS = "SELECT decision_id, proposal_hash, location, item FROM task WHERE state = 'open'"
_CONFIRMED = """
SELECT r.location, r.item
FROM unnest(%s::text[]) AS w (decision_id)
CROSS JOIN LATERAL (SELECT * FROM replenishment r WHERE r.decision_id = w.decision_id OFFSET 0) AS r
CROSS JOIN LATERAL (SELECT FROM purchase_order o WHERE o.order_id = r.order_id AND o.state = 'placed' OFFSET 0) AS o
"""
"""By key, whatever the planner knows of tables that were empty a moment ago: as a join, this question took more of the
database's time than the engine did."""
_PLACED = "SELECT count(*) AS confirmed FROM purchase_order WHERE state = 'placed'"
"""Each proposal is the one line of an order."""
_STATES = """
SELECT count(*) AS proposals, count(*) FILTER (WHERE r.tier = 'auto') AS released,
       count(*) FILTER (WHERE o.state = 'placed') AS confirmed, count(DISTINCT o.order_id) AS orders
FROM replenishment r LEFT JOIN purchase_order o USING (order_id)
"""


class Approver:
    """Approves each task over REST as soon as it is there, and watches until its order is confirmed."""

    def __init__(self, world: World, connection: Connection) -> None:
        self._connection = connection
        self._address = f"http://127.0.0.1:{world.settings.console_port}"
        key = console_key(world.settings)
        self._tokens = [api_token(key, name) for name in APPROVERS]
        self.seen: dict[Place, float] = {}
        """When each task was there."""
        self.asked: dict[str, tuple[Place, float]] = {}
        """When each approval was sent."""
        self.confirmed: dict[Place, float] = {}
        self._client = httpx.AsyncClient(base_url=self._address, timeout=60)
        self._calls: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """One look: answer what is new, note what is confirmed."""
        rows = self._connection.execute(_TASKS).fetchall()
        now = time.monotonic()
        for row in rows:
            place = (row["location"], row["item"])
            if place not in self.seen:
                self.seen[place] = now
                self._calls.add(asyncio.ensure_future(self._approve(row["decision_id"], row["proposal_hash"], place)))
        waiting = [one for one, (place, _) in self.asked.items() if place not in self.confirmed]
        if waiting:
            found = self._connection.execute(_CONFIRMED, [waiting]).fetchall()
            now = time.monotonic()
            self.confirmed |= {(row["location"], row["item"]): now for row in found}
        for call in [call for call in self._calls if call.done()]:
            self._calls.remove(call)
            call.result()

    async def _approve(self, decision_id: str, proposal_hash: str, place: Place) -> None:
        self.asked[decision_id] = place, time.monotonic()
        answer = await self._client.post(
            f"/api/v1/tasks/{decision_id}/verdict",
            json={"proposal_hash": proposal_hash, "meaning": "approve"},
            headers={
                "Authorization": f"Bearer {self._tokens[len(self.asked) % len(self._tokens)]}",
                "Idempotency-Key": f"bench-{decision_id}",
            },
        )
        if answer.status_code != 200:
            raise RuntimeError(f"{decision_id} was not approved: {answer.status_code} {answer.text[:300]}")

    def waits(self, places: Sequence[Place]) -> list[float]:
        """Seconds from approving to the supplier's yes, of those of these places that a person was asked about."""
        sent = dict(self.asked.values())
        return [self.confirmed[place] - sent[place] for place in places if place in sent]

    async def close(self) -> None:
        """Let go of the console."""
        await self._client.aclose()


class Bench:
    """The measurement on a running world."""

    def __init__(self, world: World, connection: Connection, approver: Approver) -> None:
        self._world, self._connection, self._approver = world, connection, approver
        self._left = list(world.places)

    def take(self, number: int) -> list[Place]:
        """Positions that nobody has counted yet: so many, or as many as there are."""
        taken, self._left = self._left[:number], self._left[number:]
        return taken

    def counted(self) -> dict[str, int]:
        """Proposals and orders so far."""
        row = self._connection.execute(_STATES.encode()).fetchone()
        assert row is not None
        return dict(row)

    def _placed(self) -> int:
        row = self._connection.execute(_PLACED).fetchone()
        assert row is not None
        return int(row["confirmed"])

    async def settled(self, proposals: int) -> float:
        """Approve what comes until so many proposals are confirmed; when the last one was.

        Raises:
            TimeoutError: for minutes nothing more was confirmed.
        """
        best, since = -1, time.monotonic()
        while True:
            await self._approver.look()
            now, confirmed = time.monotonic(), self._placed()
            if confirmed >= proposals:
                return now
            if confirmed > best:
                best, since = confirmed, now
            if now - since > PATIENCE_S:
                raise TimeoutError(
                    f"{self.counted()} of {proposals}: nothing more was confirmed for {PATIENCE_S:.0f} s"
                )
            await asyncio.sleep(LOOK_S * 4)

    async def burst(self, number: int) -> float:
        """Seconds from the first count published to the last order confirmed."""
        before, chosen = self._placed(), self.take(number)
        begun = time.monotonic()
        await asyncio.to_thread(self._world.count, chosen)
        return await self.settled(before + number) - begun

    async def open_loop(self, rate: float, seconds: float) -> tuple[list[Place], list[float], float]:
        """Counts at fixed instants: (all places, seconds from each instant to its task, how late the last one went).

        On a slow machine it takes longer than that: people are asked about some of what is counted, always.
        """
        chosen = self.take(max(int(rate * seconds), MIXED))
        before, begun, due = self._placed(), time.monotonic() + 0.5, dict[Place, float]()
        late = 0.0

        async def publishing() -> None:
            nonlocal late
            for number, place in enumerate(chosen):
                due[place] = begun + number / rate
                await asyncio.sleep(max(0.0, due[place] - time.monotonic()))
                late = max(late, time.monotonic() - due[place])
                await asyncio.to_thread(self._world.count, [place])

        running = asyncio.ensure_future(publishing())
        while not running.done():
            await self._approver.look()
            await asyncio.sleep(LOOK_S)
        running.result()
        await self.settled(before + len(chosen))
        waits = [self._approver.seen[place] - due[place] for place in chosen if place in self._approver.seen]
        return chosen, waits, late


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank: of few values, p99 is the greatest."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


def processor_seconds(world: World) -> dict[str, float]:
    """Processor time of each process so far, with the children that it has and those that ended."""
    ticks = os.sysconf("SC_CLK_TCK")
    used = {}
    for name in ("temporal", "worker", "intake", "console", "supplier", "notary", "broker", "postgres"):
        with suppress(KeyError, OSError):
            used[name] = sum(_ticks(pid) for pid in _family(world.stack.pid(name))) / ticks
    return used


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(one) for one in fields[11:15])


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def checked(world: World, connection: Connection) -> dict[str, int]:
    """What the supplier's own journal says of our orders.

    Raises:
        RuntimeError: an order is there twice or not at all: the figures would be those of something else.
    """
    lines = (world.stack.state_dir / "supplier" / "journal.jsonl").read_text().splitlines()
    booked = [entry["order"]["key"] for entry in map(json.loads, lines) if "order" in entry]
    ours = [row["key"] for row in connection.execute("SELECT key FROM purchase_order").fetchall()]
    if sorted(booked) != sorted(ours):
        raise RuntimeError(
            f"the suppliers booked {len(booked)} orders of {len(set(booked))} keys; ours are {len(ours)}"
        )
    return {"orders": len(ours), "booked": len(booked)}


async def measure(world: World, told: argparse.Namespace) -> dict[str, Any]:
    """The figures."""
    quick = told.quick
    empty_s = QUICK_EMPTY_S if quick else EMPTY_S
    client = await temporal.connect(required(world.settings, "temporal_address"), world.settings.temporal_namespace)
    with world.connect() as connection:
        approver = Approver(world, connection)
        bench = Bench(world, connection, approver)
        world.strike()
        progress("decisions: warming up")
        await bench.burst(QUICK_WARM if quick else WARM)
        empty = [await empty_workflow.empty_per_s(client, "before", empty_s)]
        number = QUICK_BURST if quick else BURST
        progress(f"decisions: {number} at once")
        used = processor_seconds(world)
        burst_s = await bench.burst(number)
        per_proposal = {
            name: round((seconds - used.get(name, 0.0)) / number * 1000, 1)
            for name, seconds in processor_seconds(world).items()
        }
        rate = number / burst_s
        empty.append(await empty_workflow.empty_per_s(client, "after", empty_s))
        eager = await empty_workflow.empty_per_s(client, "eager", empty_s, eager=True)
        seconds = QUICK_HALF_LOAD_S if quick else HALF_LOAD_S
        progress(f"decisions: {rate:.1f}/s; now {rate / 2:.1f}/s for {seconds:.0f} s")
        chosen, waits, late = await bench.open_loop(rate / 2, seconds)
        confirmed = approver.waits(chosen)
        found = bench.counted()
        await approver.close()
        return {
            "proposals_per_s": round(rate, 2), "empty_workflows_per_s": round(statistics.mean(empty), 1),
            "ratio": round(rate / statistics.mean(empty), 3), "empty_eager_per_s": round(eager, 1),
            "empty_before_and_after": [round(one, 1) for one in empty],
            "event_to_task_p50_s": percentile(waits, 0.5), "event_to_task_p99_s": percentile(waits, 0.99),
            "approve_to_confirmed_p50_s": percentile(confirmed, 0.5),
            "approve_to_confirmed_p99_s": percentile(confirmed, 0.99),
            "half_load_per_s": round(rate / 2, 2), "half_load_tasks": len(waits), "published_late_s": round(late, 3),
            "burst": number, "burst_s": round(burst_s, 1),
            "released_share": round(found["released"] / found["proposals"], 3),
            "processor_ms_per_proposal": per_proposal, **checked(world, connection),
        }  # fmt: skip


def main() -> None:
    """Measure and print."""
    told, begun, before = options(__doc__ or ""), time.monotonic(), machine()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda number, _: sys.exit(128 + number))
    items = 24 if told.quick else 1_000
    with (
        TemporaryDirectory(prefix="qm-bench-") as folder,
        decisions_world.running(Path(folder), items, APPROVERS) as world,
    ):
        figures = asyncio.run(measure(world, told))
    publish(told, "decisions", before, begun, figures)


if __name__ == "__main__":
    main()
