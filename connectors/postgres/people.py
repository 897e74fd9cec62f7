"""Keeps people and their rights: every change is on the record, and a flood of refused attempts cannot fill it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotAllowed
from workflows.domain.identity import digest
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.names import name_key, name_problem
from workflows.domain.people import GRANTS, NOTHING_HERE, Identity, Permission, Person, may_change

Cursor = psycopg.AsyncCursor[DictRow]
PROVIDER = Actor(name="identity provider", channel="oidc")
REFUSALS_AN_HOUR = 20
"""Refused attempts of one person that are recorded within an hour; further ones are only counted."""
_COLUMNS = "name, email, roles, locations, approval_limit, subject, disabled_at"
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('people', 7))"


async def person_of(cursor: Cursor, name: str) -> Person | None:
    """The person of this name as the caller's transaction sees them, disabled ones too; None for an unknown name."""
    await cursor.execute(f"SELECT {_COLUMNS} FROM person WHERE name = %s", [name])  # noqa: S608 - our own names
    row = await cursor.fetchone()
    return as_person(row) if row else None


def as_person(row: DictRow) -> Person:
    """A row of `person`. A role that a newer release knows grants nothing here."""
    known = {str(role) for role in GRANTS}
    return Person.model_validate({**row, "roles": [role for role in row["roles"] if role in known]})


class PostgresPeople:
    """The `People` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, name: str) -> Person | None:
        async with self._database.transaction() as cursor:
            return await person_of(cursor, name)

    async def everyone(self) -> list[Person]:
        async with self._database.transaction() as cursor:
            await cursor.execute(f"SELECT {_COLUMNS} FROM person ORDER BY lower(name)")  # noqa: S608 - our own names
            return [as_person(row) for row in await cursor.fetchall()]

    async def save(self, person: Person, actor: Actor) -> Person:
        async with self._database.transaction() as cursor:
            await cursor.execute(_ONE_AT_A_TIME)
            before = await person_of(cursor, person.name)
            author = await person_of(cursor, actor.name)
            may_change(before, person, author, actor, admins=await _admins(cursor))
            return await _store(cursor, before, person, actor)

    async def register(self, person: Person, actor: Actor) -> Person:
        async with self._database.transaction() as cursor:
            await cursor.execute(_ONE_AT_A_TIME)
            known = await person_of(cursor, person.name)
            return known or await _store(cursor, None, person, actor)

    async def arrived(self, identity: Identity) -> Person:
        async with self._database.transaction() as cursor:
            await cursor.execute(_ONE_AT_A_TIME)
            await cursor.execute("SELECT name FROM person WHERE subject = %s", [identity.subject])
            found = await cursor.fetchone()
            if found:
                before = await person_of(cursor, found["name"])
                return await _store(cursor, before, identity.known_as(found["name"], before), PROVIDER)
            if not identity.grants_something:
                raise NotAllowed(NOTHING_HERE)
            known = await _names(cursor)
            name = identity.free_name(lambda wished: name_key(wished) in known)
            return await _store(cursor, None, identity.known_as(name, None), PROVIDER)

    async def refused(self, actor: Actor, what: str, why: str) -> None:
        async with self._database.transaction() as cursor:
            left_out = await _counted(cursor, actor.name)
            if left_out is None:
                return
            body: dict[str, Any] = {"what": what[:200], "why": why[:200], "channel": actor.channel, **left_out}
            await ledger.append(cursor, [_entry(actor.name, EntryType.ACCESS_REFUSED, actor, body)])


async def _store(cursor: Cursor, before: Person | None, person: Person, actor: Actor) -> Person:
    if before == person:
        return person
    await _only_one(cursor, before, person)
    await cursor.execute(
        """INSERT INTO person (name, email, roles, locations, approval_limit, subject, disabled_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (name) DO UPDATE SET
               email = excluded.email, roles = excluded.roles, locations = excluded.locations,
               approval_limit = excluded.approval_limit, subject = excluded.subject,
               disabled_at = excluded.disabled_at, changed_at = clock_timestamp()""",
        [
            person.name, person.email, sorted(person.roles),
            None if person.locations is None else sorted(person.locations), person.approval_limit, person.subject,
            person.disabled_at,
        ],
    )  # fmt: skip
    if person.disabled_at is not None:
        await cursor.execute("DELETE FROM console_session WHERE person = %s", [person.name])
    body = {"before": _rights(before), "after": _rights(person), "channel": actor.channel}
    await ledger.append(cursor, [_entry(person.name, EntryType.PERSON_CHANGED, actor, body)])
    return person


async def _only_one(cursor: Cursor, before: Person | None, person: Person) -> None:
    if before is None:
        if problem := name_problem(person.name):
            raise InvalidInput(problem)
        if namesake := (await _names(cursor)).get(name_key(person.name)):
            raise InvalidInput(f"There is {namesake} already, and names that look the same are one person's.")
    await cursor.execute(
        "SELECT name FROM person WHERE subject = %s AND name <> %s", [person.subject, person.name]
    )  # fmt: skip
    if row := await cursor.fetchone():
        raise InvalidInput(f"{row['name']} is known to the identity provider under this subject.")


async def _names(cursor: Cursor) -> dict[str, str]:
    """Everybody's name by what it looks like; whoever writes people holds the lock, so nobody comes in between."""
    await cursor.execute("SELECT name FROM person")
    return {name_key(row["name"]): str(row["name"]) for row in await cursor.fetchall()}


async def _admins(cursor: Cursor) -> int:
    roles = [str(role) for role, granted in GRANTS.items() if Permission.MANAGE_PEOPLE in granted]
    await cursor.execute("SELECT count(*) AS n FROM person WHERE disabled_at IS NULL AND roles && %s", [roles])
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def _counted(cursor: Cursor, name: str) -> dict[str, Any] | None:
    """Count one more refused attempt; None when it is not to be recorded, else what the entry says of others."""
    await cursor.execute(
        "SELECT refusals_since, refusals, clock_timestamp() AS now FROM person WHERE name = %s FOR UPDATE", [name]
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    since, earlier, said = row["refusals_since"], row["refusals"], {}
    if since is None or row["now"] - since > timedelta(hours=1):
        if earlier > REFUSALS_AN_HOUR:
            said["left_out"] = earlier - REFUSALS_AN_HOUR
        since, earlier = row["now"], 0
    await cursor.execute(
        "UPDATE person SET refusals_since = %s, refusals = %s WHERE name = %s", [since, earlier + 1, name]
    )
    if earlier >= REFUSALS_AN_HOUR:
        return None
    if earlier == REFUSALS_AN_HOUR - 1:
        said["more_are_only_counted_until"] = since + timedelta(hours=1)
    return said


def _rights(person: Person | None) -> dict[str, Any] | None:
    """What the record says of a person. An address and a subject can be forgotten later, so only their digests stay."""
    if person is None:
        return None
    return {
        "roles": sorted(person.roles),
        "locations": None if person.locations is None else sorted(person.locations),
        "approval_limit": None if person.approval_limit is None else _amount(person.approval_limit),
        "disabled": person.disabled_at is not None,
        "email_sha256": digest(person.email.encode()) if person.email else None,
        "subject_sha256": digest(person.subject.encode()) if person.subject else None,
    }


def _amount(value: Decimal) -> str:
    return format(value, "f")


def _entry(name: str, kind: EntryType, actor: Actor, body: dict[str, Any]) -> NewEntry:
    return NewEntry(stream=f"person:{name}", type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=body)
