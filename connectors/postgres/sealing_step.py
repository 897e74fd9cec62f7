"""Seals what earlier releases kept in clear, batch by batch; interrupted, it goes on, and done, it finds nothing."""

from psycopg import AsyncCursor
from psycopg.rows import DictRow

from connectors.postgres.answer_words import words_id
from connectors.postgres.people import known_person
from connectors.postgres.personal import SEALED, Profile
from connectors.postgres.pool import Connection, Database
from connectors.postgres.task_comments import words_id as comment_words_id
from workflows.domain.names import name_key

Cursor = AsyncCursor[DictRow]
BATCH = 200

_CLEAR = """
SELECT (SELECT count(*) FROM person WHERE email <> '' OR subject IS NOT NULL)
     + (SELECT count(*) FROM approval WHERE comment NOT IN ('', %(sealed)s))
     + (SELECT count(*) FROM task_comment WHERE text NOT IN ('', %(sealed)s))
     + (SELECT count(*) FROM notice WHERE channel = 'mail' AND address <> '') AS n
"""
TABLES = ("person", "approval", "task_comment", "notice")


def count_clear(connection: Connection) -> int:
    """How many rows have something personal in clear."""
    row = connection.execute(_CLEAR, {"sealed": SEALED}).fetchone()
    return int(row["n"]) if row else 0


def vacuum(connection: Connection) -> None:
    """Have the database drop the rows as they were before."""
    for table in TABLES:
        connection.execute(f"VACUUM {table}".encode())


async def seal_what_is_clear(database: Database, batch: int = BATCH) -> int:
    """Seal all of it; how many rows there were. Each batch is one transaction.

    Raises:
        InvalidInput: the key file cannot be used.
    """
    done = 0
    for step in (_people, _answers, _comments, _addresses):
        while True:
            async with database.transaction("sealing.seal") as cursor:
                moved = await step(cursor, database, batch)
            done += moved
            if moved < batch:
                break
    return done


async def _people(cursor: Cursor, database: Database, batch: int) -> int:
    await cursor.execute(
        """SELECT name FROM person WHERE email <> '' OR subject IS NOT NULL ORDER BY name LIMIT %s FOR UPDATE""",
        [batch],
    )
    names = [str(row["name"]) for row in await cursor.fetchall()]
    for name in names:
        person = await known_person(cursor, database.vault, name)
        if person is not None:
            key = name_key(person.display) if person.display else None
            profile = Profile(person.display, person.email, person.subject)
            await database.vault.keep(cursor, name, profile, key)
    await cursor.execute("UPDATE person SET email = '', subject = NULL WHERE name = ANY(%s)", [names])
    return len(names)


async def _answers(cursor: Cursor, database: Database, batch: int) -> int:
    await cursor.execute(
        """SELECT approval_id, actor, comment FROM approval WHERE comment NOT IN ('', %s)
           ORDER BY approval_id LIMIT %s FOR UPDATE""",
        [SEALED, batch],
    )
    rows = await cursor.fetchall()
    for row in rows:
        await database.vault.words(cursor, row["actor"], words_id(row["approval_id"]), row["comment"])
    # A digest of the command had the comment in it: whoever guesses the words could prove them by it.
    await cursor.execute(
        "UPDATE approval SET comment = %s, command_digest = '' WHERE approval_id = ANY(%s)",
        [SEALED, [row["approval_id"] for row in rows]],
    )
    return len(rows)


async def _comments(cursor: Cursor, database: Database, batch: int) -> int:
    await cursor.execute(
        """SELECT comment_id, author, text FROM task_comment WHERE text NOT IN ('', %s)
           ORDER BY comment_id LIMIT %s FOR UPDATE""",
        [SEALED, batch],
    )
    rows = await cursor.fetchall()
    for row in rows:
        await database.vault.words(cursor, row["author"], comment_words_id(row["comment_id"]), row["text"])
    await cursor.execute(
        "UPDATE task_comment SET text = %s WHERE comment_id = ANY(%s)", [SEALED, [row["comment_id"] for row in rows]]
    )
    return len(rows)


async def _addresses(cursor: Cursor, database: Database, batch: int) -> int:
    await cursor.execute(
        """UPDATE notice SET address = '' WHERE notice_id IN (
               SELECT notice_id FROM notice WHERE channel = 'mail' AND address <> '' LIMIT %s FOR UPDATE)""",
        [batch],
    )
    return cursor.rowcount
