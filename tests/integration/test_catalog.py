"""Loading is on the record, and loading again changes nothing: neither the ledger nor what events changed since."""

from datetime import date

from connectors.postgres.catalog import load_catalog, load_history
from tests.storeroom import LOCATION, MORNING, SUPPLIER, Storeroom, catalog, event
from workflows.domain.events import SupplierUpdated
from workflows.domain.feeds import RecordedDemand, RecordedReceipt

DAY = date(2025, 2, 3)
DEMAND = [RecordedDemand(item="ITEM-001", location=LOCATION, day=DAY, units=3)]
RECEIPTS = [
    RecordedReceipt(
        supplier=SUPPLIER, item="ITEM-001", location=LOCATION, ordered_on=DAY, received_on=DAY.replace(day=9), units=12
    )
]


def recorded(storeroom: Storeroom) -> list[str]:
    rows = storeroom.rows("SELECT type FROM ledger_entry WHERE stream = 'installation' ORDER BY seq")
    return [row["type"] for row in rows]


def lead_time(storeroom: Storeroom) -> int:
    return int(storeroom.one("SELECT lead_time_days FROM sourcing WHERE item = 'ITEM-001'")["lead_time_days"])


async def test_the_same_catalog_again_does_not_undo_what_a_supplier_said_since(storeroom: Storeroom) -> None:
    assert load_catalog(storeroom.connection, catalog(), actor="test")
    storeroom.take(event(SupplierUpdated(supplier=SUPPLIER, lead_time_days=9), at=MORNING))
    assert lead_time(storeroom) == 9

    assert not load_catalog(storeroom.connection, catalog(), actor="test")

    assert lead_time(storeroom) == 9
    assert recorded(storeroom) == ["catalog.changed"]


async def test_another_catalog_counts_and_so_does_the_first_one_after_it(storeroom: Storeroom) -> None:
    assert load_catalog(storeroom.connection, catalog(), actor="test")
    assert load_catalog(storeroom.connection, catalog(lead_time_days=5), actor="test")
    assert lead_time(storeroom) == 5
    assert load_catalog(storeroom.connection, catalog(), actor="test")

    assert lead_time(storeroom) == 3
    assert recorded(storeroom) == ["catalog.changed"] * 3


def blocked(storeroom: Storeroom) -> bool:
    return bool(storeroom.one("SELECT blocked FROM supplier")["blocked"])


async def test_a_document_that_blocks_or_unblocks_a_known_supplier_counts(storeroom: Storeroom) -> None:
    for says in (False, True, False):
        load_catalog(storeroom.connection, catalog(blocked=says), actor="test")
        assert blocked(storeroom) is says
    storeroom.take(event(SupplierUpdated(supplier=SUPPLIER, blocked=True), at=MORNING))
    load_catalog(storeroom.connection, catalog(lead_time_days=5), actor="test")
    assert blocked(storeroom), "the document only says again what it said before the news"
    load_catalog(storeroom.connection, catalog(blocked=True), actor="test")
    load_catalog(storeroom.connection, catalog(), actor="test")
    assert not blocked(storeroom)


async def test_a_past_that_is_there_already_is_not_recorded_again(storeroom: Storeroom) -> None:
    load_catalog(storeroom.connection, catalog(), actor="test")

    for _ in range(2):
        assert load_history(storeroom.connection, DEMAND, RECEIPTS, actor="test") == (1, 1)
    assert recorded(storeroom) == ["catalog.changed", "history.imported"]

    load_history(storeroom.connection, DEMAND, [RECEIPTS[0].model_copy(update={"units": 6})], actor="test")
    load_history(storeroom.connection, [], [], actor="test")
    assert recorded(storeroom) == ["catalog.changed", "history.imported"]

    later = DEMAND[0].model_copy(update={"day": DAY.replace(day=4)})
    load_history(storeroom.connection, [*DEMAND, later], [], actor="test")
    assert recorded(storeroom) == ["catalog.changed", "history.imported", "history.imported"]
