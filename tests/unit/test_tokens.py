"""API tokens act as one person, made by that person: nobody's puppet, and not for long after they left."""

import pytest

from tests.fakes.people import ADAM, MemoryPeople
from tests.fakes.sessions import MemoryTokens
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput
from workflows.domain.people import MayNot, Person, Role

BY_ADAM = Actor(name=ADAM.name)
ELLA = Person(name="Ella", roles=frozenset({Role.APPROVER}), subject="https://login.example#ella")
PROGRAM = Person(name="a program", roles=frozenset({Role.PLANNER}))


@pytest.fixture
def tokens() -> MemoryTokens:
    return MemoryTokens(MemoryPeople([ADAM, ELLA, PROGRAM]))


async def test_an_admin_makes_tokens_for_programs_and_for_nobody_who_signs_in(tokens: MemoryTokens) -> None:
    with pytest.raises(MayNot, match="nobody else makes tokens"):
        await tokens.make(ELLA.name, "a second signature", 1, BY_ADAM)
    await tokens.make(PROGRAM.name, "nightly", 366, BY_ADAM)
    with pytest.raises(MayNot):
        await tokens.make(PROGRAM.name, "nightly", 1, Actor(name=ELLA.name))


async def test_a_token_of_somebody_who_may_leave_ends_soon(tokens: MemoryTokens) -> None:
    own = Actor(name=ELLA.name)
    await tokens.make(ELLA.name, "a script", 30, own)
    with pytest.raises(InvalidInput, match="30 days at most"):
        await tokens.make(ELLA.name, "a script", 31, own)
