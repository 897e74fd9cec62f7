"""A need is opened once: never two at a time, never twice within a tick, and not while its item rests."""

import threading
from datetime import timedelta

from connectors.postgres.inbox import Inbox, Received
from connectors.postgres.pool import connect
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Meaning


async def test_nothing_is_due_before_the_business_clock_is_known(storeroom: Storeroom) -> None:
    await storeroom.stock()
    assert storeroom.take(counted(0), sold(3)).needs == 0
    assert storeroom.take(clock()).needs == 1


async def test_only_known_items_with_a_supplier_make_needs(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    assert storeroom.take(counted(5), counted(5, item="UNKNOWN"), clock()).needs == 1


async def test_every_need_of_a_batch_becomes_a_hold_or_a_proposal(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(20))
    storeroom.scoring.of_item = {f"ITEM-{n:03}": {"daily": 0.5} for n in range(1, 8)}
    storeroom.take(*[counted(30, item=f"ITEM-{n:03}") for n in range(1, 21)], clock())
    summary = await storeroom.assess()
    assert summary is not None
    counts = await storeroom.desk.counts()
    assert counts["needs"] == 20 == counts["holds"] + counts["proposals"] == summary.holds + summary.proposals
    assert counts["holds"] == 7
    assert counts["proposals"] == counts["auto_released"] + counts["blocked"] + counts["tasks_opened"]


async def test_an_assessed_item_is_not_looked_at_again_within_the_tick(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.scoring.daily = 1
    assert storeroom.take(counted(30), clock()).needs == 1
    await storeroom.assess()
    level = storeroom.position()["watch_level_units"]
    assert storeroom.take(sold(30 - level)).needs == 0, "at the watch level"
    assert storeroom.take(sold(1)).needs == 0, "below it, but within the tick"
    assert storeroom.take(clock(MORNING + timedelta(hours=1))).needs == 0, "no event, and no day has closed"
    assert storeroom.take(sold(1)).needs == 1
    assert storeroom.take(sold(1), clock(MORNING + timedelta(days=1))).needs == 0, "one is open"


async def test_a_sweep_finds_what_fell_below_its_level_and_what_nobody_looked_at_for_a_week(
    storeroom: Storeroom,
) -> None:
    await storeroom.stock(catalog(2))
    storeroom.scoring.daily = 0.01
    storeroom.take(counted(30), counted(30, item="ITEM-002"), clock())
    await storeroom.assess()
    assert storeroom.take(clock(MORNING + timedelta(days=1))).needs == 0
    assert storeroom.take(sold(31)).needs == 1
    await storeroom.assess()
    assert storeroom.take(clock(MORNING + timedelta(days=8))).needs == 1, "the other one waits for an answer"
    causes = storeroom.rows("SELECT cause FROM need ORDER BY opened_at, need_id")
    assert [row["cause"] for row in causes] == ["first_sight"] * 2 + ["below_watch_level", "sweep"]


async def test_an_item_rests_after_a_rejection(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(0), clock())
    await storeroom.assess()
    await storeroom.answer("LEEDS:ITEM-001:1", Meaning.REJECT)
    assert storeroom.take(clock(MORNING + timedelta(days=1))).needs == 0, "the rejection is not worked off yet"
    await storeroom.orders.close_rejected("LEEDS:ITEM-001:1")
    await storeroom.orders.close_rejected("LEEDS:ITEM-001:1")
    assert storeroom.take(sold(1), clock(MORNING + timedelta(days=3))).needs == 0
    assert storeroom.take(clock(MORNING + timedelta(days=4))).needs == 1
    assert storeroom.verified().ok


async def test_concurrent_intake_opens_one_need_at_a_time(storeroom: Storeroom, dsn: str) -> None:
    await storeroom.stock(catalog(5))
    storeroom.take(*[counted(50, item=f"ITEM-{n:03}") for n in range(1, 6)], clock())
    await storeroom.assess()
    storeroom.take(clock(MORNING + timedelta(hours=1)))
    storeroom.connection.execute("UPDATE need SET state = 'closed'")
    opened: list[int] = []
    errors: list[BaseException] = []
    ready = threading.Barrier(4)

    def intake(partition: int) -> None:
        try:
            with connect(dsn, name=f"intake-{partition}") as connection:
                inbox = Inbox(connection, log_id="log")
                inbox.take_over([("qm.sales", 10 + partition)])
                ready.wait(60)
                for offset in range(12):
                    sales = [sold(1, item=f"ITEM-{n:03}") for n in range(1, 6)]
                    batch = [
                        Received("qm.sales", 10 + partition, 5 * offset + n, one.to_bytes(), event=one)
                        for n, one in enumerate(sales)
                    ]
                    opened.append(inbox.accept(batch).needs)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=intake, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    found = storeroom.rows("SELECT item, count(*) AS n FROM need WHERE state = 'open' GROUP BY item")
    assert [row["n"] for row in found] == [1] * 5
    assert sum(opened) == 5


async def test_the_clock_never_goes_back(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(clock(MORNING), clock(MORNING - timedelta(days=2)))
    storeroom.take(clock(MORNING - timedelta(days=1)))
    assert storeroom.one("SELECT watermark FROM business_clock") == {"watermark": MORNING}


async def test_days_that_close_without_stock_are_noted_even_when_several_close_at_once(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    storeroom.take(counted(3), counted(3, item="ITEM-002"), clock())
    storeroom.take(sold(3, at=MORNING + timedelta(days=1)), clock(MORNING + timedelta(days=4)))
    rows = storeroom.rows("SELECT item, day FROM stockout_day ORDER BY day")
    assert [(row["item"], (row["day"] - MORNING.date()).days) for row in rows] == [
        ("ITEM-001", 1), ("ITEM-001", 2), ("ITEM-001", 3),
    ]  # fmt: skip


async def test_what_was_never_counted_is_not_known_to_be_out_of_stock(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    storeroom.take(counted(1), sold(1), sold(3, item="ITEM-002"), clock())
    storeroom.take(clock(MORNING + timedelta(days=1)))
    assert storeroom.rows("SELECT DISTINCT item FROM stockout_day") == [{"item": "ITEM-001"}]


async def test_batches_are_offered_until_their_workflow_is_noted(storeroom: Storeroom) -> None:
    await storeroom.stock()
    storeroom.take(counted(5), counted(5, item="ITEM-002"), clock())
    (batch,) = storeroom.relay.batches(3600)
    assert (batch.needs, batch.location, batch.clock) == (2, LOCATION, MORNING)
    assert storeroom.relay.batches(3600) == [batch]
    storeroom.relay.batches_started([batch.batch_id])
    assert storeroom.relay.batches(3600) == []
    assert storeroom.relay.batches(0) == [batch], "a lost workflow is started again"
    assert storeroom.relay.depth() == 2


async def test_needs_wait_for_small_batches_of_their_location_and_share_the_next_one(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(6))
    storeroom.take(clock())

    def needed(*items: int) -> list[int]:
        """Needs of these items: the sizes of the batches that are to be assessed then."""
        storeroom.take(*[counted(5, item=f"ITEM-{item:03}") for item in items])
        return [batch.needs for batch in storeroom.relay.batches(0)]

    assert needed(1) == [1]
    assert needed(2) == [1, 1]
    assert needed(3) == needed(4) == [1, 1], "two are at work"
    storeroom.connection.execute("UPDATE need_batch SET created_at = created_at - interval '1 minute'")
    assert needed(5) == [1, 1, 3], "nobody waits for what is held up"
    await storeroom.assess()
    assert storeroom.rows("SELECT need_id FROM need WHERE state = 'open'") == []
    assert len([batch for batch in storeroom.relay.batches(0) if batch.needs == 1]) == 2
    storeroom.take(counted(5, item="ITEM-006"))
    assert storeroom.relay.batches(0)[-1].needs == 1, "what is decided is not at work, though its launch is not noted"
