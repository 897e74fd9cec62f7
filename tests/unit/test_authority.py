"""Who may give which answer, rule by rule: rights, amount, four eyes, and nobody on a matter whose rules they wrote."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from workflows.domain.authority import (
    PolicyStep,
    RefusalCode,
    Signature,
    completes,
    of_author,
    of_person,
    of_signing,
    of_value,
)
from workflows.domain.errors import AlreadyAnswered, NotAllowed
from workflows.domain.limits import Place
from workflows.domain.people import Person, Role
from workflows.domain.policies import Policy

MILK = Place(item="MILK", category="dairy", supplier="acme", location="LEEDS")
SOAP = Place(item="SOAP", category="cleaning", supplier="acme", location="LEEDS")
GONE = datetime(2025, 11, 1, tzinfo=UTC)


def person(name: str = "Ada", *roles: Role, **more: Any) -> Person:
    """A planner who may approve everything, unless told otherwise."""
    return Person.model_validate({"name": name, "roles": roles or (Role.PLANNER,), **more})


@pytest.mark.parametrize(
    ("who", "code", "words"),
    [
        (None, RefusalCode.UNKNOWN_PERSON, "Nobody knows Ada here"),
        (person(disabled_at=GONE), RefusalCode.DISABLED, "may do nothing here any more"),
        (person("Ada", Role.VIEWER), RefusalCode.NO_PERMISSION, "needs the role planner, approver"),
        (person("Ada", Role.ADMIN), RefusalCode.NO_PERMISSION, "needs the role"),
        (person(locations=["YORK"]), RefusalCode.OTHER_LOCATION, "tasks of YORK, not of LEEDS"),
    ],
)
def test_only_people_with_the_right_answer(who: Person | None, code: RefusalCode, words: str) -> None:
    refusal = of_person(who, "Ada", "LEEDS")
    assert refusal is not None
    assert refusal.code is code
    assert type(refusal.error) is NotAllowed
    assert words in str(refusal.error)


@pytest.mark.parametrize("who", [person(), person("Ada", Role.APPROVER), person(locations=["LEEDS", "YORK"])])
def test_planners_and_approvers_answer_where_they_work(who: Person) -> None:
    assert of_person(who, who.name, "LEEDS") is None


def test_nobody_approves_more_than_their_own_limit() -> None:
    pia = person("Pia", approval_limit="500")
    assert of_value(pia, Decimal(500), "EUR") is None
    assert of_value(person(), Decimal(10**9), "EUR") is None
    refusal = of_value(pia, Decimal("500.01"), "EUR")
    assert refusal is not None
    assert refusal.code is RefusalCode.ABOVE_OWN_LIMIT
    assert str(refusal.error).startswith("500.01 EUR is above 500.00 EUR, which is as much as Pia may approve")
    nothing = of_value(person(approval_limit="0"), Decimal("0.01"), "EUR")
    assert nothing is not None


def step(author: str = "Ada", adopter: str = "Bob", **after: Any) -> PolicyStep:
    """A change of the first policy."""
    return PolicyStep(Policy(), Policy.model_validate({"version": 2, **after}), author, adopter)


@pytest.mark.parametrize("name", ["Ada", " ada", "BOB "])
def test_nobody_approves_what_a_change_of_theirs_touches(name: str) -> None:
    refusal = of_author(name, MILK, [step(overrides=[{"category": "dairy", "auto_value_limit": 10}])])
    assert refusal is not None
    assert refusal.code is RefusalCode.OWN_POLICY
    assert "version 2 of the policy, which changed auto_value_limit for this order" in str(refusal.error)


@pytest.mark.parametrize(
    ("name", "place", "steps"),
    [
        ("Cat", MILK, [step(auto_value_limit=10)]),
        ("Ada", SOAP, [step(overrides=[{"category": "dairy", "auto_value_limit": 10}])]),
        ("Ada", MILK, [step(overrides=[{"category": "dairy", "auto_value_limit": 1500}])]),
        ("Ada", MILK, [step(tolerance_share="0.3")]),
        ("Ada", MILK, []),
    ],
)
def test_others_and_untouched_places_are_free(name: str, place: Place, steps: list[PolicyStep]) -> None:
    assert of_author(name, place, steps) is None


def test_the_second_signature_is_another_persons_with_the_right_to() -> None:
    first = Signature("Ada", 48)
    grace = person("Grace", Role.APPROVER)
    assert of_signing(grace, "LEEDS", first, 48) is None
    assert of_signing(person("Bob"), "LEEDS", None, 48) is None, "a planner may sign first"
    assert of_signing(person("Bob"), "LEEDS", first, 36) is None, "other units are another first signature"

    planner = of_signing(person("Bob"), "LEEDS", first, 48)
    assert planner is not None
    assert planner.code is RefusalCode.NO_COUNTERSIGN
    assert "Ada signed first" in str(planner.error)
    for name in ("Ada", "ada "):
        again = of_signing(person(name, Role.APPROVER), "LEEDS", first, 48)
        assert again is not None
        assert again.code is RefusalCode.SIGNED_ALREADY
        assert isinstance(again.error, AlreadyAnswered)
    elsewhere = of_signing(person("Grace", Role.APPROVER, locations=["YORK"]), "LEEDS", first, 48)
    assert elsewhere is not None
    assert elsewhere.code is RefusalCode.NO_COUNTERSIGN


def test_an_approval_is_complete_with_as_many_signatures_as_are_needed() -> None:
    assert completes(None, 48, needs_two=False)
    assert completes(Signature("Ada", 48), 48, needs_two=True)
    assert not completes(None, 48, needs_two=True)
    assert not completes(Signature("Ada", 36), 48, needs_two=True)
