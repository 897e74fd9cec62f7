"""A large installation made in minutes: a few real decisions, taken by the engine, and copies of them made in SQL.

What pages read is there in full size: open tasks, decisions, positions, ledger entries, orders. A copy has its own ids,
item, money and deadlines; the evidence behind it is that of the decision it was copied from, because a page opens the
evidence of one decision at a time and a million copies of it would only fill the disk.
"""

from dataclasses import dataclass
from decimal import Decimal

from connectors.postgres.pool import Connection, Database, connect
from tests.storeroom import Storeroom, catalog, clock, counted

PATTERNS = 20
SUPPLIERS, CATEGORIES = 200, 50


@dataclass(frozen=True)
class Size:
    """How large. Each location stocks every item, so there are `locations * items` positions."""

    locations: int
    items: int
    tasks: int

    @property
    def decisions(self) -> int:
        """One for every position: proposals that wait for a person, and holds."""
        return self.locations * self.items


FULL = Size(locations=100, items=10_000, tasks=100_000)
QUICK = Size(locations=4, items=50, tasks=100)


async def patterns(dsn: str, database: Database) -> None:
    """Decisions that the engine took: half of them need a person, the others hold."""
    with connect(dsn, name="bench-patterns") as connection:
        storeroom = Storeroom(connection, database)
        await storeroom.stock(catalog(PATTERNS))
        storeroom.scoring.of_item = {f"ITEM-{n:03}": {"daily": 5 + n} for n in range(1, PATTERNS + 1)}
        stock = {n: 9 if n <= PATTERNS // 2 else 2_000 for n in range(1, PATTERNS + 1)}
        storeroom.take(*[counted(units, item=f"ITEM-{n:03}") for n, units in stock.items()], clock())
        await storeroom.assess()


def enlarge(connection: Connection, size: Size) -> None:
    """The copies. As a replica: triggers and foreign keys would look at each row, and every row is right already."""
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET synchronous_commit = off")
    for statement in _STATEMENTS:
        connection.execute(
            statement.encode(),
            {"locations": size.locations, "items": size.items, "tasks": size.tasks, "suppliers": SUPPLIERS,
             "categories": CATEGORIES},
        )  # fmt: skip
    connection.execute("RESET session_replication_role")
    connection.execute("RESET synchronous_commit")
    connection.execute("VACUUM ANALYZE")


def counts(connection: Connection) -> dict[str, int]:
    """What is there, counted."""
    row = connection.execute(
        """SELECT (SELECT count(*) FROM task WHERE state = 'open') AS tasks,
                  (SELECT count(*) FROM decision) AS decisions,
                  (SELECT count(*) FROM position) AS positions,
                  (SELECT count(*) FROM ledger_entry) AS ledger_entries,
                  (SELECT count(*) FROM purchase_order) AS orders,
                  (SELECT sum(value)::text FROM task) AS value"""
    ).fetchone()
    assert row is not None
    if Decimal(row.pop("value") or 0) <= 0:
        raise RuntimeError("the tasks are worth nothing: the copies are wrong")
    return dict(row)


_STATEMENTS = (
    """INSERT INTO item (item, name, category, price)
       SELECT 'SKU-' || lpad(n::text, 6, '0'), 'Article number ' || n, 'category ' || n %% %(categories)s, 9.90
       FROM generate_series(1, %(items)s) n""",
    """INSERT INTO location (location, name) SELECT 'STORE-' || lpad(n::text, 3, '0'), 'Store ' || n
       FROM generate_series(1, %(locations)s) n""",
    """INSERT INTO supplier (supplier, name) SELECT 'SUP-' || lpad(n::text, 3, '0'), 'Supplier ' || n
       FROM generate_series(0, %(suppliers)s - 1) n""",
    """INSERT INTO business_clock (location, watermark, swept_through)
       SELECT l.location, c.watermark, c.swept_through FROM location l, (SELECT * FROM business_clock LIMIT 1) c
       WHERE l.location LIKE 'STORE-%%'""",
    # One number per position; the first `tasks` of them, spread over the locations, wait for a person.
    """CREATE TEMPORARY TABLE spot AS
       SELECT (i - 1) * %(locations)s + l AS n, 'STORE-' || lpad(l::text, 3, '0') AS location,
              'SKU-' || lpad(i::text, 6, '0') AS item, 'SUP-' || lpad((i %% %(suppliers)s)::text, 3, '0') AS supplier,
              (i - 1) * %(locations)s + l <= %(tasks)s AS asks
       FROM generate_series(1, %(items)s) i, generate_series(1, %(locations)s) l""",
    """CREATE TEMPORARY TABLE pattern AS
       SELECT d.*, row_number() OVER (PARTITION BY d.kind ORDER BY d.decision_id) - 1 AS k,
              count(*) OVER (PARTITION BY d.kind) AS many
       FROM decision d LEFT JOIN task t USING (decision_id) WHERE d.kind = 'hold' OR t.decision_id IS NOT NULL""",
    """CREATE TEMPORARY TABLE copy AS
       SELECT s.*, s.location || ':' || s.item || ':1' AS id, p.decision_id AS of_id, p.kind, p.decided_at,
              p.inputs_sha256, p.model_digest, p.policy_digest, p.horizon_end,
              convert_to(replace(convert_from(p.body, 'UTF8'), p.decision_id, s.location || ':' || s.item || ':1'),
                         'UTF8') AS body
       FROM spot s JOIN pattern p
           ON p.kind = CASE WHEN s.asks THEN 'proposal' ELSE 'hold' END AND p.k = s.n %% p.many""",
    """INSERT INTO sourcing (item, location, supplier, unit_cost, pack_units, minimum_order_units, lead_time_days)
       SELECT item, location, supplier, 4.20, 6, 12, 3 FROM spot""",
    """INSERT INTO position (location, item, counted_units, counted_at, watch_level_units, data_through, need_number)
       SELECT location, item, CASE WHEN asks THEN 9 ELSE 500 END, now(), 40, now(), 1 FROM spot""",
    """INSERT INTO need (need_id, location, item, number, cause, opened_at, state)
       SELECT id, location, item, 1, 'sweep', decided_at, CASE WHEN asks THEN 'proposed' ELSE 'held' END FROM copy""",
    """INSERT INTO decision (decision_id, revision, location, item, kind, decided_at, body, proposal_hash,
                             inputs_sha256, model_digest, policy_digest, horizon_end)
       SELECT id, 1, location, item, kind, decided_at, body, encode(sha256(body), 'hex'), inputs_sha256, model_digest,
              policy_digest, horizon_end FROM copy""",
    """INSERT INTO replenishment (decision_id, revision, proposal_hash, location, item, supplier, units, unit_cost,
                                  tier, state, decided_at, workflow_started_at)
       SELECT c.id, 1, encode(sha256(c.body), 'hex'), c.location, c.item, c.supplier, r.units, r.unit_cost, 'review',
              'proposed', c.decided_at, now()
       FROM copy c JOIN replenishment r ON r.decision_id = c.of_id WHERE c.asks""",
    """INSERT INTO task (decision_id, revision, proposal_hash, location, item, value, opened_at, remind_at, escalate_at,
                         expire_at, available_units, tolerance_units, item_name, category, supplier, units, currency,
                         stockout_risk, days_of_cover, rules, sentence, lead_time_days, order_by, daily_units,
                         cost_of_waiting, escalated_at, claimed_by, claim_ends_at, snoozed_at, snoozed_by,
                         snooze_words, snoozed_until)
       SELECT c.id, 1, encode(sha256(c.body), 'hex'), c.location, c.item, t.value, t.opened_at, t.remind_at,
              t.escalate_at, CASE WHEN c.n %% 40 = 7 THEN t.expire_at - interval '4 days'
                                       + make_interval(mins => (c.n %% 1000)::integer)
                                  ELSE t.expire_at + make_interval(mins => (c.n %% 5000)::integer) END,
              t.available_units,
              t.tolerance_units, i.name, i.category, c.supplier, t.units, t.currency, t.stockout_risk, t.days_of_cover,
              t.rules, replace(t.sentence, 'ITEM-', 'SKU-'), t.lead_time_days, t.order_by, t.daily_units,
              round(t.cost_of_waiting * (1 + (c.n * 7919) %% 1000 / 250.0), 2),
              CASE WHEN c.n %% 50 = 0 THEN now() END,
              CASE WHEN c.n %% 100 = 3 THEN 'colleague' END,
              CASE WHEN c.n %% 100 = 3 THEN now() + interval '1 day' END,
              CASE WHEN c.n %% 100 = 4 THEN now() END, CASE WHEN c.n %% 100 = 4 THEN 'colleague' END,
              CASE WHEN c.n %% 100 = 4 THEN 'until tomorrow' ELSE '' END,
              CASE WHEN c.n %% 100 = 4 THEN t.expire_at - interval '1 day' END
       FROM copy c JOIN task t ON t.decision_id = c.of_id JOIN item i ON i.item = c.item WHERE c.asks""",
    """INSERT INTO position_outlook (location, item, decision_id, revision, kind, decided_at, risk, lost_value,
                                     protection_days, demand_p10, demand_p50, demand_p90)
       SELECT c.location, c.item, c.id, 1, c.kind, c.decided_at, o.risk, round(o.lost_value * (1 + c.n %% 97), 2),
              o.protection_days, o.demand_p10, o.demand_p50, o.demand_p90
       FROM copy c JOIN position_outlook o ON o.decision_id = c.of_id""",
    """INSERT INTO ledger_entry (stream, seq, type, actor, occurred_at, recorded_at, body, body_sha256, prev_hash, hash)
       SELECT c.id, 1, 'decision.proposed', 'engine', e.occurred_at, e.recorded_at, c.body,
              encode(sha256(c.body), 'hex'), repeat('0', 64), encode(sha256(convert_to(c.id, 'UTF8')), 'hex')
       FROM copy c, (SELECT * FROM ledger_entry ORDER BY recorded_at LIMIT 1) e""",
    """INSERT INTO daily_demand (location, item, day, units)
       SELECT s.location, s.item, d::date, (s.n + extract(day FROM d)::bigint) %% 7
       FROM spot s, generate_series(date '2025-02-24', date '2025-03-02', '1 day') d WHERE s.asks""",
    """INSERT INTO purchase_order (order_id, key, supplier, location, cycle, part, state, currency, cutoff_at,
                                   workflow_started_at, supplier_number, ordered_at)
       SELECT 'SUP-' || lpad((n %% %(suppliers)s)::text, 3, '0') || ':STORE-'
                  || lpad((n %% %(locations)s + 1)::text, 3, '0') || ':2025-03-03:' || n,
              encode(sha256(convert_to(n::text, 'UTF8')), 'hex'), 'SUP-' || lpad((n %% %(suppliers)s)::text, 3, '0'),
              'STORE-' || lpad((n %% %(locations)s + 1)::text, 3, '0'), '2025-03-03', n, 'placed', 'EUR',
              timestamptz '2025-03-03 06:00Z', now(), 'PO-' || n, timestamptz '2025-03-03 06:00Z'
       FROM generate_series(1, %(tasks)s / 10) n""",
)
