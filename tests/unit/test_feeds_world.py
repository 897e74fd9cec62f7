"""The demo world repeats itself exactly, sells only what is there, and has everything that a replenisher must meet."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from connectors.feeds.suppliers import FAILING, LATE
from connectors.feeds.world import DemoWorld
from connectors.feeds.world_demand import Pattern
from workflows.domain.errors import InvalidInput
from workflows.domain.events import (
    Event,
    SaleCancelled,
    SaleRecorded,
    StockAdjusted,
    StockCounted,
    SupplierUpdated,
    parse,
)
from workflows.domain.feeds import FeedSource, StockKey
from workflows.domain.positions import Movement, movement_of, on_hand_after

FIRST_DAY = date(2025, 3, 3)


@pytest.fixture(scope="module")
def world() -> DemoWorld:
    return DemoWorld()


def _opening_stock(world: DemoWorld) -> dict[StockKey, int]:
    counts = filter(None, map(movement_of, world.opening()))
    return {(count.location, count.item): count.counted_units or 0 for count in counts}


def _days(world: DemoWorld) -> Iterator[date]:
    return (world.first_day + timedelta(days=n) for n in range((world.last_day - world.first_day).days + 1))


def _plays(world: DemoWorld, top_up_to: int) -> Iterator[tuple[date, dict[StockKey, int], list[Event]]]:
    """Each day with the morning's stock; whoever falls below half of `top_up_to` is filled up in the night."""
    stock = _opening_stock(world)
    for day in _days(world):
        morning = dict(stock)
        events = world.day(day, morning)
        yield day, morning, events
        for movement in filter(None, map(movement_of, events)):
            stock[movement.location, movement.item] += movement.on_hand_delta
        for key, units in stock.items():
            stock[key] = top_up_to if units < top_up_to // 2 else units


def test_the_world_is_a_feed_source(world: DemoWorld) -> None:
    source: FeedSource = world
    assert (source.first_day, source.last_day) == (FIRST_DAY, FIRST_DAY + timedelta(days=27))
    assert len(source.catalog.locations) == 3
    assert len(source.opening()) == 360
    kept = {(s.location, s.item) for s in source.catalog.sourcing}
    assert kept == set(_opening_stock(world))


def test_equal_seeds_make_equal_worlds_and_other_seeds_others(world: DemoWorld) -> None:
    again, other = DemoWorld(), DemoWorld(seed=8)
    stock = _opening_stock(world)
    assert again.catalog == world.catalog
    assert again.opening() == world.opening()
    assert list(again.recorded_demand()) == list(world.recorded_demand())
    assert list(again.recorded_receipts()) == list(world.recorded_receipts())
    middle = FIRST_DAY + timedelta(days=11)
    assert again.day(middle, stock) == world.day(middle, stock)
    assert other.day(middle, stock) != world.day(middle, stock)
    assert other.opening()[0].source != world.opening()[0].source


def test_a_day_does_not_depend_on_the_days_asked_for_before(world: DemoWorld) -> None:
    stock = _opening_stock(world)
    fresh = DemoWorld()
    for day in reversed(list(_days(world))[:5]):
        assert fresh.day(day, stock) == world.day(day, stock)


def test_what_is_not_on_the_shelf_is_not_sold(world: DemoWorld) -> None:
    for _, morning, events in _plays(world, top_up_to=3):
        gone: Counter[StockKey] = Counter()
        for event in events:
            if isinstance(event.data, SaleRecorded):
                gone[event.data.location, event.data.item] += event.data.units
            if isinstance(event.data, StockAdjusted):
                gone[event.data.location, event.data.item] -= event.data.delta_units
        assert all(units <= morning[key] for key, units in gone.items())
    assert not [e for e in world.day(FIRST_DAY, {}) if isinstance(e.data, SaleRecorded | StockAdjusted)]


def test_a_well_supplied_month_has_what_a_replenisher_must_meet(world: DemoWorld) -> None:
    kinds: Counter[type] = Counter()
    identities: list[tuple[str, str]] = [(e.source, e.id) for e in world.opening()]
    shares = []
    for _, _, events in _plays(world, top_up_to=80):
        kinds.update(type(event.data) for event in events)
        identities.extend((event.source, event.id) for event in events)
        sold = {e.data.key for e in events if isinstance(e.data, SaleRecorded)}
        shares.append(len(sold) / 360)
        assert events == sorted(events, key=lambda event: event.time)
        for event in events:
            assert parse(event.to_bytes()) == event
    assert len(identities) == len(set(identities))
    assert kinds[SaleRecorded] > 6_000
    assert 0.4 < sum(shares) / len(shares) < 0.65
    assert min(kinds[kind] for kind in (SaleCancelled, StockAdjusted, StockCounted, SupplierUpdated)) > 0


def test_sales_are_made_in_opening_hours_and_cancelled_the_same_or_next_day(world: DemoWorld) -> None:
    delays = set()
    for day, _, events in _plays(world, top_up_to=80):
        sales = {e.data.sale_id: e for e in events if isinstance(e.data, SaleRecorded)}
        assert all(sale.time.date() == day and 8 <= sale.time.hour < 20 for sale in sales.values())
        for event in events:
            if isinstance(event.data, SaleCancelled):
                sale = sales[event.data.sale_id]
                assert isinstance(sale.data, SaleRecorded)
                assert (event.data.sold_at, event.data.units) == (sale.time, sale.data.units)
                assert event.time > sale.time
                delays.add((event.time.date() - day).days)
    assert delays == {0, 1}


def test_a_count_agrees_with_the_fold_at_its_moment(world: DemoWorld) -> None:
    movements: dict[StockKey, list[Movement]] = {}
    for event in world.opening():
        opening = movement_of(event)
        assert opening is not None
        movements[opening.location, opening.item] = [opening]
    counts = 0
    for day in _days(world):
        morning = {key: on_hand_after(moved) for key, moved in movements.items()}
        for moved in filter(None, map(movement_of, world.day(day, morning))):
            before = movements[moved.location, moved.item]
            if moved.counted_units is not None:
                assert moved.counted_units == on_hand_after(before)
                counts += 1
            before.append(moved)
    assert counts > 20


def test_the_past_has_promotions_empty_shelves_and_articles_without_a_past(world: DemoWorld) -> None:
    past = list(world.recorded_demand())
    assert min(row.day for row in past) <= FIRST_DAY - timedelta(days=495)
    assert max(row.day for row in past) == FIRST_DAY - timedelta(days=1)
    empty = [row for row in past if not row.in_stock]
    assert empty
    assert all(row.units == 0 for row in empty)
    steady = {(one.location, one.item) for one in world._series if one.pattern is Pattern.SMOOTH}
    sold = [row for row in past if row.in_stock and (row.location, row.item) in steady]
    promoted, plain = ([row.units for row in sold if row.promotion is known] for known in (True, False))
    assert sum(promoted) / len(promoted) > 1.4 * sum(plain) / len(plain)
    assert len({(row.location, row.item, row.day) for row in past}) == len(past)
    days_known = Counter((row.location, row.item) for row in past)
    new = [one for one in world._series if one.pattern is Pattern.NEW]
    assert new
    assert all(days_known[one.location, one.item] <= 12 for one in new)
    assert {one.pattern for one in world._series} == set(Pattern)


def test_past_deliveries_show_who_is_late(world: DemoWorld) -> None:
    promised = {s.supplier: s.lead_time_days for s in world.catalog.sourcing}
    late: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for receipt in world.recorded_receipts():
        assert receipt.ordered_on < receipt.received_on < FIRST_DAY
        total[receipt.supplier] += 1
        late[receipt.supplier] += (receipt.received_on - receipt.ordered_on).days > promised[receipt.supplier] + 4
    share = {supplier: late[supplier] / total[supplier] for supplier in total}
    assert max(share, key=lambda supplier: share[supplier]) == LATE.code
    assert share[LATE.code] > 0.3


def test_one_supplier_refuses_in_the_middle_and_some_articles_have_a_second_source(world: DemoWorld) -> None:
    refusing = [b for b in world.behaviours if b.refuses]
    assert [b.supplier for b in refusing] == [FAILING.code]
    since, until = refusing[0].refuses[0]
    assert world.first_day < since <= until < world.last_day
    ranks = Counter(source.rank for source in world.catalog.sourcing)
    assert 0 < ranks[2] < ranks[1] == 360
    assert {s.lead_time_days for s in world.catalog.sourcing} == {2, 3, 4, 5, 7, 12}


def test_order_lines_are_worth_tens_to_hundreds_with_a_tail(world: DemoWorld) -> None:
    cost = {(s.location, s.item): s.unit_cost for s in world.catalog.sourcing if s.rank == 1}
    worth = sorted(float(cost[one.location, one.item]) * one.daily_units * 12 for one in world._series)
    assert 50 < worth[len(worth) // 2] < 300
    assert worth[-1] > 1_000


@pytest.mark.parametrize(
    "arguments", [{"days": 0}, {"items": 0}, {"items": 10_000}, {"days": 10**6}, {"first_day": date(1, 1, 2)}]
)
def test_a_world_that_cannot_be_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        DemoWorld(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("days", [1, 2, 7])
def test_short_worlds_work_and_other_days_are_empty(days: int) -> None:
    world = DemoWorld(days=days, items=12)
    assert len(world.opening()) == 36
    assert world.day(world.last_day + timedelta(days=1), _opening_stock(world)) == []
    assert world.report().events == 0
    made = sum(len(world.day(day, _opening_stock(world))) for day in _days(world))
    assert world.report().events == made > 0
