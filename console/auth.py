"""Who is there and what they may do: a page or an operation names the permission it needs, and nobody gets by.

A cookie carries the random secret of a session that is kept in the database, where every replica finds it and where it
ends at once. Rights are read anew for each request.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from hmac import compare_digest
from typing import Generic, TypeVar

from fastapi import Request, Response

from console.origin import Forged, same_origin
from console.ports import SignIn
from console.rate_limits import SAFE_METHODS, RateLimits
from console.signing import csrf, read, sign
from workflows.domain.approvals import Actor
from workflows.domain.errors import Audience, QuartermasterError
from workflows.domain.people import Permission, Person

COOKIE = "qm_session"
"""Its name where the address is plain http, which only a loopback's is."""
SECURE_COOKIE = "__Host-qm_session"
"""Its name behind https: a browser takes it from this host alone, and sends it over https alone."""
SIGN_IN_LASTS = timedelta(minutes=15)
API_TOKEN_LASTS = timedelta(days=30)
FLOW_LASTS = timedelta(minutes=10)
"""How long somebody may take at the identity provider."""


class NotSignedIn(QuartermasterError):
    """Nobody is signed in, or what they showed is not valid (any more)."""

    audience = Audience.CALLER


def sign_in_token(key: bytes, name: str) -> str:
    """A token for `/sign-in?token=...` that opens one session as `name`, within 15 minutes, on an embedded stack."""
    return sign(key, "sign-in", {"name": Actor(name=name).name, "id": secrets.token_urlsafe(12)})


def api_token(key: bytes, name: str) -> str:
    """A token for `Authorization: Bearer ...` that acts as `name` on an embedded stack; valid for 30 days."""
    return sign(key, "api", {"name": Actor(name=name).name})


@dataclass(frozen=True)
class Session:
    """A person at a browser."""

    person: Person
    """With the rights of this moment."""
    csrf: str = field(repr=False)
    """Goes into every form; only this session's pages can know it."""

    @property
    def name(self) -> str:
        """The person's reference."""
        return self.person.name

    @property
    def actor(self) -> Actor:
        """The person as an author of verdicts."""
        return Actor(name=self.name, channel="console")


@dataclass(frozen=True)
class Caller:
    """A program or a page's script at the REST API, on behalf of a person."""

    person: Person

    @property
    def actor(self) -> Actor:
        """The person as an author of verdicts."""
        return Actor(name=self.person.name, channel="api")


class Gate:
    """Lets requests in, or says why not. What `page`, `form`, `api` and `own` return are FastAPI dependencies."""

    def __init__(self, key: bytes, sign_in: SignIn, limits: RateLimits) -> None:
        if len(key) < 32:
            raise ValueError("the console's key must have at least 32 bytes")
        self._key = key
        self.sign_in = sign_in
        self.limits = limits

    def page(self, permission: Permission = Permission.SEE) -> "Door[Session]":
        """The session of a page that only shows, of somebody who may see it."""
        return Door(self._session, permission)

    def form(self, permission: Permission) -> "Door[Session]":
        """The session of a form that changes something, of somebody who may do that."""
        return Door(self._form_session, permission)

    def api(self, permission: Permission = Permission.SEE) -> "Door[Caller]":
        """Who calls the API, if they may do this."""
        return Door(self._caller, permission)

    def own(self, *, form: bool) -> "Door[Session]":
        """The session of a page or form about oneself: signing out, one's own tokens. It needs no permission."""
        return Door(self._form_session if form else self._session, None)

    async def open_by_link(self, request: Request, response: Response, token: str) -> None:
        """Exchange a sign-in token for a session; each opens one.

        Raises:
            NotSignedIn: this installation takes no links, or it is forged, used, too old, or nobody's.
            TooMany: too many attempts failed from this address.
        """
        address = address_of(request)
        self.limits.before_sign_in(address)
        try:
            name = await self._name_on(token)
            await self.open_session(request, response, name, "link")
        except NotSignedIn:
            self.limits.failed_sign_in(address)
            raise

    async def open_session(self, request: Request, response: Response, name: str, how: str) -> None:
        """Give somebody who has proven who they are a new session; one that the browser had before ends.

        Raises:
            NotSignedIn: nobody of this name may be here.
        """
        person = await self.sign_in.people.named(name)
        if person is None:
            raise NotSignedIn(f"Nobody is known here as {name}: `quartermaster people add` adds people.")
        actor = Actor(name=person.name, channel=how)
        if not person.permissions:
            await self.sign_in.people.refused(actor, "sign in", "disabled" if person.disabled_at else "no role")
            raise NotSignedIn(f"{name} may do nothing here (any more).")
        if earlier := request.cookies.get(self.cookie(request)):
            await self.sign_in.sessions.end(earlier, actor)
        secret = await self.sign_in.sessions.open(person.name, self.sign_in.lasts, actor)
        longest = int(self.sign_in.lasts.longest.total_seconds())
        self.set_cookie(request, response, self.cookie(request), secret, longest)

    async def close_session(self, request: Request, response: Response, actor: Actor) -> None:
        """Sign out."""
        name = self.cookie(request)
        await self.sign_in.sessions.end(request.cookies.get(name, ""), actor)
        response.delete_cookie(name, httponly=True, samesite="lax", secure=self.secure(request))

    def secure(self, request: Request) -> bool:
        """Whether browsers reach the console by https."""
        return (self.sign_in.public_url or str(request.url)).startswith("https:")

    def cookie(self, request: Request) -> str:
        """The name of the session's cookie."""
        return SECURE_COOKIE if self.secure(request) else COOKIE

    def set_cookie(self, request: Request, response: Response, name: str, value: str, seconds: int) -> None:
        """A cookie that scripts cannot read and other sites' requests do not carry."""
        response.set_cookie(
            name, value, max_age=seconds, httponly=True, samesite="lax", secure=self.secure(request), path="/"
        )

    def sign_flow(self, facts: dict[str, str]) -> str:
        """What a browser carries while its person is at the identity provider."""
        return sign(self._key, "flow", facts)

    def read_flow(self, text: str) -> dict[str, str]:
        """The same, back again.

        Raises:
            NotSignedIn: it is not ours, or too old.
        """
        return self._read("flow", text, FLOW_LASTS)

    async def goes_on(self, request: Request) -> bool:
        """Whether the session still is one and its person still may look; asking does not prolong it."""
        person = await self.sign_in.sessions.person(request.cookies.get(self.cookie(request), ""), quietly=True)
        return person is not None and person.may(Permission.SEE)

    async def _session(self, request: Request) -> Session:
        secret = request.cookies.get(self.cookie(request))
        if not secret:
            raise NotSignedIn("Nobody is signed in.")
        person = await self.sign_in.sessions.person(secret)
        if person is None:
            raise NotSignedIn("The session has ended; sign in again.")
        self._counted(request, person)
        return Session(person=person, csrf=csrf(self._key, secret))

    async def _form_session(self, request: Request) -> Session:
        session = await self._session(request)
        same_origin(request, self.sign_in.public_url)
        given = (await request.form()).get("csrf")
        if not isinstance(given, str) or not compare_digest(given.encode(), session.csrf.encode()):
            raise Forged("This form does not belong to your session. Go back, reload the page and try again.")
        return session

    async def _caller(self, request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer":
                raise NotSignedIn("The API takes `Authorization: Bearer <token>`.")
            return Caller(await self._bearer(request, token.strip()))
        session = await self._session(request)
        if request.method not in SAFE_METHODS:
            same_origin(request, self.sign_in.public_url)
            if "x-requested-with" not in request.headers:
                raise Forged("A change by cookie needs the header X-Requested-With.")
        return Caller(session.person)

    async def _bearer(self, request: Request, token: str) -> Person:
        address = address_of(request)
        person = await self.sign_in.tokens.person(token)
        try:
            if person is None and self.sign_in.local:
                name = self._read("api", token, API_TOKEN_LASTS)["name"]
                person = await self.sign_in.people.named(name)
            if person is None:
                raise NotSignedIn("The token is not valid (any more).")
        except NotSignedIn:
            # Only who fails waits: others may come from the same address, behind a proxy everybody does.
            self.limits.before_sign_in(address)
            self.limits.failed_sign_in(address)
            raise
        self._counted(request, person)
        return person

    async def _name_on(self, token: str) -> str:
        if not self.sign_in.local:
            raise NotSignedIn("This console takes no sign-in links; sign in with your identity provider.")
        facts = self._read("sign-in", token, SIGN_IN_LASTS)
        if not await self.sign_in.sessions.spend(token, SIGN_IN_LASTS):
            raise NotSignedIn("This sign-in link was used already.")
        return facts["name"]

    def _read(self, purpose: str, token: str, lasts: timedelta) -> dict[str, str]:
        facts = read(self._key, purpose, token, lasts)
        if facts is None:
            raise NotSignedIn("The sign-in is not valid (any more).")
        return facts

    def _counted(self, request: Request, person: Person) -> None:
        """From here on the request is somebody's: what is refused to them is on record."""
        self.limits.request(person.name, request.method, request.url.path)
        request.state.person = person


Who = TypeVar("Who", Session, Caller)


class Door(Generic[Who]):
    """A FastAPI dependency that lets in whoever has the permission; the proof of the policy reads it from the app."""

    def __init__(self, who: Callable[[Request], Awaitable[Who]], permission: Permission | None) -> None:
        self._who: Callable[[Request], Awaitable[Who]] = who
        self.permission = permission
        self.proves_form = who.__name__ == Gate._form_session.__name__

    async def __call__(self, request: Request) -> Who:
        """Who is there; a route with two doors asks the database once."""
        known: dict[str, Who] = request.scope.setdefault("quartermaster.known", {})
        name = self._who.__name__
        if name not in known:
            known[name] = await self._who(request)
        found = known[name]
        if self.permission is not None:
            found.person.require(self.permission)
        return found


def address_of(request: Request) -> str:
    """Where the request came from; behind a proxy that the server trusts, what the proxy says."""
    return request.client.host if request.client else "nowhere"
