"""Who is there: a signed link opens a session, a signed token opens the API, and nothing else does.

Stage 1 is local sign-in only. Whoever holds the state's key file can make a link or a token for any name.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest

from fastapi import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from workflows.domain.approvals import Actor
from workflows.domain.errors import Audience, NotAllowed, QuartermasterError
from workflows.domain.people import Permission, Person, Role

COOKIE = "qm_session"
SIGN_IN_LASTS = timedelta(hours=24)
SESSION_LASTS = timedelta(hours=12)
API_TOKEN_LASTS = timedelta(days=30)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class NotSignedIn(QuartermasterError):
    """Nobody is signed in, or what they showed is not valid (any more)."""

    audience = Audience.CALLER


def sign_in_token(key: bytes, name: str) -> str:
    """A token for `/sign-in?token=...` that opens a session as `name`; valid for 24 hours."""
    return _sign(key, "sign-in", {"name": Actor(name=name).name})


def api_token(key: bytes, name: str) -> str:
    """A token for `Authorization: Bearer ...` that acts as `name`; valid for 30 days."""
    return _sign(key, "api", {"name": Actor(name=name).name})


@dataclass(frozen=True)
class Session:
    """A person at a browser."""

    name: str
    csrf: str
    """Goes into every form; only this session's pages can know it."""

    @property
    def actor(self) -> Actor:
        """The person as an author of verdicts."""
        return Actor(name=self.name, channel="console")

    @property
    def person(self) -> Person:
        """The person with their rights."""
        return Person(name=self.name, roles=frozenset(Role))


@dataclass(frozen=True)
class Caller:
    """A program or a page's script at the REST API, on behalf of a person."""

    person: Person

    @property
    def actor(self) -> Actor:
        """The person as an author of verdicts."""
        return Actor(name=self.person.name, channel="api")


class Gate:
    """Lets requests in, or says why not. Its methods are FastAPI dependencies."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("the console's key must have at least 32 bytes")
        self._key = key

    def page(self, permission: Permission = Permission.SEE) -> Callable[[Request], Awaitable[Session]]:
        """A FastAPI dependency: the session of a page that only shows, of somebody who may see it."""

        async def dependency(request: Request) -> Session:
            session = self.session(request)
            session.person.require(permission)
            return session

        return dependency

    def form(self, permission: Permission) -> Callable[[Request], Awaitable[Session]]:
        """A FastAPI dependency: the session of a form that changes something, of somebody who may do that."""

        async def dependency(request: Request) -> Session:
            session = await self.form_session(request)
            session.person.require(permission)
            return session

        return dependency

    def api(self, permission: Permission = Permission.SEE) -> Callable[[Request], Awaitable[Caller]]:
        """A FastAPI dependency: who calls the API, if they may do this."""

        async def dependency(request: Request) -> Caller:
            caller = Caller(Person(name=self.api_actor(request).name, roles=frozenset(Role)))
            caller.person.require(permission)
            return caller

        return dependency

    def open_session(self, request: Request, response: Response, token: str) -> None:
        """Exchange a sign-in token for a session cookie that scripts cannot read.

        Raises:
            NotSignedIn: the token is forged, damaged or older than 24 hours.
        """
        facts = _read(self._key, "sign-in", token, SIGN_IN_LASTS)
        session = _sign(self._key, "session", {"name": facts["name"], "sid": secrets.token_urlsafe(16)})
        response.set_cookie(
            COOKIE, session, max_age=int(SESSION_LASTS.total_seconds()), httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip

    def session(self, request: Request) -> Session:
        """The session of a page that only shows.

        Raises:
            NotSignedIn: there is none.
        """
        cookie = request.cookies.get(COOKIE)
        if not cookie:
            raise NotSignedIn("Nobody is signed in.")
        facts = _read(self._key, "session", cookie, SESSION_LASTS)
        return Session(name=facts["name"], csrf=_csrf(self._key, facts["sid"]))

    async def form_session(self, request: Request) -> Session:
        """The session of a form that changes something: the form must come from a page of this session.

        Raises:
            NotSignedIn: there is no session.
            NotAllowed: the form came from elsewhere.
        """
        session = self.session(request)
        same_origin(request)
        given = (await request.form()).get("csrf")
        if not isinstance(given, str) or not compare_digest(given.encode(), session.csrf.encode()):
            raise NotAllowed("This form does not belong to your session. Go back, reload the page and try again.")
        return session

    def api_actor(self, request: Request) -> Actor:
        """Who calls the API: a bearer token, or the browser's session with the header `X-Requested-With`.

        Raises:
            NotSignedIn: neither is there, or it is not valid.
            NotAllowed: a change by cookie without the header, or from another origin.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer":
                raise NotSignedIn("The API takes `Authorization: Bearer <token>`.")
            return Actor(name=_read(self._key, "api", token.strip(), API_TOKEN_LASTS)["name"], channel="api")
        session = self.session(request)
        if request.method not in SAFE_METHODS:
            same_origin(request)
            if "x-requested-with" not in request.headers:
                raise NotAllowed("A change by cookie needs the header X-Requested-With.")
        return Actor(name=session.name, channel="api")


def same_origin(request: Request) -> None:
    """Refuse what a browser says came from another site; clients that are no browsers say nothing.

    Raises:
        NotAllowed: the request came from another origin.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        raise NotAllowed("This request came from another site.")
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{request.headers.get('host', '')}":
        raise NotAllowed("This request came from another origin.")


def _serializer(key: bytes, purpose: str) -> URLSafeTimedSerializer:
    """One key, but a token made for one purpose is worth nothing for another."""
    kwargs = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(key, salt=f"quartermaster.{purpose}", signer_kwargs=kwargs)


def _sign(key: bytes, purpose: str, facts: dict[str, str]) -> str:
    signed = _serializer(key, purpose).dumps(facts)
    return signed if isinstance(signed, str) else signed.decode()


def _read(key: bytes, purpose: str, token: str, lasts: timedelta) -> dict[str, str]:
    try:
        facts: dict[str, str] = _serializer(key, purpose).loads(token, max_age=int(lasts.total_seconds()))
    except BadSignature as error:  # expired ones included
        raise NotSignedIn("The sign-in is not valid (any more).") from error
    return facts


def _csrf(key: bytes, sid: str) -> str:
    return hashlib.blake2b(f"csrf:{sid}".encode(), key=hashlib.sha256(key).digest(), digest_size=24).hexdigest()
