"""Who may do what: roles grant permissions, and a person may be held to locations and to an amount.

A person is known by a reference everywhere: a verdict, a claim and a ledger entry carry it, and what the person is
called is looked up where it is shown. Roles come from the identity provider or, on the embedded stack, from whoever
holds the state; limits are kept here.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Protocol

from pydantic import Field, StringConstraints

from workflows.domain.approvals import STORABLE, Actor
from workflows.domain.errors import InvalidInput, NotAllowed
from workflows.domain.identity import Code, Instant, Payload, digest
from workflows.domain.names import NOBODY_YET, name_key, name_problem


class Role(StrEnum):
    """What somebody is here for; a person may have several."""

    VIEWER = "viewer"
    PLANNER = "planner"
    APPROVER = "approver"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    ADMIN = "admin"


class Permission(StrEnum):
    """One kind of thing that can be done. Every page, form and REST operation names the one that it needs."""

    SEE = "see"
    """Look at pages and figures."""
    WORK = "work"
    """Claim, snooze, comment, forward, ask, have scored again."""
    ANSWER = "answer"
    """Approve, approve edited, reject, undo: within the person's locations and amount."""
    COUNTERSIGN = "countersign"
    """Give the second signature where the policy wants two."""
    PROPOSE_POLICY = "propose_policy"
    ADOPT_POLICY = "adopt_policy"
    EDIT_CATALOG = "edit_catalog"
    PROMOTE = "promote"
    """Make a model the champion, or go back to the one before."""
    OPERATE = "operate"
    """Stop and resume sending, drive dead letters again, go on with an order that waits for an operator."""
    AUDIT = "audit"
    """Search, verify and export the ledger; the reading itself is recorded."""
    MANAGE_PEOPLE = "manage_people"


GRANTS: Mapping[Role, frozenset[Permission]] = MappingProxyType({
    Role.VIEWER: frozenset({Permission.SEE}),
    Role.PLANNER: frozenset({
        Permission.SEE, Permission.WORK, Permission.ANSWER, Permission.PROPOSE_POLICY, Permission.EDIT_CATALOG,
    }),
    Role.APPROVER: frozenset({
        Permission.SEE, Permission.WORK, Permission.ANSWER, Permission.COUNTERSIGN, Permission.PROPOSE_POLICY,
        Permission.ADOPT_POLICY, Permission.PROMOTE,
    }),
    Role.AUDITOR: frozenset({Permission.SEE, Permission.AUDIT}),
    Role.OPERATOR: frozenset({Permission.SEE, Permission.OPERATE}),
    Role.ADMIN: frozenset({
        Permission.SEE, Permission.MANAGE_PEOPLE, Permission.EDIT_CATALOG, Permission.PROPOSE_POLICY,
        Permission.ADOPT_POLICY,
    }),
})  # fmt: skip
"""Auditors change nothing and admins approve no order: whoever hands out rights must not use all of them."""

LOCATED = frozenset({Permission.WORK, Permission.ANSWER, Permission.COUNTERSIGN})
"""Permissions that a person's locations narrow. Seeing is not narrowed: stock is moved between locations."""

PersonName = Annotated[
    str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f/]*$")
]
"""One line that is a part of an address too: no control characters and no slash."""


class MayNot(NotAllowed):
    """This person's rights do not reach so far: it is recorded as an attempt."""


class Person(Payload):
    """Somebody who may sign in."""

    name: PersonName
    """The reference: `p-` and 12 hexadecimal digits, or the plain name of somebody from before there were any."""
    display: Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00-\x1f\x7f/]*$")] = ""
    """What the person is called; empty: the reference is the name."""
    roles: frozenset[Role] = frozenset()
    email: str = ""
    """Where notices go; empty: none."""
    locations: frozenset[Code] | None = None
    """Where the person may work on tasks; None: everywhere."""
    approval_limit: Decimal | None = Field(default=None, ge=0)
    """The highest value that the person may approve alone or sign first, in the company's currency; None: any."""
    subject: str | None = None
    """The identity provider's `issuer#sub`; None: known only here."""
    disabled_at: Instant | None = None

    @property
    def called(self) -> str:
        """What people call the person."""
        return self.display or self.name

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the roles grant together; a disabled person has none."""
        if self.disabled_at is not None:
            return frozenset()
        return frozenset().union(*(GRANTS[role] for role in self.roles))

    def may(self, permission: Permission, location: str | None = None) -> bool:
        """Whether the person may do it, at this location if it happens at one."""
        if permission not in self.permissions:
            return False
        if location is None or permission not in LOCATED or self.locations is None:
            return True
        return location in self.locations

    def require(self, permission: Permission, location: str | None = None) -> None:
        """Go on only if the person may.

        Raises:
            MayNot: the message says what is missing, for the person.
        """
        if self.may(permission, location):
            return
        if self.disabled_at is not None:
            raise MayNot(f"{self.name} may do nothing here any more.")
        if permission in self.permissions:
            own = ", ".join(sorted(self.locations or ())) or "no location"
            raise MayNot(f"{self.name} works on tasks of {own}, not of {location}.")
        able = ", ".join(str(role) for role in Role if permission in GRANTS[role])
        have = ", ".join(sorted(self.roles)) or "no role"
        raise MayNot(f"This needs the role {able}; {self.name} has {have}.")


def newcomer(name: PersonName, roles: frozenset[Role] = frozenset()) -> Person:
    """Somebody from outside; whoever keeps people makes up their reference."""
    return Person(name=NOBODY_YET, display=name, roles=roles)


class Identity(Payload):
    """What an identity provider says of somebody who has just signed in there. None: it says nothing of that."""

    subject: Annotated[str, StringConstraints(min_length=3, max_length=600, pattern=STORABLE)]
    """`issuer#sub`: who it is, whatever they are called."""
    name: PersonName
    """What the person would like to be called here; somebody else may be called so already."""
    email: str = ""
    roles: frozenset[Role] | None = None
    locations: frozenset[Code] | None = None
    approval_limit: Decimal | None = None

    @property
    def grants_something(self) -> bool:
        """Whether the provider gives any role, or leaves roles to this installation."""
        return self.roles is None or bool(self.roles)

    def possible_names(self) -> list[str]:
        """What the person could be called, best first."""
        own = digest(self.subject.encode())
        wished = "somebody" if name_problem(self.name) else self.name
        first = [self.name] if wished == self.name else []
        return first + [f"{wished[:60]} ({own[:length]})" for length in (6, 32)]

    def free_name(self, taken: Callable[[str], bool]) -> str:
        """The name that was wished for, or where it is somebody else's, one of its own: two subjects are never one
        person, whatever each would like to be called.

        Raises:
            InvalidInput: every name that it could have is somebody else's.
        """
        for name in self.possible_names():
            if not taken(name):
                return name
        raise InvalidInput(f"{self.name} and names like it are other people's: change it at the identity provider.")

    def known_as(self, name: str, before: Person | None) -> Person:
        """The person, new under this name, or as known before: what is not said stays as it was."""
        known = before or newcomer(name)
        said = {"roles": self.roles, "locations": self.locations, "approval_limit": self.approval_limit}
        changed = {key: value for key, value in said.items() if value is not None}
        return known.model_copy(update={**changed, "subject": self.subject, "email": self.email or known.email})


NOTHING_HERE = "The identity provider gives you no role here; ask whoever manages its groups."


def may_change(before: Person | None, after: Person, author: Person | None, actor: Actor, *, admins: int) -> None:
    """Go on only if this change of a person is the author's to make. `admins`: how many may manage people now.

    The first person who may manage people is added on the machine itself: nobody could let them in otherwise.

    Raises:
        NotAllowed: the message says why, for the author.
    """
    if admins == 0 and actor.channel == "cli":
        return
    if author is None:
        raise MayNot(f"Nobody knows {actor.name} here; somebody with the role admin: `quartermaster people add`.")
    author.require(Permission.MANAGE_PEOPLE)
    rights_only = {"email": after.email}
    own = name_key(author.name) == name_key(after.name)
    if own and (before is None or before.model_copy(update=rights_only) != after):
        raise MayNot("Nobody changes their own rights: another person with the role admin must.")


class People(Protocol):
    """Where people are kept. Each change is one transaction with its ledger entry."""

    async def find(self, name: str) -> Person | None:
        """The person of this reference, disabled ones too."""
        ...

    async def named(self, typed: str) -> Person | None:
        """The person whom somebody means who wrote this: a reference, or what the person is called."""
        ...

    async def names(self) -> Mapping[str, str]:
        """What everybody is called whose reference was made up; of erased people, that they are."""
        ...

    async def everyone(self) -> list[Person]:
        """All of them but erased ones, by what they are called."""
        ...

    async def save(self, person: Person, actor: Actor) -> Person:
        """Add the person or replace what is known; nothing changes and nothing is recorded when all is as it was.

        Raises:
            NotAllowed: people change nobody's rights who may not, and nobody changes their own.
            InvalidInput: another person has that name but for its case, or that subject.
        """
        ...

    async def register(self, person: Person, actor: Actor) -> Person:
        """Add the person unless somebody of that name is known, on the word of the installation and not of a person."""
        ...

    async def arrived(self, identity: Identity) -> Person:
        """Add or change the person on the word of the identity provider; found by subject, never by name.

        Raises:
            NotAllowed: nobody is known under the subject, and the provider gives no role.
        """
        ...

    async def refused(self, actor: Actor, what: str, why: str) -> None:
        """Record an attempt that was refused: who, what (method and path), why.

        Only of known people, and of each only so many an hour: then one entry says that more are not recorded, and the
        first one of a later hour says how many were left out.
        """
        ...
