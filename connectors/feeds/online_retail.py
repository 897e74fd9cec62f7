"""The public UCI "Online Retail" file as a world: one UK gift wholesaler, a year of sales with all its dirt."""

import re
from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from pathlib import Path
from sys import intern
from typing import NamedTuple

from connectors.feeds.file_feed import Fact, FactKind, FileFeed, Reading
from connectors.feeds.rowfile import moment_of, open_rows, price_of, words_of
from workflows.domain.events import MAX_UNITS

LOCATION = "UK-WAREHOUSE"
COLUMNS = (
    ("InvoiceNo", "Invoice"),
    ("StockCode",),
    ("Description",),
    ("Quantity",),
    ("InvoiceDate",),
    ("UnitPrice", "Price"),
    ("CustomerID", "Customer ID"),
)
ARTICLE = re.compile(r"[0-9]{5}[A-Z]{0,2}|DCGS[0-9A-Z]+")
"""Five digits and at most two letters, or the shop's own DCGS articles; not postage, fees, vouchers or samples."""
LOW_SHARE = 0.05
INVENTED = ("the time zone: the file's local times are taken as UTC",)
INVOICE = re.compile(r"[A-Za-z0-9]{1,20}")


class _Line(NamedTuple):
    """A row whose fields could be read and whose stock code is an article."""

    row: int
    invoice: str
    code: str
    description: str
    units: int
    at: datetime
    price: Decimal
    customer: str

    @property
    def cancels(self) -> bool:
        return self.invoice.startswith("C")


class OnlineRetail(FileFeed):
    """The file's last `days` days as events and the rows before as history; all of it as events without `days`.

    A cancellation takes back the latest earlier sale of the same customer and article that still has that many units.
    Loading reads the whole file (about 540,000 rows in seconds); `day` then works from memory.

    Raises:
        InvalidInput: the file is missing, empty, broken or not this table.
    """

    def __init__(self, path: Path | str, days: int | None = None, seed: int = 7) -> None:
        super().__init__(_read(path), days=days, seed=seed, low_share=LOW_SHARE)


def _read(path: Path | str) -> Reading:
    table = open_rows(path, COLUMNS)
    skipped: Counter[str] = Counter()
    seen: set[bytes] = set()  # digests: the rows themselves would take half a gigabyte
    lines: list[_Line] = []
    rows_read = 0
    for fields in table.rows:
        rows_read += 1
        if fields is None:
            skipped["unreadable_row"] += 1
            continue
        mark = blake2b("\x1f".join(fields).encode(), digest_size=16).digest()
        if mark in seen:
            skipped["exact_duplicate"] += 1
            continue
        seen.add(mark)
        line = _line(rows_read, fields)
        if isinstance(line, str):
            skipped[line] += 1
        else:
            lines.append(line)
    lines.sort(key=lambda line: line.at)  # stable: the file's order decides within a minute
    facts = _Facts(skipped)
    for line in lines:
        facts.add(line)
    return Reading(
        world="online-retail", digest=table.digest, rows_read=rows_read, facts=facts.found, skipped=skipped,
        names=facts.names, locations={LOCATION: "Warehouse in the United Kingdom"}, currency="GBP", invented=INVENTED,
    )  # fmt: skip


def _line(row: int, fields: tuple[str, ...]) -> _Line | str:
    """The row's line, or the reason why it is none."""
    invoice, code, description, quantity, moment, price_text, customer = fields
    invoice, code = invoice.strip(), code.strip().upper()
    try:
        units, at, price = int(quantity), _moment(moment), _price(price_text)
    except ValueError:
        return "unreadable_row"
    if not -MAX_UNITS <= units <= MAX_UNITS or not INVOICE.fullmatch(invoice):
        return "unreadable_row"
    if not ARTICLE.fullmatch(code):
        return "not_an_article"
    words = (intern(invoice.upper()), intern(code), _words(description))
    line = _Line(row, *words, units, at, price, intern(customer.strip()))
    return _fault(line) or line


def _fault(line: _Line) -> str | None:
    if line.units == 0:
        return "zero_quantity"
    if line.price < 0:
        return "negative_price"
    if line.cancels:
        return "cancellation_of_nothing" if line.units > 0 else None
    if line.units < 0:
        # A negative line with a price or a customer is neither a return (no C) nor a loss of stock.
        return "negative_quantity_unexplained" if line.price or line.customer else None
    return "zero_price" if line.price == 0 else None


class _Facts:
    """Lines in time order become facts; remembers what of each sale can still be cancelled."""

    def __init__(self, skipped: Counter[str]) -> None:
        self.found: list[Fact] = []
        self.names: dict[str, tuple[str, str]] = {}
        self._skipped = skipped
        self._repeats: Counter[tuple[str, str]] = Counter()
        self._open: dict[tuple[str, str], list[tuple[Fact, int]]] = defaultdict(list)

    def add(self, line: _Line) -> None:
        if line.cancels:
            self._cancel(line)
        elif line.units < 0:
            self.found.append(self._fact(line, FactKind.WRITE_OFF, reason=line.description or "write-off"))
        else:
            sale = self._fact(line, FactKind.SALE, price=line.price)
            self.found.append(sale)
            self.names[line.code] = (line.description or line.code, "gifts")
            if line.customer:
                self._open[line.customer, line.code].append((sale, line.units))

    def _cancel(self, line: _Line) -> None:
        if not line.customer:
            self._skipped["cancellation_without_customer"] += 1
            return
        sales = self._open[line.customer, line.code]
        for position in range(len(sales) - 1, -1, -1):
            sale, left = sales[position]
            if left >= -line.units:
                sales[position] = (sale, left + line.units)
                self.found.append(self._fact(line, FactKind.CANCELLATION, sale_id=sale.id, sold_at=sale.at))
                return
        self._skipped["cancellation_unmatched"] += 1

    def _fact(
        self,
        line: _Line,
        kind: FactKind,
        *,
        sale_id: str = "",
        sold_at: datetime | None = None,
        price: Decimal | None = None,
        reason: str = "",
    ) -> Fact:
        # An invoice may hold the same article on several lines: the n-th of them, in file order, is its own event.
        self._repeats[line.invoice, line.code] += 1
        name = f"{line.invoice}-{line.code}-{self._repeats[line.invoice, line.code]}"
        units = abs(line.units)
        return Fact(kind, line.row, line.at, name, line.code, LOCATION, units, price, sale_id or name, sold_at, reason)


@cache
def _moment(text: str) -> datetime:
    """`2010-12-01 08:26:00` as in the public file, or `12/1/2010 8:26` as its spreadsheet copies have it."""
    return moment_of(text, "%m/%d/%Y %H:%M") if "/" in text else moment_of(text)


@cache
def _price(text: str) -> Decimal:
    return price_of(text, Decimal("0.0001"))


@cache
def _words(text: str) -> str:
    return intern(words_of(text))
