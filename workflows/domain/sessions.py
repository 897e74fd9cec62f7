"""How somebody stays signed in: a session or an API token is a secret of which only the digest is kept."""

from datetime import timedelta
from typing import Annotated, Protocol

from pydantic import Field, StringConstraints

from workflows.domain.approvals import STORABLE, Actor
from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Instant, Payload
from workflows.domain.people import Identity, MayNot, Permission, Person

LONGEST_TOKEN_DAYS = 366
PROVIDER_TOKEN_DAYS = 30
"""The same of somebody who signs in at the identity provider."""
TOKENS_EACH = 20
"""Tokens that one person may have at a time."""
SESSIONS_EACH = 20
"""Sessions of one person; a further one ends the oldest."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True, pattern=STORABLE)]
TokenDays = Annotated[int, Field(ge=1, le=LONGEST_TOKEN_DAYS)]


class Lasts(Payload):
    """How long a session lasts: so long without a request, and so long in all."""

    idle: timedelta
    longest: timedelta


class ApiToken(Payload):
    """A key to the REST API, acting as a person. What it is cannot be shown again."""

    token_id: str
    person: str
    label: str
    """What it is for, in the words of whoever made it."""
    made_by: str
    made_at: Instant
    used_at: Instant | None = None
    """The last use, to the hour."""
    ends_at: Instant


def most_days(person: Person) -> int:
    """How long a token of this person's may last. Nobody tells us when somebody leaves who signs in at the identity
    provider: then no new token is made, and those that are there end soon."""
    return LONGEST_TOKEN_DAYS if person.subject is None else PROVIDER_TOKEN_DAYS


def may_make(name: str, target: Person | None, author: Person | None, actor: Actor, days: int = 1) -> None:
    """Go on only if the actor may have a token that acts as `name`: themselves, or as an admin a program.

    Whoever signs in at the identity provider is nobody's puppet: with tokens of two of them one admin were two
    signatures.

    Raises:
        MayNot: the message says why, for the actor.
        InvalidInput: it would last too long.
    """
    may_end(name, author, actor)
    if actor.name != name and target is not None and target.subject is not None:
        raise MayNot(f"{name} signs in at the identity provider: nobody else makes tokens that act as {name}.")
    if target is not None and days > most_days(target):
        raise InvalidInput(
            f"{name} signs in at the identity provider: a token of theirs lasts {PROVIDER_TOKEN_DAYS} days at most; "
            "a program that needs longer is a person of its own, whom somebody with the role admin adds"
        )


def may_end(name: str, author: Person | None, actor: Actor) -> None:
    """Go on only if the actor may revoke a token of `name`: one's own, or as an admin anybody's.

    Raises:
        MayNot: the message says why, for the actor.
    """
    if actor.name == name:
        return
    if author is None:
        raise MayNot(f"Nobody knows {actor.name} here; somebody with the role admin: `quartermaster people add`.")
    author.require(Permission.MANAGE_PEOPLE)


class Sessions(Protocol):
    """Sessions, kept where every replica of the console finds them."""

    async def open(self, name: str, lasts: Lasts, actor: Actor) -> str:
        """Open one for a known person; its secret, which goes into the cookie and nowhere else."""
        ...

    async def person(self, secret: str, *, quietly: bool = False) -> Person | None:
        """Whose session it is, with the rights of this moment; None: it ended, or the person may not be here.

        `quietly`: it is a machine that asks, and the session is not prolonged.
        """
        ...

    async def end(self, secret: str, actor: Actor) -> None:
        """End one; harmless when there is none."""
        ...

    async def end_all(self, name: str, actor: Actor) -> int:
        """End all of a person's; how many there were."""
        ...

    async def spend(self, ticket: str, lasts: timedelta) -> bool:
        """Whether this is the first use of a ticket that is good for one sign-in; it is forgotten when it is void."""
        ...


class Tokens(Protocol):
    """API tokens: of each only the digest is kept, and each ends."""

    async def make(self, name: str, label: Label, days: TokenDays, actor: Actor) -> tuple[ApiToken, str]:
        """A new token of a person's and its secret, which is shown this one time.

        Raises:
            NotAllowed: it is for somebody else, and the actor manages no people, or that person signs in by themselves.
            InvalidInput: the person is unknown, disabled, or has enough tokens.
        """
        ...

    async def person(self, secret: str) -> Person | None:
        """Whose token it is, with the rights of this moment; None: it ended, was revoked, or never was."""
        ...

    async def of(self, name: str) -> list[ApiToken]:
        """A person's valid ones, newest first."""
        ...

    async def revoke(self, token_id: str, actor: Actor) -> None:
        """Make it worthless at once.

        Raises:
            NotFound: there is none of this id.
            NotAllowed: it is somebody else's, and the actor manages no people.
        """
        ...


class Refused(Exception):
    """The identity provider's answer opens no session; the message says why, without anything secret."""


class IdentityProvider(Protocol):
    """Where people sign in: OpenID Connect, authorization code with PKCE. Tokens never leave this side."""

    title: str
    """What people know it as."""

    async def begin(self, flow: str) -> str:
        """The address at the provider where this flow's person signs in.

        Raises:
            Unavailable: the provider does not answer.
        """
        ...

    async def finish(self, flow: str, answer: dict[str, str]) -> Identity:
        """Who the person is, from the parameters with which the provider sent them back.

        Raises:
            Refused: the answer is not to this flow, is not the provider's, is too old, or grants no known role.
            Unavailable: the provider does not answer.
        """
        ...
