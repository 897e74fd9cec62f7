"""Reads what was accepted lately, by the inbox's index of acceptance: never more rows than are asked for."""

import json
from typing import Any

from psycopg.rows import DictRow

from connectors.postgres.pool import Database
from workflows.domain.arrivals import EventRow, Rate, Rates, masked

COUNTED = 100_000
"""At most so many events are counted for the rates and for today."""

_EVENTS = """
SELECT source, event_id, type, topic, partition, kafka_offset, event_time, accepted_at, payload
FROM inbox ORDER BY accepted_at DESC LIMIT %s
"""
_RATES = """
WITH lately AS (
    SELECT topic, type, accepted_at FROM inbox
    WHERE accepted_at > clock_timestamp() - interval '15 minutes' ORDER BY accepted_at DESC LIMIT %(most)s
)
SELECT topic, type, count(*) FILTER (WHERE accepted_at > clock_timestamp() - interval '1 minute') AS last_minute,
       count(*) AS last_quarter, min(accepted_at) AS first
FROM lately GROUP BY 1, 2 ORDER BY 1, 2
"""
_TODAY = """
SELECT clock_timestamp() AS at, (SELECT count(*) FROM (
    SELECT 1 FROM inbox WHERE accepted_at >= date_trunc('day', clock_timestamp()) LIMIT %(most)s + 1) AS day) AS today,
    (SELECT sum(behind)::bigint FROM intake_lag) AS behind, (SELECT max(looked_at) FROM intake_lag) AS behind_at
"""


class PostgresArrivals:
    """The `Arrivals` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def events(self, limit: int = 50) -> list[EventRow]:
        async with self._database.reading() as cursor:
            await cursor.execute(_EVENTS, [min(limit, 500)])
            return [_event_row(row) for row in await cursor.fetchall()]

    async def rates(self) -> Rates:
        async with self._database.reading() as cursor:
            await cursor.execute(_RATES, {"most": COUNTED})
            rows = await cursor.fetchall()
            await cursor.execute(_TODAY, {"most": COUNTED})
            now = await cursor.fetchone() or {}
        partial = sum(row["last_quarter"] for row in rows) >= COUNTED
        return Rates(
            at=now["at"], rates=tuple(Rate.model_validate(row) for row in rows),
            partial_since=min(row["first"] for row in rows) if partial else None,
            today=min(now["today"], COUNTED), today_capped=now["today"] > COUNTED,
            behind=now["behind"], behind_at=now["behind_at"],
        )  # fmt: skip


def _event_row(row: DictRow) -> EventRow:
    body = _body(row["payload"])
    place = {name: body[name] if isinstance(body.get(name), str) else None for name in ("location", "item")}
    return EventRow.model_validate({**row, **place, "body": masked(body)})


def _body(payload: bytes) -> dict[str, Any]:
    found = json.loads(payload).get("data")  # accepted: it was read before
    return found if isinstance(found, dict) else {}
