"""A position is the same whatever order its movements come in; a count is the truth at its instant."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.events import (
    AnyData,
    ClockAdvanced,
    Event,
    SaleCancelled,
    SaleRecorded,
    ShipmentStatus,
    ShipmentUpdated,
    StockAdjusted,
    StockCounted,
    StockReceived,
    StockReserved,
    SupplierUpdated,
)
from workflows.domain.positions import Movement, MovementKind, Position, movement_of, on_hand_after

AT = datetime(2025, 3, 3, 23, 30, tzinfo=UTC)
PLACE: dict[str, Any] = {"item": "A", "location": "B"}


def moved(data: AnyData) -> Movement:
    """The movement of this event."""
    found = movement_of(Event.of(data, id="e", source="s", time=AT))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("data", "kind", "on_hand", "reserved", "demand"),
    [
        (SaleRecorded(**PLACE, sale_id="s", units=3), MovementKind.SALE, -3, 0, 3),
        (SaleCancelled(**PLACE, sale_id="s", units=3, sold_at=AT), MovementKind.CANCELLATION, 3, 0, -3),
        (
            SaleCancelled(**PLACE, sale_id="s", units=3, sold_at=AT, returned_to_stock=False),
            MovementKind.CANCELLATION, 0, 0, -3,
        ),
        (StockAdjusted(**PLACE, delta_units=-2, reason="theft"), MovementKind.ADJUSTMENT, -2, 0, 0),
        (StockReserved(**PLACE, delta_units=2), MovementKind.RESERVATION, 0, 2, 0),
        (StockReceived(**PLACE, units=5), MovementKind.RECEIPT, 5, 0, 0),
        (StockCounted(**PLACE, on_hand_units=5), MovementKind.COUNT, 0, 0, 0),
    ],
)  # fmt: skip
def test_what_each_event_moves(data: AnyData, kind: MovementKind, on_hand: int, reserved: int, demand: int) -> None:
    found = moved(data)
    assert (found.kind, found.on_hand_delta, found.reserved_delta, found.demand_units) == (
        kind, on_hand, reserved, demand,
    )  # fmt: skip
    assert (found.demand_day is not None) == (demand != 0)


def test_news_and_clocks_move_nothing() -> None:
    for data in (
        SupplierUpdated(supplier="a"), ClockAdvanced(location="B", through=AT),
        ShipmentUpdated(order_id="o", location="B", status=ShipmentStatus.SHIPPED),
    ):  # fmt: skip
        assert movement_of(Event.of(data, id="e", source="s", time=AT)) is None


def test_demand_belongs_to_the_utc_day_of_the_sale_and_a_cancelled_one_to_its_own() -> None:
    assert moved(SaleRecorded(**PLACE, sale_id="s", units=1)).demand_day == AT.date()
    earlier = AT - timedelta(days=9)
    assert moved(SaleCancelled(**PLACE, sale_id="s", units=1, sold_at=earlier)).demand_day == earlier.date()


MOVEMENTS = st.lists(
    st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 50)), st.integers(-20, 20)), max_size=12
).map(
    lambda drawn: [
        Movement(
            source="s", event_id=f"{n:02}", item="A", location="B",
            kind=MovementKind.ADJUSTMENT if counted is None else MovementKind.COUNT,
            occurred_at=AT + timedelta(minutes=minute), on_hand_delta=delta if counted is None else 0,
            counted_units=counted,
        )
        for n, (minute, counted, delta) in enumerate(drawn)
    ]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(MOVEMENTS, st.randoms(use_true_random=False))
def test_the_fold_does_not_depend_on_the_order(movements: list[Movement], chance: Random) -> None:
    shuffled = list(movements)
    chance.shuffle(shuffled)
    assert on_hand_after(shuffled) == on_hand_after(movements)


@settings(max_examples=60, deadline=None)
@given(MOVEMENTS, st.integers(0, 50))
def test_nothing_before_a_count_matters_after_it(movements: list[Movement], units: int) -> None:
    count = Movement(
        source="s", event_id="zz", item="A", location="B", kind=MovementKind.COUNT, counted_units=units,
        occurred_at=AT + timedelta(minutes=10),
    )  # fmt: skip
    later = [m for m in movements if m.occurred_at > count.occurred_at]
    assert on_hand_after([*movements, count]) == on_hand_after([count, *later])


def test_available_stock_counts_what_is_on_order_and_not_what_is_promised() -> None:
    position = Position(item="A", location="B", on_hand_units=5, on_order_units=4, reserved_units=2)
    assert position.available_units == 7
