"""The value caps as a rule: what an order would exceed, in words with its figures."""

from decimal import Decimal

import pytest

from workflows.domain.caps import CapName, Left, capped, exceeded
from workflows.domain.limits import Override
from workflows.domain.policies import Policy

D = Decimal
POLICY = Policy(
    sent_value_per_hour=D(1000), sent_value_per_day=D(5000), supplier_value_per_day=D(2000),
    overrides=(Override(supplier="acme", supplier_value_per_day=D(9000)),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("supplier", "value", "left", "cap"),
    [
        ("bolt", "1000", Left(), None),
        ("bolt", "1000.01", Left(), CapName.HOUR),
        ("bolt", "1", Left(hour=D(1000)), CapName.HOUR),
        ("bolt", "1", Left(day=D(4999)), None),
        ("bolt", "1.01", Left(day=D(4999)), CapName.DAY),
        ("bolt", "1.01", Left(supplier_day=D(1999)), CapName.SUPPLIER_DAY),
        ("acme", "1.01", Left(supplier_day=D(1999)), None),
    ],
)
def test_what_fits_goes_and_what_does_not_names_its_cap(
    supplier: str, value: str, left: Left, cap: CapName | None
) -> None:
    found = exceeded(POLICY, supplier, D(value), "GBP", left)
    assert (found and found.cap) == cap


def test_the_words_have_the_figures() -> None:
    found = exceeded(POLICY, "bolt", D("12.5"), "EUR", Left(supplier_day=D("1990")))
    assert found is not None
    assert found.words == (
        "12.50 EUR and the 1990.00 that left to bolt within 24 hours are above the 2000.00 that may leave without a "
        "person"
    )


def test_without_caps_nothing_is_asked() -> None:
    assert capped(Policy(), "acme") == {}
    assert exceeded(Policy(), "acme", D("1e12"), "GBP", Left(D("1e12"), D("1e12"), D("1e12"))) is None
