"""What the console reads of sending is what PostgreSQL holds: a doubt with its window, the cap that holds, reports."""

from datetime import timedelta

import pytest

from connectors.postgres.operations import PostgresOrderDesk
from connectors.postgres.reconciliation import PostgresReconciliations
from connectors.postgres.reconciliation_desk import PostgresReconciliationDesk
from tests.integration.test_caps import cap, let_go, two_orders
from tests.integration.test_reconciliation import placed, reported
from tests.integration.test_requests import ORDER, Desk
from tests.storeroom import SUPPLIER, Storeroom, catalog, clock, counted
from workflows.domain.capabilities import DedupeLevel
from workflows.domain.caps import CapName
from workflows.domain.errors import NotFound, OutcomeUnknown


@pytest.mark.parametrize(("level", "itself"), [("L3", True), ("L2", True), ("L1", False), ("L1 drafts", True)])
async def test_a_doubt_says_until_when_and_what_happens_then(storeroom: Storeroom, level: str, itself: bool) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    await storeroom.answer("LEEDS:ITEM-001:1")
    await storeroom.orders.release("LEEDS:ITEM-001:1", storeroom.hash_of("LEEDS:ITEM-001:1"))
    opened = Desk(storeroom, level)
    opened.supplier.behaviour.append("vanish")
    with pytest.raises(OutcomeUnknown):
        await opened.place()

    doubt = await opened.words.doubt(ORDER)

    assert (doubt.in_doubt, doubt.level) == (True, DedupeLevel(level[:2]))
    assert doubt.drafts == (level == "L1 drafts")
    assert doubt.last_sent_at is not None
    assert doubt.settles_at == doubt.last_sent_at + timedelta(seconds=12)
    assert doubt.sends_again_itself is itself
    assert "may still be carried out" in doubt.why_not_send
    assert doubt.sent[-1].outcome == "unknown"


async def test_an_order_held_by_a_cap_names_the_cap(storeroom: Storeroom) -> None:
    (first, value), (second, _) = await two_orders(storeroom)
    cap(storeroom, sent_value_per_hour=value + 1)
    assert await let_go(storeroom, first)
    assert not await let_go(storeroom, second)

    view = await PostgresOrderDesk(storeroom.database).order(second)

    assert view.order.held is not None
    assert view.order.held.over_cap == CapName.HOUR
    told = await storeroom.orders.held(second)
    assert told is not None
    assert told.over_cap == CapName.HOUR


async def test_a_report_is_found_by_its_id_and_one_that_is_read_is_told(storeroom: Storeroom) -> None:
    await placed(storeroom)
    desk = PostgresReconciliationDesk(storeroom.database)
    report = await reported(storeroom, [])
    assert await desk.under_way() == []

    reading = await PostgresReconciliations(storeroom.database).begin(SUPPLIER)

    assert await desk.report(report.report_id) == report
    assert [one.report_id for one in await desk.under_way()] == [reading.report_id]
    for nothing in (reading.report_id, "nobody:1"):
        with pytest.raises(NotFound):
            await desk.report(nothing)
