"""Sessions and API tokens in PostgreSQL: they end when they should, at once, and only their digests are stored."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from connectors.postgres.ledger import timeline
from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database
from connectors.postgres.sessions import PostgresSessions
from connectors.postgres.tokens import PostgresTokens
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotAllowed, NotFound
from workflows.domain.people import Person, Role
from workflows.domain.sessions import SESSIONS_EACH, TOKENS_EACH, Lasts

LASTS = Lasts(idle=timedelta(minutes=15), longest=timedelta(hours=8))
ADAM = Person(name="Adam", roles=frozenset({Role.ADMIN}))
ADA = Person(name="Ada", roles=frozenset({Role.PLANNER}), locations=frozenset({"LEEDS"}))
BY_ADAM, BY_ADA = Actor(name="Adam"), Actor(name="Ada")


@pytest.fixture
async def people(database: Database) -> PostgresPeople:
    people = PostgresPeople(database)
    await people.save(ADAM, Actor(name="root", channel="cli"))
    await people.save(ADA, BY_ADAM)
    return people


@pytest.fixture
def sessions(database: Database, people: PostgresPeople) -> PostgresSessions:
    return PostgresSessions(database)


async def earlier(database: Database, column: str, by: timedelta) -> None:
    async with database.transaction() as cursor:
        await cursor.execute(f"UPDATE console_session SET {column} = {column} - %s", [by])  # noqa: S608 - our own names


async def test_a_session_is_its_person_with_the_rights_of_the_moment(
    sessions: PostgresSessions, people: PostgresPeople, database: Database
) -> None:
    secret = await sessions.open("Ada", LASTS, BY_ADA)
    assert await sessions.person(secret) == ADA
    assert await sessions.person(secret + "x") is None
    changed = ADA.model_copy(update={"roles": frozenset({Role.VIEWER}), "locations": None})
    await people.save(changed, BY_ADAM)
    assert await sessions.person(secret) == changed

    async with database.transaction() as cursor:
        await cursor.execute("SELECT * FROM console_session")
        assert secret not in str(await cursor.fetchall())
    await sessions.end(secret, BY_ADA)
    await sessions.end(secret, BY_ADA)
    assert await sessions.person(secret) is None
    entries = await timeline(database, "person:Ada")
    assert [entry.type for entry in entries] == [
        "person.changed", "session.opened", "person.changed", "session.ended",
    ]  # fmt: skip
    assert all(secret.encode() not in entry.body for entry in entries)


async def test_a_disabled_person_is_out_at_once_and_a_session_does_not_come_back(
    sessions: PostgresSessions, people: PostgresPeople, database: Database
) -> None:
    secret = await sessions.open("Ada", LASTS, BY_ADA)
    await people.save(ADA.model_copy(update={"disabled_at": datetime.now(UTC)}), BY_ADAM)
    assert await sessions.person(secret) is None
    await people.save(ADA, BY_ADAM)
    assert await sessions.person(secret) is None


async def test_a_session_ends_when_idle_and_in_any_case(sessions: PostgresSessions, database: Database) -> None:
    secret = await sessions.open("Ada", LASTS, BY_ADA)
    await earlier(database, "seen_at", timedelta(minutes=14))
    assert await sessions.person(secret, quietly=True) == ADA
    await earlier(database, "seen_at", timedelta(seconds=30))
    assert await sessions.person(secret) == ADA, "a machine's question is no sign of life, and no end either"
    await earlier(database, "seen_at", timedelta(minutes=14))
    assert await sessions.person(secret) == ADA
    await earlier(database, "seen_at", timedelta(minutes=16))
    assert await sessions.person(secret) is None

    other = await sessions.open("Ada", LASTS, BY_ADA)
    await earlier(database, "ends_at", timedelta(hours=8))
    assert await sessions.person(other) is None


async def test_nobody_has_more_sessions_than_some(sessions: PostgresSessions) -> None:
    opened = [await sessions.open("Ada", LASTS, BY_ADA) for _ in range(SESSIONS_EACH + 1)]
    assert await sessions.person(opened[0]) is None
    assert await sessions.person(opened[1]) == ADA
    assert await sessions.end_all("Ada", BY_ADA) == SESSIONS_EACH
    assert await sessions.person(opened[-1]) is None


async def test_a_ticket_is_good_once(sessions: PostgresSessions) -> None:
    assert await sessions.spend("a ticket", timedelta(minutes=1))
    assert not await sessions.spend("a ticket", timedelta(minutes=1))
    assert await sessions.spend("another", timedelta(minutes=1))


async def test_a_token_acts_as_its_person_until_it_ends_or_is_revoked(
    people: PostgresPeople, database: Database
) -> None:
    tokens = PostgresTokens(database)
    made, secret = await tokens.make("Ada", "a script", 30, BY_ADA)
    assert await tokens.person(secret) == ADA
    [listed] = await tokens.of("Ada")
    assert listed.token_id == made.token_id
    assert listed.used_at is not None
    async with database.transaction() as cursor:
        await cursor.execute("SELECT * FROM api_token")
        assert secret not in str(await cursor.fetchall())

    await tokens.revoke(made.token_id, BY_ADAM)
    assert await tokens.person(secret) is None
    with pytest.raises(NotFound):
        await tokens.revoke(made.token_id, BY_ADAM)

    _, secret = await tokens.make("Ada", "a script", 30, BY_ADAM)
    await people.save(ADA.model_copy(update={"disabled_at": datetime.now(UTC)}), BY_ADAM)
    assert await tokens.person(secret) is None
    await people.save(ADA, BY_ADAM)
    async with database.transaction() as cursor:
        await cursor.execute("UPDATE api_token SET ends_at = clock_timestamp()")
    assert await tokens.person(secret) is None

    bodies = [json.loads(entry.body) for entry in await timeline(database, "person:Ada")]
    assert [body.get("made") or body.get("revoked") for body in bodies if "api_token" in body] == [True] * 3
    assert all(secret not in str(body) for body in bodies)


async def test_nobody_makes_or_revokes_another_persons_token(people: PostgresPeople, database: Database) -> None:
    tokens = PostgresTokens(database)
    with pytest.raises(NotAllowed):
        await tokens.make("Adam", "mine", 1, BY_ADA)
    with pytest.raises(NotAllowed):
        await tokens.make("Ada", "mine", 1, Actor(name="Eve"))
    with pytest.raises(InvalidInput, match="quartermaster people list"):
        await tokens.make("Eve", "mine", 1, BY_ADAM)
    await people.save(ADA.model_copy(update={"subject": "https://login.example#ada"}), BY_ADAM)
    with pytest.raises(NotAllowed, match="signs in at the identity provider"):
        await tokens.make("Ada", "two signatures of one admin", 1, BY_ADAM)
    with pytest.raises(InvalidInput, match="30 days at most"):
        await tokens.make("Ada", "outlives its person", 31, BY_ADA)
    made, _ = await tokens.make("Adam", "his", 366, BY_ADAM)
    with pytest.raises(NotAllowed):
        await tokens.revoke(made.token_id, BY_ADA)
    for _ in range(TOKENS_EACH):
        await tokens.make("Ada", "one of many", 1, BY_ADA)
    with pytest.raises(InvalidInput, match=str(TOKENS_EACH)):
        await tokens.make("Ada", "one too many", 1, BY_ADA)
