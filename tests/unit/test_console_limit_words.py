"""Every limit of a policy is told in words and with its unit: a new one cannot be forgotten."""

import pytest

from console.limit_words import LEVELS, LIMITS, limit, limit_value
from workflows.domain.limits import Autonomy
from workflows.domain.policies import Policy


def test_every_limit_has_words() -> None:
    assert set(LIMITS) == set(Policy.model_fields) - {"version", "overrides"}
    assert set(LEVELS) == set(Autonomy)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("auto_value_limit", "1500", "1,500.00 GBP"),
        ("soon_risk_limit", "0.60", "60 %"),
        ("expire_after_hours", "96", "96 hours"),
        ("usual_quantity_factor", "2.50", "2.5 times"),
        ("four_eyes_above", None, "not set"),
        ("new_item_asks", "yes", "yes"),
        ("autonomy", "L2", "L2: a person approves each order"),
        ("price_deviation_limit", "cost", "cost"),
    ],
)
def test_a_value_carries_its_unit(name: str, value: str | None, shown: str) -> None:
    assert limit_value(name, value, "GBP") == shown


def test_a_limit_of_tomorrow_is_shown_by_its_name() -> None:
    assert limit("a_new_limit") == "A new limit"
    assert limit_value("a_new_limit", "7", "EUR") == "7"
