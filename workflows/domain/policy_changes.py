"""A change of the policy is a decision of its own: proposed with a reason and a dry run, adopted by somebody else.

A change of the service target or of the review period is a change like any other; its kind says what it is about, and
its evidence on which measured outcomes it rests.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Protocol

from pydantic import StringConstraints, ValidationError

from workflows.domain.approvals import STORABLE, Actor
from workflows.domain.errors import AlreadyAnswered, Conflict, InvalidInput, NotAllowed, StaleProposal, explained
from workflows.domain.identity import Digest, Instant, Payload, plain
from workflows.domain.names import name_key
from workflows.domain.people import Permission, Person
from workflows.domain.policies import Policy
from workflows.domain.policy_trials import Recorded, Trial
from workflows.domain.spelled import decimal_of

Reason = Annotated[str, StringConstraints(min_length=3, max_length=1000, strip_whitespace=True, pattern=STORABLE)]


class ChangeKind(StrEnum):
    """What a change is about."""

    POLICY = "policy"
    SERVICE_TARGET = "service_target"
    """The service level to aim at, and with it safety stock."""
    REVIEW_PERIOD = "review_period"


class ChangeState(StrEnum):
    """Where a change is."""

    PROPOSED = "proposed"
    ADOPTED = "adopted"
    REJECTED = "rejected"


class ServiceRecord(Payload):
    """How a category was served, as measured outcomes say: one row of a change's evidence."""

    category: str
    decisions: int
    stocked_out: int
    target: Decimal
    """Mean of the service targets that these decisions aimed at."""
    weeks: int

    @property
    def share(self) -> Decimal:
        """Of the decisions' horizons, those in which stock ran out."""
        return Decimal(self.stocked_out) / self.decisions


class NewChange(Payload):
    """What is proposed."""

    kind: ChangeKind = ChangeKind.POLICY
    base_digest: Digest
    policy: Policy
    reason: Reason
    trial: Trial
    evidence: tuple[ServiceRecord, ...] = ()


class PolicyChange(Payload):
    """A stored change."""

    change_id: str
    number: int
    kind: ChangeKind
    state: ChangeState
    base_digest: Digest
    digest: Digest
    policy: Policy
    author: str
    reason: str
    trial: Trial
    evidence: tuple[ServiceRecord, ...]
    proposed_at: Instant
    decided_by: str | None = None
    decided_at: Instant | None = None
    decided_reason: str = ""


class PolicyVersion(Payload):
    """A version that is or was in force, and the change that brought it; none for an installation's first."""

    policy: Policy
    digest: Digest
    adopted_at: Instant
    change_id: str | None = None
    author: str | None = None
    approved_by: str | None = None


class Difference(Payload):
    """One limit that two policies set differently; None where one does not set it."""

    limit: str
    before: str | None
    after: str | None


class Policies(Protocol):
    """Where policies and their changes live. Each method is one transaction."""

    async def current(self) -> PolicyVersion:
        """What is in force."""
        ...

    async def history(self) -> list[PolicyVersion]:
        """Every version, newest first."""
        ...

    async def version(self, digest: str) -> PolicyVersion:
        """A version by its digest.

        Raises:
            NotFound: no version has it.
        """
        ...

    async def changes(self, state: ChangeState | None = None) -> list[PolicyChange]:
        """Changes, newest first."""
        ...

    async def change(self, change_id: str) -> PolicyChange:
        """One change.

        Raises:
            NotFound: no such change.
        """
        ...

    async def propose(self, new: NewChange, actor: Actor) -> PolicyChange:
        """Store a change, on the record. The same step, proposed while it waits, is the change that waits.

        Raises:
            StaleProposal: another policy is in force than the change was made for.
        """
        ...

    async def decide(self, change_id: str, actor: Actor, *, approve: bool, reason: str = "") -> PolicyChange:
        """Adopt or reject a change, on the record; the same answer by the same person again changes nothing.

        Raises:
            NotFound: no such change.
            NotAllowed: the author approves; another person must.
            StaleProposal: another policy is in force than the change was made for.
            AlreadyAnswered: somebody answered it otherwise.
        """
        ...

    async def recorded_ids(self, weeks: int, limit: int) -> tuple[list[str], int]:
        """The decisions of open tasks, then those of the last weeks on the business clock, newest first; and how many
        there are beyond the limit too."""
        ...

    async def recorded(self, decision_ids: Sequence[str]) -> list[Recorded]:
        """The newest revision of each of these decisions, with its evidence."""
        ...

    async def service_records(self, weeks: int) -> list[ServiceRecord]:
        """How each category was served in the weeks before the newest business clock, by name. Of very many outcomes
        the newest tell it; `decisions` says how many did."""
        ...


def read_document(raw: str | bytes) -> dict[str, Any]:
    """The JSON object of a policy file, numbers as written.

    Raises:
        InvalidInput: it is not a JSON object, or says something twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = sorted({name for name, _ in pairs if [n for n, _ in pairs].count(name) > 1})
            raise InvalidInput(f"the policy says {', '.join(twice)} twice; keep one")
        return found

    try:
        document = json.loads(raw, object_pairs_hook=once, parse_float=decimal_of)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise InvalidInput(f"the policy is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput("a policy is a JSON object; `quartermaster policy show --json` prints the one in force")
    return document


def next_policy(document: Mapping[str, Any], base: Policy) -> Policy:
    """The policy that this document makes of `base`: the next version.

    Raises:
        InvalidInput: it is not a policy, is based on an older version, or changes nothing.
    """
    given = document.get("version", base.version)
    if isinstance(given, int) and given not in (base.version, base.version + 1):
        raise InvalidInput(
            f"this document is of version {given}, but version {base.version} is in force: "
            "start again from `quartermaster policy show --json`"
        )
    try:
        policy = Policy.model_validate({**document, "version": base.version + 1})
    except ValidationError as error:
        raise InvalidInput(f"this is not a policy: {explained(error, 'policy')}") from None
    if not differences(base, policy):
        raise InvalidInput(f"this document changes nothing about version {base.version}")
    return policy


def differences(before: Policy, after: Policy) -> list[Difference]:
    """What the second says otherwise than the first, limit by limit; versions aside."""
    found = []
    old, new = limits_of(before), limits_of(after)
    for limit in dict.fromkeys([*old, *new]):
        was, becomes = old.get(limit), new.get(limit)
        if was != becomes:
            found.append(Difference(limit=limit, before=was, after=becomes))
    return found


def limits_of(policy: Policy) -> dict[str, str | None]:
    """Every limit in words, the company's first; None where it is not set."""
    company = {name: getattr(policy, name) for name in Policy.model_fields if name not in ("version", "overrides")}
    settings = {name: _words(value) for name, value in company.items()}
    for override in policy.overrides:
        for name, value in override.model_dump().items():
            if name not in ("item", "category", "supplier", "location"):
                settings[f"{name} for {override.words}"] = _words(value)
    return settings


def _words(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    found = plain(value)
    return f"{found['target']} ({found['measure']})" if isinstance(found, dict) else str(found)


def refusal(change: PolicyChange, current: str, actor: Actor, *, approve: bool) -> Conflict | None:
    """Why this answer to this change does not count while `current` is in force; None when it does."""
    if change.state is not ChangeState.PROPOSED:
        return AlreadyAnswered(f"this change is {change.state} already, by {change.decided_by}")
    if not approve:
        return None
    if same_person(change.author, actor.name):
        return NotAllowed("whoever proposes a policy change cannot approve it: another person must")
    if change.base_digest != current:
        return StaleProposal(
            "the policy moved since this change was proposed: reject it, and propose it anew on what is in force"
        )
    return None


def may_answer(person: Person, change: PolicyChange, *, approve: bool) -> None:
    """Whoever proposed a change may withdraw it; approving one, and rejecting another's, takes the right to adopt.

    Raises:
        MayNot: the person's rights do not reach so far.
    """
    withdraws = not approve and same_person(change.author, person.name)
    person.require(Permission.PROPOSE_POLICY if withdraws else Permission.ADOPT_POLICY)


def answered_so(change: PolicyChange, actor: Actor, *, approve: bool) -> bool:
    """Whether this very answer was given already."""
    state = ChangeState.ADOPTED if approve else ChangeState.REJECTED
    return change.state is state and same_person(change.decided_by or "", actor.name)


def same_person(one: str, other: str) -> bool:
    """Names differ by more than case, blanks and what nobody sees, or they are one person's."""
    return name_key(one) == name_key(other)


def change_id(base: str, new: str, earlier: int) -> str:
    """The change's identity: from what to what, and the how-manieth attempt at it."""
    return f"{base[:16]}-{new[:16]}-{earlier + 1}"
