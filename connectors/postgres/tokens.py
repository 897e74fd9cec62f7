"""Keeps API tokens: each belongs to a person, ends, and is worthless the moment that it is revoked."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.people import COLUMNS, as_person, known_person, person_of
from connectors.postgres.pool import Database
from connectors.postgres.sessions import sha256
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.people import Person
from workflows.domain.sessions import TOKENS_EACH, ApiToken, Label, TokenDays, may_end, may_make

Cursor = psycopg.AsyncCursor[DictRow]
PREFIX = "qm_"
"""Lets a scanner of repositories and logs know what it has found."""
_COLUMNS = "token_id, person, label, made_by, made_at, used_at, ends_at"


class PostgresTokens:
    """The `Tokens` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self, name: str, label: Label, days: TokenDays, actor: Actor) -> tuple[ApiToken, str]:
        secret, token_id = PREFIX + secrets.token_urlsafe(32), secrets.token_hex(6)
        async with self._database.transaction("tokens.make") as cursor:
            target = await known_person(cursor, self._database.vault, name)
            may_make(name, target, await person_of(cursor, actor.name), actor, days)
            # The lock holds two makers back from passing the count together.
            await cursor.execute("SELECT disabled_at FROM person WHERE name = %s FOR UPDATE", [name])
            row = await cursor.fetchone()
            if row is None or row["disabled_at"] is not None:
                raise InvalidInput(f"{name} may not be here; `quartermaster people list` shows who may")
            await cursor.execute("DELETE FROM api_token WHERE ends_at < clock_timestamp()")
            await cursor.execute("SELECT count(*) AS n FROM api_token WHERE person = %s", [name])
            if (counted := await cursor.fetchone()) and counted["n"] >= TOKENS_EACH:
                raise InvalidInput(f"{name} has {TOKENS_EACH} tokens; revoke one that nobody uses")
            await cursor.execute(
                f"""INSERT INTO api_token (token_id, token_sha256, person, label, made_by, ends_at)
                    VALUES (%s, %s, %s, %s, %s, clock_timestamp() + %s) RETURNING {_COLUMNS}""",  # noqa: S608 - our own names
                [token_id, sha256(secret), name, label, actor.name, timedelta(days=days)],
            )
            token = ApiToken.model_validate(await cursor.fetchone())
            body = {"api_token": token_id, "made": True, "ends_at": rfc3339(token.ends_at)}
            await ledger.append(cursor, [_entry(name, actor, body)])
            return token, secret

    async def person(self, secret: str) -> Person | None:
        if not secret.startswith(PREFIX):
            return None
        async with self._database.transaction("tokens.person") as cursor:
            await cursor.execute(
                f"""SELECT t.token_id, coalesce(t.used_at < clock_timestamp() - interval '1 hour', true) AS stale,
                          {COLUMNS}
                   FROM api_token t JOIN person p ON p.name = t.person LEFT JOIN person_sealed s ON s.person = p.name
                   WHERE t.token_sha256 = %s AND t.ends_at > clock_timestamp() AND p.disabled_at IS NULL""",  # noqa: S608 - our own names
                [sha256(secret)],
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            if row["stale"]:
                await cursor.execute(
                    "UPDATE api_token SET used_at = clock_timestamp() WHERE token_id = %s", [row["token_id"]]
                )
            return as_person(row, await self._database.vault.profile(cursor, row))

    async def of(self, name: str) -> list[ApiToken]:
        async with self._database.reading() as cursor:
            await cursor.execute(
                f"""SELECT {_COLUMNS} FROM api_token WHERE person = %s AND ends_at > clock_timestamp()
                    ORDER BY made_at DESC, token_id""",  # noqa: S608 - our own names
                [name],
            )
            return [ApiToken.model_validate(row) for row in await cursor.fetchall()]

    async def revoke(self, token_id: str, actor: Actor) -> None:
        async with self._database.transaction("tokens.revoke") as cursor:
            await cursor.execute("SELECT person FROM api_token WHERE token_id = %s FOR UPDATE", [token_id])
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"There is no token {token_id} (any more).")
            may_end(row["person"], await person_of(cursor, actor.name), actor)
            await cursor.execute("DELETE FROM api_token WHERE token_id = %s", [token_id])
            body = {"api_token": token_id, "revoked": True}
            await ledger.append(cursor, [_entry(row["person"], actor, body)])


def _entry(name: str, actor: Actor, body: dict[str, Any]) -> NewEntry:
    at = datetime.now(UTC)
    return NewEntry(
        stream=f"person:{name}", type=EntryType.PERSON_CHANGED, actor=actor.name, occurred_at=at,
        body={**body, "channel": actor.channel},
    )  # fmt: skip
