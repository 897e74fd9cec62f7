"""100,000 orders are sent, one in twenty is executed without our hearing of it, and the suppliers' own journal counts.

    quartermaster bench sends --state DIR [--count 100000] [--seconds 500]

The orders and the released proposals behind them are made in SQL; everything from the cutoff on is the engine's own:
its activity over PostgreSQL and the HTTP connector, against the simulated suppliers' process with its fsynced journal.
Repeats are made here as Temporal makes them, after the same pause; Temporal itself is left out, for it would take hours
and does not change what leaves. Each twentieth request is carried out and its answer lost, in turns: the connection is
cut, the answer comes too late, or the order is booked only after we have given up. Stop it at any time, or kill it: it
goes on where it was. At the end every key must be in the journal once, with every need on one line of one order.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from temporalio.testing import ActivityEnvironment

from activities.orders import OrderActivities
from connectors.erp.http_supplier import MANIFEST, HttpSuppliers
from connectors.postgres.breakers import PostgresPermits
from connectors.postgres.migrating import migrate
from connectors.postgres.orders import PostgresOrders
from connectors.postgres.pool import Connection, Database, connect
from tests.bench.measuring import machine, progress, publish
from tests.bench.resuming import resumable
from workers.embedded import EmbeddedStack
from workers.servers.ports import claim
from workers.settings import Settings
from workflows.domain.capabilities import Manifest
from workflows.domain.errors import OutcomeUnknown, QuartermasterError
from workflows.domain.orders import OrderRef, OrderState
from workflows.options import SUPPLIER_LEASE_SECONDS

QUICK = 60
AT_ONCE = 8
"""As many as one worker sends at the same time."""
ONE_IN = 20
SUPPLIERS = 100
SLOW_S, TIMEOUT_S, LONGEST_S = 1.4, 1.0, 1.5
PAUSE_S = 3.0
READY_WITHIN_S = 120.0
"""The suppliers' journal is read first, whatever its length."""
FAULTS = ("drop_response", "slow", "late_commit")

_FILL = (
    """INSERT INTO location (location, name) VALUES ('LEEDS', 'Leeds') ON CONFLICT DO NOTHING""",
    """INSERT INTO business_clock (location, watermark) VALUES ('LEEDS', '2025-03-03 06:00Z') ON CONFLICT DO NOTHING""",
    """INSERT INTO supplier (supplier, name) SELECT 'SUP-' || n, 'Supplier ' || n
       FROM generate_series(0, %(suppliers)s - 1) n ON CONFLICT DO NOTHING""",
    """INSERT INTO item (item, name, category, price) SELECT 'SKU-' || n, 'Article ' || n, 'things', 9.90
       FROM generate_series(0, %(suppliers)s - 1) n ON CONFLICT DO NOTHING""",
    """INSERT INTO position (location, item) SELECT 'LEEDS', 'SKU-' || n FROM generate_series(0, %(suppliers)s - 1) n
       ON CONFLICT DO NOTHING""",
    """CREATE TEMPORARY TABLE wanted AS
       SELECT n, 'LEEDS:SKU-' || n %% %(suppliers)s || ':' || n AS need, 'SKU-' || n %% %(suppliers)s AS item,
              'SUP-' || n %% %(suppliers)s AS supplier, '2025-03-03' AS cycle, n / %(suppliers)s + 1 AS part,
              6 * (1 + n %% 9) AS units, encode(sha256(n::text::bytea), 'hex') AS hash
       FROM generate_series(0, %(count)s - 1) n""",
    """INSERT INTO need (need_id, location, item, number, cause, opened_at, state)
       SELECT need, 'LEEDS', item, n, 'sweep', '2025-03-03 05:00Z', 'closed' FROM wanted ON CONFLICT DO NOTHING""",
    """INSERT INTO purchase_order (order_id, key, supplier, location, cycle, part, currency, cutoff_at,
                                   workflow_started_at)
       SELECT supplier || ':LEEDS:' || cycle || ':' || part,
              encode(sha256(convert_to('["' || supplier || '","LEEDS","' || cycle || '",' || part || ']', 'UTF8')),
                     'hex'),
              supplier, 'LEEDS', cycle, part, 'EUR', '2025-03-03 06:00Z', now() FROM wanted ON CONFLICT DO NOTHING""",
    """INSERT INTO replenishment (decision_id, revision, proposal_hash, location, item, supplier, units, unit_cost,
                                  tier, state, decided_at, order_id, closed_at)
       SELECT need, 1, hash, 'LEEDS', item, supplier, units, 4.20, 'auto', 'released', '2025-03-03 05:00Z',
              supplier || ':LEEDS:' || cycle || ':' || part, now() FROM wanted ON CONFLICT DO NOTHING""",
    """INSERT INTO decision (decision_id, revision, location, item, kind, decided_at, body, proposal_hash,
                             inputs_sha256, model_digest, policy_digest, horizon_end)
       SELECT need, 1, 'LEEDS', item, 'proposal', '2025-03-03 05:00Z', ''::bytea, hash, hash, hash, hash, '2025-03-09'
       FROM wanted ON CONFLICT DO NOTHING""",
    """INSERT INTO order_line (order_id, need_id, item, location, units, unit_cost, proposal_hash)
       SELECT supplier || ':LEEDS:' || cycle || ':' || part, need, item, 'LEEDS', units, 4.20, hash FROM wanted
       ON CONFLICT DO NOTHING""",
)
_OPEN = "state IN ('collecting', 'sending', 'in_doubt')"


class Sending:
    """The engine's activity over everything real, and what its attempts came to."""

    def __init__(self, work: OrderActivities, faults: httpx.AsyncClient) -> None:
        self._work, self._faults = work, faults
        self.attempts = self.unknown = self.begun = 0

    async def to_the_end(self, ref: OrderRef) -> None:
        """Attempts with Temporal's pause between them, until the supplier has the order."""
        self.begun += 1
        if self.begun % ONE_IN == 0:
            mode = FAULTS[self.begun // ONE_IN % len(FAULTS)]
            fault = {"mode": mode, "requests": 1, "on": "place", "delay_s": SLOW_S}
            (await self._faults.post("/faults", json=fault)).raise_for_status()
        while True:
            self.attempts += 1
            try:
                result = await ActivityEnvironment().run(self._work.place, ref)
            except QuartermasterError as error:
                if not error.retryable:
                    raise
                self.unknown += isinstance(error, OutcomeUnknown)
                await asyncio.sleep(PAUSE_S)
            else:
                if result.state is not OrderState.PLACED:
                    raise RuntimeError(f"{ref.order_id} came to {result.state}: {result.reason}")
                return


def fill(connection: Connection, count: int) -> None:
    """The orders and what stands behind them; what is there already stays."""
    known = connection.execute("SELECT count(*) AS n FROM purchase_order").fetchone()
    if known is not None and known["n"] >= count:
        return
    progress(f"sends: making {count:,} orders")
    with connection.transaction():
        # As a replica: what a decision rests on (model, policy, inputs) is left out, and no foreign key asks for it.
        connection.execute("SET LOCAL session_replication_role = replica")
        for statement in _FILL:
            connection.execute(statement.encode(), {"count": count, "suppliers": SUPPLIERS})
    connection.execute("DROP TABLE wanted")
    connection.execute("VACUUM ANALYZE")


def open_orders(connection: Connection, count: int) -> list[OrderRef]:
    """What is not confirmed yet, in order."""
    rows = connection.execute(
        f"SELECT order_id, location, supplier, cutoff_at FROM purchase_order WHERE {_OPEN} "  # noqa: S608 - our own words
        "ORDER BY part, order_id LIMIT %s".encode(),
        [count],
    ).fetchall()
    return [OrderRef.model_validate(row) for row in rows]


async def send(dsn: str, url: str, orders: list[OrderRef], seconds: float, stop: asyncio.Event) -> Sending:
    """Send for so long, or all."""
    manifest = Manifest(**{**MANIFEST.model_dump(), "http_timeout_s": TIMEOUT_S, "longest_transaction_s": LONGEST_S})
    suppliers = HttpSuppliers(url, manifest=manifest)
    begun, left = time.monotonic(), iter(orders)
    async with (
        Database(dsn, name="bench-sends", size=AT_ONCE + 2) as database,
        httpx.AsyncClient(base_url=url, timeout=30) as faults,
    ):
        work = OrderActivities(
            PostgresOrders(database), suppliers, passive=False, lease_seconds=SUPPLIER_LEASE_SECONDS,
            permits=PostgresPermits(database, manifest),
        )  # fmt: skip
        sending = Sending(work, faults)

        async def sender() -> None:
            for ref in left:
                await sending.to_the_end(ref)
                if sending.begun % 1000 == 0:
                    progress(f"sends: {sending.begun:,} of {len(orders):,} in {time.monotonic() - begun:.0f} s")
                if stop.is_set() or (seconds and time.monotonic() - begun > seconds):
                    return

        try:
            await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
        finally:
            await suppliers.aclose()
    return sending


def judged(journal: Path, connection: Connection) -> dict[str, Any]:
    """The suppliers' journal against our orders: no other program's word is asked."""
    keys, needs = Counter[str](), Counter[str]()
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        if "order" in entry:
            keys[entry["order"]["key"]] += 1
            needs.update(one["need_id"] for one in entry["order"]["lines"])
    ours = connection.execute(
        f"""SELECT count(*) AS orders, count(*) FILTER (WHERE state = 'placed') AS placed,
                   count(*) FILTER (WHERE {_OPEN}) AS open FROM purchase_order""".encode()  # noqa: S608 - our own words
    ).fetchone()
    assert ours is not None
    placed = {row["key"] for row in connection.execute("SELECT key FROM purchase_order WHERE state = 'placed'")}
    lines = connection.execute("SELECT count(*) AS n, count(DISTINCT need_id) AS needs FROM order_line").fetchone()
    assert lines is not None
    return {
        **ours, "keys_in_journal": len(keys), "orders_in_journal": keys.total(),
        "keys_not_exactly_once": sum(1 for times in keys.values() if times != 1),
        "placed_without_order": len(placed - keys.keys()),
        "needs_not_on_one_line": sum(1 for times in needs.values() if times != 1) + lines["n"] - lines["needs"],
    }  # fmt: skip


def run(state: Path, told: argparse.Namespace) -> dict[str, Any]:
    """A stretch of it, on this state."""
    elsewhere = "127.0.0.1:9"
    settings = Settings(home=state, temporal_address=elsewhere, kafka_bootstrap=elsewhere)
    with ExitStack() as opened:
        stack = EmbeddedStack(state, settings)
        opened.callback(stack.stop)
        dsn = stack.start(progress).postgres_dsn
        migrate(dsn)
        connection = opened.enter_context(connect(dsn, name="bench"))
        fill(connection, told.count)
        behaviours, journal = state / "behaviours.json", state / "journal.jsonl"
        behaviours.write_text(json.dumps([{"supplier": f"SUP-{n}", "lead_days": [3]} for n in range(SUPPLIERS)]))
        port = claim(0, "QM_SUPPLIER_PORT")
        arguments = ["--port", str(port), "--journal", str(journal), "--behaviours", str(behaviours), "--allow-faults"]
        url = f"http://127.0.0.1:{port}"
        # Under the stack's supervisor: what a killed run left holds the journal, and is ended by the next one.
        stack.supervisor.start(
            "supplier", [sys.executable, "-m", "connectors.erp.simulated", *arguments], {},
            ready=lambda: _answers(url), deadline_s=READY_WITHIN_S,
        )  # fmt: skip
        orders, begun = open_orders(connection, told.count), time.monotonic()
        progress(f"sends: {len(orders):,} to go")
        sending = asyncio.run(_until_told(dsn, url, orders, told.seconds))
        seconds = time.monotonic() - begun
        fired = httpx.get(f"{url}/faults", timeout=30).json()["fired"]
        return {
            "sent_now": sending.begun, "attempts": sending.attempts, "in_doubt_on_the_way": sending.unknown,
            "executed_but_timed_out": fired, "sends_per_s": round(sending.begun / max(seconds, 0.001), 1),
            **judged(journal, connection),
        }  # fmt: skip


async def _until_told(dsn: str, url: str, orders: list[OrderRef], seconds: float) -> Sending:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for asked in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(asked, stop.set)
    return await send(dsn, url, orders, seconds, stop)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/faults", timeout=5).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    """Send and print; exit 1 when an order is not there exactly once."""
    told, begun, before = resumable(__doc__ or "", QUICK), time.monotonic(), machine()
    with ExitStack() as kept:
        state = told.state or Path(kept.enter_context(TemporaryDirectory(prefix="qm-bench-")))
        figures = run(state.absolute(), told)
    publish(told, "sends", before, begun, figures)
    wrong = ("keys_not_exactly_once", "placed_without_order", "needs_not_on_one_line")
    raise SystemExit(1 if any(figures[name] for name in wrong) else 0)


if __name__ == "__main__":
    main()
