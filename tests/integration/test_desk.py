"""The desk shows people what is stored, dearest first, page by page, and changes nothing."""

from datetime import timedelta

import pytest

from tests.storeroom import MORNING, Storeroom, catalog, clock, counted
from workflows.domain.approvals import Meaning, TaskState
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.orders import lines_digest
from workflows.domain.policies import Policy, RuleCode


async def tasks(storeroom: Storeroom, items: int) -> None:
    """Tasks of items that sell more and more."""
    await storeroom.stock(catalog(items))
    storeroom.scoring.of_item = {f"ITEM-{n:03}": {"daily": 10 + n} for n in range(1, items + 1)}
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in range(1, items + 1)], clock())
    await storeroom.assess()


async def test_pages_of_the_inbox_show_each_task_once_and_the_dearest_first(storeroom: Storeroom) -> None:
    await tasks(storeroom, 11)
    storeroom.connection.execute("UPDATE task SET cost_of_waiting = 50 WHERE item > 'ITEM-006'")
    shown, after = [], None
    while page := await storeroom.desk.tasks(limit=3, after=after):
        shown += page
        after = page[-1].decision_id
    assert len(shown) == len({row.decision_id for row in shown}) == 11
    assert [row.cost_of_waiting for row in shown] == sorted((row.cost_of_waiting for row in shown), reverse=True)
    row = next(row for row in shown if row.item == "ITEM-001")
    assert (row.item_name, row.supplier, row.state) == ("Item ITEM-001", "acme", TaskState.OPEN)
    assert row.days_of_cover is not None
    assert row.expire_at == MORNING + timedelta(hours=96)
    assert row.rules


async def test_tasks_can_be_asked_for_by_state(storeroom: Storeroom) -> None:
    await tasks(storeroom, 3)
    await storeroom.answer("LEEDS:ITEM-001:1")
    await storeroom.answer("LEEDS:ITEM-002:1", Meaning.REJECT)
    for state, items in (
        (TaskState.OPEN, ["ITEM-003"]), (TaskState.APPROVED, ["ITEM-001"]), (TaskState.REJECTED, ["ITEM-002"]),
    ):  # fmt: skip
        assert [row.item for row in await storeroom.desk.tasks(state=state)] == items
    assert len(await storeroom.desk.tasks(state=None)) == 3


async def test_an_unknown_decision_is_not_found_and_an_impossible_one_is_refused(storeroom: Storeroom) -> None:
    with pytest.raises(NotFound):
        await storeroom.desk.decision("LEEDS:NOTHING:1")
    with pytest.raises(InvalidInput):
        await storeroom.desk.decision("\x00")


async def test_a_hold_has_a_story_too(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(900), clock())
    await storeroom.assess()
    view = await storeroom.desk.decision("LEEDS:ITEM-001:1")
    assert view.decision.result.kind == "hold"
    assert (view.task, view.order, view.outcome) == (None, None, None)
    assert view.inputs["position"]["on_hand_units"] == 900


async def test_orders_are_listed_and_can_be_compared_with_the_suppliers_journal(storeroom: Storeroom) -> None:
    await tasks(storeroom, 2)
    for number in (1, 2):
        await storeroom.answer(f"LEEDS:ITEM-00{number}:1", Meaning.APPROVE_EDITED, units=12 * number)
        released = await storeroom.orders.release(
            f"LEEDS:ITEM-00{number}:1", storeroom.hash_of(f"LEEDS:ITEM-00{number}:1")
        )
    assert await storeroom.desk.order_lines() == set()
    order = await storeroom.place(released.order_id or "")
    assert order is not None
    (row,) = await storeroom.desk.orders()
    assert (row["lines"], row["units"], row["state"]) == (2, 36, "placed")
    assert await storeroom.desk.order_lines() == {(order.key, lines_digest([("ITEM-001", 12), ("ITEM-002", 24)]))}
    counts = await storeroom.desk.counts()
    assert (counts["orders_placed"], counts["approved"], counts["tasks_opened"]) == (1, 2, 2)
    assert all(isinstance(value, int) for value in counts.values())


async def test_dead_letters_are_listed_newest_first(storeroom: Storeroom) -> None:
    storeroom.own()
    storeroom.inbox.accept([storeroom.message(raw, key="k") for raw in (b"{", b"[]")])
    found = await storeroom.desk.dead_letters()
    assert [(row["error_code"], row["kafka_offset"], row["bytes"]) for row in found] == [
        ("not_an_object", 1, 2), ("not_json", 0, 1),
    ]  # fmt: skip


async def test_what_nobody_may_order_is_listed_with_what_is_in_the_way_until_it_is_decided_again(
    storeroom: Storeroom,
) -> None:
    policy = Policy.model_validate({
        "overrides": [{"item": "ITEM-001", "autonomy": "L1"}, {"item": "ITEM-002", "review_value_limit": "1"}],
        "auto_value_limit": "0",
    })  # fmt: skip
    await storeroom.stock(catalog(3), policy)
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in (1, 2, 3)], clock())
    await storeroom.assess()
    assert [task.item for task in await storeroom.desk.tasks()] == ["ITEM-003"]
    found = {row.item: row for row in await storeroom.desk.blocked()}
    assert found.keys() == {"ITEM-001", "ITEM-002"}
    assert RuleCode.SUGGESTION_ONLY in [rule.code for rule in found["ITEM-001"].rules]
    assert RuleCode.VALUE_ABOVE_ANY_LIMIT in [rule.code for rule in found["ITEM-002"].rules]
    assert (found["ITEM-001"].item_name, found["ITEM-001"].units > 0) == ("Item ITEM-001", True)
    assert len(await storeroom.desk.blocked(limit=1)) == 1
    storeroom.take(counted(900, at=MORNING), clock(MORNING + timedelta(days=11)))
    await storeroom.assess()
    assert [row.item for row in await storeroom.desk.blocked()] == ["ITEM-002"], "stock suffices by now"
    (again,) = await storeroom.desk.blocked()
    assert again.decision_id == "LEEDS:ITEM-002:2", "the newest word counts, once"
