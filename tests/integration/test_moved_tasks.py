"""However many tasks wait, the relay comes round to each of them, a stretch at a time."""

from datetime import timedelta

import pytest

from connectors.postgres import moved_tasks
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted, sold

ITEMS = ("ITEM-001", "ITEM-002", "ITEM-003")


async def test_looks_go_on_where_the_one_before_ended_and_begin_anew_after_the_last_task(
    storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moved_tasks, "STRETCH", 2)
    await storeroom.stock(catalog(3))
    storeroom.take(*[counted(9, item=item) for item in ITEMS], clock())
    await storeroom.assess()
    order = [task.decision_id for task in await storeroom.desk.tasks()]
    assert len(order) == 3
    storeroom.take(*[sold(20, item=item) for item in ITEMS], clock(MORNING + timedelta(hours=1)))
    looks = [storeroom.relay.moved_tasks() for _ in range(3)]
    assert looks == [sorted(order[:2]), order[2:], []], "asked for once per tick"
    storeroom.take(clock(MORNING + timedelta(hours=2)))
    assert storeroom.relay.moved_tasks() == order[2:], "the first look was the first half of this round"
    assert storeroom.relay.moved_tasks() == sorted(order[:2])


async def test_a_moved_task_stays_owed_until_its_workflow_was_told(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9, item=ITEMS[0]), clock())
    await storeroom.assess()
    storeroom.take(sold(20, item=ITEMS[0]), clock(MORNING + timedelta(hours=1)))
    [decision] = storeroom.relay.moved_tasks()
    assert storeroom.relay.moved_tasks() == [], "asked for once per tick"
    assert storeroom.relay.rescores_wanted() == [decision], "whoever was to tell it may have died"
    assert storeroom.relay.rescores_wanted() == [decision]
    storeroom.relay.rescore_told(decision)
    assert storeroom.relay.rescores_wanted() == []
