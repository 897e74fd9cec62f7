"""The relay finds every row that a workflow must hear of, until it is noted as told."""

from datetime import timedelta

from connectors.postgres.launching import Launched
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog, clock, counted
from workflows.domain.policies import RiskTier

DECISION = "LEEDS:ITEM-001:1"


async def waiting(storeroom: Storeroom) -> None:
    """One task."""
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()


async def test_a_proposal_is_offered_until_its_workflow_is_noted(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    launched = Launched(storeroom.database)
    (batch,) = storeroom.relay.batches(0)
    ((ref, traceparent),) = await launched.unstarted(batch.batch_id)
    assert storeroom.relay.replenishments(0) == [(ref, traceparent)]
    assert storeroom.relay.replenishments(60) == [], "the launching activity is given time"
    assert (ref.decision_id, ref.tier, ref.location) == (DECISION, RiskTier.REVIEW, LOCATION)
    assert ref.remind_at == MORNING + timedelta(hours=24)
    await launched.finished(batch.batch_id, [DECISION])
    assert await launched.unstarted(batch.batch_id) == []
    assert storeroom.relay.replenishments(0) == []
    assert storeroom.relay.batches(0) == []


async def test_waits_are_due_when_the_watermark_passes(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    assert storeroom.relay.due_ticks() == []
    watermark = MORNING + timedelta(hours=49)
    storeroom.take(clock(watermark))
    assert storeroom.relay.due_ticks() == [
        ("replenishment", DECISION, MORNING + timedelta(hours=hours), watermark) for hours in (24, 48)
    ]
    storeroom.relay.ticked("replenishment", DECISION, watermark)
    assert storeroom.relay.due_ticks() == []
    storeroom.take(clock(MORNING + timedelta(hours=96)))
    assert [instant for _, _, instant, _ in storeroom.relay.due_ticks()] == [MORNING + timedelta(hours=96)]


async def test_an_order_is_offered_until_noted_and_its_cutoff_is_a_wait(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(DECISION)
    await storeroom.orders.release(DECISION, storeroom.hash_of(DECISION))
    ((ref, _),) = storeroom.relay.orders()
    assert ref.cutoff_at == MORNING + timedelta(hours=1)
    storeroom.relay.orders_started([ref.order_id])
    assert storeroom.relay.orders() == []
    storeroom.take(clock(ref.cutoff_at))
    assert storeroom.relay.due_ticks() == [("order", ref.order_id, ref.cutoff_at, ref.cutoff_at)]


async def test_live_clocks_follow_the_wall_clock_less_the_lateness(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    storeroom.take(counted(9), counted(9, item="ITEM-002"))
    assert storeroom.relay.advance_live_clocks(MORNING, timedelta(hours=1)) == 2
    assert storeroom.relay.advance_live_clocks(MORNING, timedelta(hours=1)) == 0
    assert storeroom.one("SELECT watermark FROM business_clock") == {"watermark": MORNING - timedelta(hours=1)}


async def test_a_proposal_whose_workflow_was_lost_is_offered_again_with_all_that_was_told(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    relay = storeroom.relay
    relay.replenishments_started([DECISION])
    await storeroom.answer(DECISION)
    ((_, notice),) = await storeroom.approvals.unheard(0)
    await storeroom.approvals.heard(notice.approval_id)
    storeroom.take(clock(MORNING + timedelta(hours=25)))
    relay.ticked("replenishment", DECISION, MORNING + timedelta(hours=25))
    assert (relay.unseen(60, 10), relay.unseen(0, 10)) == ([], [("replenishment", DECISION)])

    assert relay.lost("replenishment", DECISION)

    assert [ref.decision_id for ref, _ in relay.replenishments(0)] == [DECISION]
    assert await storeroom.approvals.unheard(0) == [(DECISION, notice)]
    assert len(relay.due_ticks()) == 1
    await storeroom.orders.release(DECISION, storeroom.hash_of(DECISION))
    assert not relay.lost("replenishment", DECISION), "over: nothing is owed"


async def test_an_order_whose_workflow_was_lost_is_offered_again_until_it_is_over(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(DECISION)
    order = (await storeroom.orders.release(DECISION, storeroom.hash_of(DECISION))).order_id or ""
    storeroom.relay.orders_started([order])
    await storeroom.orders.prepare(order, passive=False)
    assert storeroom.relay.unseen(0, 10) == [("order", order)]

    assert storeroom.relay.lost("order", order)

    assert [ref.order_id for ref, _ in storeroom.relay.orders()] == [order]
    storeroom.relay.orders_started([order])
    await storeroom.orders.begin_attempt(order, "a", 60)
    assert await storeroom.orders.about_to_send(order, "a", passive=False)
    await storeroom.orders.record_refused(order, "a", "no")
    assert not storeroom.relay.lost("order", order)
    assert storeroom.relay.unseen(0, 10) == []
