"""People in PostgreSQL: who changes whose rights, what the ledger keeps of it, and a flood that cannot fill it."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.postgres.ledger import timeline
from connectors.postgres.people import REFUSALS_AN_HOUR, PostgresPeople, known_person, person_of
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotAllowed
from workflows.domain.names import is_reference
from workflows.domain.people import Identity, Person, Role

HERE = Actor(name="root", channel="cli")
ADAM = Person(name="Adam", roles=frozenset({Role.ADMIN}))
BY_ADAM = Actor(name="Adam", channel="console")
PIA = Person(
    name="Pia", roles=frozenset({Role.PLANNER}), locations=frozenset({"LEEDS"}), approval_limit=Decimal("500.50"),
    email="pia@shop.example",
)  # fmt: skip


async def told(database: Database, name: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [(entry.type, entry.actor, json.loads(entry.body)) for entry in await timeline(database, f"person:{name}")]


@pytest.fixture
async def people(database: Database) -> PostgresPeople:
    people = PostgresPeople(database)
    await people.save(ADAM, HERE)
    return people


async def test_what_is_saved_is_found_again_and_recorded_once(people: PostgresPeople, database: Database) -> None:
    for _ in range(2):
        assert await people.save(PIA, BY_ADAM) == PIA
    assert await people.find("Pia") == PIA
    assert [person.name for person in await people.everyone()] == ["Adam", "Pia"]
    async with database.transaction() as cursor:
        assert await known_person(cursor, database.vault, "Pia") == PIA
        assert await person_of(cursor, "Pia") == PIA.model_copy(update={"email": ""}), "rights need no address"
        assert await person_of(cursor, "pia") is None

    [(kind, actor, body)] = await told(database, "Pia")
    assert (kind, actor, body["before"]) == ("person.changed", "Adam", None)
    assert body["after"]["approval_limit"] == "500.50"
    assert body["after"]["locations"] == ["LEEDS"]
    assert "pia@shop.example" not in json.dumps(body)


async def test_only_the_first_admin_is_let_in_by_the_machine(people: PostgresPeople) -> None:
    with pytest.raises(NotAllowed, match="quartermaster people add"):
        await people.save(PIA, HERE)
    with pytest.raises(NotAllowed, match="their own"):
        await people.save(ADAM.model_copy(update={"roles": frozenset(Role)}), BY_ADAM)
    assert (await people.save(ADAM.model_copy(update={"email": "adam@shop.example"}), BY_ADAM)).email

    await people.save(PIA, BY_ADAM)
    with pytest.raises(NotAllowed, match="role admin"):
        await people.save(PIA.model_copy(update={"name": "Eve"}), Actor(name="Pia"))


async def test_a_console_never_lets_the_first_admin_in(database: Database) -> None:
    with pytest.raises(NotAllowed):
        await PostgresPeople(database).save(ADAM, Actor(name="Adam", channel="console"))


async def test_a_name_is_one_persons_whatever_its_case(people: PostgresPeople) -> None:
    await people.save(PIA, BY_ADAM)
    with pytest.raises(InvalidInput, match="Pia"):
        await people.save(Person(name="PIA"), BY_ADAM)
    await people.save(Person(name="One", subject="https://idp#1"), BY_ADAM)
    with pytest.raises(InvalidInput, match="One"):
        await people.save(Person(name="Two", subject="https://idp#1"), BY_ADAM)


async def test_the_provider_s_word_finds_people_by_subject_and_never_by_name(
    people: PostgresPeople, database: Database
) -> None:
    said = Identity(subject="https://idp#1", name="adam", email="a@x.example", roles=frozenset({Role.VIEWER}))
    stranger = await people.arrived(said)
    assert stranger.called.startswith("adam (")
    assert is_reference(stranger.name)
    assert stranger.roles == {Role.VIEWER}
    assert (await people.find("Adam")) == ADAM

    renamed = said.model_copy(update={"name": "somebody else", "roles": frozenset({Role.PLANNER})})
    assert (await people.arrived(renamed)).name == stranger.name
    assert (await people.arrived(renamed)).roles == {Role.PLANNER}
    entries = await told(database, stranger.name)
    assert [(kind, actor) for kind, actor, _ in entries] == [("person.changed", "identity provider")] * 2

    other = await people.arrived(said.model_copy(update={"subject": "https://idp#2"}))
    assert other.name not in ("Adam", stranger.name)


async def test_what_the_provider_does_not_say_stays_as_it_was(people: PostgresPeople) -> None:
    said = Identity(subject="https://idp#1", name="Pia")
    came = await people.arrived(said)
    known = PIA.model_copy(update={"name": came.name, "display": "Pia", "subject": "https://idp#1"})
    await people.save(known, BY_ADAM)
    assert await people.arrived(said) == known


async def test_registering_changes_nobody(people: PostgresPeople) -> None:
    up = Actor(name="installation", channel="installation")
    assert (await people.register(PIA, up)) == PIA
    assert (await people.register(PIA.model_copy(update={"roles": frozenset(Role)}), up)) == PIA


async def test_a_flood_of_refused_attempts_does_not_fill_the_ledger(people: PostgresPeople, database: Database) -> None:
    await people.refused(Actor(name="nobody"), "POST /x", "unknown")
    for _ in range(REFUSALS_AN_HOUR + 30):
        await people.refused(BY_ADAM, "POST /tasks/" + "x" * 1000, "no")
    entries = (await told(database, "Adam"))[1:]
    assert [kind for kind, *_ in entries] == ["access.refused"] * REFUSALS_AN_HOUR
    assert len(entries[0][2]["what"]) == 200
    assert "more_are_only_counted_until" in entries[-1][2]

    async with database.transaction() as cursor:
        await cursor.execute("UPDATE person SET refusals_since = refusals_since - interval '2 hours'")
    await people.refused(BY_ADAM, "POST /x", "no")
    assert (await told(database, "Adam"))[-1][2]["left_out"] == 30
    assert await told(database, "nobody") == []


async def test_disabling_keeps_the_person_on_the_record(people: PostgresPeople) -> None:
    await people.save(PIA, BY_ADAM)
    gone = PIA.model_copy(update={"disabled_at": datetime(2026, 1, 1, tzinfo=UTC)})
    await people.save(gone, BY_ADAM)
    found = await people.find("Pia")
    assert found == gone
    assert found.permissions == frozenset()
