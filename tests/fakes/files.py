"""A catalog in memory that is exchanged with spreadsheets by the real store's rules."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from workflows.domain.approvals import Actor
from workflows.domain.catalog import Item, Sourcing, Supplier
from workflows.domain.files import KEYS, CatalogChange, CatalogRow, DecisionFilters, FileKind
from workflows.domain.tables import Problem, Unusable


class MemoryFiles:
    """`Files` in memory."""

    def __init__(self) -> None:
        self.rows: dict[FileKind, dict[tuple[str, ...], CatalogRow]] = {
            FileKind.ITEMS: {}, FileKind.SUPPLIERS: {}, FileKind.SOURCING: {}
        }  # fmt: skip
        self.locations = {"LEEDS"}
        self.last = ""
        self.recorded: list[tuple[str, str, str]] = []
        """What was written to the ledger: type, kind, who."""
        oat = Item(item="OAT-1L", name="Oat drink", category="drinks", price=Decimal("2.30"))
        self.put(FileKind.ITEMS, oat, Item(item="TEA", name='=HYPERLINK("x";"y")', price=Decimal(4)))
        self.put(FileKind.SUPPLIERS, Supplier(supplier="northern-foods", name="Northern Foods"))
        sourcing = {"item": "OAT-1L", "location": "LEEDS", "supplier": "northern-foods", "unit_cost": "1.1"}
        self.put(FileKind.SOURCING, Sourcing.model_validate({**sourcing, "lead_time_days": 3}))

    def put(self, kind: FileKind, *rows: CatalogRow) -> None:
        """Add or replace."""
        for row in rows:
            self.rows[kind][_key(kind, row)] = row

    async def catalog(self, kind: FileKind, after: Sequence[str] | None, limit: int) -> list[CatalogRow]:
        found = sorted(self.rows[kind].items())
        return [row for key, row in found if after is None or key > tuple(after)][:limit]

    async def change_catalog(
        self, kind: FileKind, rows: Sequence[tuple[int, CatalogRow]], digest: str, actor: Actor, *, check: bool
    ) -> CatalogChange:
        if digest == self.last:
            return CatalogChange(new=0, changed=0, same=len(rows), repeated=True)
        problems = [
            Problem(line=line, column="item", reason=f"there is no item {row.item} in the catalog")
            for line, row in rows
            if isinstance(row, Sourcing) and (row.item,) not in self.rows[FileKind.ITEMS]
        ]
        if problems:
            raise Unusable(problems)
        known = self.rows[kind]
        new = sum(_key(kind, row) not in known for _, row in rows)
        same = sum(known.get(_key(kind, row)) == row for _, row in rows)
        found = CatalogChange(new=new, changed=len(rows) - new - same, same=same)
        if not check and found.new + found.changed:
            self.put(kind, *(row for _, row in rows))
            self.last = digest
            self.recorded.append(("catalog.changed", kind, actor.name))
        return found

    async def decisions(
        self, filters: DecisionFilters, after: tuple[str, int] | None, limit: int
    ) -> list[dict[str, Any]]:
        if after is not None:
            return []
        return [{"decision_id": "LEEDS:OAT-1L:1", "revision": 1, "location": "LEEDS", "units": None}]

    async def exported(self, kind: FileKind, filters: Mapping[str, str], actor: Actor) -> None:
        self.recorded.append(("export.made", kind, actor.name))


def _key(kind: FileKind, row: CatalogRow) -> tuple[str, ...]:
    return tuple(str(getattr(row, name)) for name in KEYS[kind])
