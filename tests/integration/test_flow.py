"""One need from the till to the outcome, through the real database: what the workflows will do, by hand."""

from datetime import timedelta

from tests.storeroom import MORNING, Storeroom, clock, counted, received, sold
from workflows.domain.approvals import TaskState
from workflows.domain.orders import OrderState
from workflows.domain.outcomes import measure


async def test_a_need_becomes_one_order_and_one_outcome(storeroom: Storeroom) -> None:
    s = storeroom
    await s.stock()
    s.scoring.of_item["ITEM-002"] = {"daily": 1}
    s.take(counted(9), counted(500, item="ITEM-002"), sold(3))
    taken = s.take(clock())
    assert taken.needs == 2

    summary = await s.assess()
    assert summary is not None
    assert (summary.holds, summary.proposals) == (1, 1)
    decision_id = "LEEDS:ITEM-001:1"
    assert [row.decision_id for row in await s.desk.tasks()] == [decision_id]

    approval = await s.answer(decision_id)
    assert await s.approvals.find(approval.approval_id) == approval
    assert [found for found, _ in await s.approvals.unheard(0)] == [decision_id]
    await s.approvals.heard(approval.approval_id)

    released = await s.orders.release(decision_id, s.hash_of(decision_id))
    assert released.released
    assert released.order_id == "acme:LEEDS:2025-03-03:1"
    ((ref, _),) = s.relay.orders()
    assert ref.order_id == released.order_id

    order = await s.place(released.order_id)
    assert order is not None
    units = order.lines[0].units
    assert s.position()["on_order_units"] == units

    s.take(received(units - 6, order.order_id, at=MORNING + timedelta(days=3)))
    assert s.position()["on_order_units"] == 6
    assert await s.orders.state(order.order_id) is OrderState.PLACED
    s.take(received(6, order.order_id, at=MORNING + timedelta(days=4)))
    assert await s.orders.state(order.order_id) is OrderState.RECEIVED
    assert s.relay.settled_orders() == [order.order_id]
    assert s.position() == {"on_hand_units": 6 + units, "reserved_units": 0, "on_order_units": 0,
                            "watch_level_units": s.position()["watch_level_units"]}  # fmt: skip

    s.take(clock(MORNING + timedelta(days=9)))
    due = await s.outcomes.due(100)
    assert sorted(facts.decision_id for facts in due) == [decision_id, "LEEDS:ITEM-002:1"]
    assert await s.outcomes.record([measure(facts) for facts in due]) == 2
    assert await s.outcomes.record([measure(facts) for facts in due]) == 0
    assert await s.outcomes.due(100) == []

    view = await s.desk.decision(decision_id)
    assert view.task is not None
    assert view.task["state"] == TaskState.APPROVED
    assert view.outcome is not None
    kinds = [entry["type"] for entry in view.timeline]
    for kind in ("decision.proposed", "task.opened", "verdict.recorded", "decision.released", "order.prepared",
                 "order.sent", "order.answered", "order.closed", "outcome.measured"):  # fmt: skip
        assert kind in kinds
    counts = await s.desk.counts()
    assert counts["needs"] == counts["holds"] + counts["proposals"] + counts["needs_open"]
    assert s.verified().ok
