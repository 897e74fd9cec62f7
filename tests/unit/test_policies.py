"""A policy is data with an address: equal policies have equal digests, any change has another."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from workflows.domain.identity import canonical
from workflows.domain.policies import Policy


def test_a_policy_read_back_has_the_same_address() -> None:
    policy = Policy(version=3, auto_value_limit=Decimal("1500.50"))
    assert Policy.model_validate_json(canonical(policy)).digest == policy.digest


@pytest.mark.parametrize("name", sorted(Policy.model_fields))
def test_any_change_has_another_address(name: str) -> None:
    now = getattr(Policy(), name)
    changed = not now if isinstance(now, bool) else now + (Decimal("0.01") if isinstance(now, Decimal) else 1)
    assert Policy.model_validate({name: changed}).digest != Policy().digest


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 0},
        {"soon_risk_limit": "1.1"},
        {"usual_quantity_factor": "1"},
        {"expire_after_hours": 0},
        {"tolerance_share": "-0.1"},
        {"stale_after_hours": 0},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate(wrong)


def test_the_address_of_the_first_policy_stays() -> None:
    assert Policy().digest == "6a8fbc0849dd00b828442586ccdf1715c08ee25afdd723c5037b16404799e188"
