"""Destroys what is personal of somebody, in one transaction with the entry that says so; the chain stays as it is."""

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.people import known_person, meant, person_of
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.erasure import LEGAL_BASIS, Erased, ErasureReason, Removed, may_erase
from workflows.domain.errors import InvalidInput
from workflows.domain.identity import canonical, rfc3339

Cursor = psycopg.AsyncCursor[DictRow]

_FOUND = """
SELECT (SELECT count(*) FROM person_sealed WHERE person = %(who)s AND sealed IS NOT NULL)
       + (SELECT count(*) FROM person WHERE name = %(who)s AND (email <> '' OR subject IS NOT NULL)) AS names,
       (SELECT count(*) FROM person_words WHERE author = %(who)s)
       + (SELECT count(*) FROM approval WHERE actor = %(who)s AND comment NOT IN ('', '*'))
       + (SELECT count(*) FROM task_comment WHERE author = %(who)s AND text NOT IN ('', '*')) AS words,
       (SELECT count(*) FROM console_session WHERE person = %(who)s) AS sessions,
       (SELECT count(*) FROM api_token WHERE person = %(who)s) AS tokens,
       (SELECT count(*) FROM saved_view WHERE owner = %(who)s) AS views,
       (SELECT count(*) FROM notice WHERE person = %(who)s) AS notices,
       (SELECT count(*) FROM substitute WHERE %(who)s IN (person, substitute)) AS substitutes
"""


class PostgresErasing:
    """The `Erasing` port. The deletions are a function of the database (0044), which asks once more who may."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, named: str, reason: ErasureReason, actor: Actor) -> Erased:
        async with self._database.transaction("erasing.erase") as cursor:
            name = await meant(cursor, self._database.vault, named)
            target = await known_person(cursor, self._database.vault, name) if name else None
            person = may_erase(target, await person_of(cursor, actor.name), actor, named)
            # Whoever seals words of this person holds a share of the row: they come before, or not any more.
            await cursor.execute("SELECT erased_at FROM person WHERE name = %s FOR UPDATE", [person.name])
            row = await cursor.fetchone()
            await cursor.execute(_FOUND, {"who": person.name})
            removed = Removed.model_validate(await cursor.fetchone())
            if row is None or row["erased_at"] is not None:
                return Erased(person=person.name, reason=reason, removed=removed, already=True)
            body: dict[str, Any] = {
                "person": person.name, "reason": str(reason), "legal_basis": LEGAL_BASIS[reason],
                "removed": removed.model_dump(), "channel": actor.channel,
            }  # fmt: skip
            await cursor.execute(
                "SELECT erase_person(%s, %s, %s, %s)",
                [person.name, actor.name, rfc3339(datetime.now(UTC)), canonical(body)],
            )
            return Erased(person=person.name, reason=reason, removed=removed)

    async def give_up_key(self, actor: Actor) -> int:
        """Throw away what was sealed with a key that is lost for good; of how many people something was.

        Whoever may reach the database may: with the key everybody who could allow it is gone.

        Raises:
            InvalidInput: the key is there, or nothing was sealed.
        """
        async with self._database.transaction("erasing.give_up_key") as cursor:
            await cursor.execute("SELECT key_id FROM personal_key")
            row = await cursor.fetchone()
            if row is None:
                raise InvalidInput("nothing was sealed here yet: there is no key to give up")
            if await self._database.vault.has(row["key_id"]):
                raise InvalidInput("the key is there and opens what is sealed: `quartermaster people erase` erases")
            await cursor.execute("SELECT count(*) AS people, count(sealed) AS names FROM person_sealed")
            counted = await cursor.fetchone() or {}
            await cursor.execute("SELECT count(*) AS words FROM person_words")
            counted |= await cursor.fetchone() or {}
            body = {"everybody": True, "key": row["key_id"], "removed": counted, "reason": "key_lost",
                    "channel": actor.channel}  # fmt: skip
            await cursor.execute(
                "SELECT give_up_personal_key(%s, %s, %s, %s)",
                [row["key_id"], actor.name, rfc3339(datetime.now(UTC)), canonical(body)],
            )
            return int(counted["people"])
