"""The shelves of a location are looked at once for each business day that is over, by nobody's asking."""

from datetime import timedelta

from activities.learning.watching import DriftWatching
from activities.monitoring import MonitoringActivities
from connectors.postgres.catalog import load_history
from connectors.postgres.monitoring import PostgresMonitoring
from connectors.postgres.pool import Database
from connectors.postgres.shelves import CATCH_UP_DAYS, PostgresShelves
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog, clock, counted
from workflows.domain.feeds import RecordedDemand
from workflows.domain.shelves import ShelfState

TODAY = MORNING.date()
YESTERDAY = TODAY - timedelta(days=1)
DAY = timedelta(days=1)


async def test_each_closed_day_is_due_once_and_after_a_pause_only_the_newest_days(
    storeroom: Storeroom, database: Database
) -> None:
    shelves = PostgresShelves(database)
    assert await shelves.due() == [], "there is no clock yet"
    storeroom.take(clock())
    assert await shelves.due() == [(LOCATION, YESTERDAY)], "the past before the first look is not gone through"
    await shelves.watch(LOCATION, YESTERDAY)
    assert await shelves.due() == []
    storeroom.take(clock(MORNING + 2 * DAY))
    assert await shelves.due() == [(LOCATION, TODAY), (LOCATION, TODAY + DAY)]
    await shelves.watch(LOCATION, TODAY + DAY)
    await shelves.watch(LOCATION, TODAY)
    assert await shelves.due() == [], "a day that is looked at late makes no other due again"
    storeroom.take(clock(MORNING + 40 * DAY))
    due = [day for _, day in await shelves.due()]
    assert due == [TODAY + n * DAY for n in range(40 - CATCH_UP_DAYS, 40)]


async def test_monitoring_finds_a_silent_shelf_and_puts_it_on_record_once(
    storeroom: Storeroom, database: Database
) -> None:
    await storeroom.stock(catalog(3))
    past = [
        RecordedDemand(location=LOCATION, item=item, day=TODAY - timedelta(days=n), units=2)
        for item, first in (("ITEM-001", 16), ("ITEM-002", 1))
        for n in range(first, 100)
    ]
    load_history(storeroom.connection, past, (), actor="test")
    storeroom.take(counted(40, at=MORNING - timedelta(days=30)), clock())
    work = MonitoringActivities(PostgresMonitoring(database), DriftWatching(), PostgresShelves(database))
    closed = await work.watch()
    assert (closed.shelves_suspected, closed.shelves_settled) == (1, 0)
    again = await work.watch()
    assert (again.shelves_suspected, again.shelves_settled) == (0, 0)
    storeroom.take(counted(0), clock(MORNING + DAY))
    assert (await work.watch()).shelves_settled == 1
    assert len(await PostgresShelves(database).findings(ShelfState.CONFIRMED)) == 1
    kinds = [row["type"] for row in storeroom.rows(
        "SELECT type FROM ledger_entry WHERE stream = %s ORDER BY seq", f"demand:{LOCATION}:ITEM-001"
    )]  # fmt: skip
    assert kinds == ["shelf.suspected", "shelf.settled"]
    assert storeroom.verified().ok
