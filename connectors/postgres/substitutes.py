"""Who stands in for whom: each change is recorded under the absent person's name."""

from datetime import UTC, date, datetime

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.people import person_of
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotAllowed
from workflows.domain.inbox import Substitute
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.people import Permission

Cursor = psycopg.AsyncCursor[DictRow]

_COLUMNS = "person, substitute, first_day, last_day"


async def current(cursor: Cursor) -> list[Substitute]:
    """Those whose last day is not over, by their first day."""
    await cursor.execute(
        f"""SELECT {_COLUMNS} FROM substitute WHERE last_day >= current_date
            ORDER BY first_day, person LIMIT 1000""".encode()  # noqa: S608 - our own names
    )
    return [Substitute.model_validate(row) for row in await cursor.fetchall()]


async def name(cursor: Cursor, substitute: Substitute, actor: Actor) -> Substitute:
    """Keep it; one absence that begins on a day has one substitute, and the newest word counts.

    Raises:
        InvalidInput: somebody stands in for themselves, the days are in the wrong order, or a name is nobody's.
        NotAllowed: it is somebody else's absence.
    """
    await _own_absence(cursor, substitute.person, actor)
    if substitute.person == substitute.substitute:
        raise InvalidInput("nobody stands in for themselves")
    if substitute.last_day < substitute.first_day:
        raise InvalidInput("the last day is before the first one")
    for name in (substitute.person, substitute.substitute):
        person = await person_of(cursor, name)
        if person is None or person.disabled_at is not None:
            raise InvalidInput(f"there is nobody called {name}: write the name as the list of people has it")
    await cursor.execute(
        """INSERT INTO substitute AS s (person, substitute, first_day, last_day, named_by) VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT (person, first_day) DO UPDATE
           SET substitute = excluded.substitute, last_day = excluded.last_day, named_by = excluded.named_by,
               named_at = clock_timestamp()
           WHERE (s.substitute, s.last_day) <> (excluded.substitute, excluded.last_day)""",
        [substitute.person, substitute.substitute, substitute.first_day, substitute.last_day, actor.name],
    )
    if cursor.rowcount == 1:
        await _note(cursor, substitute.person, actor, substitute.first_day, substitute.substitute, substitute.last_day)
    return substitute


async def drop(cursor: Cursor, person: str, first_day: date, actor: Actor) -> None:
    """Take it back; nothing happens when nobody was named.

    Raises:
        NotAllowed: it is somebody else's absence.
    """
    await _own_absence(cursor, person, actor)
    await cursor.execute("DELETE FROM substitute WHERE person = %s AND first_day = %s", [person, first_day])
    if cursor.rowcount == 1:
        await _note(cursor, person, actor, first_day, None, None)


async def _own_absence(cursor: Cursor, person: str, actor: Actor) -> None:
    if person == actor.name:
        return
    author = await person_of(cursor, actor.name)
    if author is None or not author.may(Permission.MANAGE_PEOPLE):
        raise NotAllowed(f"{person} names a substitute, or somebody who manages people does")


async def _note(
    cursor: Cursor, person: str, actor: Actor, first_day: date, substitute: str | None, last_day: date | None
) -> None:
    body = {
        "substitute": substitute, "first_day": first_day, "last_day": last_day, "channel": actor.channel,
    }  # fmt: skip
    entry = NewEntry(
        stream=f"person:{person}", type=EntryType.SUBSTITUTE_NAMED, actor=actor.name, occurred_at=datetime.now(UTC),
        body=body,
    )  # fmt: skip
    await ledger.append(cursor, [entry])
