"""Erasing somebody: who may, for which reason in law, and what is said of it; the record stays whole without them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from workflows.domain.approvals import Actor
from workflows.domain.errors import NotFound
from workflows.domain.identity import Payload
from workflows.domain.names import is_reference, name_key
from workflows.domain.people import MayNot, Permission, Person


class ErasureReason(StrEnum):
    """Why somebody's data go; a code, because words about it would be personal data again."""

    REQUEST = "request"
    """The person asked for it."""
    NOT_NEEDED = "not_needed"
    """They left, and nothing needs their name any more."""
    UNLAWFUL = "unlawful"
    """They should never have been here."""
    OBLIGATION = "obligation"
    """A law or an authority wants it."""


LEGAL_BASIS: Mapping[ErasureReason, str] = MappingProxyType({
    ErasureReason.REQUEST: "GDPR Art. 17(1)(b) and (c)",
    ErasureReason.NOT_NEEDED: "GDPR Art. 17(1)(a)",
    ErasureReason.UNLAWFUL: "GDPR Art. 17(1)(d)",
    ErasureReason.OBLIGATION: "GDPR Art. 17(1)(e)",
})  # fmt: skip
"""Regulation (EU) 2016/679: what each reason rests on."""


class Removed(Payload):
    """How many of each were removed: never what they were."""

    names: int = 0
    """1 where a name, an e-mail or a subject was kept."""
    words: int = 0
    """Comments, questions and notes that the person wrote."""
    sessions: int = 0
    tokens: int = 0
    views: int = 0
    notices: int = 0
    substitutes: int = 0


class Erased(Payload):
    """What became of somebody's data."""

    person: str
    """The reference under which the record goes on."""
    reason: ErasureReason
    removed: Removed
    already: bool = False
    """Nothing was left to erase; nothing was recorded."""

    @property
    def name_stays(self) -> bool:
        """Whether the reference is a plain name: so it is of people added before references were made up."""
        return not is_reference(self.person)

    @property
    def words(self) -> str:
        """What happened, for whoever asked for it."""
        if self.already:
            return f"{self.person} was erased before; nothing was left to remove."
        gone = ", ".join(f"{n} {name}" for name, n in self.removed.model_dump().items() if n) or "nothing else"
        stays = NAME_STAYS.format(self.person) if self.name_stays else ""
        return f"{self.person} is erased: the key and {gone} are gone, and the ledger says so.{stays} {COPIES}"


NAME_STAYS = (
    " {0} was added by a release that used names as references: entries and rows written so far keep that name, "
    "because a ledger that lets go of one would prove nothing of the others."
)
COPIES = (
    "Backups made before still have the wrapped key until they are thrown away; reasons of stops, policy changes and "
    "demand adjustments stay as records of the control."
)


class Erasing(Protocol):
    """Where people's data are destroyed."""

    async def erase(self, named: str, reason: ErasureReason, actor: Actor) -> Erased:
        """Destroy the person's key and with it name, address, subject and words; end sessions and tokens; record it.

        One transaction: all of it happened, or nothing. Harmless when it happened before.

        Raises:
            NotFound: nobody is known so.
            MayNot: the actor manages no people, or means themselves.
        """
        ...


def may_erase(target: Person | None, author: Person | None, actor: Actor, named: str) -> Person:
    """The person, if the author may erase them. `named`: as whoever asks called them.

    Raises:
        NotFound: nobody is known so.
        MayNot: the author manages no people, or means themselves.
    """
    if author is None:
        raise MayNot(f"Nobody knows {actor.name} here; somebody with the role admin: `quartermaster people add`.")
    author.require(Permission.MANAGE_PEOPLE)
    if target is None:
        raise NotFound(f"Nobody is known here as {named}.")
    if name_key(target.name) == name_key(author.name):
        raise MayNot("Nobody erases themselves: another person with the role admin must.")
    return target
