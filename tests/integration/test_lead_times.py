"""Lead times and deliveries as PostgreSQL tells them: per order, point in time, open ones included."""

from datetime import date, datetime, timedelta
from typing import Any

from connectors.postgres.catalog import load_history
from connectors.postgres.lead_times import PARTS, delivery_records, lane_times, open_receipts, parts
from connectors.postgres.lead_times import owed as attached
from tests.storeroom import LOCATION, MORNING, SUPPLIER, Storeroom, catalog, clock, counted, event, received
from workflows.domain.events import ShipmentLine, ShipmentStatus, ShipmentUpdated
from workflows.domain.feeds import RecordedReceipt
from workflows.domain.scores import KeptPromises, LeadTimes, OpenReceipt

TODAY = MORNING.date()


def receipt(ordered: date, arrived: date, units: int = 6, item: str = "ITEM-001") -> RecordedReceipt:
    return RecordedReceipt(
        supplier=SUPPLIER, location=LOCATION, item=item, ordered_on=ordered, received_on=arrived, units=units
    )


async def times(storeroom: Storeroom, today: date) -> LeadTimes:
    async with storeroom.database.transaction() as cursor:
        return (await lane_times(cursor, [(SUPPLIER, LOCATION)], today))[SUPPLIER, LOCATION]


async def owed(storeroom: Storeroom, at: datetime, item: str = "ITEM-001") -> Any:
    keys = {"locations": [LOCATION], "items": [item], "today": at.date(), "clock": at}
    async with storeroom.database.transaction() as cursor:
        return (await open_receipts(cursor, keys))[LOCATION, item]


async def ordered(storeroom: Storeroom) -> str:
    """An order of this morning, placed; the supplier named no day yet."""
    await storeroom.stock(catalog(2))
    storeroom.take(counted(9), counted(9, item="ITEM-002"), clock())
    await storeroom.assess()
    for row in storeroom.rows("SELECT decision_id, proposal_hash FROM replenishment ORDER BY decision_id"):
        await storeroom.answer(row["decision_id"])
        assert (await storeroom.orders.release(row["decision_id"], row["proposal_hash"])).released
    order_id = str(storeroom.one("SELECT order_id FROM purchase_order")["order_id"])
    assert await storeroom.place(order_id) is not None
    return order_id


def said(order_id: str, status: ShipmentStatus, at: datetime, expected: datetime | None = None, **lines: int) -> Any:
    body = ShipmentUpdated(
        order_id=order_id, location=LOCATION, status=status, expected_at=expected,
        lines=tuple(ShipmentLine(item=item.replace("_", "-"), units=units) for item, units in lines.items()),
    )  # fmt: skip
    return event(body, at=at)


async def test_what_arrived_later_was_open_on_the_day_that_is_asked_for(storeroom: Storeroom) -> None:
    await storeroom.stock()
    day = TODAY - timedelta(days=50)
    past = [receipt(day, day + timedelta(days=3)), receipt(day + timedelta(days=10), day + timedelta(days=30))]
    load_history(storeroom.connection, [], past, actor="test")
    assert (await times(storeroom, day + timedelta(days=12))).lane_days == (3,) * PARTS
    assert (await times(storeroom, TODAY)).lane_days == (20,) * PARTS + (3,) * PARTS
    assert (await times(storeroom, TODAY)).lane_kept == KeptPromises(judged=2, late=1)
    assert (await times(storeroom, TODAY)).everyone_slips == (0, 17)
    assert (await times(storeroom, TODAY + timedelta(days=400))).lane_days == (), "a year ago is no evidence"


async def test_an_order_came_on_the_day_on_which_most_of_it_came(storeroom: Storeroom) -> None:
    await storeroom.stock()
    day = TODAY - timedelta(days=50)
    came = [receipt(day, day + timedelta(days=3), 70), receipt(day, day + timedelta(days=6), 30, item="ITEM-002")]
    load_history(storeroom.connection, [], came, actor="test")
    seen = await times(storeroom, TODAY)
    assert seen.lane_days == (3, 3, 3, 6), "a quarter of its units each"
    assert seen.lane_kept == KeptPromises(judged=1, late=0), "most of it was there on the promised day"


async def test_an_order_in_flight_is_a_lead_time_of_at_least_its_age(storeroom: Storeroom) -> None:
    await ordered(storeroom)
    (open_receipt,) = await owed(storeroom, MORNING + timedelta(days=1))
    assert (open_receipt.shipped_days_ago, open_receipt.expected_in_days, open_receipt.dated) == (None, None, False)
    assert (open_receipt.promised_days, open_receipt.revised, open_receipt.ordered_days_ago) == (None, False, 1)
    seen = await times(storeroom, TODAY + timedelta(days=9))
    assert (seen.lane_days, seen.lane_waiting, seen.supplier_waiting) == ((), (9,), (9,))
    assert seen.lane_kept == KeptPromises(judged=1, late=1), "three days were promised: it is late already"
    assert (await times(storeroom, TODAY + timedelta(days=2))).lane_kept == KeptPromises()


async def test_the_first_word_is_kept_when_the_supplier_takes_it_back(storeroom: Storeroom) -> None:
    order_id = await ordered(storeroom)
    first, second = MORNING + timedelta(days=3), MORNING + timedelta(days=8)
    storeroom.take(
        said(order_id, ShipmentStatus.ACKNOWLEDGED, MORNING + timedelta(hours=2), first),
        said(order_id, ShipmentStatus.DELAYED, first, second),
        said(order_id, ShipmentStatus.SHIPPED, MORNING + timedelta(days=6), second),
    )
    (open_receipt,) = await owed(storeroom, MORNING + timedelta(days=7))
    assert (open_receipt.promised_days, open_receipt.dated) == (3, True)
    assert (open_receipt.expected_in_days, open_receipt.revised, open_receipt.shipped_days_ago) == (1, True, 1)
    assert open_receipt.supplier == SUPPLIER
    assert (open_receipt.order_lines, open_receipt.order_units) == (2, 2 * open_receipt.units)
    storeroom.take(
        received(open_receipt.units, order_id, at=MORNING + timedelta(days=9)),
        received(open_receipt.units, order_id, item="ITEM-002", at=MORNING + timedelta(days=9)),
    )
    seen = await times(storeroom, TODAY + timedelta(days=10))
    assert (seen.lane_days, seen.slips, seen.revised_slips) == ((9,) * PARTS, (6,), (1,))
    assert (seen.lane_transport_days, seen.supplier_handling_days) == ((3,), (6,))
    assert seen.lane_waiting == ()
    async with storeroom.database.transaction() as cursor:
        (then,) = await delivery_records(cursor, TODAY + timedelta(days=7))
        (now,) = await delivery_records(cursor, TODAY + timedelta(days=10))
    assert (then.received_on, now.received_on) == (None, TODAY + timedelta(days=9))
    assert (now.promised_on, now.dated, now.lines) == (TODAY + timedelta(days=3), True, 2)


async def test_units_that_never_came_are_remembered_as_a_share(storeroom: Storeroom) -> None:
    order_id = await ordered(storeroom)
    (open_receipt,) = await owed(storeroom, MORNING)
    short = open_receipt.units // 4
    at = MORNING + timedelta(days=3)
    storeroom.take(
        said(order_id, ShipmentStatus.SHORTENED, at, None, ITEM_001=short),
        received(open_receipt.units - short, order_id, at=at),
        received(open_receipt.units, order_id, item="ITEM-002", at=at),
    )
    share = 1000 * (open_receipt.units - short) // open_receipt.units
    assert sorted((await times(storeroom, TODAY + timedelta(days=4))).delivered_permille) == [share, 1000]


async def test_what_another_supplier_owes_is_judged_by_that_suppliers_lead_times() -> None:
    mine, other = LeadTimes(promised_days=3, lane_days=(3,)), LeadTimes(promised_days=9, lane_days=(9,))
    receipts = (OpenReceipt(units=1, ordered_days_ago=0, supplier="b"),)
    (found,) = attached(receipts, {("a", "L"): mine, ("b", "L"): other}, "L")
    assert found.lead_times == other


def test_a_delivery_in_parts_counts_by_its_units() -> None:
    first, second = TODAY, TODAY + timedelta(days=2)
    assert parts([second, first], [50, 50]) == [first, first, second, second]
    assert parts([first], [1]) == [first] * PARTS
    assert parts([first, second], [1, 99]) == [second] * PARTS
