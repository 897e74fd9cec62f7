"""Every kind of CSV file that the product reads: a good one, how the product reads it, and what a plain eye sees."""

import csv
import gzip
import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from connectors.feeds import dataco
from connectors.feeds.dataco import DataCo
from connectors.feeds.file_feed import FileFeed
from connectors.feeds.online_retail import OnlineRetail
from connectors.studies.demand import read_demand
from connectors.studies.folder import read_study
from connectors.studies.items import read_items, read_state
from workers.commands.demand import read_drivers
from workers.commands.feeds import read_history
from workflows.domain.drivers import ExternalValue
from workflows.domain.events import parse
from workflows.domain.feeds import RecordedDemand
from workflows.domain.files import CATALOG, COLUMNS, NEEDS, SHAPES, FileKind, catalog_rows, verdict_commands
from workflows.domain.identity import digest
from workflows.domain.policy_files import policy_document
from workflows.domain.studies import Terms
from workflows.domain.tables import read_table

TASKS = ("LEEDS:ITEM-001:1", "LEEDS:ITEM-002:1", "LEEDS:ITEM-003:1")
HASH = "3f2a" * 16
BESIDE = "beside"
"""Cells beyond the last column, as a column of their own."""
Told = list[dict[str, Any]]
"""What the product made of a file: for each row the values that it read, by column."""


class Kind(NamedTuple):
    """One kind of file."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    read: Callable[[Path, bytes], Told]
    wrong: Mapping[str, str]
    """A cell by column that no such file can have."""
    desk: bool = False
    """It comes through the desk of files: from the console, its REST, and `import --file`."""
    public: bool = False
    """A public table with dirt in it: rows that are none are counted, not refused."""
    zipped: bool = False


def _desk(kind: FileKind, rows: Sequence[tuple[str, ...]], columns: Sequence[str] = (), **wrong: str) -> Kind:
    named = tuple(columns or COLUMNS[kind])
    return Kind(str(kind), named, tuple(rows), lambda _, raw: _desk_read(kind, raw), wrong, desk=True)


def _desk_read(kind: FileKind, raw: bytes) -> Told:
    rows = read_table(raw, SHAPES[kind])
    if kind is FileKind.LIMITS:
        document = policy_document(rows)
        return [{"limit": name, "value": value} for scope in (document, *document["overrides"])
                for name, value in _leaves(scope)]  # fmt: skip
    if kind is FileKind.VERDICTS:
        return [dict(command) for _, command in verdict_commands(rows, digest(raw))]
    return [dict(row) for _, row in catalog_rows(kind, rows, "EUR")]


def _leaves(scope: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in scope.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{before}{name}.")
        elif name not in ("item", "category", "supplier", "location", "overrides"):
            found.append((before + name, value))
    return found


def _models(rows: Sequence[BaseModel]) -> Told:
    return [dict(row) for row in rows]


def _demand(path: Path, _: bytes) -> Told:
    found = read_demand(path)
    if len(found.lines) > 1:
        path.with_name("demand.csv").write_bytes(path.read_bytes())
        study = read_study(path.parent)  # what its periods cannot be is said there
        assert len(study.series) == len(found.cells)
    return [
        {"item": item, "location": location, "date": date.fromordinal(day),
         "quantity": None if value is None else Decimal(value) / 1000}
        for (item, location), cells in found.cells.items() for day, value in cells.thousandths.items()
    ]  # fmt: skip


def _items(path: Path, _: bytes) -> Told:
    found = read_items(path, Terms())
    return [{"item": item, "location": place} | dict(terms) for (item, place), terms in found.terms.items()]


def _state(path: Path, _: bytes) -> Told:
    return [
        {"item": item, "location": place, "on_hand": Decimal(state.on_hand) / 1000}
        for (item, place), state in read_state(path).items()
    ]


def _feed(made: Callable[..., FileFeed]) -> Callable[[Path, bytes], Told]:
    """Rows of a feed are told by their number alone: what became of each is counted."""

    def read(path: Path, raw: bytes) -> Told:
        feed = made(path, days=len(raw) % 4 or None)
        report = feed.report()
        assert report.rows_read == feed.event_rows + feed.history_rows + sum(report.skipped.values())
        events = [*feed.opening(), *feed.day(feed.first_day, {}), *feed.day(feed.last_day, {})]
        assert all(parse(event.to_bytes()) == event for event in events)
        assert all(receipt.units > 0 for receipt in feed.recorded_receipts())
        assert len({(one.location, one.item, one.day) for one in feed.recorded_demand()}) <= feed.history_rows
        return [{}] * report.rows_read

    return read


_RETAIL = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
KINDS: tuple[Kind, ...] = (
    _desk(
        FileKind.ITEMS,
        [("ITEM-001", "Oats", "food", "9.90", "0.5", "EUR"), ("ITEM-9", "Tea, loose", "drinks", "4", "0", "")],
        item="NO SUCH", price="dear", goodwill_per_unit="-1", currency="USD",
    ),
    _desk(
        FileKind.SUPPLIERS, [("acme", "Acme", "no", "5.00", "0", "EUR"), ("north", "Nord; GmbH", "yes", "0", "50", "")],
        supplier="a/b", blocked="perhaps", cost_per_order="x", minimum_order_value="-5",
    ),
    _desk(
        FileKind.SOURCING,
        [("ITEM-001", "LEEDS", "acme", "1", "1.25", "6", "12", "3", "1", "EUR"),
         ("ITEM-002", "LEEDS", "acme", "1", "4.20", "1", "0", "14", "7", "")],
        rank="0", unit_cost="free", pack_units="0.5", minimum_order_units="-1", lead_time_days="731", review_days="0",
    ),
    _desk(
        FileKind.LIMITS,
        [("", "", "", "", "auto_value_limit", "300"), ("", "food", "", "", "review_value_limit", "900.50"),
         ("", "", "acme", "", "four_eyes_above", "5000")],
        limit="no_such_limit", value="much",
    ),
    _desk(
        FileKind.VERDICTS,
        [(TASKS[0], HASH, "approve", "", "", "fine"), (TASKS[1], HASH, "approve_edited", "24", "", ""),
         (TASKS[2], HASH, "reject", "", "not_needed", "")],
        proposal_hash="f" * 63, meaning="perhaps", units="0", reason="because",
    ),
    Kind(
        "history", tuple(RecordedDemand.model_fields),
        (("ITEM-001", "LEEDS", "2024-03-01", "5", "true", "false", "9.90"),
         ("ITEM-001", "LEEDS", "2024-03-02", "-1", "", "true", ""),
         ("ITEM-002", "LEEDS", "2024-03-01", "0", "false", "", "0.0001")),
        lambda path, _: _models(read_history(path)),
        {"item": "NO SUCH", "day": "20240301", "units": "2147483648", "in_stock": "perhaps", "unit_price": "-1"},
    ),
    Kind(
        "drivers", tuple(ExternalValue.model_fields),
        (("*", "rain", "2024-03-01", "4.5", "2024-02-28T06:00:00Z"), ("LEEDS", "footfall", "2024-03-02", "-7",
          "2024-02-29T06:00:00+01:00")),
        lambda path, _: _models(read_drivers(path)),
        {"location": "**", "name": "Rain", "day": "1709251200", "value": "NaN", "known_at": "2024-02-28T06:00:00"},
    ),
    Kind(
        "study demand", ("item", "location", "date", "quantity", "in_stock"),
        (("a", "L", "2024-01-01", "5", "true"), ("a", "L", "2024-01-08", "2.5", "no"), 
          ("b", "L", "2024-01-08", "", "")),
        _demand, {"item": "", "date": "31.12.2024", "quantity": "1,234", "in_stock": "perhaps"}, zipped=True,
    ),
    Kind(
        "study items", ("item", "location", "unit_cost", "price", "lead_time_periods", "minimum_order", "pack", "kind"),
        (("a", "L", "1.5", "2.5", "2", "10", "5", "dry"), ("b", "L", "", "3", "0", "", "", "wet")),
        _items, {"item": "", "unit_cost": "dear", "lead_time_periods": "0.5", "pack": "-1"}, zipped=True,
    ),
    Kind(
        "study state", ("item", "location", "on_hand", "arrives_1", "arrives_3"),
        (("a", "L", "5", "0", "2.5"), ("b", "L", "0", "", "1")),
        _state, {"item": "", "on_hand": "some", "arrives_3": "-1"}, zipped=True,
    ),
    Kind(
        "online-retail", _RETAIL,
        (("536365", "85123A", "WHITE MUG", "6", "2010-12-01 08:26:00", "2.55", "17850.0", "UK"),
         ("536366", "71053", "LANTERN", "10", "2010-12-02 09:00:00", "3.39", "", "UK"),
         ("C536367", "85123A", "WHITE MUG", "-2", "12/3/2010 8:26", "2.55", "17850.0", "UK"),
         ("536368", "71053", "lost", "-1", "2010-12-04 10:00:00", "0", "", "UK")),
        _feed(OnlineRetail), {}, public=True, zipped=True,
    ),
    Kind(
        "dataco", dataco.COLUMNS,
        (("78239", "West of USA ", "PROCESSING", "4/1/2016 21:05", "2", "199.9900055", "1073", "Kayak", "Water"),
         ("78240", "Oceania", "CANCELED", "4/2/2016 23:59", "1", "50", "1074", "Bow; arrow", "Sport"),
         ("78241", "Oceania", "COMPLETE", "4/3/2016 00:00", "3", "9.99", "1074", "Bow", "Sport")),
        _feed(DataCo), {}, public=True, zipped=True,
    ),
)  # fmt: skip
KINDS_BY_NAME = {kind.name: kind for kind in KINDS}
assert {kind.name for kind in KINDS if kind.desk} == set(map(str, NEEDS)), "every kind that the desk takes"
assert set(CATALOG) <= set(NEEDS)


def seen(kind: Kind, raw: bytes) -> list[dict[str, str]] | None:
    """The file's rows as a plain eye sees them, by lower-case column; None where it is no table of this kind."""
    if kind.zipped and raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    tables = []
    for separator in ",;" if kind.desk else ",":
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        names = [name.strip().lower() for name in records[0]] if records else []
        rows = [record for record in records[1:] if (record if kind.public else any(map(str.strip, record)))]
        known = len({*names} & {name.lower() for name in kind.columns})
        tables.append((known, [dict(zip(names, row, strict=False)) | _beside(row[len(names) :]) for row in rows]))
    best = max(tables, key=lambda one: one[0])
    return best[1] if best[0] else None


def _beside(cells: Sequence[str]) -> dict[str, str]:
    """What a row says beyond the last column."""
    return {BESIDE: " ".join(cells)} if any(map(str.strip, cells)) else {}


def says(cell: str, value: object, *, guarded: bool) -> bool:
    """Whether the value is what the cell says, by plain means; an empty cell says nothing. `guarded`: an apostrophe
    may stand before what a spreadsheet would take for a formula."""
    text = cell.strip()
    if guarded and re.match(r"'[=+\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]", text):
        text = text[1:]
    if text == "" or value is None:
        return text.casefold() in ("", "na", "nan", "n/a", "null", "none")
    if isinstance(value, bool):
        return value == (text.casefold() in ("true", "yes", "y", "t", "on", "1", "1.0"))
    if isinstance(value, int | Decimal):
        given = Decimal(text.replace(",", "."))
        return given == value or (isinstance(value, Decimal) and abs(given - value) <= Decimal("0.0005"))
    if isinstance(value, datetime):
        return datetime.fromisoformat(text.upper()) == value
    return date.fromisoformat(text[:10]) == value if isinstance(value, date) else str(value).strip() == text.strip()
