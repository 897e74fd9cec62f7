"""Every figure of the home page made again from the raw rows by plain loops; lists, sales and their order likewise."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.postgres.demand_views import PostgresDemandViews
from connectors.postgres.figures import PostgresFigures
from connectors.postgres.migrating import migrations_folder
from connectors.postgres.money import PostgresMoney
from connectors.postgres.sales_views import PostgresSales
from connectors.postgres.stock_views import PostgresStock
from tests.integration.test_money import NO_WAIT, lived, measured
from tests.storeroom import LOCATION, MORNING, Storeroom, clock, counted, event, sold
from workflows.domain.errors import NotFound
from workflows.domain.events import SaleCancelled, StockReserved
from workflows.domain.figures import DEFAULT_CAP_DAYS, WINDOW_DAYS, Figure
from workflows.domain.sales_views import SalesQuery
from workflows.domain.stock_views import PositionQuery


@dataclass
class Place:
    """One item, folded by hand."""

    on_hand: int
    reserved: int
    on_order: int
    scores: dict[str, Any] | None
    decided_at: datetime | None
    tier: str

    @property
    def available(self) -> int:
        """The fold."""
        return self.on_hand + self.on_order - self.reserved

    def expects(self, name: str) -> float:
        """A figure of the newest decision's forecast."""
        return float((self.scores or {}).get(name) or 0)

    @property
    def mean(self) -> float:
        """Swanson's rule, a day."""
        total = 0.3 * self.expects("demand_p10") + 0.4 * self.expects("demand_p50") + 0.3 * self.expects("demand_p90")
        return total / max(1.0, self.expects("protection_days"))


def folded(s: Storeroom) -> dict[str, Place]:
    """Positions from movements, order lines and decisions alone."""
    moves: dict[str, list[Any]] = defaultdict(list)
    for row in s.rows("SELECT * FROM movement"):
        moves[row["item"]].append(row)
    lines: dict[str, int] = defaultdict(int)
    for row in s.rows(
        """SELECT l.* FROM order_line l JOIN purchase_order o USING (order_id)
           WHERE o.state NOT IN ('refused', 'empty', 'withheld') AND l.refused_reason IS NULL"""
    ):
        lines[row["item"]] += row["units"] - row["received_units"] - row["short_units"]
    decisions: dict[str, Any] = {}
    for row in s.rows(
        """SELECT d.item, d.decided_at, d.revision, convert_from(e.body, 'UTF8') AS inputs,
                  convert_from(d.body, 'UTF8') AS body
           FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256"""
    ):
        before = decisions.get(row["item"])
        if before is None or (row["decided_at"], row["revision"]) > (before["decided_at"], before["revision"]):
            decisions[row["item"]] = row
    found = {}
    for item, rows in moves.items():
        counts = [row for row in rows if row["kind"] == "count"]
        newest = max(counts, key=lambda row: (row["occurred_at"], row["source"], row["event_id"]), default=None)
        since = newest["occurred_at"] if newest else None
        on_hand = (newest["counted_units"] if newest else 0) + sum(
            row["on_hand_delta"] for row in rows if since is None or row["occurred_at"] > since
        )
        decision = decisions.get(item)
        found[item] = Place(
            on_hand=on_hand, reserved=sum(row["reserved_delta"] for row in rows), on_order=lines[item],
            scores=json.loads(decision["inputs"])["scores"] if decision else None,
            decided_at=decision["decided_at"] if decision else None,
            tier=json.loads(decision["body"])["result"].get("tier", "hold") if decision else "",
        )  # fmt: skip
    return found


@pytest.fixture
async def shop(storeroom: Storeroom) -> Storeroom:
    """Twelve days of a dozen items, then one that nobody counted before, a reservation and a sale taken back."""
    await lived(storeroom)
    last = MORNING + timedelta(days=12)
    back: dict[str, Any] = {"location": LOCATION, "sold_at": last + timedelta(hours=1)}
    storeroom.take(
        event(StockReserved(item="ITEM-002", location=LOCATION, delta_units=9), at=last),
        sold(4, item="ITEM-003", at=last + timedelta(hours=1)),
        event(SaleCancelled(item="ITEM-003", sale_id="s-x", units=3, **back), at=last + timedelta(hours=2)),
        counted(0, item="ITEM-009", at=last), counted(5000, item="ITEM-010", at=last),
        counted(500, item="ITEM-011", at=last),
        clock(last + timedelta(hours=3)),
    )  # fmt: skip
    await measured(storeroom)
    await PostgresMoney(storeroom.database).compare(settled=NO_WAIT)
    return storeroom


def told(figures: Sequence[Figure]) -> dict[str, Decimal | None]:
    return {one.name: one.value for one in figures}


async def test_every_figure_is_what_its_definition_says(shop: Storeroom) -> None:
    s = shop
    assert await PostgresFigures(s.database, PostgresMoney(s.database)).refresh()
    snapshot = await PostgresFigures(s.database, PostgresMoney(s.database)).snapshot()
    assert snapshot is not None
    found, place = told(snapshot.figures()), snapshot.at(LOCATION)
    assert place is not None

    places = folded(s)
    live = {item: one for item, one in places.items() if one.expects("demand_p90") > 0}
    assert 0 < len(live) <= len(places) == place.positions
    watch = {item: one.scores["watch_level_units"] for item, one in live.items() if one.scores}

    def share(names: list[str]) -> Decimal:
        return (Decimal(len(names)) / len(live)).quantize(Decimal("0.0001"))

    out = [item for item, one in live.items() if one.on_hand <= 0]
    below = [item for item, one in live.items() if one.available < watch[item]]
    under = [item for item, one in live.items() if one.available < one.expects("demand_p90")]
    over = [
        item for item, one in live.items()
        if one.on_hand - one.reserved > one.expects("demand_p90") + DEFAULT_CAP_DAYS * one.mean
    ]  # fmt: skip
    assert out
    assert below
    assert under
    assert "ITEM-010" in over
    assert "ITEM-011" not in over, "more than P90 and less than the cap allows"
    assert found["live_positions"] == len(live)
    assert found["stock_out_share"] == share(out)
    assert found["below_reorder_share"] == share(below)
    assert found["understock_share"] == share(under)
    assert found["overstock_share"] == share(over)
    cost = {row["item"]: row["unit_cost"] for row in s.rows("SELECT item, unit_cost FROM sourcing")}
    value = sum((max(0, one.on_hand) * cost[item] for item, one in places.items()), Decimal(0))
    assert found["inventory_value"] == value
    assert found["fill_rate"] == fill_rate_again(s, places)
    assert Decimal(0) < (found["fill_rate"] or 0) < 1
    needs = s.rows("SELECT need_id FROM need WHERE state <> 'open'")
    assert found["decisions_by_tier"] == len(needs)
    first_tiers = s.rows("SELECT tier FROM replenishment")
    assert (place.auto, place.review) == tuple(
        sum(row["tier"] == tier for row in first_tiers) for tier in ("auto", "review")
    )
    open_tasks = s.rows("SELECT value FROM task WHERE state = 'open'")
    assert found["waiting"] == len(open_tasks)
    assert place.waiting_value == sum((row["value"] for row in open_tasks), Decimal(0))
    report = await PostgresMoney(s.database).report()
    assert report.avoided.weeks
    assert found["cost_avoided"] == report.avoided.avoided
    assert snapshot.counts == await s.desk.counts()


def fill_rate_again(s: Storeroom, places: dict[str, Place]) -> Decimal:
    """From single sales and the empty days."""
    today: date = s.one("SELECT watermark FROM business_clock")["watermark"].astimezone(UTC).date()
    window = {today - timedelta(days=n) for n in range(1, WINDOW_DAYS + 1)}
    by_day: dict[tuple[str, date], int] = defaultdict(int)
    for row in s.rows("SELECT item, demand_day, demand_units FROM movement WHERE demand_day IS NOT NULL"):
        by_day[row["item"], row["demand_day"]] += row["demand_units"]
    units = sum(value for (_, day), value in by_day.items() if day in window)
    lost = sum(
        max(0.0, places[row["item"]].mean - by_day[row["item"], row["day"]])
        for row in s.rows("SELECT item, day FROM stockout_day")
        if row["day"] in window and places[row["item"]].expects("demand_p90") > 0
    )
    return Decimal(str(round(units / (units + lost), 4))).quantize(Decimal("0.0001"))


async def test_one_counts_at_a_time_and_old_figures_keep_their_time(storeroom: Storeroom) -> None:
    await storeroom.stock()
    storeroom.take(counted(9), clock())
    every_time = [PostgresFigures(storeroom.database, PostgresMoney(storeroom.database)) for _ in range(4)]
    done = await asyncio.gather(*(one.refresh() for one in every_time))
    assert sorted(done) == [False, False, False, True]
    first = await every_time[0].snapshot()
    assert first is not None
    assert await every_time[0].refresh() is False, "counted less than a minute ago"

    storeroom.take(counted(0, item="ITEM-002"))
    hours_ago = first.model_copy(update={"as_of": first.as_of - timedelta(hours=2)})
    body = hours_ago.model_dump_json().encode()
    storeroom.connection.execute("UPDATE figure_snapshot SET as_of = %s, document = %s", [hours_ago.as_of, body])
    shown = await every_time[0].snapshot()
    assert shown == hours_ago, "the old figures, with their own time, while they are counted anew"
    task = every_time[0]._counting
    assert task is not None
    assert await asyncio.wait_for(task, 20)
    newer = await every_time[1].snapshot()
    assert newer is not None
    assert newer.as_of > first.as_of
    place = newer.at(LOCATION)
    assert place is not None
    assert place.positions == 2


async def test_an_empty_installation_has_figures_of_nothing(storeroom: Storeroom) -> None:
    figures = PostgresFigures(storeroom.database, PostgresMoney(storeroom.database))
    snapshot = await figures.snapshot()
    assert snapshot is not None, "the very first reader waits a moment"
    assert all(not one.value for one in snapshot.figures())
    assert (await PostgresSales(storeroom.database).report(SalesQuery())).points == ()
    assert await PostgresStock(storeroom.database).positions(PositionQuery()) == []
    with pytest.raises(NotFound):
        await PostgresDemandViews(storeroom.database).history("LEEDS", "ITEM-001", 7)


async def test_an_upgrade_fills_in_what_decisions_before_it_expected(shop: Storeroom) -> None:
    kept = "SELECT * FROM position_outlook ORDER BY location, item"
    before = shop.rows(kept)
    assert any(row["revision"] for row in before)
    shop.connection.execute("TRUNCATE position_outlook")
    script = (migrations_folder() / "0021.figures.sql").read_text()
    filling = [part for part in script.split(";\n") if part.strip().startswith("INSERT INTO position_outlook")]
    assert len(filling) == 2
    for part in filling:
        shop.connection.execute(part.encode())
    assert shop.rows(kept) == before


async def test_an_older_decision_never_replaces_a_newer_ones_outlook(shop: Storeroom) -> None:
    """Rows of a restored or re-scored decision may be written after those of the next one."""
    item = "SELECT * FROM position_outlook WHERE item = 'ITEM-001'"
    newest = shop.one(item)
    for earlier in (newest["decided_at"] - timedelta(days=9), MORNING):
        shop.connection.execute(
            """INSERT INTO decision SELECT decision_id, 90 + (SELECT count(*) FROM decision), location, item, kind,
                   %s, body, proposal_hash, inputs_sha256, model_digest, policy_digest, horizon_end
               FROM decision WHERE item = 'ITEM-001' ORDER BY decided_at LIMIT 1""",
            [earlier],
        )
    assert shop.one(item) == newest
