"""Gathers the facts of the engine's health: capped counts over partial indexes, never a scan of what is in order."""

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.pool import Database
from connectors.postgres.proofs import PostgresProofs
from connectors.postgres.stops import PostgresStops
from workflows.domain.health import (
    CAP,
    ClockAge,
    Facts,
    HistoriesSeen,
    PartitionLag,
    Pile,
    ProcessSeen,
    Reason,
    TableSize,
)

Cursor = psycopg.AsyncCursor[DictRow]

# Of each pile: when its rows began to wait, oldest first, as an age in seconds. Orders wait on the business clock.
_PILES = {
    "needs_open": "SELECT {now} - recorded_at AS age FROM need WHERE state = 'open' ORDER BY recorded_at",
    "batches_unfinished": """SELECT {now} - created_at AS age FROM need_batch
        WHERE finished_at IS NULL ORDER BY created_at""",
    "proposals_unseen": """SELECT {now} - recorded_at AS age FROM replenishment
        WHERE workflow_started_at IS NULL AND state = 'proposed' ORDER BY recorded_at""",
    "approvals_unheard": """SELECT {now} - recorded_at AS age FROM approval
        WHERE heard_at IS NULL AND voided_at IS NULL AND complete ORDER BY recorded_at""",
    "orders_overdue": """SELECT c.watermark - o.cutoff_at AS age FROM purchase_order o
        JOIN business_clock c ON c.location = o.location
        WHERE o.state IN ('collecting', 'sending', 'in_doubt') AND o.cutoff_at <= c.watermark
          AND o.held_by IS NULL AND o.awaits_operator_at IS NULL ORDER BY o.cutoff_at""",
    "orders_awaiting": """SELECT {now} - awaits_operator_at AS age FROM purchase_order
        WHERE attended_at IS NULL AND awaits_operator_at IS NOT NULL ORDER BY cutoff_at""",
    "orders_held": "SELECT {now} - held_at AS age FROM purchase_order WHERE held_by IS NOT NULL",
    "orders_in_doubt": """SELECT {now} - coalesce(last_sent_at, created_at) AS age FROM purchase_order
        WHERE attended_at IS NULL AND state = 'in_doubt' ORDER BY cutoff_at""",
    "orders_refused": """SELECT {now} - coalesce(settled_at, created_at) AS age FROM purchase_order
        WHERE attended_at IS NULL AND state = 'refused' ORDER BY cutoff_at""",
    "circuits_open": "SELECT {now} - opened_at AS age FROM supplier_circuit WHERE phase <> 'closed'",
    "reports_unfinished": "SELECT {now} - begun_at AS age FROM reconciliation_report WHERE finished_at IS NULL",
    "differences_open": """SELECT {now} - r.finished_at AS age FROM (
            SELECT DISTINCT ON (supplier) report_id, finished_at FROM reconciliation_report
            WHERE finished_at IS NOT NULL ORDER BY supplier, begun_at DESC
        ) r JOIN reconciliation_difference d USING (report_id) LEFT JOIN difference_explanation e USING (difference_id)
        WHERE d.explained IS NULL AND e.difference_id IS NULL""",
}
_PILE = "SELECT count(*) AS n, extract(epoch FROM max(age))::float AS oldest FROM ({rows} LIMIT {cap}) AS pile"

_LAGS = """
SELECT p.topic, p.partition, p.next_offset, l.behind,
       extract(epoch FROM clock_timestamp() - l.looked_at)::float AS looked_seconds
FROM kafka_position p LEFT JOIN intake_lag l USING (topic, partition)
WHERE p.log_id = coalesce((SELECT log_id FROM inbox ORDER BY accepted_at DESC LIMIT 1), p.log_id)
ORDER BY coalesce(l.behind, 0) DESC, p.topic, p.partition LIMIT 500
"""
_CLOCKS = """
SELECT location, watermark, extract(epoch FROM clock_timestamp() - moved_at)::float AS moved_seconds
FROM business_clock ORDER BY moved_at, location LIMIT 200
"""
_REASONS = """
SELECT error_code AS code, count(*) AS n,
       extract(epoch FROM clock_timestamp() - max(first_seen))::float AS newest_seconds
FROM (SELECT error_code, first_seen FROM dead_letter WHERE redriven_at IS NULL
      ORDER BY dead_letter_id DESC LIMIT 10000) AS newest
GROUP BY 1 ORDER BY n DESC, 1 LIMIT 50
"""
_PROCESSES = """
SELECT application_name AS name, count(*) AS connections,
       greatest(0, extract(epoch FROM clock_timestamp() - max(state_change)))::float AS quiet_seconds
FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'quartermaster-%' AND state_change IS NOT NULL
GROUP BY 1 ORDER BY 1 LIMIT 100
"""
_TABLES = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relpages DESC, c.relname LIMIT 8
"""
_HISTORIES = """
SELECT greatest(0, extract(epoch FROM clock_timestamp() - swept_through))::float AS swept_seconds, retention_seconds
FROM history_sweep
"""
_REST = """
SELECT clock_timestamp() AS at, pg_database_size(current_database()) AS database_bytes,
    (SELECT max((c.watermark AT TIME ZONE 'UTC')::date) - max(m.trained_through)
     FROM business_clock c, model_version m WHERE m.status = 'champion') AS model_days,
    (SELECT count(*) FROM (SELECT 1 FROM drift_alarm WHERE ended_on IS NULL LIMIT 500) AS open) AS drift_alarms,
    EXISTS (SELECT 1 FROM model_version WHERE status = 'champion') AS champion
"""


class PostgresHealth:
    """The `HealthDesk` port. `live_clocks`: business clocks follow the wall's, so one that stands is a fault."""

    def __init__(self, database: Database, *, live_clocks: bool) -> None:
        self._database = database
        self._live_clocks = live_clocks
        self._stops = PostgresStops(database)
        self._proofs = PostgresProofs(database)

    async def facts(self) -> Facts:
        async with self._database.reading() as cursor:
            piles = {name: await _pile(cursor, rows) for name, rows in _PILES.items()}
            partitions = [PartitionLag.model_validate(row) for row in await _rows(cursor, _LAGS)]
            clocks = [ClockAge.model_validate(row) for row in await _rows(cursor, _CLOCKS)]
            reasons = [Reason.model_validate(row) for row in await _rows(cursor, _REASONS)]
            processes = [ProcessSeen.model_validate(row) for row in await _rows(cursor, _PROCESSES)]
            tables = [TableSize.model_validate(row) for row in await _rows(cursor, _TABLES)]
            histories = [HistoriesSeen.model_validate(row) for row in await _rows(cursor, _HISTORIES)]
            (rest,) = await _rows(cursor, _REST)
        model_days = max(0, rest["model_days"] or 0) if rest.pop("champion") else None
        return Facts.model_validate({
            **rest, **piles, "model_days": model_days, "partitions": partitions, "clocks": clocks, "reasons": reasons,
            "processes": processes, "tables": tables, "live_clocks": self._live_clocks,
            "stops": await self._stops.in_force(), "histories": histories[0] if histories else None,
            "uncertified": await self._proofs.waiting(), "notary_alarms": await self._proofs.alarms(),
        })  # fmt: skip


async def _rows(cursor: Cursor, query: str) -> list[DictRow]:
    await cursor.execute(query.encode())
    return await cursor.fetchall()


async def _pile(cursor: Cursor, rows: str) -> Pile:
    (row,) = await _rows(cursor, _PILE.format(rows=rows.format(now="clock_timestamp()"), cap=CAP + 1))
    return Pile(n=min(row["n"], CAP), capped=row["n"] > CAP, oldest_seconds=row["oldest"])
