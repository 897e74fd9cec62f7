"""A decision is measured once, when its horizon has passed on its location's clock, from what was recorded."""

from datetime import timedelta

from connectors.postgres.settling import Settling
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted, received, sold
from workflows.domain.approvals import Meaning
from workflows.domain.outcomes import measure

DECISION = "LEEDS:ITEM-001:1"


async def test_an_outcome_is_what_happened_over_the_horizon(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    await storeroom.answer(DECISION)
    released = await storeroom.orders.release(DECISION, storeroom.hash_of(DECISION))
    order = await storeroom.place(released.order_id or "")
    assert order is not None
    storeroom.take(sold(9, at=MORNING + timedelta(hours=3)), clock(MORNING + timedelta(days=1)))
    storeroom.take(received(order.lines[0].units, order.order_id, at=MORNING + timedelta(days=2)))
    storeroom.take(sold(4, at=MORNING + timedelta(days=3)), sold(500, at=MORNING + timedelta(days=4)))
    storeroom.take(clock(MORNING + timedelta(days=3)))
    assert await storeroom.outcomes.due(10) == [], "the horizon is lead time + review = 4 days"
    storeroom.take(clock(MORNING + timedelta(days=4)))
    (facts,) = await storeroom.outcomes.due(10)
    assert (facts.decision_id, facts.horizon_days) == (DECISION, 4)
    assert (facts.demand_units, facts.days_out_of_stock) == (13, 2), "what was sold after the horizon does not count"
    assert (facts.ordered_units, facts.received_units) == (order.lines[0].units,) * 2
    outcome = measure(facts)
    assert outcome.stocked_out
    assert await storeroom.outcomes.record([outcome, outcome]) == 1
    assert await storeroom.outcomes.due(10) == []
    view = await storeroom.desk.decision(DECISION)
    assert view.outcome is not None
    assert view.outcome["facts"]["demand_units"] == 13
    assert view.timeline[-1]["type"] == "outcome.measured"


async def test_holds_are_measured_too_and_share_an_entry(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(6))
    storeroom.take(*[counted(900, item=f"ITEM-{n:03}") for n in range(1, 7)], clock())
    await storeroom.assess()
    storeroom.take(clock(MORNING + timedelta(days=10)))
    due = await storeroom.outcomes.due(4)
    assert len(due) == 4, "in bounded rounds"
    assert await storeroom.outcomes.record([measure(facts) for facts in due]) == 4
    assert len(await storeroom.outcomes.due(4)) == 2
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry WHERE type = 'outcome.measured'") == {"n": 1}


async def test_the_newest_revision_is_measured(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    storeroom.take(sold(30), clock(MORNING + timedelta(days=2)))
    assert (await storeroom.rescore(DECISION)).changed
    storeroom.take(clock(MORNING + timedelta(days=5)))
    assert [facts for facts in await storeroom.outcomes.due(9) if facts.decision_id == DECISION] == []
    storeroom.take(clock(MORNING + timedelta(days=6)))
    await close(storeroom)
    (facts,) = await storeroom.outcomes.due(9)
    assert facts.horizon_days == 4


async def test_what_waits_for_an_answer_is_not_measured(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    storeroom.take(clock(MORNING + timedelta(days=9)))
    settling = Settling(storeroom.connection)
    assert (await storeroom.outcomes.due(9), settling.outcomes_due()) == ([], 0)
    await close(storeroom)
    assert (len(await storeroom.outcomes.due(9)), settling.outcomes_due()) == (1, 1)


async def close(storeroom: Storeroom) -> None:
    """A person says no."""
    await storeroom.answer(DECISION, Meaning.REJECT)
    await storeroom.orders.close_rejected(DECISION)


async def test_goods_of_a_refused_line_were_never_ordered(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    await storeroom.answer(DECISION)
    released = await storeroom.orders.release(DECISION, storeroom.hash_of(DECISION))
    storeroom.connection.execute("UPDATE supplier SET blocked = true")
    assert await storeroom.orders.prepare(released.order_id or "", passive=False) is None
    storeroom.take(clock(MORNING + timedelta(days=9)))
    (facts,) = await storeroom.outcomes.due(9)
    assert facts.ordered_units == 0
