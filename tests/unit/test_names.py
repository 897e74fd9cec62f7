"""Two names that look alike are one person's, and nobody is called like a part of the engine."""

import asyncio

import pytest

from tests.fakes.people import MemoryPeople
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput
from workflows.domain.names import is_reference, name_key, name_problem, tidy_name, with_names
from workflows.domain.people import Identity, Person, Role
from workflows.domain.policy_changes import same_person

ADAM = Actor(name="Adam", channel="console")


@pytest.mark.parametrize(
    "other",
    ["ada", "ADA ", " Ada", "\uff21\uff44\uff41", "A\u200bda", "Ada\u00ad", "\u202eAda", "Ad\u1d43", "Ada\u00a0"],
)
def test_another_spelling_is_the_same_person(other: str) -> None:
    assert same_person("Ada", other)
    assert name_key(other) == "ada"


def test_other_names_are_other_people() -> None:
    assert not same_person("Ada", "Ida")
    assert not same_person("Jose", "José")
    assert same_person("José", "Jose\u0301")
    assert same_person("Straße", "STRASSE")
    assert tidy_name("  \uff21da\u200b \n Lovelace ") == "Ada Lovelace"


@pytest.mark.parametrize("name", ["engine", "Send Gate", "\uff23LOCK", "identity  provider", "\u0410da", "Ada\u200b"])
def test_nobody_new_is_called_so(name: str) -> None:
    assert name_problem(name)
    people = MemoryPeople()
    with pytest.raises(InvalidInput):
        asyncio.run(people.save(Person(name=name, roles=frozenset({Role.VIEWER})), ADAM))


@pytest.mark.parametrize("name", ["Ada", "Иван", "Иван (Ivan)", "uid 1000", "Łukasz", "山田 太郎", "O'Neil-Smith"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert name_problem(name) == ""


def test_two_subjects_never_become_one_person() -> None:
    people = MemoryPeople()
    victim = Identity(subject="https://login.example#victim", name="Grace", roles=frozenset({Role.APPROVER}))
    expected = victim.free_name(lambda name: name == "Grace")
    early = Identity(subject="https://login.example#early", name=expected, roles=frozenset({Role.VIEWER}))

    first, second = asyncio.run(people.arrived(early)), asyncio.run(people.arrived(victim))

    assert (first.called, first.subject) == (expected, early.subject)
    assert second.called not in (first.called, "Grace")
    assert people.known[first.name].roles == {Role.VIEWER}
    engine = asyncio.run(people.arrived(early.model_copy(update={"name": "engine", "subject": "https://x#1"})))
    assert engine.called.startswith("somebody (")


def test_a_reference_says_nothing_and_is_nobodys_name() -> None:
    first, second = "p-0123456789ab", "p-ba9876543210"
    assert is_reference(first)
    assert not is_reference(f"{first}0")
    assert not is_reference("p-0123456789AB")
    assert name_problem(f"x {first}"), "shown beside others it would be taken for somebody"
    assert name_problem(first.upper())
    assert with_names(f"{first}, x{first}, {second}.", {first: "Ada"}) == f"Ada, x{first}, {second}."
