"""Reads the outbox of changes in commit order: a row is told only when no older transaction can still add one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connectors.postgres.pool import Database
from workflows.domain.live import BEGINNING, Heard, LiveBatch, LiveEvent, place_of

CHANNEL = "quartermaster_live"
KEPT_HOURS = 24

_STATE = """
SELECT EXISTS (SELECT FROM live_event WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())) AS unsettled,
       (%(xid)s::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot())
        OR EXISTS (SELECT FROM live_floor f WHERE (f.xid, f.seq) > (%(xid)s::text::xid8, %(seq)s::bigint))) AS lost
"""
_SINCE = """
SELECT xid || '-' || seq AS event_id, kind, body FROM live_event
WHERE (xid, seq) > (%(xid)s::text::xid8, %(seq)s::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, seq LIMIT %(limit)s
"""
_NEWEST = """
SELECT xid || '-' || seq AS event_id FROM (
    (SELECT xid, seq FROM live_event WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY xid DESC, seq DESC LIMIT 1)
    UNION ALL SELECT xid, seq FROM live_floor
) found ORDER BY xid DESC, seq DESC LIMIT 1
"""
_PRUNE = """
WITH gone AS (
    DELETE FROM live_event WHERE at < clock_timestamp() - make_interval(hours => %s) RETURNING xid, seq
), floor AS (
    INSERT INTO live_floor AS f (xid, seq) SELECT xid, seq FROM gone ORDER BY xid DESC, seq DESC LIMIT 1
    ON CONFLICT (one) DO UPDATE SET xid = excluded.xid, seq = excluded.seq
    WHERE (excluded.xid, excluded.seq) > (f.xid, f.seq)
)
SELECT count(*) AS n FROM gone
"""


class PostgresLive:
    """The `Live` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> str:
        async with self._database.reading() as cursor:
            await cursor.execute(_NEWEST)
            row = await cursor.fetchone()
        return str(row["event_id"]) if row else BEGINNING

    async def since(self, after: str, *, limit: int = 500) -> LiveBatch:
        xid, seq = place_of(after)
        asked = {"xid": str(xid), "seq": seq, "limit": limit}
        async with self._database.reading() as cursor:
            # The state first: what is committed between the two is told now, or announces itself by a notification.
            await cursor.execute(_STATE, asked)
            state = await cursor.fetchone() or {}
            await cursor.execute(_SINCE, asked)
            events = tuple(LiveEvent(**row) for row in await cursor.fetchall())
        return LiveBatch(events=events, **state)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Heard]:
        async with self._database.listening(CHANNEL) as heard:
            yield heard

    async def prune(self) -> int:
        async with self._database.transaction("live.prune") as cursor:
            await cursor.execute(_PRUNE, [KEPT_HOURS])
            row = await cursor.fetchone()
        return int(row["n"]) if row else 0
