"""What the policy releases by itself goes on its orders in one transaction, as one by one it would have gone."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from connectors.postgres.launching import Launched
from connectors.postgres.orders import PostgresOrders
from tests.storeroom import LOCATION, MORNING, SUPPLIER, Storeroom, catalog, clock, counted
from workflows.domain.ledger import EntryType
from workflows.domain.limits import Override
from workflows.domain.policies import Policy

FAR = Decimal(1_000_000)
FREE = Policy(
    auto_value_limit=FAR, soon_risk_limit=Decimal(1), soon_lost_value_limit=FAR, usual_quantity_factor=FAR,
    costly_if_wrong_limit=FAR, stale_after_hours=24 * 365, new_item_asks=False, new_supplier_asks=False,
    little_history_asks=False, overrides=(Override(item="ITEM-003", auto_value_limit=Decimal(0)),),
)  # fmt: skip
"""Asks about nothing but the third item."""
RELEASED = ["LEEDS:ITEM-001:1", "LEEDS:ITEM-002:1"]
ORDER = f"{SUPPLIER}:{LOCATION}:2025-03-03:1"


async def batch_of(storeroom: Storeroom) -> str:
    """Three proposals, decided in one batch; a person is asked about the third."""
    await storeroom.stock(catalog(3), FREE)
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in (1, 2, 3)], clock())
    summary = await storeroom.assess()
    assert summary is not None
    assert summary.proposals == 3
    return summary.batch_id


@pytest.mark.parametrize("at_once", [False, True])
async def test_what_nobody_is_asked_about_is_on_its_order_and_the_rest_waits(
    storeroom: Storeroom, at_once: bool
) -> None:
    batch = await batch_of(storeroom)
    launched = Launched(storeroom.database, at_once=at_once)
    await launched.release(batch)

    lines = storeroom.rows("SELECT order_id, need_id, units FROM order_line ORDER BY need_id")
    assert [(line["order_id"], line["need_id"]) for line in lines] == [(ORDER, need) for need in RELEASED]
    states = storeroom.rows("SELECT r.state, n.state AS need FROM replenishment r JOIN need n ON need_id = decision_id "
                            "ORDER BY decision_id")  # fmt: skip
    assert [(row["state"], row["need"]) for row in states] == [
        ("released", "closed"), ("released", "closed"), ("proposed", "proposed"),
    ]  # fmt: skip
    assert [storeroom.position(need.split(":")[1])["on_order_units"] for need in RELEASED] == [
        line["units"] for line in lines
    ]
    assert [ref.decision_id for ref, _ in await launched.unstarted(batch)] == ["LEEDS:ITEM-003:1"]
    entries = storeroom.rows("SELECT stream FROM ledger_entry WHERE type = %s ORDER BY 1", EntryType.DECISION_RELEASED)
    assert [entry["stream"] for entry in entries] == RELEASED
    assert storeroom.verified().ok


async def test_one_by_one_and_together_leave_the_same(storeroom: Storeroom) -> None:
    batch = await batch_of(storeroom)
    orders = PostgresOrders(storeroom.database)
    one = await orders.release(RELEASED[0], storeroom.hash_of(RELEASED[0]))
    await Launched(storeroom.database).release(batch)

    assert one.order_id == ORDER
    bodies = storeroom.rows(
        "SELECT convert_from(body, 'UTF8')::jsonb - 'units' - 'proposal_hash' AS body FROM ledger_entry "
        "WHERE type = 'decision.released'"
    )
    assert bodies[0] == bodies[1] == {"body": {"order": ORDER, "tier": "auto"}}


async def test_releasing_again_changes_nothing_also_at_the_same_time(storeroom: Storeroom) -> None:
    batch = await batch_of(storeroom)
    launched = Launched(storeroom.database)
    await asyncio.gather(*(launched.release(batch) for _ in range(4)))

    assert len(storeroom.rows("SELECT 1 FROM order_line")) == 2
    assert storeroom.verified().ok


async def test_an_order_that_waits_for_its_cutoff_is_left_to_the_relay(storeroom: Storeroom) -> None:
    batch = await batch_of(storeroom)
    launched = Launched(storeroom.database)
    await launched.release(batch)
    assert await launched.orders(batch) == []
    ((ref, _),) = storeroom.relay.orders()
    assert (ref.order_id, ref.due) == (ORDER, False)

    storeroom.take(clock(MORNING + timedelta(hours=1)))
    ((ref, _),) = storeroom.relay.orders()
    assert ref.due, "its cutoff came before its workflow"


async def test_an_order_that_is_due_is_started_by_whoever_released_it_and_found_again_after_a_crash(
    storeroom: Storeroom,
) -> None:
    batch = await batch_of(storeroom)
    launched = Launched(storeroom.database, at_once=True)
    await launched.release(batch)
    ((ref, _),) = await launched.orders(batch)
    assert (ref.order_id, ref.due) == (ORDER, True)
    assert storeroom.relay.orders() == [], "the relay leaves it alone"
    assert storeroom.relay.due_ticks() == [], "and tells it of no cutoff"

    await launched.release(batch)  # another attempt, after a crash
    assert await launched.orders(batch) == [(ref, None)]
    await launched.finished(batch, ["LEEDS:ITEM-003:1"])
    assert storeroom.relay.batches(0) == []
    assert storeroom.relay.replenishments(0) == []


async def test_at_once_a_line_that_comes_after_its_order_went_opens_the_days_next_part(storeroom: Storeroom) -> None:
    batch = await batch_of(storeroom)
    await Launched(storeroom.database, at_once=True).release(batch)
    await storeroom.place(ORDER)
    await storeroom.answer("LEEDS:ITEM-003:1")
    late = await PostgresOrders(storeroom.database, at_once=True).release(
        "LEEDS:ITEM-003:1", storeroom.hash_of("LEEDS:ITEM-003:1")
    )

    assert late.order_id == f"{SUPPLIER}:{LOCATION}:2025-03-03:2"
    keys = storeroom.rows("SELECT DISTINCT key FROM purchase_order")
    assert len(keys) == 2
