"""Which files planners exchange with their spreadsheets, with what columns, and what came of one that was taken."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from pydantic import BaseModel, Field

from workflows.domain.approvals import Actor, VerdictCommand
from workflows.domain.catalog import Item, Sourcing, Supplier
from workflows.domain.identity import Instant, Payload, rfc3339
from workflows.domain.identity import digest as sha256
from workflows.domain.inbox import InboxRow
from workflows.domain.people import Permission
from workflows.domain.policy_changes import Difference
from workflows.domain.tables import Cells, Problem, Shape, Unusable, read_models

MAX_FILE_BYTES = 5 * 1024 * 1024
MOST_VERDICTS = 500
"""In one file: each is an answer of its own."""
LARGEST = 2_147_483_647
"""Whole numbers in the catalog."""
CatalogRow = Item | Supplier | Sourcing


class FileKind(StrEnum):
    """What a file holds; its name in addresses."""

    ITEMS = "items"
    SUPPLIERS = "suppliers"
    SOURCING = "sourcing"
    LIMITS = "limits"
    """The whole policy, a limit a row."""
    TASKS = "tasks"
    DECISIONS = "decisions"
    VERDICTS = "verdicts"
    """Answers to tasks: an exported file of tasks with `meaning` filled in."""


CATALOG: Mapping[FileKind, type[Item] | type[Supplier] | type[Sourcing]] = MappingProxyType(
    {FileKind.ITEMS: Item, FileKind.SUPPLIERS: Supplier, FileKind.SOURCING: Sourcing}
)
KEYS: Mapping[FileKind, tuple[str, ...]] = MappingProxyType({
    FileKind.ITEMS: ("item",), FileKind.SUPPLIERS: ("supplier",), FileKind.SOURCING: ("location", "item", "supplier"),
})  # fmt: skip
NEEDS: Mapping[FileKind, Permission] = MappingProxyType({
    FileKind.ITEMS: Permission.EDIT_CATALOG, FileKind.SUPPLIERS: Permission.EDIT_CATALOG,
    FileKind.SOURCING: Permission.EDIT_CATALOG, FileKind.LIMITS: Permission.PROPOSE_POLICY,
    FileKind.VERDICTS: Permission.ANSWER,
})  # fmt: skip
"""The files that are taken, and what it needs to bring one."""
GIVEN = (FileKind.ITEMS, FileKind.SUPPLIERS, FileKind.SOURCING, FileKind.LIMITS, FileKind.TASKS, FileKind.DECISIONS)
"""The files that are given."""

SCOPE = ("item", "category", "supplier", "location")
VERDICT = ("decision_id", "proposal_hash", "meaning", "units", "reason", "comment")
TASK_COLUMNS = (
    *VERDICT, "location", "item", "item_name", "category", "supplier", "proposed_units", "value", "currency",
    "cost_of_waiting", "stockout_risk", "days_of_cover", "rules", "sentence", "state", "opened_at", "order_by",
    "expire_at", "answered_by",
)  # fmt: skip
COLUMNS: Mapping[FileKind, tuple[str, ...]] = MappingProxyType({
    **{kind: (*model.model_fields, "currency") for kind, model in CATALOG.items()},
    FileKind.LIMITS: (*SCOPE, "limit", "value"),
    FileKind.TASKS: TASK_COLUMNS,
    FileKind.VERDICTS: VERDICT,
    FileKind.DECISIONS: (
        "decision_id", "revision", "location", "item", "kind", "decided_at", "supplier", "units", "unit_cost", "tier",
        "state", "horizon_end", "proposal_hash", "model_digest", "policy_digest",
    ),
})  # fmt: skip
NUMBERS = (
    "price", "goodwill_per_unit", "cost_per_order", "minimum_order_value", "unit_cost", "value",
)  # fmt: skip
SHAPES: Mapping[FileKind, Shape] = MappingProxyType({
    **{
        kind: Shape(required=tuple(model.model_fields), optional=("currency",), numbers=NUMBERS)
        for kind, model in CATALOG.items()
    },
    FileKind.LIMITS: Shape(required=COLUMNS[FileKind.LIMITS], numbers=("value",)),
    FileKind.VERDICTS: Shape(
        required=("decision_id", "proposal_hash", "meaning"), optional=("units", "reason", "comment"),
        ignored=TASK_COLUMNS[len(VERDICT):],
    ),
})  # fmt: skip


class RowAnswer(BaseModel):
    """What became of one verdict of a file."""

    line: int
    decision_id: str
    taken: bool
    words: str
    """What was recorded, or why it was not."""


class FileTaken(BaseModel):
    """What came of a file."""

    kind: FileKind
    digest: str
    """SHA-256 of its bytes; the same file again does nothing again."""
    checked_only: bool
    rows: int
    new: int = 0
    changed: int = 0
    same: int = 0
    repeated: bool = Field(default=False, description="This very file was taken before, and nothing was done")
    differences: list[Difference] = []
    change_id: str | None = Field(default=None, description="The policy change that waits for another person")
    answers: list[RowAnswer] = []


class CatalogChange(Payload):
    """What a catalog file changes."""

    new: int
    changed: int
    same: int
    repeated: bool = False


class DecisionFilters(Payload):
    """Which decisions are exported."""

    location: str | None = None
    item: str | None = None
    since: Instant | None = None
    until: Instant | None = None


class Files(Protocol):
    """What files are made of, and where those of the catalog go."""

    async def catalog(self, kind: FileKind, after: Sequence[str] | None, limit: int) -> list[CatalogRow]:
        """A page of the catalog in the order of its keys, after this key."""
        ...

    async def change_catalog(
        self, kind: FileKind, rows: Sequence[tuple[int, CatalogRow]], digest: str, actor: Actor, *, check: bool
    ) -> CatalogChange:
        """Take all rows or none, on the record; `check` only says what would change.

        Raises:
            Unusable: a row names an item, a location or a supplier that nobody knows.
        """
        ...

    async def decisions(
        self, filters: DecisionFilters, after: tuple[str, int] | None, limit: int
    ) -> list[dict[str, Any]]:
        """A page of decisions by id and revision, as the columns of their file."""
        ...

    async def exported(self, kind: FileKind, filters: Mapping[str, str], actor: Actor) -> None:
        """Record that somebody took a file away."""
        ...


def catalog_rows(kind: FileKind, rows: Sequence[Cells], currency: str) -> list[tuple[int, CatalogRow]]:
    """What a catalog file says, with lines.

    Raises:
        Unusable: every row that cannot be.
    """
    model = CATALOG[kind]
    problems = [
        Problem(line=row.line, column="currency", reason=f"amounts here are in {currency}, not {given[:10]!r}")
        for row in rows
        if (given := row.cells.get("currency", "").strip()) not in ("", currency)
    ]
    try:
        found = read_models(rows, model, key=KEYS[kind], prepare=_fields)
    except Unusable as error:
        raise Unusable(sorted([*problems, *error.problems], key=lambda one: one.line), error.more) from None
    problems += [
        Problem(line=line, column=name, reason=f"{value} is more than can be stored ({LARGEST:,})")
        for line, row in found
        for name, value in dict(row).items()
        if isinstance(value, int) and value > LARGEST
    ]
    if problems:
        raise Unusable(sorted(problems, key=lambda one: one.line))
    return [(line, row) for line, row in found]


def catalog_cells(row: CatalogRow, currency: str) -> dict[str, str]:
    """A row as its file has it."""
    return {name: cell(value) for name, value in dict(row).items()} | {"currency": currency}


def verdict_commands(rows: Sequence[Cells], digest: str) -> list[tuple[int, VerdictCommand]]:
    """The answers of a file; rows without a meaning are none. The same file gives the same commands.

    Raises:
        Unusable: every row that cannot be.
    """
    said = [row for row in rows if row.cells.get("meaning", "").strip()]
    if len(said) > MOST_VERDICTS:
        raise Unusable([Problem(line=said[MOST_VERDICTS].line, reason=f"a file has at most {MOST_VERDICTS} answers")])

    def prepare(cells: dict[str, str]) -> dict[str, Any]:
        fields = {name: cells.get(name, "").strip() or None for name in VERDICT}
        fields["comment"] = fields["comment"] or ""
        return {**fields, "command_id": f"file-{digest[:40]}-{_short(fields['decision_id'] or '')}"}

    return read_models(said, VerdictCommand, key=("decision_id",), prepare=prepare)


def task_cells(row: InboxRow) -> dict[str, str]:
    """A task as its file has it, with empty cells for an answer."""
    known = dict(row)
    cells = {name: cell(known.get(name)) for name in TASK_COLUMNS}
    empty = dict.fromkeys(("meaning", "units", "reason", "comment"), "")
    return {**cells, **empty, "proposed_units": cell(row.units), "rules": " ".join(row.rules)}


def cell(value: object) -> str:
    """A value as text: amounts without needless zeros, instants in UTC, yes and no, nothing for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if hasattr(value, "tzinfo"):
        return rfc3339(value)  # type: ignore[arg-type]
    return str(value)


def _fields(cells: dict[str, str]) -> dict[str, Any]:
    """Empty cells are at their default; texts keep their blanks, everything else does not."""
    texts = {"name", "category"}
    found = {name: text if name in texts else text.strip() for name, text in cells.items() if name != "currency"}
    return {name: text for name, text in found.items() if text != "" or name in texts}


def _short(decision_id: str) -> str:
    return sha256(decision_id.encode(errors="replace"))[:40]
