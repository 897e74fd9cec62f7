"""`demand.csv`: one row per item, location and period, a million of them in seconds."""

from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path

from connectors.studies.table import Table, day_of, is_nothing, thousandths, truth
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import Period

Key = tuple[str, str]
"""Item and location."""
COLUMNS = ("item", "location", "date", "quantity")
EARLIEST, LATEST = date(1900, 1, 1), date(2200, 1, 1)
MONTH_DAYS = 28


@dataclass
class Cells:
    """What the rows of one item at one location say, by the ordinal of their day."""

    thousandths: dict[int, int | None] = field(default_factory=dict)
    """None: the row is there and its quantity is empty."""
    censored: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class DemandRows:
    """The whole file."""

    cells: dict[Key, Cells]
    lines: dict[int, int]
    """The line on which each day's ordinal first stood."""
    returns: int
    """Rows whose quantity was negative: clipped at 0."""
    empty: int
    unused_columns: int

    @property
    def first_day(self) -> date:
        """The earliest date of the file."""
        return date.fromordinal(min(self.lines))

    @property
    def last_day(self) -> date:
        """The latest date of the file."""
        return date.fromordinal(max(self.lines))


def read_demand(path: Path) -> DemandRows:
    """Read the file.

    Raises:
        InvalidInput: with file and line: a column is missing, a number, date or flag cannot be read, an item has no
            name, or a row is there twice; or there are no rows.
    """
    table = Table(path, COLUMNS)
    i_item, i_location, i_date, i_quantity = (table.columns.index(name) for name in COLUMNS)
    i_stock = table.at("in_stock")
    days: dict[str, int] = {}
    quantities: dict[str, int | None] = {}
    lines: dict[int, int] = {}
    cells: dict[Key, Cells] = {}
    spelled: dict[Key, Cells] = {}  # the same by key as written, blanks and all
    returns = empty = 0
    # Spelled out rather than called: a million rows pass here, and each distinct text is parsed once.
    for row in table.rows():
        key = (row[i_item], row[i_location])
        found = spelled.get(key)
        if found is None:
            found = spelled[key] = _begun(table, cells, key)
        text = row[i_date]
        day = days.get(text)
        if day is None:
            day = days[text] = _day(table, text)
            lines.setdefault(day, table.line)
        text = row[i_quantity]
        try:
            quantity = quantities[text]
        except KeyError:
            quantity = quantities[text] = _quantity(table, text)
        if quantity is None:
            empty += 1
        elif quantity < 0:
            returns += 1
            quantity = 0
        if day in found.thousandths:
            raise table.fault(
                f"a second row of item {key[0][:60]} at {key[1][:60]} for {row[i_date][:60]}: keep one row per period"
            )
        found.thousandths[day] = quantity
        if i_stock is not None and not _in_stock(table, row[i_stock]):
            found.censored.add(day)
    if not lines:
        raise InvalidInput(f"{path.name} has a header and no rows")
    unused = len(set(table.columns) - {*COLUMNS, "in_stock"})
    return DemandRows(cells, lines, returns, empty, unused)


def _begun(table: Table, cells: dict[Key, Cells], key: Key) -> Cells:
    """The cells of a key that was not seen in this spelling."""
    item, location = key[0].strip(), key[1].strip()
    if not item:
        raise table.fault("the item has no name")
    return cells.setdefault((item, location), Cells())


def _day(table: Table, text: str) -> int:
    try:
        day = day_of(text)
    except ValueError as error:
        raise table.fault(f"date {error}") from None
    if not EARLIEST <= day <= LATEST:
        raise table.fault(f"date {text[:60]} lies before {EARLIEST.year} or after {LATEST.year}")
    return day.toordinal()


def _quantity(table: Table, text: str) -> int | None:
    if is_nothing(text):
        return None
    try:
        return thousandths(text)
    except ValueError as error:
        raise table.fault(f"quantity {error}; leave it empty if it is not known") from None


def _in_stock(table: Table, text: str) -> bool:
    try:
        return truth(text)
    except ValueError as error:
        raise table.fault(f"in_stock {error}") from None


def period_of(rows: DemandRows) -> Period:
    """The period that the dates suggest: all on first days of months, all on one weekday, or else days.

    Raises:
        InvalidInput: a single date suggests nothing.
    """
    days = sorted(rows.lines)
    if len(days) < 2:
        raise InvalidInput('one date tells no period: add rules.json with {"period": "day"}, "week" or "month"')
    gap = min(later - earlier for earlier, later in pairwise(days))
    if gap >= MONTH_DAYS and all(date.fromordinal(day).day == 1 for day in days):
        return Period.MONTH
    return Period.WEEK if all((day - days[0]) % 7 == 0 for day in days) else Period.DAY


def numbered(rows: DemandRows, period: Period, name: str) -> dict[int, int]:
    """The number of each day's period, counted from the first.

    Raises:
        InvalidInput: a date does not begin a period.
    """
    first = rows.first_day
    anchor_line = min(rows.lines.values())
    anchor = next(date.fromordinal(day) for day, line in rows.lines.items() if line == anchor_line)
    numbers = {}
    for ordinal, line in sorted(rows.lines.items(), key=lambda each: each[1]):
        day = date.fromordinal(ordinal)
        if not period.on_grid(day, anchor):
            wanted = "the 1st" if period is Period.MONTH else f"a {anchor:%A}, as {anchor} in line {anchor_line} is"
            raise InvalidInput(
                f"{name} line {line}: {day} is not the first day of a {period}: it must be {wanted}. "
                "Give each period's first day, or another period in rules.json"
            )
        numbers[ordinal] = period.between(first, day)
    return numbers
