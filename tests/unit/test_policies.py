"""A policy is data with an address: equal policies have equal digests, any change has another; the strictest of the
most specific limits holds."""

import json
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workflows.domain.identity import canonical, digest
from workflows.domain.limits import Autonomy, Limits, Override, Place, ServiceAim, ServiceMeasure
from workflows.domain.policies import Policy

FIRST = Path(__file__).with_name("first_policy.json")
"""The bytes that installations of the first stage have stored, and their decisions name by digest."""
FIRST_DIGEST = "6a8fbc0849dd00b828442586ccdf1715c08ee25afdd723c5037b16404799e188"
MILK = Place(item="MILK", category="dairy", supplier="acme", location="LEEDS")
CHANGES: dict[str, Any] = {
    "review_value_limit": "5000", "last_order_factor": "2", "cover_cap_days": 90, "price_deviation_limit": "0.05",
    "autonomy": "L4", "service": {"measure": "fill", "target": "0.98"}, "review_days": 7,
    "attention": {"minutes": 5}, "four_eyes_above": "900",
    "sent_value_per_hour": "20000", "sent_value_per_day": "90000", "supplier_value_per_day": "40000",
    "overrides": [{"category": "dairy", "auto_value_limit": "10"}],
}  # fmt: skip
LATER = {"four_eyes_above", "sent_value_per_hour", "sent_value_per_day", "supplier_value_per_day"}
"""Limits that came after the test below was written: they leave the addresses of policies without them alone."""


def test_a_policy_read_back_has_the_same_address() -> None:
    policy = Policy(version=3, auto_value_limit=Decimal("1500.50"))
    assert Policy.model_validate_json(canonical(policy)).digest == policy.digest


@pytest.mark.parametrize("name", sorted(Policy.model_fields))
def test_any_change_has_another_address(name: str) -> None:
    now = getattr(Policy(), name)
    changed = CHANGES.get(name)
    if changed is None:
        changed = not now if isinstance(now, bool) else now + (Decimal("0.01") if isinstance(now, Decimal) else 1)
    policy = Policy.model_validate({name: changed})
    assert policy.digest != Policy().digest
    assert Policy.model_validate_json(canonical(policy)) == policy


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"version": 0}, "greater than or equal to 1"),
        ({"soon_risk_limit": "1.1"}, "less than or equal to 1"),
        ({"usual_quantity_factor": "1"}, "greater than 1"),
        ({"expire_after_hours": 0}, "greater than or equal to 1"),
        ({"tolerance_share": "-0.1"}, "greater than or equal to 0"),
        ({"stale_after_hours": 0}, "greater than or equal to 1"),
        ({"auto_value_limit": "-1"}, "greater than or equal to 0"),
        ({"auto_value_limits": "1"}, "Extra inputs are not permitted"),
        ({"remind_after_hours": 50}, "those hours must not fall"),
        ({"review_value_limit": "1000"}, "below auto_value_limit"),
        ({"service": {"measure": "fill", "target": "1"}}, "less than or equal to 0.999"),
        ({"service": {"measure": "wish", "target": "0.9"}}, "'cycle' or 'fill'"),
        ({"autonomy": "L9"}, "'L1', 'L2', 'L3' or 'L4'"),
        ({"overrides": [{"auto_value_limit": 1}]}, "an override names an item"),
        ({"overrides": [{"category": "dairy"}]}, "sets no limit"),
        ({"overrides": [{"category": "dairy", "auto_value_limt": 1}]}, "Extra inputs are not permitted"),
        ({"overrides": [{"supplier": "acme", "review_days": 3}]}, "not with a supplier"),
        ({"overrides": [{"supplier": "a b", "new_item_asks": True}]}, "should match pattern"),
        ({"overrides": [{"location": "LEEDS", "supplier_value_per_day": 3}]}, "goes with a supplier alone"),
        ({"overrides": [{"supplier": "acme", "item": "A", "supplier_value_per_day": 3}]}, "with a supplier alone"),
        (
            {"overrides": [{"category": "dairy", "auto_value_limit": 9, "review_value_limit": 8}]},
            "for category dairy: review_value_limit 8 is below",
        ),
        (
            {"overrides": [{"item": "A", "new_item_asks": False}, {"item": "A", "autonomy": "L2"}]},
            "two overrides for item A",
        ),
    ],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Policy.model_validate(wrong)


def test_the_address_of_the_first_policy_stays() -> None:
    """Limits came later; a document that does not use them is the document that it was."""
    stored = FIRST.read_bytes().strip()
    assert digest(stored) == FIRST_DIGEST
    assert Policy.model_validate_json(stored) == Policy()
    assert Policy.model_validate_json(stored).digest == Policy().digest == FIRST_DIGEST


def test_the_address_of_a_policy_that_uses_everything_stays() -> None:
    """If this changes, installations cannot look up the policies that their decisions name."""
    everything = Policy.model_validate({name: CHANGES[name] for name in CHANGES if name not in LATER})
    assert everything.digest == "abc00d0919e56d45853f774a7ecb002ae47e9b1de116d09956f1995cfb57b1fe"


@pytest.mark.parametrize("spelling", ["1500", "1500.00", 1500, "1.5e3"])
def test_one_number_has_one_spelling(spelling: Any) -> None:
    assert Policy.model_validate({"auto_value_limit": spelling}).digest == FIRST_DIGEST
    of_dairy = Policy.model_validate({"overrides": [{"category": "dairy", "auto_value_limit": spelling}]})
    assert json.loads(canonical(of_dairy))["overrides"] == [{"category": "dairy", "auto_value_limit": "1500"}]


def test_a_changed_copy_does_not_decide_by_the_overrides_of_its_original() -> None:
    policy = Policy(overrides=(Override(category="dairy", auto_value_limit=Decimal(5)),))
    assert policy.limits_for(MILK).auto_value_limit == 5
    other = policy.model_copy(update={"overrides": (Override(item="MILK", auto_value_limit=Decimal(7)),)})
    assert other.limits_for(MILK).auto_value_limit == 7
    assert other.digest != policy.digest


@pytest.mark.parametrize(
    ("overrides", "limit", "scope"),
    [
        ([], 1500, ""),
        ([{"category": "bread", "auto_value_limit": 1}], 1500, ""),
        ([{"category": "dairy", "auto_value_limit": 9000}], 9000, " for category dairy"),
        ([{"category": "dairy", "auto_value_limit": 9000}, {"supplier": "acme", "auto_value_limit": 50}], 50,
         " for supplier acme"),
        ([{"category": "dairy", "location": "LEEDS", "auto_value_limit": 70}, {"supplier": "acme",
          "auto_value_limit": 50}], 70, " for category dairy and location LEEDS"),
        ([{"item": "MILK", "auto_value_limit": 80}, {"category": "dairy", "supplier": "acme", "location": "LEEDS",
          "auto_value_limit": 50}], 80, " for item MILK"),
        ([{"item": "MILK", "autonomy": "L1"}, {"category": "dairy", "auto_value_limit": 50}], 50,
         " for category dairy"),
    ],
)  # fmt: skip
def test_the_most_specific_limit_holds(overrides: list[dict[str, Any]], limit: int, scope: str) -> None:
    for order in permutations(overrides):
        limits = Policy.model_validate({"overrides": order}).limits_for(MILK)
        assert limits.auto_value_limit == limit
        assert limits.scope_of("auto_value_limit") == scope


NAMES = {"item": "MILK", "category": "dairy", "supplier": "acme", "location": "LEEDS"}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "auto_value_limit": st.integers(0, 9), "usual_quantity_factor": st.integers(2, 9),
    "cover_cap_days": st.integers(1, 9), "refused_memory_days": st.integers(0, 9), "new_item_asks": st.booleans(),
    "autonomy": st.sampled_from(Autonomy), "four_eyes_above": st.integers(0, 9),
    "four_eyes_for_new_supplier": st.booleans(),
}  # fmt: skip
SERVICE = st.builds(ServiceAim, measure=st.sampled_from(ServiceMeasure), target=st.sampled_from(["0.9", "0.95"]))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A company's limits and up to six overrides, some of them of elsewhere."""
    overrides = []
    for scope in draw(st.sets(st.frozensets(st.sampled_from(sorted(NAMES)), min_size=1), max_size=6)):
        elsewhere = draw(st.booleans())
        named = {name: "other" if elsewhere else NAMES[name] for name in scope}
        limits = draw(st.fixed_dictionaries({}, optional=VALUES))
        if "supplier" not in scope and draw(st.booleans()):
            limits["service"] = draw(SERVICE)
        if limits:
            overrides.append({**named, **limits})
    return Policy.model_validate({**draw(st.fixed_dictionaries({}, optional=VALUES)), "overrides": overrides})


LARGER = {"refused_memory_days", "new_item_asks", "four_eyes_for_new_supplier"}


@given(policies())
def test_no_equally_or_more_specific_override_is_stricter_than_what_holds(policy: Policy) -> None:
    """The law, against a plain reading of it: search all overrides instead of looking them up."""
    limits = policy.limits_for(MILK)
    here = [o for o in policy.overrides if all(name in ("", known) for name, known in zip(o.scope, MILK, strict=True))]
    for name in Limits.model_fields:
        held, setting = getattr(limits, name), [o for o in here if getattr(o, name) is not None]
        if not setting:
            assert held == getattr(policy, name)
            assert limits.scope_of(name) == ""
            continue
        top = max(o.rank for o in setting)
        values = [getattr(o, name) for o in setting if o.rank == top]
        assert held in values
        if name == "service":
            assert held.target == max(value.target for value in values)
        else:
            assert held == (max(values) if name in LARGER else min(values))


@given(policies(), st.randoms(use_true_random=False))
def test_the_order_in_which_overrides_are_written_never_matters(policy: Policy, chance: Any) -> None:
    shuffled = list(policy.overrides)
    chance.shuffle(shuffled)
    other = Policy.model_validate({**dict(policy), "overrides": shuffled})
    assert other.digest == policy.digest
    assert other.limits_for(MILK) == policy.limits_for(MILK)
    assert Policy.model_validate_json(canonical(policy)) == policy


@pytest.mark.parametrize(
    ("overrides", "value", "new_supplier", "words"),
    [
        ([], "1000", False, None),
        ([], "1000.01", False, "1000.01 EUR is above 1000.00, which two people must sign"),
        ([{"category": "dairy", "four_eyes_above": 50}], "51", False,
         "51.00 EUR is above 50.00, which two people must sign for category dairy"),
        ([{"item": "MILK", "four_eyes_above": 2000}], "1500", False, None),
        ([], "5", True, None),
        ([{"supplier": "acme", "four_eyes_for_new_supplier": True}], "5", False, None),
        ([{"supplier": "acme", "four_eyes_for_new_supplier": True}], "5", True,
         "two people must sign the first order at a supplier for supplier acme"),
    ],
)  # fmt: skip
def test_two_people_sign_what_the_place_says(
    overrides: list[dict[str, Any]], value: str, new_supplier: bool, words: str | None
) -> None:
    policy = Policy.model_validate({"four_eyes_above": 1000, "overrides": overrides})
    assert policy.limits_for(MILK).needs_two(Decimal(value), "EUR", new_supplier=new_supplier) == words
    assert Policy().limits_for(MILK).needs_two(Decimal(10**6), "EUR", new_supplier=True) is None
