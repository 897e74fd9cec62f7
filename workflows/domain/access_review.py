"""Who could do what on a date, and who did, from the ledger alone: rights are what entries granted, and no more.

The day counts to its end, in UTC, by when the database recorded an entry. Rights that nobody recorded are not invented:
what the ledger cannot say, the review says that it cannot.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from workflows.domain.identity import Digest, Instant, Payload
from workflows.domain.people import LOCATED, Permission, Person, Role
from workflows.domain.policies import Policy

DAYS = 90
"""How far back a review looks at what people did, unless it is told."""


class Rights(Payload):
    """What one person could do at the end of the day."""

    person: str
    """The reference; entries from before there were references have names."""
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    """What the roles grant together; none for somebody who is disabled or erased."""
    locations: tuple[str, ...] | None
    """Where the person may work on tasks; None: everywhere."""
    approval_limit: Decimal | None
    """The highest value that the person may approve alone or sign first; None: any."""
    state: str
    """`active`, `disabled` or `erased`."""
    since: Instant
    """When the rights became these."""
    granted_by: str
    channel: str = ""
    known_since: Instant
    changes: int
    """Entries about the person's rights up to the day."""

    @property
    def approves(self) -> bool:
        """Whether the person could release an order."""
        return Permission.ANSWER in self.permissions


class ConflictKind(StrEnum):
    """Which duties meet in one person."""

    APPROVES_AND_SETS_LIMITS = "approves_and_sets_limits"
    APPROVES_AND_GRANTS_RIGHTS = "approves_and_grants_rights"
    AUDITS_AND_ACTS = "audits_and_acts"
    GRANTED_OWN_RIGHTS = "granted_own_rights"
    ADOPTED_OWN_POLICY = "adopted_own_policy"
    SIGNED_TWICE = "signed_twice"
    APPROVED_UNDER_OWN_POLICY = "approved_under_own_policy"


CONFLICTS: Mapping[ConflictKind, str] = {
    ConflictKind.APPROVES_AND_SETS_LIMITS: "may approve orders and adopt the policy that limits them; held apart order "
    "by order: nobody's approval counts where their own change of the policy set the limits",
    ConflictKind.APPROVES_AND_GRANTS_RIGHTS: "may approve orders and grant rights; nobody changes their own",
    ConflictKind.AUDITS_AND_ACTS: "may audit and do what is audited",
    ConflictKind.GRANTED_OWN_RIGHTS: "granted rights to themselves; the engine lets only the first admin do so",
    ConflictKind.ADOPTED_OWN_POLICY: "adopted a policy that they proposed; the engine refuses that",
    ConflictKind.SIGNED_TWICE: "gave both signatures on one proposal; the engine refuses that",
    ConflictKind.APPROVED_UNDER_OWN_POLICY: "approved an order under a policy version that they proposed or adopted; "
    "allowed only where that version left the limits of the order as they were",
}
"""What each conflict means, and what keeps it from harm."""


class Conflict(Payload):
    """Duties that met in one person: by their rights on the day, or by what they did in the period."""

    kind: ConflictKind
    person: str
    what: str = ""
    """The decision, change or person that it is about; empty where it is about rights alone."""
    at: Instant | None = None


class Answers(Payload):
    """What one person answered in the period, and how long they took to look (approval by habit shows here)."""

    person: str
    approved: int = 0
    edited: int = 0
    rejected: int = 0
    signed_first: int = 0
    withdrawn: int = 0
    refused: int = 0
    """Attempts that did not count."""
    approve_share: Decimal | None = None
    """Approved (edited ones too) of all that counted, to three decimals; None: nothing counted."""
    median_seconds: int | None = None
    """From the task's opening until the answer, by the database's clock; None: no opening is recorded."""
    quick: int = 0
    """Approvals within `QUICK_SECONDS` of the task's opening."""
    sessions: int = 0
    known: bool = True
    """Whether the ledger says anything of the person's rights."""


QUICK_SECONDS = 10
"""Nobody reads the evidence of a proposal in less."""


class PolicyInForce(Payload):
    """The limits at the end of the day."""

    digest: Digest
    version: int
    since: Instant | None
    """None: nobody adopted it; it is what an installation starts with."""
    proposed_by: str | None = None
    adopted_by: str | None = None
    auto_value_limit: Decimal
    review_value_limit: Decimal | None
    four_eyes_above: Decimal | None
    four_eyes_for_new_supplier: bool
    promotion_needs_approval: bool
    overrides: int

    @classmethod
    def of(cls, policy: Policy, since: Instant | None = None, **by: Any) -> "PolicyInForce":
        """What of a policy says who must agree."""
        told = {name: getattr(policy, name) for name in _LIMITS}
        return cls(digest=policy.digest, since=since, overrides=len(policy.overrides), **told, **by)


_LIMITS = (
    "version", "auto_value_limit", "review_value_limit", "four_eyes_above", "four_eyes_for_new_supplier",
    "promotion_needs_approval",
)  # fmt: skip


class AccessReview(Payload):
    """Who could do what on a day, and who did in the period up to it."""

    on: date
    since: date
    people: tuple[Rights, ...]
    policy: PolicyInForce
    conflicts: tuple[Conflict, ...]
    answers: tuple[Answers, ...]
    notes: tuple[str, ...] = ()


NO_PEOPLE = (
    "the ledger says nothing of anybody's rights up to this day: before people were kept here, whoever was let in at "
    "the console could answer, under the name that the answer carries"
)
STRANGERS = (
    "some who answered are not among the people whose rights are recorded: they answered before people were kept here, "
    "or are parts of the engine"
)

UNREAD_POLICY = "the policy {0}, which was adopted up to this day, cannot be read: the one shown is the newest that can"


def conflicts_of(rights: Rights) -> list[Conflict]:
    """Duties that meet in one person's rights."""
    held = set(rights.permissions)
    found = []
    if Permission.ANSWER in held and Permission.ADOPT_POLICY in held:
        found.append(ConflictKind.APPROVES_AND_SETS_LIMITS)
    if Permission.ANSWER in held and Permission.MANAGE_PEOPLE in held:
        found.append(ConflictKind.APPROVES_AND_GRANTS_RIGHTS)
    if Permission.AUDIT in held and held - {Permission.AUDIT, Permission.SEE}:
        found.append(ConflictKind.AUDITS_AND_ACTS)
    return [Conflict(kind=kind, person=rights.person) for kind in found]


def permissions_of(roles: Sequence[str]) -> tuple[str, ...]:
    """What these roles grant; a role that this version does not know grants nothing."""
    known = frozenset(Role(role) for role in roles if role in set(Role))
    return tuple(sorted(Person(name="somebody", roles=known).permissions))


def place_of(rights: Rights) -> str:
    """Where a person's located rights reach, in words."""
    if not LOCATED & set(rights.permissions):
        return ""
    return "everywhere" if rights.locations is None else ", ".join(rights.locations) or "nowhere"


class AccessRecords(Protocol):
    """Reviews access from the ledger."""

    def review(self, on: date, since: date) -> AccessReview:
        """Who could do what at the end of the day `on`, and who answered from `since` to then."""
        ...
