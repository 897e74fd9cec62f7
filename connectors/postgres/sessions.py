"""Keeps sessions where every replica of the console finds them; of a secret only its SHA-256 is stored."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.people import COLUMNS, as_person
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.people import Person
from workflows.domain.sessions import SESSIONS_EACH, Lasts

Cursor = psycopg.AsyncCursor[DictRow]
SEEN_EVERY = 10
"""A request is noted when a tenth of the idle time has passed since the last note: reading pages writes little."""

# One statement by primary key: the session's limits, and the person's rights as they are now.
_WHO = f"""
SELECT c.seen_at < clock_timestamp() - make_interval(secs => c.idle_s / %(every)s) AS stale,
       {COLUMNS}
FROM console_session c JOIN person p ON p.name = c.person LEFT JOIN person_sealed s ON s.person = p.name
WHERE c.sid_sha256 = %(sid)s AND c.ends_at > clock_timestamp() AND p.disabled_at IS NULL
  AND c.seen_at > clock_timestamp() - make_interval(secs => c.idle_s)
"""  # noqa: S608 - our own names


def sha256(secret: str) -> str:
    """What is stored of a secret. It is random and long, so a plain digest tells nothing about it."""
    return hashlib.sha256(secret.encode()).hexdigest()


class PostgresSessions:
    """The `Sessions` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, name: str, lasts: Lasts, actor: Actor) -> str:
        secret = secrets.token_urlsafe(32)
        async with self._database.transaction("sessions.open") as cursor:
            await cursor.execute("DELETE FROM console_session WHERE ends_at < clock_timestamp()")
            await cursor.execute(
                """DELETE FROM console_session WHERE sid_sha256 IN (
                       SELECT sid_sha256 FROM console_session WHERE person = %s ORDER BY opened_at DESC OFFSET %s)""",
                [name, SESSIONS_EACH - 1],
            )
            await cursor.execute(
                """INSERT INTO console_session (sid_sha256, person, idle_s, ends_at)
                   VALUES (%s, %s, %s, clock_timestamp() + %s)""",
                [sha256(secret), name, int(lasts.idle.total_seconds()), lasts.longest],
            )
            body = {"session": _short(secret), "channel": actor.channel}
            await ledger.append(cursor, [_entry(name, EntryType.SESSION_OPENED, actor, body)])
        return secret

    async def person(self, secret: str, *, quietly: bool = False) -> Person | None:
        sid = sha256(secret)
        async with self._database.transaction("sessions.person") as cursor:
            await cursor.execute(_WHO, {"sid": sid, "every": SEEN_EVERY})
            row = await cursor.fetchone()
            if row is None:
                return None
            if row["stale"] and not quietly:
                await cursor.execute(
                    "UPDATE console_session SET seen_at = clock_timestamp() WHERE sid_sha256 = %s", [sid]
                )
            return as_person(row, await self._database.vault.profile(cursor, row))

    async def end(self, secret: str, actor: Actor) -> None:
        async with self._database.transaction("sessions.end") as cursor:
            await cursor.execute("DELETE FROM console_session WHERE sid_sha256 = %s RETURNING person", [sha256(secret)])
            if row := await cursor.fetchone():
                body = {"session": _short(secret), "channel": actor.channel}
                await ledger.append(cursor, [_entry(row["person"], EntryType.SESSION_ENDED, actor, body)])

    async def end_all(self, name: str, actor: Actor) -> int:
        async with self._database.transaction("sessions.end_all") as cursor:
            await cursor.execute("DELETE FROM console_session WHERE person = %s", [name])
            ended = cursor.rowcount
            if ended:
                body = {"sessions": ended, "channel": actor.channel}
                await ledger.append(cursor, [_entry(name, EntryType.SESSION_ENDED, actor, body)])
            return ended

    async def spend(self, ticket: str, lasts: timedelta) -> bool:
        async with self._database.transaction("sessions.spend") as cursor:
            await cursor.execute("DELETE FROM spent_ticket WHERE ends_at < clock_timestamp()")
            await cursor.execute(
                """INSERT INTO spent_ticket (ticket_sha256, ends_at) VALUES (%s, clock_timestamp() + %s)
                   ON CONFLICT DO NOTHING""",
                [sha256(ticket), lasts],
            )
            return cursor.rowcount == 1


def _short(secret: str) -> str:
    """Tells sessions apart in the record; a digest's beginning opens nothing."""
    return sha256(secret)[:12]


def _entry(name: str, kind: EntryType, actor: Actor, body: dict[str, Any]) -> NewEntry:
    return NewEntry(stream=f"person:{name}", type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=body)
