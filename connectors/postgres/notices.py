"""The outbox of notices: the intent is stored before anything is sent, and one process at a time tries it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow

from connectors.postgres.people import known_person
from connectors.postgres.pool import Database
from workflows.domain.identity import canonical
from workflows.domain.notices import Channel, Notice, NoticeMode, Outgoing, notice_id_of

_FORGET = "DELETE FROM notice_told WHERE person = %s AND family = %s AND NOT subject = ANY(%s)"
_NEWS = """
SELECT EXISTS (SELECT FROM unnest(%s::text[]) s (subject) WHERE NOT EXISTS (
    SELECT FROM notice_told t WHERE t.person = %s AND t.family = %s AND t.subject = s.subject)) AS news
"""
_TELL = """
INSERT INTO notice_told (person, family, subject) SELECT %s, %s, unnest(%s::text[]) ON CONFLICT DO NOTHING
"""
_STORE = """
INSERT INTO notice (notice_id, key, channel, person, address, message, created_at, next_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_TAKE = """
UPDATE notice SET lease_until = %(until)s, attempts = attempts + 1
WHERE notice_id IN (
    SELECT notice_id FROM notice
    WHERE state = 'waiting' AND next_at <= %(now)s AND (lease_until IS NULL OR lease_until < %(now)s)
    ORDER BY next_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING notice_id, channel, person, address, message, created_at, attempts
"""
_ADDRESS = re.compile(r"\S+@\S+")


class PostgresNotices:
    """The `Notices` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mode(self, person: str) -> NoticeMode:
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT mode FROM notice_preference WHERE person = %s", [person])
            row = await cursor.fetchone()
        return NoticeMode(row["mode"]) if row else NoticeMode.DIGEST

    async def choose(self, person: str, mode: NoticeMode) -> None:
        async with self._database.transaction("notices.choose") as cursor:
            await cursor.execute(
                """INSERT INTO notice_preference (person, mode) VALUES (%s, %s)
                   ON CONFLICT (person) DO UPDATE SET mode = excluded.mode, changed_at = clock_timestamp()""",
                [person, mode],
            )

    async def offer(
        self, notice: Notice, subjects: Sequence[str], key: str, to: Mapping[Channel, str], now: datetime
    ) -> bool:
        about = [notice.person, notice.family]
        async with self._database.transaction("notices.offer") as cursor:
            # Two processes must not both find the same thing new.
            await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 20))", [notice.person])
            await cursor.execute(_FORGET, [*about, list(subjects)])
            await cursor.execute(_NEWS, [list(subjects), *about])
            row = await cursor.fetchone()
            if not row or not row["news"]:
                return False
            stored = 0
            for channel, address in sorted(to.items()):
                # A person's address is looked up when it is needed: it may be erased until then, or be another.
                address = "" if channel is Channel.MAIL else address
                known = [notice_id_of(key, channel), key, channel, notice.person, address, canonical(notice), now, now]
                await cursor.execute(_STORE, known)
                stored += cursor.rowcount
            if stored:  # else the period's notice is out already: this waits for the next one
                await cursor.execute(_TELL, [*about, list(subjects)])
            return stored > 0

    async def take(self, now: datetime, *, limit: int = 20, lease: timedelta = timedelta(minutes=2)) -> list[Outgoing]:
        async with self._database.transaction("notices.take") as cursor:
            await cursor.execute(_TAKE, {"now": now, "until": now + lease, "limit": limit})
            rows = await cursor.fetchall()
            for row in rows:
                if row["channel"] == Channel.MAIL:
                    person = await known_person(cursor, self._database.vault, row["person"])
                    row["address"] = person.email if person else ""
        return [Outgoing(notice=Notice.model_validate_json(row["message"]), **_fields(row)) for row in rows]

    async def sent(self, notice_id: str, now: datetime) -> None:
        async with self._database.transaction("notices.sent") as cursor:
            await cursor.execute(
                "UPDATE notice SET state = 'sent', sent_at = %s, lease_until = NULL, problem = '' WHERE notice_id = %s",
                [now, notice_id],
            )

    async def failed(self, notice_id: str, problem: str, next_at: datetime | None) -> None:
        said = _ADDRESS.sub("(address)", problem.replace("\x00", " "))[:300]
        async with self._database.transaction("notices.failed") as cursor:
            await cursor.execute(
                """UPDATE notice SET problem = %s, lease_until = NULL, next_at = coalesce(%s, next_at),
                       state = CASE WHEN %s::timestamptz IS NULL THEN 'given_up' ELSE state END
                   WHERE notice_id = %s AND state = 'waiting'""",
                [said, next_at, next_at, notice_id],
            )

    async def prune(self, before: datetime) -> int:
        async with self._database.transaction("notices.prune") as cursor:
            await cursor.execute("DELETE FROM notice WHERE state <> 'waiting' AND created_at < %s", [before])
            return cursor.rowcount


def _fields(row: DictRow) -> dict[str, Any]:
    return {name: row[name] for name in ("notice_id", "channel", "address", "created_at", "attempts")}
