"""Derives from the ledger alone whether what was released might be released: by the rules that held at that moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pydantic import ValidationError

from workflows.domain import authority
from workflows.domain.approvals import Meaning
from workflows.domain.decisions import Proposal
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.limits import Place
from workflows.domain.people import Permission, Person
from workflows.domain.policies import Policy, RiskTier
from workflows.domain.policy_changes import same_person
from workflows.domain.policy_timeline import body_of
from workflows.domain.replay import Case, Findings, Missing, Opened

RULE = "approval rule"
APPROVALS = {Meaning.APPROVE, Meaning.APPROVE_EDITED}
UNKNOWN_RIGHTS = "rights of whoever answered: the release that decided kept none"


@dataclass(frozen=True)
class Given:
    """One answer of a person that stands so far."""

    actor: str
    meaning: Meaning
    units: int | None
    proposal_hash: str
    complete: bool
    at: datetime
    needed: int


@dataclass
class Course:
    """How far the chain has been followed."""

    current: str = ""
    """Hash of the newest proposal so far."""
    closed: str = ""
    """How it ended without an order; empty while it has not."""
    released: bool = False
    standing: dict[str, Given] | None = None

    @property
    def answers(self) -> dict[str, Given]:
        """Those that count, by their id."""
        if self.standing is None:
            self.standing = {}
        return self.standing


def check_approval(case: Case, opened: Opened, found: Findings) -> None:
    """Follow the decision's chain, and judge every release of this revision."""
    course = Course()
    for entry in case.chain:
        body = body_of(entry)
        if entry.type == EntryType.DECISION_PROPOSED:
            course.current = str(body.get("proposal_hash"))
        elif entry.type in (EntryType.VERDICT_RECORDED, EntryType.VERDICT_SIGNED):
            _answered(entry, course, case, found)
        elif entry.type in (EntryType.APPROVAL_VOIDED, EntryType.VERDICT_WITHDRAWN):
            course.answers.pop(str(body.get("approval")), None)
        elif entry.type == EntryType.DECISION_CLOSED:
            if course.released and course.current == case.ref.proposal_hash:
                found.wrong(RULE, "nothing after the release", f"closed as {body.get('state')}")
            course.closed = str(body.get("state"))
        elif entry.type == EntryType.DECISION_RELEASED:
            if body.get("proposal_hash") == case.ref.proposal_hash:
                _released(entry, course, case, opened, found)
            course.released = True


def _answered(entry: Entry, course: Course, case: Case, found: Findings) -> None:
    body = body_of(entry)
    given = Given(
        actor=entry.actor, meaning=Meaning(body["meaning"]), units=body.get("units"),
        proposal_hash=str(body.get("proposal_hash")), complete=entry.type == EntryType.VERDICT_RECORDED,
        at=datetime.fromisoformat(entry.recorded_at), needed=int(body.get("signatures_needed", 1)),
    )  # fmt: skip
    if given.proposal_hash == case.ref.proposal_hash:
        found.compare("hash that was answered", given.proposal_hash, course.current)
        found.compare("an answer counts while the task waits", "", course.closed)
    course.answers[str(body.get("command"))] = given


def _released(entry: Entry, course: Course, case: Case, opened: Opened, found: Findings) -> None:
    body, result = body_of(entry), opened.decision.result
    found.compare("released proposal", body["proposal_hash"], course.current)
    if course.released:
        found.wrong(RULE, "one release", "released again")
    if course.closed:
        found.wrong(RULE, "released", f"it was closed before, as {course.closed}")
    if not isinstance(result, Proposal):
        found.wrong(RULE, "released", "nothing was proposed")
        return
    found.compare("released tier", body["tier"], str(result.tier))
    if result.tier is RiskTier.AUTO:
        found.compare("released units", body["units"], result.units)
        found.compare(RULE, "released", "released")
    elif result.tier is RiskTier.BLOCKED:
        found.wrong(RULE, "released", "the proposal is blocked")
    else:
        _consented(entry, course, case, opened, found)


def _consented(entry: Entry, course: Course, case: Case, opened: Opened, found: Findings) -> None:
    """A person's word, or two people's, stood behind it."""
    body, result = body_of(entry), opened.decision.result
    assert isinstance(result, Proposal)  # noqa: S101 - the caller asked
    own = [one for one in course.answers.values() if one.proposal_hash == case.ref.proposal_hash]
    approvals = [one for one in own if one.complete and one.meaning in APPROVALS]
    if len(approvals) != 1:
        found.wrong(RULE, "released", f"{len(approvals)} standing approvals of this proposal")
        return
    last = approvals[0]
    units = _units(last, result)
    found.compare("released units", body["units"], units)
    item = opened.inputs.item
    place = Place(item.item, item.category, result.supplier, opened.inputs.position.location)
    value = units * result.unit_cost
    for unread in case.policies.unread:
        found.missing.append(Missing(what="adopted policy", digest=unread))
    # What the policy of that moment wanted. Where one came into force in that very moment, either of the two.
    policies = case.policies.in_force(last.at, opened.policy)
    refusals = [_refusal(policy, place, value, opened, own, last, result) for policy in policies]
    if all(refusals):
        found.wrong(RULE, "released", refusals[0])
    else:
        found.compare(RULE, "released", "released")
    for signed in (one for one in own if one is last or (_units(one, result) == units and not one.complete)):
        _entitled(signed, signed is last, place, value, case, opened, policies, found)


def _units(given: Given, result: Proposal) -> int:
    return result.units if given.units is None else given.units


def _refusal(
    policy: Policy, place: Place, value: Decimal, opened: Opened, own: list[Given], last: Given, result: Proposal
) -> str:
    """Why this policy would not have let it go; empty when it would."""
    limits, currency = policy.limits_for(place), result.currency
    if nobody := limits.above_everybody(value, currency) or limits.suggestion_only():
        return nobody
    new = any(
        not option.ordered_before for option in opened.inputs.options if option.sourcing.supplier == result.supplier
    )
    two = limits.needs_two(value, currency, new_supplier=new)
    if two is None and last.needed == 1:
        return ""
    first = [one for one in own if not one.complete and _units(one, result) == _units(last, result)]
    if any(not same_person(one.actor, last.actor) for one in first):
        return ""
    return f"{two or 'two signatures were asked for'}, and one person did"


def _entitled(
    given: Given, last: bool, place: Place, value: Decimal, case: Case, opened: Opened, policies: list[Policy],
    found: Findings,
) -> None:  # fmt: skip
    """Whoever signed had the right to, at that place and for that amount, and had no hand in the rules."""
    person = person_at(case.people, given.actor, given.at)
    if person is None:
        found.not_recorded.append(UNKNOWN_RIGHTS)
        return
    result = opened.decision.result
    assert isinstance(result, Proposal)  # noqa: S101 - the caller asked
    two = last and given.needed > 1
    permission = Permission.COUNTERSIGN if two else Permission.ANSWER
    rests_on = [opened.policy.digest, *(policy.digest for policy in policies)]
    refusal = (
        authority.of_person(person, person.name, place.location, permission)
        or authority.of_value(person, value, result.currency)
        or authority.of_author(given.actor, place, case.policies.steps(rests_on[:2]))
    )
    found.compare(f"rights of {given.actor}", "", str(refusal.code) if refusal else "")


def person_at(people: Mapping[str, tuple[Entry, ...]], name: str, at: datetime) -> Person | None:
    """What the person might do then, by the record of people; None where it says nothing of them."""
    after = None
    for entry in people.get(name, ()):
        told = body_of(entry).get("after")
        if entry.type == EntryType.PERSON_CHANGED and isinstance(told, dict) and "roles" in told:
            if datetime.fromisoformat(entry.recorded_at) > at:
                break
            after = told
    if after is None:
        return None
    disabled = at if after.get("disabled") else None
    rights = {key: after.get(key) for key in ("roles", "locations", "approval_limit")}
    try:
        return Person.model_validate({"name": name, "disabled_at": disabled, **rights})
    except ValidationError:
        return None
