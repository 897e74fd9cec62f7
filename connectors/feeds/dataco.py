"""The public DataCo supply-chain file as a world: order lines of many regions; personal data never leaves the file."""

import re
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from connectors.feeds.file_feed import Fact, FactKind, FileFeed, Reading
from connectors.feeds.rowfile import moment_of, open_rows, price_of, words_of
from workflows.domain.events import MAX_UNITS

COLUMNS = (
    "Order Item Id",
    "Order Region",
    "Order Status",
    "order date (DateOrders)",
    "Order Item Quantity",
    "Order Item Product Price",
    "Product Card Id",
    "Product Name",
    "Category Name",
)
"""The nine of the file's 53 columns that are read. Names, addresses, e-mails and passwords are not among them."""
CANCELLED = frozenset({"CANCELED", "SUSPECTED_FRAUD"})
CANCELLED_AFTER = timedelta(seconds=30)
"""Order times are whole minutes, so a cancellation this long after one is on the same day."""
LOW_SHARE = 0.3
INVENTED = (
    "when an order was cancelled: the file says only that it was, so it is taken back half a minute after it came",
    "one stock-keeping location per order region",
    "the time zone: the file's times are taken as UTC",
)
LINE_ID = re.compile(r"[0-9A-Za-z]{1,30}")
CARD_ID = re.compile(r"[0-9]{1,12}")


class _Line(NamedTuple):
    """The read columns of one order line, as values."""

    row: int
    line_id: str
    region: str
    status: str
    at: datetime
    units: int
    price: Decimal
    item: str
    name: str
    category: str

    @property
    def location(self) -> str:
        return location_code(self.region)


class DataCo(FileFeed):
    """The file's last `days` days as events and the rows before as history; all of it as events without `days`.

    One order line is one sale at the region it was ordered from; cancelled orders and suspected frauds are sold and
    taken back.

    Raises:
        InvalidInput: the file is missing, empty, broken, or lacks columns (all missing ones are named).
    """

    def __init__(self, path: Path | str, days: int | None = None, seed: int = 7) -> None:
        super().__init__(_read(path), days=days, seed=seed, low_share=LOW_SHARE)


def location_code(region: str) -> str:
    """`West of USA ` becomes `WEST-OF-USA`; empty when nothing of the name can be in a code."""
    return re.sub(r"[^A-Z0-9]+", "-", region.upper()).strip("-")[:64]


def _read(path: Path | str) -> Reading:
    table = open_rows(path, [(name,) for name in COLUMNS])
    skipped: Counter[str] = Counter()
    lines: dict[str, _Line] = {}
    rows_read = 0
    for fields in table.rows:
        rows_read += 1
        line = "unreadable_row" if fields is None else _line(rows_read, fields)
        if isinstance(line, str):
            skipped[line] += 1
        elif line.line_id in lines:
            skipped["duplicate_order_item"] += 1
        else:
            lines[line.line_id] = line
    facts = [fact for line in lines.values() for fact in _facts(line)]
    facts.sort(key=lambda fact: fact.at)
    return Reading(
        world="dataco", digest=table.digest, rows_read=rows_read, facts=facts, skipped=skipped,
        names={line.item: (line.name, line.category) for line in lines.values()},
        locations={line.location: line.region for line in lines.values()}, currency="USD", invented=INVENTED,
    )  # fmt: skip


def _line(row: int, fields: tuple[str, ...]) -> _Line | str:
    """The row's line, or the reason why it is none."""
    line_id, region, status, moment, quantity, price_text, card, name, category = map(words_of, fields)
    try:
        at = moment_of(moment, "%m/%d/%Y %H:%M")
        units = int(quantity)
        price = price_of(price_text, Decimal("0.01"))  # the file has 199.9900055 for 199.99
    except ValueError:
        return "unreadable_row"
    if not LINE_ID.fullmatch(line_id) or not CARD_ID.fullmatch(card) or not location_code(region):
        return "unreadable_row"
    if not 0 < units <= MAX_UNITS:
        return "quantity_not_positive" if units <= 0 else "unreadable_row"
    if price <= 0:
        return "price_not_positive"
    item = f"P{card}"
    return _Line(row, line_id, region, status.upper(), at, units, price, item, name or item, category)


def _facts(line: _Line) -> list[Fact]:
    sale_id = f"line-{line.line_id}"
    sale = Fact(
        FactKind.SALE, line.row, line.at, sale_id, line.item, line.location, line.units, line.price, sale_id=sale_id
    )
    if line.status not in CANCELLED:
        return [sale]
    taken_back = Fact(
        FactKind.CANCELLATION, line.row, line.at + CANCELLED_AFTER, f"{sale_id}-cancelled", line.item, line.location,
        line.units, sale_id=sale_id, sold_at=line.at,
    )  # fmt: skip
    return [sale, taken_back]
