"""People in memory: one of each role, one who is held to a place and an amount, and the rules of the real store."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from workflows.domain.approvals import Actor
from workflows.domain.erasure import Erased, ErasureReason, Removed, may_erase
from workflows.domain.errors import InvalidInput, NotAllowed
from workflows.domain.names import NOBODY_YET, erased_name, is_reference, name_key, name_problem
from workflows.domain.people import NOTHING_HERE, Identity, Permission, Person, Role, may_change

ADA = Person(name="Ada", roles=frozenset({Role.PLANNER, Role.APPROVER}), email="ada@shop.example")
GRACE = Person(name="Grace", roles=frozenset({Role.APPROVER}), email="grace@shop.example")
VERA = Person(name="Vera", roles=frozenset({Role.VIEWER}))
OTTO = Person(name="Otto", roles=frozenset({Role.OPERATOR}))
AUDREY = Person(name="Audrey", roles=frozenset({Role.AUDITOR}))
ADAM = Person(name="Adam", roles=frozenset({Role.ADMIN}))
PIA = Person(
    name="Pia", roles=frozenset({Role.PLANNER}), locations=frozenset({"LEEDS"}), approval_limit=Decimal(500),
    email="pia@shop.example",
)  # fmt: skip
BOB = Person(name="Bob", roles=frozenset({Role.PLANNER, Role.APPROVER}))
ROBOT = Person(name="robot", roles=frozenset({Role.PLANNER, Role.APPROVER}))
"""A program that somebody gave a person of its own."""
EVERYBODY = (ADA, ADAM, AUDREY, BOB, GRACE, OTTO, PIA, ROBOT, VERA)


class MemoryPeople:
    """The `People` port."""

    def __init__(self, people: Iterable[Person] = EVERYBODY) -> None:
        self.known = {person.name: person for person in people}
        self.refusals: list[tuple[str, str, str]] = []
        """Who, what, why."""
        self.changes: list[tuple[Person | None, Person, Actor]] = []
        """Before, after, by whom."""
        self.erased: set[str] = set()

    async def find(self, name: str) -> Person | None:
        return self.known.get(name)

    async def named(self, typed: str) -> Person | None:
        return self.known.get(typed) or self.known.get(self._namesake(typed) or "")

    async def names(self) -> Mapping[str, str]:
        living = {name: person.called for name, person in self.known.items() if is_reference(name)}
        return living | {name: erased_name(name) for name in self.erased}

    async def everyone(self) -> list[Person]:
        living = [person for name, person in self.known.items() if name not in self.erased]
        return sorted(living, key=lambda person: person.called.lower())

    async def save(self, person: Person, actor: Actor) -> Person:
        before = self.known.get(person.name)
        admins = sum(1 for one in self.known.values() if one.may(Permission.MANAGE_PEOPLE))
        may_change(before, person, self.known.get(actor.name), actor, admins=admins)
        return self._store(before, person, actor)

    async def register(self, person: Person, actor: Actor) -> Person:
        return await self.named(person.called) or self._store(None, person, actor)

    async def arrived(self, identity: Identity) -> Person:
        provider = Actor(name="identity provider", channel="oidc")
        before = next((one for one in self.known.values() if one.subject == identity.subject), None)
        if before is not None:
            return self._store(before, identity.known_as(before.name, before), provider)
        if not identity.grants_something:
            raise NotAllowed(NOTHING_HERE)
        name = identity.free_name(lambda wished: self._namesake(wished) is not None)
        return self._store(None, identity.known_as(name, None), provider)

    async def refused(self, actor: Actor, what: str, why: str) -> None:
        if actor.name in self.known:
            self.refusals.append((actor.name, what, why))

    def _store(self, before: Person | None, person: Person, actor: Actor) -> Person:
        if before == person:
            return person
        if person.name == NOBODY_YET:
            person = person.model_copy(update={"name": f"p-{secrets.token_hex(6)}"})
        if before is None and (problem := name_problem(person.called)):
            raise InvalidInput(problem)
        if before is None and self._namesake(person.called):
            raise InvalidInput("Names that look the same are one person's.")
        self.known[person.name] = person
        self.changes.append((before, person, actor))
        return person

    def _namesake(self, name: str) -> str | None:
        wanted = name_key(name)
        return next((key for key, known in self.known.items() if name_key(known.called) == wanted), None)

    async def erase(self, named: str, reason: ErasureReason, actor: Actor) -> Erased:
        person = may_erase(await self.named(named), self.known.get(actor.name), actor, named)
        already = person.name in self.erased
        self.erased.add(person.name)
        self.known[person.name] = Person(name=person.name, disabled_at=person.disabled_at or datetime.now(UTC))
        return Erased(person=person.name, reason=reason, removed=Removed(), already=already)
