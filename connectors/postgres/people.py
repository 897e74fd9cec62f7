"""Keeps people and their rights: every change is on the record, and a flood of refused attempts cannot fill it.

What is personal of somebody is sealed (personal.py); this table and the ledger have the reference and the rights.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.personal import Profile, Vault
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotAllowed
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.names import NOBODY_YET, erased_name, name_key, name_problem
from workflows.domain.people import GRANTS, NOTHING_HERE, Identity, Permission, Person, may_change

Cursor = psycopg.AsyncCursor[DictRow]
PROVIDER = Actor(name="identity provider", channel="oidc")
REFUSALS_AN_HOUR = 20
"""Refused attempts of one person that are recorded within an hour; further ones are only counted."""
_RIGHTS = "p.name, p.email, p.roles, p.locations, p.approval_limit, p.subject, p.disabled_at"
COLUMNS = f"{_RIGHTS}, s.wrapped_key, s.sealed, s.changed_at AS sealed_at, p.erased_at"
FROM = "FROM person p LEFT JOIN person_sealed s ON s.person = p.name"
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('people', 7))"


async def person_of(cursor: Cursor, name: str) -> Person | None:
    """The person of this reference and their rights, as the caller's transaction sees them, disabled ones too; None
    for an unknown one. Nothing that is personal is opened for it."""
    # Not what is sealed, either: the worker's role may not read that, and its send gate asks for rights alone.
    await cursor.execute(f"SELECT {_RIGHTS} FROM person p WHERE p.name = %s", [name])  # noqa: S608 - our own names
    row = await cursor.fetchone()
    return as_person(row) if row else None


async def known_person(cursor: Cursor, vault: Vault, name: str) -> Person | None:
    """The same with what the person is called, and with address and subject."""
    row = await _row(cursor, name)
    return as_person(row, await vault.profile(cursor, row)) if row else None


async def meant(cursor: Cursor, vault: Vault, typed: str) -> str | None:
    """The reference of whom somebody means who wrote this: a reference, or what a person is called."""
    await cursor.execute("SELECT name FROM person WHERE name = %s", [typed])
    row = await cursor.fetchone()
    return str(row["name"]) if row else await vault.person_by(cursor, "name", name_key(typed))


def as_person(row: DictRow, profile: Profile | None = None) -> Person:
    """A row of `person`. A role that a newer release knows grants nothing here."""
    known = {str(role) for role in GRANTS}
    fields = {name: row[name] for name in ("name", "email", "locations", "approval_limit", "subject", "disabled_at")}
    if profile is not None:
        # What a release of before wrote in clear is newer than what is sealed.
        fields |= {"display": profile.display, "email": row["email"] or profile.email}
        fields |= {"subject": row["subject"] or profile.subject}
    return Person.model_validate({**fields, "roles": [role for role in row["roles"] if role in known]})


async def _row(cursor: Cursor, name: str) -> DictRow | None:
    await cursor.execute(f"SELECT {COLUMNS} {FROM} WHERE p.name = %s", [name])
    return await cursor.fetchone()


class PostgresPeople:
    """The `People` port."""

    def __init__(self, database: Database) -> None:
        self._database, self._vault = database, database.vault
        self._opened: dict[str, tuple[datetime, str]] = {}
        """What people are called, and as of when: names are asked for all the time, and opened once."""

    async def find(self, name: str) -> Person | None:
        async with self._database.reading() as cursor:
            return await known_person(cursor, self._vault, name)

    async def named(self, typed: str) -> Person | None:
        async with self._database.reading() as cursor:
            name = await meant(cursor, self._vault, typed)
            return await known_person(cursor, self._vault, name) if name else None

    async def names(self) -> Mapping[str, str]:
        async with self._database.reading() as cursor:
            await cursor.execute(f"SELECT {COLUMNS} {FROM} WHERE p.name LIKE 'p-%%'")
            found = {}
            for row in await cursor.fetchall():
                if row["erased_at"] is not None:
                    found[row["name"]] = erased_name(row["name"])
                elif row["sealed"] is not None:
                    found[row["name"]] = await self._called(cursor, row)
            self._opened = {name: kept for name, kept in self._opened.items() if name in found}
            return found

    async def everyone(self) -> list[Person]:
        async with self._database.reading() as cursor:
            await cursor.execute(f"SELECT {COLUMNS} {FROM} WHERE p.erased_at IS NULL")
            rows = await cursor.fetchall()
            found = [as_person(row, await self._vault.profile(cursor, row)) for row in rows]
            return sorted(found, key=lambda person: (person.called.lower(), person.name))

    async def save(self, person: Person, actor: Actor) -> Person:
        async with self._database.transaction("people.save") as cursor:
            await cursor.execute(_ONE_AT_A_TIME)
            before = await known_person(cursor, self._vault, person.name)
            author = await person_of(cursor, actor.name)
            may_change(before, person, author, actor, admins=await _admins(cursor))
            return await self._store(cursor, before, person, actor)

    async def register(self, person: Person, actor: Actor) -> Person:
        async with self._database.transaction("people.register") as cursor:
            await cursor.execute(_ONE_AT_A_TIME)
            name = await meant(cursor, self._vault, person.called)
            known = await known_person(cursor, self._vault, name or person.name)
            return known or await self._store(cursor, None, person, actor)

    async def arrived(self, identity: Identity) -> Person:
        async with self._database.transaction("people.arrived") as cursor:
            await cursor.execute(_ONE_AT_A_TIME)
            if name := await self._by_subject(cursor, identity.subject):
                before = await known_person(cursor, self._vault, name)
                return await self._store(cursor, before, identity.known_as(name, before), PROVIDER)
            if not identity.grants_something:
                raise NotAllowed(NOTHING_HERE)
            free = await self._free_name(cursor, identity)
            return await self._store(cursor, None, identity.known_as(free, None), PROVIDER)

    async def refused(self, actor: Actor, what: str, why: str) -> None:
        async with self._database.transaction("people.refused") as cursor:
            left_out = await _counted(cursor, actor.name)
            if left_out is None:
                return
            body: dict[str, Any] = {"what": what[:200], "why": why[:200], "channel": actor.channel, **left_out}
            await ledger.append(cursor, [_entry(actor.name, EntryType.ACCESS_REFUSED, actor, body)])

    async def _store(self, cursor: Cursor, before: Person | None, person: Person, actor: Actor) -> Person:
        if before == person:
            return person
        if person.name == NOBODY_YET:
            # It says nothing of the person whom it stands for.
            person = person.model_copy(update={"name": f"p-{secrets.token_hex(6)}"})
        await self._only_one(cursor, before, person)
        await cursor.execute(
            """INSERT INTO person (name, roles, locations, approval_limit, disabled_at) VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (name) DO UPDATE SET
                   email = '', subject = NULL, roles = excluded.roles, locations = excluded.locations,
                   approval_limit = excluded.approval_limit, disabled_at = excluded.disabled_at,
                   changed_at = clock_timestamp() WHERE person.erased_at IS NULL""",
            [
                person.name, sorted(person.roles),
                None if person.locations is None else sorted(person.locations), person.approval_limit,
                person.disabled_at,
            ],
        )  # fmt: skip
        if cursor.rowcount == 0:
            raise InvalidInput(f"{person.name} was erased: add them anew, under a reference of their own")
        told = (person.display, person.email, person.subject)
        if any(told) or (before is not None and (before.email or before.subject)):
            name = name_key(person.display) if person.display else None
            await self._vault.keep(cursor, person.name, Profile(*told), name)
        if person.disabled_at is not None:
            await cursor.execute("DELETE FROM console_session WHERE person = %s", [person.name])
        body: dict[str, Any] = {"before": _rights(before), "after": _rights(person), "channel": actor.channel}
        if before is not None:
            # Only that they changed: a digest of a name or an address tells whoever guesses what it was.
            earlier = before.display, before.email, before.subject
            body["personal"] = [
                field for field, was, now in zip(Profile._fields, earlier, told, strict=True) if was != now
            ]
        await ledger.append(cursor, [_entry(person.name, EntryType.PERSON_CHANGED, actor, body)])
        return person

    async def _only_one(self, cursor: Cursor, before: Person | None, person: Person) -> None:
        if before is None or before.called != person.called:
            if problem := name_problem(person.called):
                raise InvalidInput(problem)
            namesake = await self._namesake(cursor, person.called)
            if namesake not in (None, person.name):
                raise InvalidInput(f"There is {namesake} already, and names that look the same are one person's.")
        if person.subject and (other := await self._by_subject(cursor, person.subject)) not in (None, person.name):
            raise InvalidInput(f"{other} is known to the identity provider under this subject.")

    async def _namesake(self, cursor: Cursor, name: str) -> str | None:
        """Whose name looks like this one; whoever writes people holds the lock, so nobody comes in between."""
        await cursor.execute("SELECT name FROM person")
        plain = {name_key(row["name"]): str(row["name"]) for row in await cursor.fetchall()}
        return plain.get(name_key(name)) or await self._vault.person_by(cursor, "name", name_key(name))

    async def _free_name(self, cursor: Cursor, identity: Identity) -> str:
        taken = {name: await self._namesake(cursor, name) is not None for name in identity.possible_names()}
        return identity.free_name(lambda wished: taken[wished])

    async def _by_subject(self, cursor: Cursor, subject: str) -> str | None:
        await cursor.execute("SELECT name FROM person WHERE subject = %s", [subject])
        row = await cursor.fetchone()
        return str(row["name"]) if row else await self._vault.person_by(cursor, "subject", subject)

    async def _called(self, cursor: Cursor, row: DictRow) -> str:
        since, name = self._opened.get(row["name"], (None, ""))
        if since != row["sealed_at"]:
            profile = await self._vault.profile(cursor, row) or Profile()
            name = profile.display or row["name"]
            self._opened[row["name"]] = row["sealed_at"], name
        return name


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
    """What the record says of a person: rights, and nothing of what can be forgotten later."""
    if person is None:
        return None
    return {
        "roles": sorted(person.roles),
        "locations": None if person.locations is None else sorted(person.locations),
        "approval_limit": None if person.approval_limit is None else _amount(person.approval_limit),
        "disabled": person.disabled_at is not None,
        "email": bool(person.email),
        "signs_in_at_provider": person.subject is not None,
    }


def _amount(value: Decimal) -> str:
    return format(value, "f")


def _entry(name: str, kind: EntryType, actor: Actor, body: dict[str, Any]) -> NewEntry:
    return NewEntry(stream=f"person:{name}", type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=body)
