"""Sessions and tokens in memory, on a clock that a test can move."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.fakes.people import MemoryPeople
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.people import Person
from workflows.domain.sessions import TOKENS_EACH, ApiToken, Label, Lasts, TokenDays, may_end, may_make


@dataclass
class _Kept:
    person: str
    lasts: Lasts
    opened_at: datetime
    seen_at: datetime


class Clock:
    """The wall clock, moved by hand."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def forward(self, by: timedelta) -> None:
        self._ahead += by


class MemorySessions:
    """The `Sessions` port."""

    def __init__(self, people: MemoryPeople, clock: Clock | None = None) -> None:
        self._people = people
        self.clock = clock or Clock()
        self.kept: dict[str, _Kept] = {}
        self.ended: list[tuple[str, str]] = []
        """Whose, by whom."""
        self._spent: set[str] = set()

    async def open(self, name: str, lasts: Lasts, actor: Actor) -> str:
        secret, now = secrets.token_urlsafe(32), self.clock.now()
        self.kept[secret] = _Kept(name, lasts, now, now)
        return secret

    async def person(self, secret: str, *, quietly: bool = False) -> Person | None:
        kept, now = self.kept.get(secret), self.clock.now()
        if kept is None or now > min(kept.seen_at + kept.lasts.idle, kept.opened_at + kept.lasts.longest):
            return None
        kept.seen_at = kept.seen_at if quietly else now
        person = self._people.known.get(kept.person)
        return person if person and person.disabled_at is None else None

    async def end(self, secret: str, actor: Actor) -> None:
        if kept := self.kept.pop(secret, None):
            self.ended.append((kept.person, actor.name))

    async def end_all(self, name: str, actor: Actor) -> int:
        own = [secret for secret, kept in self.kept.items() if kept.person == name]
        for secret in own:
            await self.end(secret, actor)
        return len(own)

    async def spend(self, ticket: str, lasts: timedelta) -> bool:
        first = ticket not in self._spent
        self._spent.add(ticket)
        return first


class MemoryTokens:
    """The `Tokens` port."""

    def __init__(self, people: MemoryPeople, clock: Clock | None = None) -> None:
        self._people = people
        self._clock = clock or Clock()
        self._kept: dict[str, ApiToken] = {}

    async def make(self, name: str, label: Label, days: TokenDays, actor: Actor) -> tuple[ApiToken, str]:
        person = self._people.known.get(name)
        may_make(name, person, self._people.known.get(actor.name), actor, days)
        if person is None or person.disabled_at is not None:
            raise InvalidInput(f"{name} may not be here")
        if len(await self.of(name)) >= TOKENS_EACH:
            raise InvalidInput(f"{name} has {TOKENS_EACH} tokens; revoke one that nobody uses")
        now, secret = self._clock.now(), "qm_" + secrets.token_urlsafe(32)
        token = ApiToken(
            token_id=secrets.token_hex(6), person=name, label=label, made_by=actor.name, made_at=now,
            ends_at=now + timedelta(days=days),
        )  # fmt: skip
        self._kept[secret] = token
        return token, secret

    async def person(self, secret: str) -> Person | None:
        token = self._kept.get(secret)
        if token is None or token.ends_at < self._clock.now():
            return None
        person = self._people.known.get(token.person)
        return person if person and person.disabled_at is None else None

    async def of(self, name: str) -> list[ApiToken]:
        valid = [one for one in self._kept.values() if one.person == name and one.ends_at > self._clock.now()]
        return sorted(valid, key=lambda one: one.made_at, reverse=True)

    async def revoke(self, token_id: str, actor: Actor) -> None:
        found = next((item for item in self._kept.items() if item[1].token_id == token_id), None)
        if found is None:
            raise NotFound(f"There is no token {token_id} (any more).")
        may_end(found[1].person, self._people.known.get(actor.name), actor)
        del self._kept[found[0]]
