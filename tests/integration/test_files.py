"""Catalog files in PostgreSQL: whole or not at all, on the record, and an exported one changes nothing."""

import asyncio
from decimal import Decimal

import pytest

from connectors.postgres.catalog import load_catalog
from connectors.postgres.files import PostgresFiles
from connectors.postgres.pool import Database
from tests.storeroom import PLANNER, Storeroom, catalog, clock, counted
from workflows.domain.catalog import Item, Sourcing
from workflows.domain.files import (
    CATALOG,
    COLUMNS,
    SHAPES,
    CatalogRow,
    DecisionFilters,
    FileKind,
    catalog_cells,
    catalog_rows,
)
from workflows.domain.tables import Unusable, read_table, write_table


async def exported(files: PostgresFiles, kind: FileKind) -> bytes:
    rows = await files.catalog(kind, None, 1000)
    return "".join(write_table(COLUMNS[kind], [catalog_cells(row, "EUR") for row in rows])).encode()


def read(kind: FileKind, raw: bytes) -> list[tuple[int, CatalogRow]]:
    return catalog_rows(kind, read_table(raw, SHAPES[kind]), "EUR")


@pytest.mark.parametrize("kind", list(CATALOG))
async def test_an_exported_catalog_changes_nothing(storeroom: Storeroom, database: Database, kind: FileKind) -> None:
    await storeroom.stock(catalog(5))
    files = PostgresFiles(database)
    before = storeroom.one("SELECT count(*) AS n FROM ledger_entry")
    change = await files.change_catalog(kind, read(kind, await exported(files, kind)), "d", PLANNER, check=False)
    assert (change.new, change.changed, change.same) == (0, 0, 1 if kind is FileKind.SUPPLIERS else 5)
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry") == before


async def test_pages_are_by_key_and_miss_nothing(storeroom: Storeroom, database: Database) -> None:
    await storeroom.stock(catalog(7))
    files = PostgresFiles(database)
    first = await files.catalog(FileKind.SOURCING, None, 3)
    last = first[-1]
    assert isinstance(last, Sourcing)
    rest = await files.catalog(FileKind.SOURCING, [last.location, last.item, last.supplier], 100)
    assert [row.item for row in [*first, *rest] if isinstance(row, Sourcing)] == [f"ITEM-{n:03}" for n in range(1, 8)]


async def test_a_file_is_taken_once_whole_and_on_the_record(storeroom: Storeroom, database: Database) -> None:
    await storeroom.stock(catalog(2))
    files = PostgresFiles(database)
    rows: list[tuple[int, CatalogRow]] = [
        (2, Item(item="ITEM-001", name="Item ITEM-001", category="things", price=Decimal("12.50"))),
        (3, Item(item="NEW", name="New", price=Decimal(1))),
    ]
    checked = await files.change_catalog(FileKind.ITEMS, rows, "digest", PLANNER, check=True)
    assert (checked.new, checked.changed) == (1, 1)
    assert storeroom.rows("SELECT 1 FROM item WHERE item = 'NEW'") == []
    first, second = await asyncio.gather(
        *(files.change_catalog(FileKind.ITEMS, rows, "digest", PLANNER, check=False) for _ in range(2))
    )
    assert sorted([first.repeated, second.repeated]) == [False, True]
    assert storeroom.one("SELECT price FROM item WHERE item = 'ITEM-001'") == {"price": Decimal("12.50")}
    found = storeroom.rows("SELECT actor FROM ledger_entry WHERE type = 'catalog.changed' ORDER BY seq")
    assert [row["actor"] for row in found][-1] == PLANNER.name
    load_catalog(storeroom.connection, catalog(2), actor="import")
    assert storeroom.one("SELECT price FROM item WHERE item = 'ITEM-001'") == {"price": Decimal("9.90")}
    again = await files.change_catalog(FileKind.ITEMS, rows, "digest", PLANNER, check=False)
    assert (again.changed, again.repeated) == (1, False), "another change came in between: this file counts again"
    assert storeroom.verified().ok


async def test_a_row_about_the_unknown_takes_the_whole_file_down(storeroom: Storeroom, database: Database) -> None:
    await storeroom.stock(catalog(2))
    files = PostgresFiles(database)
    terms = {"location": "LEEDS", "supplier": "acme", "unit_cost": Decimal(9), "lead_time_days": 9}
    rows: list[tuple[int, CatalogRow]] = [
        (2, Sourcing.model_validate({**terms, "item": "ITEM-001"})),
        (3, Sourcing.model_validate({**terms, "item": "NOBODY", "location": "MARS"})),
    ]
    with pytest.raises(Unusable) as caught:
        await files.change_catalog(FileKind.SOURCING, rows, "d", PLANNER, check=False)
    assert [(one.line, one.column) for one in caught.value.problems] == [(3, "item"), (3, "location")]
    assert storeroom.rows("SELECT 1 FROM sourcing WHERE lead_time_days = 9") == []


async def test_a_person_unblocks_what_an_event_blocked(storeroom: Storeroom, database: Database) -> None:
    await storeroom.stock(catalog(1))
    storeroom.connection.execute("UPDATE supplier SET blocked = true, blocked_at = now()")
    files = PostgresFiles(database)
    raw = (await exported(files, FileKind.SUPPLIERS)).decode()
    assert ",yes," in raw
    rows = read(FileKind.SUPPLIERS, raw.replace(",yes,", ",no,").encode())
    assert (await files.change_catalog(FileKind.SUPPLIERS, rows, "d", PLANNER, check=False)).changed == 1
    assert storeroom.one("SELECT blocked FROM supplier") == {"blocked": False}


async def test_decisions_are_given_page_by_page(storeroom: Storeroom, database: Database) -> None:
    await storeroom.stock(catalog(3))
    storeroom.take(*[counted(5, item=f"ITEM-{n:03}") for n in (1, 2, 3)], clock())
    await storeroom.assess()
    files = PostgresFiles(database)
    first = await files.decisions(DecisionFilters(), None, 2)
    rest = await files.decisions(DecisionFilters(), (first[-1]["decision_id"], first[-1]["revision"]), 2)
    assert [row["item"] for row in first + rest] == ["ITEM-001", "ITEM-002", "ITEM-003"]
    assert set(first[0]) == set(COLUMNS[FileKind.DECISIONS])
    only = await files.decisions(DecisionFilters(item="ITEM-002", location="LEEDS"), None, 10)
    assert [row["item"] for row in only] == ["ITEM-002"]
    await files.exported(FileKind.DECISIONS, {"item": "ITEM-002"}, PLANNER)
    assert storeroom.one("SELECT actor FROM ledger_entry WHERE type = 'export.made'") == {"actor": PLANNER.name}
