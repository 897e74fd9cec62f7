"""One champion at a time; what it is trained on is what was known at an instant, and nothing later."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from activities.models import FIRST_MODEL
from connectors.postgres.catalog import load_history
from tests.storeroom import LOCATION, MORNING, SUPPLIER, Storeroom, catalog, clock, counted, event, sold
from workflows.domain.errors import Conflict, NotFound
from workflows.domain.events import SaleCancelled
from workflows.domain.feeds import RecordedDemand, RecordedReceipt
from workflows.domain.identity import digest
from workflows.domain.models import Comparison, ModelStatus, TrainedModel, TrainingSet, promotion_gate

DAY = date(2025, 2, 20)


async def register(storeroom: Storeroom, name: str) -> str:
    """A candidate."""
    key = digest(name)
    facts = TrainedModel(digest=key, trained_through=DAY, rows=1, rounds=1, seconds=Decimal("1.5"))
    await storeroom.models.register(facts, TrainingSet(sha256=key, series=1, last_day=DAY, known_at=MORNING))
    return key


async def passed(storeroom: Storeroom, key: str) -> None:
    """The gate lets it through."""
    await storeroom.models.judge(key, ModelStatus.CANDIDATE, None, FIRST_MODEL)


def comparison(ratio: str = "0.9") -> Comparison:
    """A candidate that is better by this ratio."""
    return Comparison(
        first_day=DAY, last_day=DAY, series=3, loss_ratio=Decimal(ratio), loss_ratio_upper=Decimal(ratio),
        candidate_coverage_90=Decimal("0.9"), champion_coverage_90=Decimal("0.9"), candidate_loss=Decimal(1),
        champion_loss=Decimal(1),
    )  # fmt: skip


async def test_a_candidate_becomes_champion_and_the_one_before_is_kept(storeroom: Storeroom) -> None:
    models = storeroom.models
    assert await models.champion() is None
    first, second = await register(storeroom, "a"), await register(storeroom, "b")
    assert await register(storeroom, "a") == first
    await passed(storeroom, first)
    await models.promote(first, "test")
    judged = await models.judge(second, ModelStatus.CANDIDATE, comparison(), promotion_gate(comparison()))
    assert judged.gate is not None
    assert judged.gate.passed
    assert (await models.promote(second, "pat")).status is ModelStatus.CHAMPION
    assert [(v.number, v.status) for v in await models.versions()] == [
        (2, ModelStatus.CHAMPION), (1, ModelStatus.RETIRED),
    ]  # fmt: skip
    assert await models.find(second[:12]) == await models.champion()
    assert (await models.find(second)) is not None
    assert await models.find("zz") is None
    assert (await storeroom.desk.counts())["model_promoted"] == 1
    assert storeroom.verified().ok


async def test_what_the_gate_refused_is_not_promoted(storeroom: Storeroom) -> None:
    key = await register(storeroom, "a")
    worse = comparison("1.2")
    assert not promotion_gate(worse).passed
    await storeroom.models.judge(key, ModelStatus.REFUSED, worse, promotion_gate(worse))
    with pytest.raises(Conflict):
        await storeroom.models.promote(key, "pat")
    with pytest.raises(NotFound):
        await storeroom.models.promote(digest("nothing"), "pat")
    await storeroom.models.judge(key, ModelStatus.CANDIDATE, None, None)
    assert (await storeroom.models.versions())[0].status is ModelStatus.REFUSED, "a refusal is final"


async def test_rolling_back_twice_goes_back_two_steps(storeroom: Storeroom) -> None:
    keys = [await register(storeroom, name) for name in "abc"]
    with pytest.raises(Conflict):
        await storeroom.models.rollback("pat")
    for key in keys:
        await passed(storeroom, key)
        await storeroom.models.promote(key, "test")
    assert (await storeroom.models.rollback("pat")).digest == keys[1]
    assert (await storeroom.models.rollback("pat")).digest == keys[0]
    with pytest.raises(Conflict):
        await storeroom.models.rollback("pat")
    assert (await storeroom.models.promote(keys[2], "pat")).status is ModelStatus.CHAMPION
    assert (await storeroom.models.rollback("pat")).digest == keys[0]


async def test_promotions_at_once_leave_one_champion(storeroom: Storeroom) -> None:
    keys = [await register(storeroom, name) for name in "abcdef"]
    for key in keys:
        await passed(storeroom, key)
    await asyncio.gather(*[storeroom.models.promote(key, "test") for key in keys])
    champions = [v for v in await storeroom.models.versions() if v.status is ModelStatus.CHAMPION]
    assert len(champions) == 1


async def test_a_training_set_holds_what_was_known_and_nothing_later(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    demand = [
        RecordedDemand(location=LOCATION, item="ITEM-001", day=DAY + timedelta(days=n), units=n) for n in range(5)
    ]
    out = RecordedDemand(location=LOCATION, item="ITEM-001", day=DAY + timedelta(days=2), units=0, in_stock=False)
    load_history(storeroom.connection, [*demand[:2], out, *demand[3:]], [], actor="test")
    storeroom.take(
        counted(0, at=datetime(2025, 3, 1, 8, tzinfo=UTC)),
        sold(7, at=datetime(2025, 3, 1, 9, tzinfo=UTC)),
        sold(2, item="ITEM-002", at=datetime(2025, 3, 1, 9, tzinfo=UTC)),
        sold(1, item="NOT-IN-THE-CATALOG"),
    )
    known_at = storeroom.one("SELECT clock_timestamp() AS now")["now"]
    late = SaleCancelled(
        item="ITEM-001", location=LOCATION, sale_id="s", units=6, sold_at=datetime(2025, 3, 1, 9, tzinfo=UTC)
    )
    storeroom.take(event(late), sold(5, at=datetime(2025, 2, 28, 9, tzinfo=UTC)), clock())

    def history(known: datetime, last_day: date) -> dict[str, tuple[date, tuple[int | None, ...]]]:
        return {one.item: (one.history.first_day, one.history.daily_units) for one in found[known, last_day]}

    now, last = datetime.now(UTC) + timedelta(minutes=1), date(2025, 3, 2)
    found = {
        (known, day): await storeroom.models.training_series(known, day)
        for known, day in ((known_at, last), (now, last), (now, date(2025, 2, 23)))
    }
    assert history(known_at, last) == {
        "ITEM-001": (DAY, (0, 1, None, 3, 4, 0, 0, 0, 0, 7, 0)),
        "ITEM-002": (date(2025, 3, 1), (2, 0)),
    }
    assert history(now, last)["ITEM-001"] == (DAY, (0, 1, None, 3, 4, 0, 0, 0, 5, 1, None)), (
        "the cancelled sale, the late one and yesterday's stock-out came later"
    )
    assert history(now, date(2025, 2, 23)) == {"ITEM-001": (DAY, (0, 1, None, 3))}


async def test_a_day_that_ended_without_stock_is_missing_and_not_zero(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    storeroom.take(counted(2), counted(2, item="ITEM-002"), sold(2, at=MORNING - timedelta(hours=6)), clock())
    (one,) = await storeroom.models.training_series(datetime.now(UTC) + timedelta(minutes=1), date(2025, 3, 2))
    assert (one.item, one.history.daily_units) == ("ITEM-001", (None,))


async def test_the_newest_day_is_closed_everywhere(storeroom: Storeroom) -> None:
    assert await storeroom.models.newest_day() is None
    row = RecordedDemand(location=LOCATION, item="ITEM-001", day=DAY, units=1)
    load_history(storeroom.connection, [row], [], actor="test")
    assert await storeroom.models.newest_day() == DAY
    storeroom.take(clock())
    assert await storeroom.models.newest_day() == date(2025, 3, 2)


async def test_a_training_set_holds_what_orders_are_weighed_by(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2, review_days=7))
    load_history(
        storeroom.connection,
        [RecordedDemand(location=LOCATION, item="ITEM-001", day=DAY, units=1)],
        [
            RecordedReceipt(
                supplier=SUPPLIER, location=LOCATION, item="ITEM-001", ordered_on=DAY - timedelta(days=30 + days),
                received_on=DAY - timedelta(days=30), units=6,
            )
            for days in (2, 5, 9)
        ] + [
            RecordedReceipt(
                supplier=SUPPLIER, location=LOCATION, item="ITEM-001", ordered_on=DAY - timedelta(days=1),
                received_on=DAY + timedelta(days=60), units=6,
            )
        ],
        actor="test",
    )  # fmt: skip
    (one,) = await storeroom.models.training_series(datetime.now(UTC) + timedelta(minutes=1), DAY)
    assert one.terms is not None
    assert (one.terms.lead_days, one.terms.review_days) == (5, 7), "of what had come by that day"
    assert (one.terms.pack_units, one.terms.minimum_order_units) == (6, 12)
    assert one.terms.shortage_per_unit == Decimal("5.70")
    assert Decimal(0) < one.terms.holding_per_unit_day < Decimal("0.01")
    storeroom.connection.execute("UPDATE supplier SET blocked = true")
    (one,) = await storeroom.models.training_series(datetime.now(UTC) + timedelta(minutes=1), DAY)
    assert one.terms is None, "nobody can be asked for it"
