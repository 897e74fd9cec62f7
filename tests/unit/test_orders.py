"""Orders have an identity from business facts, cycles that close at a known hour, and states with one meaning."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.identity import canonical, order_id, order_key
from workflows.domain.orders import (
    CUTOFF_HOUR,
    OrderLine,
    OrderState,
    PurchaseOrder,
    lines_digest,
    order_cycle,
)

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - zoned


def order(*lines: tuple[str, int]) -> PurchaseOrder:
    """An order of these lines."""
    return PurchaseOrder(
        order_id=order_id("acme", "LEEDS", "2025-03-03", 1), key=order_key("acme", "LEEDS", "2025-03-03", 1),
        supplier="acme", location="LEEDS", cycle="2025-03-03", currency="EUR",
        ordered_at=datetime(2025, 3, 3, 6, tzinfo=UTC),
        lines=tuple(
            OrderLine(line_no=n, need_id=f"LEEDS:{item}:1", item=item, units=units, unit_cost=Decimal("4.20"))
            for n, (item, units) in enumerate(lines, start=1)
        ),
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(MOMENTS)
def test_a_line_joins_the_next_cutoff_and_never_a_past_one(clock: datetime) -> None:
    cycle, cutoff = order_cycle(clock)
    assert clock < cutoff <= clock + timedelta(days=1)
    assert (cutoff.hour, cutoff.minute, cutoff.second, cutoff.microsecond) == (CUTOFF_HOUR, 0, 0, 0)
    assert cycle == cutoff.date().isoformat()
    assert order_cycle(cutoff - timedelta(microseconds=1)) == (cycle, cutoff)
    assert order_cycle(cutoff)[1] == cutoff + timedelta(days=1)


@settings(max_examples=50, deadline=None)
@given(MOMENTS, st.integers(-14, 14))
def test_a_cycle_does_not_depend_on_how_the_instant_is_written(clock: datetime, hours: int) -> None:
    assert order_cycle(clock.astimezone(timezone(timedelta(hours=hours)))) == order_cycle(clock)


def test_the_digest_of_lines_knows_items_and_units_and_nothing_else() -> None:
    one, other = order(("A", 6), ("B", 12)), order(("B", 12), ("A", 6))
    assert one.lines_digest == other.lines_digest == lines_digest([("B", 12), ("A", 6)])
    assert order(("A", 6), ("B", 13)).lines_digest != one.lines_digest
    assert order(("A", 6)).lines_digest != order(("A", 6), ("A", 6)).lines_digest
    assert one.total == Decimal("75.60")


def test_a_payload_read_back_is_the_same_bytes() -> None:
    one = order(("A", 6), ("B", 12))
    assert canonical(PurchaseOrder.model_validate_json(canonical(one))) == canonical(one)


def test_a_state_is_final_or_on_order_or_neither_but_never_both() -> None:
    assert not [state for state in OrderState if state.is_final and state.counts_as_on_order]
    assert {state for state in OrderState if not state.is_final} == {
        state for state in OrderState if state.counts_as_on_order
    }
