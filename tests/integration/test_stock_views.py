"""Positions, sales and the facts of forecasts on a real database, against the raw rows that they are made of."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from connectors.postgres.demand_views import PostgresDemandViews
from connectors.postgres.figures import PostgresFigures
from connectors.postgres.money import PostgresMoney
from connectors.postgres.sales_views import PostgresSales
from connectors.postgres.stock_views import PostgresStock
from tests.integration.test_figures import folded, shop
from tests.storeroom import LOCATION, MORNING, Storeroom
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.forecasts import ForecastRequest
from workflows.domain.sales_views import SalesBy, SalesPeriod, SalesQuery
from workflows.domain.stock_views import PositionQuery, PositionRow

__all__ = ["shop"]


async def test_positions_are_those_of_the_newest_decisions_worst_first(shop: Storeroom) -> None:
    stock, places = PostgresStock(shop.database), folded(shop)
    rows: list[PositionRow] = []
    while page := await stock.positions(PositionQuery(limit=5, after=rows[-1].key if rows else None)):
        rows += page
    assert {row.item for row in rows} == set(places)
    assert len(rows) == len(places)
    for row in rows:
        place = places[row.item]
        assert (row.on_hand_units, row.reserved_units, row.available_units) == (
            place.on_hand, place.reserved, place.available,
        )  # fmt: skip
        assert row.decided_at == place.decided_at
        assert place.scores
        assert row.risk == Decimal(place.scores["stockout_risk"])
    risks = [row.risk or Decimal(0) for row in rows]
    assert risks == sorted(risks, reverse=True)
    critical = await stock.positions(PositionQuery(critical=True))
    assert [row.item for row in critical] == [row.item for row in rows if row.risk and row.risk >= Decimal("0.2")]
    assert [row.item for row in await stock.positions(PositionQuery(text="item-01"))]
    for nothing in ({"text": "100%"}, {"location": "YORK"}, {"category": "toys"}, {"supplier": "acm"}):
        assert await stock.positions(PositionQuery.model_validate(nothing)) == []
    everything = {"location": LOCATION, "category": "things", "supplier": "acme", "text": "Item"}
    assert len(await stock.positions(PositionQuery.model_validate(everything))) == len(rows)
    with pytest.raises(InvalidInput, match="no position"):
        await stock.positions(PositionQuery(after="nobody"))
    moved = await stock.movements(LOCATION, "ITEM-001", 3)
    further = await stock.movements(LOCATION, "ITEM-001", 500, (moved[-1].occurred_at, moved[-1].event_id))
    total = shop.one("SELECT count(*) AS n FROM movement WHERE item = 'ITEM-001'")["n"]
    assert len(moved) + len(further) == total
    assert (await stock.choices()).categories == ("things",)


async def test_sales_are_the_sums_of_single_sales(shop: Storeroom) -> None:
    await PostgresFigures(shop.database, PostgresMoney(shop.database)).refresh()
    sales = PostgresSales(shop.database)
    report = await sales.report(SalesQuery(by=SalesBy.CATEGORY, period=SalesPeriod.WEEK, periods=40))
    by_week: dict[date, int] = defaultdict(int)
    for row in shop.rows(
        """SELECT demand_day AS day, demand_units AS units FROM movement WHERE demand_day IS NOT NULL
           UNION ALL SELECT day, units FROM recorded_demand"""
    ):
        by_week[row["day"] - timedelta(days=row["day"].weekday())] += row["units"]
    assert {point.first_day: point.units for point in report.points} == dict(by_week)
    assert report.priced_share == 0, "no sale had a price"
    single = await sales.report(SalesQuery(by=SalesBy.ITEM, item="ITEM-003", periods=104))
    raw = shop.one("SELECT sum(demand_units) AS n FROM movement WHERE item = 'ITEM-003'")["n"]
    past = shop.one(
        "SELECT sum(units) AS n FROM recorded_demand WHERE item = 'ITEM-003' AND day > %s",
        MORNING.date() + timedelta(days=12 - 104),
    )["n"]
    assert single.units == raw + past
    best = await sales.report(SalesQuery(by=SalesBy.ITEM, periods=3))
    assert {point.name for point in best.points} <= {row["item"] for row in shop.rows("SELECT item FROM item")}
    by_place = await sales.report(SalesQuery(by=SalesBy.LOCATION, item="ITEM-003", periods=104))
    assert (by_place.units, {point.name for point in by_place.points}) == (single.units, {LOCATION})
    assert report.today[0].sold_units == 1, "four sold, three taken back"
    assert report.best[0].newest_units == max(mover.newest_units for mover in report.best)
    with pytest.raises(NotFound):
        await sales.report(SalesQuery(item="NONE"))


async def test_a_forecast_knows_what_is_known_and_keeps_its_answers(shop: Storeroom) -> None:
    views = PostgresDemandViews(shop.database)
    facts = await views.facts(ForecastRequest(products=("ITEM-001", "ITEM-002"), horizon_days=7))
    assert [one.item for one in facts.series] == ["ITEM-001", "ITEM-002"]
    assert facts.data_through == MORNING.date() + timedelta(days=11), "the day before the business clock's"
    known = await shop.models.training_series(datetime.now(UTC), facts.data_through)
    trained_on = {one.item: one.history for one in known}
    assert {one.item: one.history for one in facts.series} == {i: trained_on[i] for i in ("ITEM-001", "ITEM-002")}
    for wrong in ({"products": ("NONE",)}, {"products": ("ITEM-001",), "locations": ("NONE",)}):
        with pytest.raises(NotFound, match="NONE"):
            await views.facts(ForecastRequest.model_validate({**wrong, "horizon_days": 7}))
    await views.keep_answer("ada", "key", "a" * 64, b"first")
    await views.keep_answer("ada", "key", "a" * 64, b"second")
    assert await views.answer_of("ada", "key", "a" * 64) == b"first"
    assert await views.answer_of("bob", "key", "a" * 64) is None
    with pytest.raises(InvalidInput, match="another forecast"):
        await views.answer_of("ada", "key", "b" * 64)


async def test_every_period_is_told_and_the_running_one_is_named(shop: Storeroom) -> None:
    await PostgresFigures(shop.database, PostgresMoney(shop.database)).refresh()
    today = (MORNING + timedelta(days=12)).date()
    for period, step in ((SalesPeriod.DAY, 1), (SalesPeriod.WEEK, 7)):
        report = await PostgresSales(shop.database).report(SalesQuery(period=period, periods=5))
        periods = report.periods(period)
        assert len(periods) == 5
        assert report.running
        assert periods[-1] <= today < periods[-1] + timedelta(days=step)
        assert {point.first_day for point in report.points} <= set(periods)
