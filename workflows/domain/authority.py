"""Who may give which answer: rights, amount, four eyes, and nobody on a matter whose rules they wrote. Pure.

The same rules hold wherever an answer is stored: the storage asks here inside the transaction that stores it.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from workflows.domain.errors import AlreadyAnswered, Conflict, NotAllowed
from workflows.domain.limits import Place
from workflows.domain.people import Permission, Person
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import same_person


class RefusalCode(StrEnum):
    """Why an answer did not count, as the ledger has it."""

    UNKNOWN_PERSON = "unknown_person"
    DISABLED = "disabled"
    NO_PERMISSION = "no_permission"
    OTHER_LOCATION = "other_location"
    ANSWERED = "answered"
    STALE = "stale"
    NOBODY_MAY = "nobody_may"
    ABOVE_OWN_LIMIT = "above_own_limit"
    OWN_POLICY = "own_policy"
    SIGNED_ALREADY = "signed_already"
    NO_COUNTERSIGN = "no_countersign"
    NOTHING_STANDS = "nothing_stands"
    NOT_THEIRS = "not_theirs"
    TOO_LATE = "too_late"


class Refusal(NamedTuple):
    """An answer that does not count: its code, and the error in the words for whoever gave it."""

    code: RefusalCode
    error: Conflict


class PolicyStep(NamedTuple):
    """A change of the policy that is in force, or was when the decision was made, and who made it."""

    before: Policy
    after: Policy
    author: str
    adopter: str


class Signature(NamedTuple):
    """A first signature that stands, and the units that it was given for."""

    actor: str
    units: int


def of_person(
    person: Person | None, name: str, location: str, permission: Permission = Permission.ANSWER
) -> Refusal | None:
    """Somebody who is not known, is disabled, or lacks the right at this location."""
    if person is None:
        words = f"Nobody knows {name} here: somebody with the role admin adds people."
        return Refusal(RefusalCode.UNKNOWN_PERSON, NotAllowed(words))
    try:
        person.require(permission, location)
    except NotAllowed as error:
        # In the words of the rights; but the attempt is recorded with the task, so it is an error of our own.
        return Refusal(_code(person, permission), NotAllowed(str(error)))
    return None


def of_value(person: Person, value: Decimal, currency: str) -> Refusal | None:
    """An approval of more than the person may approve. The limit is for approving: anybody may reject."""
    limit = person.approval_limit
    if limit is None or value <= limit:
        return None
    words = (
        f"{value:.2f} {currency} is above {limit:.2f} {currency}, which is as much as {person.name} may approve: "
        "approve fewer units, or forward it to somebody who may."
    )
    return Refusal(RefusalCode.ABOVE_OWN_LIMIT, NotAllowed(words))


def of_author(name: str, place: Place, steps: Sequence[PolicyStep]) -> Refusal | None:
    """Somebody who proposed or adopted a change of the limits that hold for this place."""
    for step in steps:
        if not (same_person(name, step.author) or same_person(name, step.adopter)):
            continue
        before, after = dict(step.before.limits_for(place)), dict(step.after.limits_for(place))
        changed = sorted(limit for limit in after if before[limit] != after[limit])
        if changed:
            words = (
                f"{name} had a part in version {step.after.version} of the policy, which changed "
                f"{', '.join(changed)} for this order: somebody else must approve it."
            )
            return Refusal(RefusalCode.OWN_POLICY, NotAllowed(words))
    return None


def of_signing(person: Person, location: str, first: Signature | None, units: int) -> Refusal | None:
    """A signature beside a first one that stands. Other units are a new first signature, which anybody may give who
    may answer; the same ones complete it, which takes another person, with the right to countersign."""
    if first is None or first.units != units:
        return None
    if same_person(first.actor, person.name):
        words = f"{person.name} has signed this already: another person must sign it too."
        return Refusal(RefusalCode.SIGNED_ALREADY, AlreadyAnswered(words))
    refusal = of_person(person, person.name, location, Permission.COUNTERSIGN)
    if refusal is not None:
        words = f"{first.actor} signed first. For the second signature: {refusal.error}"
        return Refusal(RefusalCode.NO_COUNTERSIGN, NotAllowed(words))
    return None


def completes(first: Signature | None, units: int, *, needs_two: bool) -> bool:
    """Whether an approval of these units is the last one that is needed."""
    return not needs_two or (first is not None and first.units == units)


def _code(person: Person, permission: Permission) -> RefusalCode:
    if person.disabled_at is not None:
        return RefusalCode.DISABLED
    return RefusalCode.OTHER_LOCATION if permission in person.permissions else RefusalCode.NO_PERMISSION
