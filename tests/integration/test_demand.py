"""On a real database: what was known at an instant stays reproducible, and every word about demand is on the record."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from connectors.postgres import exposure
from connectors.postgres.catalog import load_history
from connectors.postgres.demand import PostgresDemand
from connectors.postgres.drivers import drivers_of, load_drivers
from connectors.postgres.histories import definition_at, histories_at, histories_of
from connectors.postgres.models import PostgresModels
from connectors.postgres.pool import Database, transaction
from connectors.postgres.shelves import PostgresShelves
from connectors.postgres.sold import sold as sold_days
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog, clock, counted, event, received, sold
from workflows.domain.demand import Cancelled, DemandDefinition, Layer
from workflows.domain.drivers import ExternalValue
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.events import SaleCancelled, SaleRecorded, StockAdjusted
from workflows.domain.feeds import RecordedDemand
from workflows.domain.shelves import ShelfState

ITEM = "ITEM-001"
TODAY = MORNING.date()
YESTERDAY = TODAY - timedelta(days=1)


def past(days: int, *, units: int = 2, every: int = 1, before: int = 1, item: str = ITEM) -> list[RecordedDemand]:
    """Recorded days that end `before` days before today."""
    return [
        RecordedDemand(location=LOCATION, item=item, day=TODAY - timedelta(days=before + n), units=units)
        for n in range(0, days, every)
    ]


async def now(database: Database) -> datetime:
    """The database's clock: the one that stamps what becomes known."""
    async with database.transaction() as cursor:
        await cursor.execute("SELECT clock_timestamp() AS at")
        row = await cursor.fetchone()
        assert row
        return datetime.fromisoformat(str(row["at"]))


async def trained_on(database: Database, known_at: datetime) -> tuple[int | None, ...]:
    """The demand of the item as a training set of that instant has it."""
    found = await PostgresModels(database).training_series(known_at, YESTERDAY)
    return next(one.history.daily_units for one in found if one.item == ITEM)


async def decided_on(database: Database, *, item: str = ITEM) -> tuple[int | None, ...]:
    """The demand of the item as a decision of this moment has it."""
    keys = {"locations": [LOCATION], "items": [item], "since": TODAY - timedelta(days=420), "today": TODAY}
    async with database.transaction() as cursor:
        read = await sold_days(cursor, keys)
        checked = await histories_of(cursor, keys)
    key, history = (LOCATION, item), read.history((LOCATION, item))
    assert history
    assert (history, read.promotions(key)) == (checked.history(key), checked.promotions(key)), "one rule, two readers"
    return history.daily_units


async def test_a_training_set_of_an_earlier_instant_can_be_made_again_after_every_change(
    storeroom: Storeroom, database: Database
) -> None:
    await storeroom.stock(catalog(1))
    load_history(storeroom.connection, past(4), (), actor="test")
    demand = PostgresDemand(database)
    seen: list[tuple[datetime, tuple[int | None, ...]]] = [(await now(database), (2, 2, 2, 2))]
    one = await demand.adjust(LOCATION, ITEM, YESTERDAY, YESTERDAY, Layer.ADJUSTMENT, 9, reason="fair", author="pat")
    seen.append((await now(database), (2, 2, 2, 9)))
    first = TODAY - timedelta(days=4)
    await demand.adjust(LOCATION, ITEM, first, first, Layer.CENSORED, None, reason="shelf was rebuilt", author="kim")
    seen.append((await now(database), (None, 2, 2, 9)))
    await demand.withdraw(one.adjustment_id, reason="wrong item", author="pat")
    seen.append((await now(database), (None, 2, 2, 2)))
    storeroom.take(sold(90, at=MORNING - timedelta(days=2)))
    seen.append((await now(database), (None, 2, 92, 2)))
    await demand.adopt(DemandDefinition(version=2, sale_cap_units=5), "pat")
    seen.append((await now(database), (None, 2, 7, 2)))
    for instant, units in seen:
        assert await trained_on(database, instant) == units
    assert await decided_on(database) == seen[-1][1], "a decision sees what training sees"


async def test_the_definition_says_which_events_count(storeroom: Storeroom, database: Database) -> None:
    await storeroom.stock(catalog(1))
    days = [MORNING - timedelta(days=n) for n in (3, 2, 1)]
    late = SaleCancelled(item=ITEM, location=LOCATION, sale_id="s", units=3, sold_at=days[0])
    soon = SaleCancelled(item=ITEM, location=LOCATION, sale_id="t", units=1, sold_at=days[1])
    moved = [StockAdjusted(item=ITEM, location=LOCATION, delta_units=-4, reason=why) for why in ("Transfer", "theft")]
    storeroom.take(
        sold(5, at=days[0]), sold(6, at=days[1]), event(late, at=MORNING), event(soon, at=days[1]),
        *(event(one, at=days[2]) for one in moved),
    )  # fmt: skip
    demand = PostgresDemand(database)
    rules: list[tuple[dict[str, Any], tuple[int, ...]]] = [
        ({}, (2, 5, 0)),
        ({"return_after_days": 1}, (5, 5, 0)),
        ({"cancelled_sales": Cancelled.STAYS}, (5, 6, 0)),
        ({"counted_reasons": ("transfer",)}, (2, 5, 4)),
        ({"counted_reasons": ("THEFT", "transfer")}, (2, 5, 8)),
        ({"sale_cap_units": 4}, (1, 3, 0)),
    ]
    for version, (rule, units) in enumerate(rules, start=1):
        await demand.adopt(DemandDefinition.model_validate({"version": version, **rule}), "pat")
        found = await decided_on(database)
        assert (*found, 0, 0)[:3] == units, rule
        known = await trained_on(database, await now(database))
        assert known == found


async def test_definitions_follow_each_other_and_are_kept(storeroom: Storeroom, database: Database) -> None:
    demand = PostgresDemand(database)
    assert not await demand.adopt(DemandDefinition(), "pat"), "it is in force already"
    second = DemandDefinition(version=2, outlier_factor=9)
    assert await demand.adopt(second, "pat")
    assert not await demand.adopt(second, "pat")
    with pytest.raises(Conflict, match="version 2 is in force: the next one is 3, not 2"):
        await demand.adopt(DemandDefinition(version=2), "pat")
    assert await demand.definition() == second
    assert await demand.definition(DemandDefinition().digest) == DemandDefinition()
    assert await demand.definition(second.digest) == second
    with pytest.raises(NotFound):
        await demand.definition("0" * 64)
    async with database.transaction() as cursor:
        assert await definition_at(cursor, MORNING) == DemandDefinition(), "as of before it was adopted"
    with pytest.raises(psycopg.errors.RaiseException, match="is kept"), storeroom.connection.transaction():
        storeroom.connection.execute("DELETE FROM demand_definition")
    assert storeroom.verified().ok


async def test_the_definition_is_named_in_what_a_decision_rests_on(storeroom: Storeroom, database: Database) -> None:
    await storeroom.stock()
    storeroom.take(counted(9), sold(3), clock())
    await storeroom.assess()
    row = storeroom.one("SELECT e.body FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256 LIMIT 1")
    assert f'"demand_definition":"{DemandDefinition().digest}"'.encode() in bytes(row["body"])


async def test_words_are_refused_that_make_no_sense_and_said_twice_are_one(
    storeroom: Storeroom, database: Database
) -> None:
    await storeroom.stock(catalog(1))
    demand = PostgresDemand(database)
    said = (LOCATION, ITEM, YESTERDAY, YESTERDAY, Layer.ADJUSTMENT, 4)
    one = await demand.adjust(*said, reason="fair", author="pat")
    assert await demand.adjust(*said, reason="fair", author="pat") == one
    other = await demand.adjust(*said, reason="no, the market", author="pat")
    assert other.adjustment_id != one.adjustment_id
    with pytest.raises(InvalidInput, match="takes no units"):
        await demand.adjust(LOCATION, ITEM, TODAY, TODAY, Layer.CENSORED, 4, reason="x", author="pat")
    with pytest.raises(InvalidInput, match="reason"):
        await demand.adjust(LOCATION, ITEM, TODAY, TODAY, Layer.CENSORED, None, reason=" ", author="pat")
    with pytest.raises(NotFound, match="no item NOTHING"):
        await demand.adjust(LOCATION, "NOTHING", TODAY, TODAY, Layer.CENSORED, None, reason="x", author="pat")
    with pytest.raises(NotFound, match="no adjustment x"):
        await demand.withdraw("x", reason="y", author="pat")
    await demand.withdraw(one.adjustment_id, reason="wrong", author="kim")
    await demand.withdraw(one.adjustment_id, reason="again", author="pat")
    assert [(s.withdrawn_by, s.withdrawn_reason) for s in await demand.said(LOCATION, ITEM)] == [
        ("kim", "wrong"), (None, None),
    ]  # fmt: skip
    rows = storeroom.rows("SELECT type FROM ledger_entry WHERE stream = %s ORDER BY seq", f"demand:{LOCATION}:{ITEM}")
    assert [row["type"] for row in rows] == ["demand.adjusted", "demand.adjusted", "demand.withdrawn"]


def at_hour(day: date, hour: int) -> datetime:
    """An instant of a day."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


async def test_a_day_on_which_the_shelf_sold_empty_counts_by_its_exposure(
    storeroom: Storeroom, database: Database
) -> None:
    await storeroom.stock(catalog(3))
    start = YESTERDAY - timedelta(days=3)
    busy = [  # Sales at every hour from 8 to 19, so that everybody knows when people buy.
        sold(1, item="ITEM-002", at=at_hour(day, hour))
        for day in (start - timedelta(days=n) for n in range(1, 27))
        for hour in (*range(8, 20), *range(8, 20))
    ]  # fmt: skip
    storeroom.take(*busy, counted(9, at=at_hour(start, 1)), counted(9, item="ITEM-003", at=at_hour(start, 1)))
    storeroom.take(clock(at_hour(start - timedelta(days=27), 2)), clock(at_hour(start, 2)))
    storeroom.take(sold(9, at=at_hour(start, 17)), sold(9, item="ITEM-003", at=at_hour(start, 9)))
    storeroom.take(clock(at_hour(start + timedelta(days=1), 2)))
    storeroom.take(received(20, None, at=at_hour(start + timedelta(days=1), 11)))
    storeroom.take(sold(6, at=at_hour(start + timedelta(days=1), 15)))
    storeroom.take(clock(at_hour(start + timedelta(days=2), 2)))
    rows = storeroom.rows("SELECT item, day, exposure_permille FROM day_exposure ORDER BY item, day")
    shares = {(row["item"], (row["day"] - start).days): row["exposure_permille"] for row in rows}
    assert set(shares) == {(ITEM, 0), (ITEM, 1), ("ITEM-003", 0)}
    assert 700 <= shares[ITEM, 0] <= 800, "sold empty at five"
    assert 700 <= shares[ITEM, 1] <= 800, "filled at eleven"
    assert shares["ITEM-003", 0] <= 200
    assert (await decided_on(database))[:2] == (
        round(9000 / shares[ITEM, 0]), round(6000 / shares[ITEM, 1]),
    )  # fmt: skip
    assert (await decided_on(database, item="ITEM-003"))[0] is None, "an hour says nothing of a day"
    with transaction(storeroom.connection) as cursor:
        assert exposure.expose(cursor, LOCATION, start, start) == 2
    assert len(storeroom.rows("SELECT 1 AS x FROM day_exposure")) == 3, "working it out again changes nothing"


async def test_a_silent_shelf_is_found_and_a_count_of_zero_makes_its_silence_missing(
    storeroom: Storeroom, database: Database
) -> None:
    await storeroom.stock(catalog(3))
    others = [*past(100, units=1, item="ITEM-002")]
    load_history(storeroom.connection, [*past(80, before=16), *others], (), actor="test")
    storeroom.take(counted(40, at=MORNING - timedelta(days=30)), counted(1, item="ITEM-002"), clock())
    shelves = PostgresShelves(database)
    assert await shelves.watch(LOCATION, YESTERDAY) == (0, 1)
    assert await shelves.watch(LOCATION, YESTERDAY) == (0, 0), "it is found once"
    (found,) = await shelves.findings(ShelfState.OPEN)
    silent = TODAY - timedelta(days=15)
    assert (found["item"], found["silent_since"], found["on_hand_units"]) == (ITEM, silent, 40)
    assert found["usual_units"] == Decimal(30)
    assert (await decided_on(database))[-15:] == (0,) * 15, "until somebody counts, silence is no demand"
    before = await now(database)
    storeroom.take(counted(0, at=MORNING))
    assert await shelves.watch(LOCATION, TODAY) == (1, 0)
    (settled,) = await shelves.findings(ShelfState.CONFIRMED)
    assert (settled["counted_units"], settled["adjustment_id"]) == (0, f"{LOCATION}:{ITEM}:{silent}:phantom")
    assert (await decided_on(database))[-16:] == (2, *(None,) * 15)
    assert (await trained_on(database, before))[-15:] == (0,) * 15, "as it was known then"
    (said,) = await PostgresDemand(database).said(LOCATION, ITEM)
    assert (said.adjustment.layer, said.adjustment.author) == (Layer.PHANTOM_STOCK, "engine")
    assert storeroom.verified().ok


@pytest.mark.parametrize(("counted_days_ago", "found"), [(30, 1), (1, 0)])
async def test_silence_begins_after_the_newest_count_that_saw_goods(
    storeroom: Storeroom, database: Database, counted_days_ago: int, found: int
) -> None:
    await storeroom.stock(catalog(3))
    load_history(storeroom.connection, [*past(80, before=16), *past(100, item="ITEM-002")], (), actor="test")
    storeroom.take(counted(40, at=MORNING - timedelta(days=counted_days_ago)), clock())
    assert await PostgresShelves(database).watch(LOCATION, YESTERDAY) == (0, found)


@pytest.mark.parametrize("news", ["count", "sale"])
async def test_a_count_above_zero_or_a_sale_ends_the_suspicion(
    storeroom: Storeroom, database: Database, news: str
) -> None:
    await storeroom.stock(catalog(3))
    load_history(storeroom.connection, [*past(80, before=16), *past(100, item="ITEM-002")], (), actor="test")
    storeroom.take(counted(40, at=MORNING - timedelta(days=30)), clock())
    shelves = PostgresShelves(database)
    assert await shelves.watch(LOCATION, YESTERDAY) == (0, 1)
    storeroom.take(counted(38, at=MORNING) if news == "count" else sold(1, at=MORNING))
    assert await shelves.watch(LOCATION, TODAY) == (1, 0)
    assert len(await shelves.findings(ShelfState.REFUTED if news == "count" else ShelfState.SOLD)) == 1
    assert await PostgresDemand(database).said(LOCATION, ITEM) == []
    tomorrow = TODAY + timedelta(days=1)
    assert await shelves.watch(LOCATION, tomorrow) == (0, 0), "the goods were seen: silence begins anew"


async def test_drivers_are_as_known_at_the_decisions_instant_and_never_what_came_true(
    storeroom: Storeroom, database: Database
) -> None:
    await storeroom.stock(catalog(1))

    def told(day: date, value: str, known_at: datetime, place: str = LOCATION) -> ExternalValue:
        return ExternalValue(location=place, name="temperature", day=day, value=Decimal(value), known_at=known_at)

    values = [
        told(YESTERDAY, "5", at_hour(YESTERDAY, 0) - timedelta(hours=6)),
        told(YESTERDAY, "9", at_hour(YESTERDAY, 20)),
        told(TODAY, "6", MORNING - timedelta(days=2)),
        told(TODAY, "7", MORNING - timedelta(days=1)),
        told(TODAY + timedelta(days=1), "8", MORNING + timedelta(hours=1)),
        told(TODAY + timedelta(days=1), "3", MORNING - timedelta(hours=1), "*"),
        told(TODAY, "3", MORNING - timedelta(days=1), "*"),
    ]
    assert load_drivers(storeroom.connection, values, actor="test") == (7, 7)
    assert load_drivers(storeroom.connection, values, actor="test") == (7, 0)
    paid = [(2, "4.00", -2), (1, "1.00", -2), (4, "3.50", -1), (5, "2.00", 0)]
    storeroom.take(*(
        event(
            SaleRecorded(item=ITEM, location=LOCATION, sale_id=f"p{n}", units=units, unit_price=Decimal(price)),
            at=MORNING + timedelta(days=days),
        )
        for n, (units, price, days) in enumerate(paid)
    ))  # fmt: skip
    since = TODAY - timedelta(days=30)
    for recorded_by in (None, await now(database)):
        async with database.transaction() as cursor:
            found = await drivers_of(cursor, [(LOCATION, ITEM)], MORNING, since, recorded_by)
        weather, price = found[LOCATION, ITEM]
        assert (weather.name, weather.first_day, weather.known_ahead) == ("temperature", YESTERDAY, True)
        assert weather.values == (Decimal(5), Decimal(7), Decimal(3)), (
            "issued before the day, by the decision's instant"
        )
        assert (price.name, price.known_ahead) == ("price", False)
        assert price.values == (Decimal("3.0000"), Decimal("3.5000")), "the mean paid, days that are over only"
    async with database.transaction() as cursor:
        before = await drivers_of(cursor, [(LOCATION, ITEM)], MORNING, since, MORNING)
    assert before[LOCATION, ITEM] == (), "nothing had reached this database then"


async def test_an_instant_before_everything_knows_nothing(storeroom: Storeroom, database: Database) -> None:
    await storeroom.stock(catalog(1))
    load_history(storeroom.connection, past(4), (), actor="test")
    async with database.transaction() as cursor:
        known = await histories_at(cursor, MORNING, YESTERDAY)
    assert not known.days
    assert known.history((LOCATION, ITEM)) is None
    assert known.promotions((LOCATION, ITEM)) == ()
