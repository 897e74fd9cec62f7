"""The people of an embedded stack: whoever runs it may do all, and the demo's and the second pair of eyes are known."""

import asyncio

from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database
from workers.commands import output, person
from workers.personal_key import database_of
from workers.planner import PLANNER
from workers.settings import Settings
from workers.wiring import required
from workers.wiring_sign_in import embedded_database
from workflows.domain.approvals import Actor
from workflows.domain.people import MayNot, Permission, Person, Role, newcomer

SECOND = Person(name="second approver", roles=frozenset({Role.PLANNER, Role.APPROVER, Role.OPERATOR}))
"""Four eyes need two names, also where one person tries things out."""
INSTALLATION = Actor(name="installation", channel="installation")


def everything(name: str) -> Person:
    """Somebody who may do all: right where they hold the state, and so the database and the key, anyway."""
    return newcomer(name, frozenset(Role))


def enrol(settings: Settings, *names: str) -> None:
    """Make the people of an embedded stack known, each once; elsewhere, nothing: there an admin or the provider does.

    `names` may do everything, and so may the system's user. Who is known already stays as they are.
    """
    if not embedded_database(settings):
        return
    scripted = Person(name=PLANNER.name, roles=frozenset({Role.PLANNER, Role.APPROVER}))
    known = [everything(name) for name in (*names, person.name())]
    asyncio.run(_register(settings, [*known, SECOND, scripted]))


async def _register(settings: Settings, people: list[Person]) -> None:
    async with database_of(
        settings, required(settings, "postgres_dsn"), name="quartermaster-prepare", size=1
    ) as database:
        kept = PostgresPeople(database)
        for one in people:
            await kept.register(one, INSTALLATION)


async def recognised(people: PostgresPeople) -> Person | None:
    """The system's user who gives this command, if they are known here; from here on people are printed by name."""
    output.people_are(await people.names())
    found = await people.named(person.name())
    if found is not None:
        person.known_as(found.name)
    return found


async def let_in(settings: Settings, database: Database, permission: Permission) -> Person:
    """The person who gives this command, if they may do this; on an embedded stack the system's user may.

    Raises:
        NotAllowed: nobody knows the system's user here, or they may not do this; the attempt is on record.
    """
    people = PostgresPeople(database)
    found = await recognised(people)
    if found is None and embedded_database(settings):
        found = await people.register(everything(person.name()), INSTALLATION)
    if found is None:
        raise MayNot(
            f"Nobody is known here as {person.name()}, the system's user that gives this command. Somebody with the "
            f"role admin adds people: quartermaster people add '{person.name()}' --role ROLE"
        )
    person.known_as(found.name)
    try:
        found.require(permission)
    except MayNot as error:
        await people.refused(person.me(), f"command that needs {permission}", str(error))
        raise
    return found
