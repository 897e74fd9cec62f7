"""What is written in one pass has the bytes of the long way round, whatever is in it."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.domain.catalog import Supplier
from workflows.domain.demand import DemandDefinition
from workflows.domain.identity import canonical, made
from workflows.domain.policies import Policy
from workflows.domain.quantities import WaterfallStep
from workflows.domain.scores import DayForecast, LeadTimes, Promotion, Wider
from workflows.domain.writing import written

MOMENT = datetime(2026, 3, 1, 5, 0, 0, 250, tzinfo=timezone(timedelta(hours=2)))
DAY = date(2026, 3, 1)
PAYLOADS = [
    Supplier(supplier="S1", name='Müller & "Söhne" \U0001f600\n'),
    Supplier(supplier="S1", name="x", minimum_order_value=Decimal("1E+3"), cost_per_order=Decimal("0.10")),
    DayForecast(day=DAY, p10=Decimal("0.000"), p50=Decimal("1.5"), p90=Decimal("2"), wider=Wider(1, 2, 3, 4)),
    DayForecast(day=DAY, p10=Decimal(0), p50=Decimal("1.5"), p90=Decimal("2")),
    LeadTimes(promised_days=3, lane_days=(1, 2), slips=(-1, 2**60)),
    WaterfallStep(step="a", units=-(2**53), rule="b", cost=Decimal("-0.5000")),
    DemandDefinition(version=2, counted_reasons=("lost",)),
    Policy(version=3),
]
VALUES: list[Any] = [
    *PAYLOADS, MOMENT, [MOMENT, DAY], {"b": 1, "a": (True, None)}, {"x", "y"}, 2**53, 2**53 - 1, -(2**53), "\x7f\u2028",
    {"\U0001f600": 1, "\uffff": 2}, (), [[]],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_written_is_what_is_hashed(value: Any) -> None:
    assert written(value).encode() == canonical(value)
    assert written([value, (value,)]).encode() == canonical([value, [value]])


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False)
    | st.dates() | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=12,
))  # fmt: skip
def test_any_document_is_written_alike(value: Any) -> None:
    assert written(value).encode() == canonical(value)


def test_a_float_has_no_canonical_form() -> None:
    unchecked: Any = 1.5
    for value in (1.5, [1.5], Promotion.model_construct(first_day=unchecked, last_day=DAY)):
        with pytest.raises(TypeError, match="canonical"):
            written(value)


def test_what_is_known_is_not_walked_again() -> None:
    supplier = Supplier(supplier="S1", name="x")
    assert written([supplier], {id(supplier): "known"}) == "[known]"


def test_what_is_made_without_checks_is_what_checks_would_have_made() -> None:
    checked = Supplier(supplier="S1", name="x")
    quick = made(Supplier, {"supplier": "S1", "name": "x"})
    assert quick == checked
    assert quick.model_dump() == checked.model_dump()
    assert quick.model_copy(update={"name": "y"}).name == "y"
    assert hash(quick) == hash(checked)
