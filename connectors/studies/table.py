"""One CSV file of a study folder; whatever is wrong with it is said with its file and line."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from connectors.feeds.rowfile import encoding_of, file_content
from workflows.domain.errors import InvalidInput
from workflows.domain.spelled import decimal_of
from workflows.domain.studies import LARGEST_QUANTITY, THOUSANDTHS

LONGEST_WORDS = 400
"""Of one fault; a cell may hold a book."""
NOTHING = frozenset({"", "na", "nan", "n/a", "null", "none"})
YES, NO = frozenset({"true", "1", "yes", "y", "t", "1.0"}), frozenset({"false", "0", "no", "n", "f", "0.0"})


def find(folder: Path, name: str) -> Path | None:
    """The file of this name in the folder, plain or with `.gz`; None if there is neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


class Table:
    """A CSV file with a header: UTF-8 (with or without mark) or Windows Latin, any line ends, plain or gzipped.

    Raises:
        InvalidInput: the file is missing, unreadable, empty, or has a column twice or lacks one.
    """

    def __init__(self, path: Path, needed: Sequence[str]) -> None:
        self.path = path
        content = file_content(path)
        text = io.TextIOWrapper(io.BytesIO(content), encoding_of(content), errors="replace", newline="")
        self._reader = csv.reader(text)
        try:
            header = next(self._reader, [])
        except csv.Error as error:
            raise self.fault(str(error)) from None
        self.columns = [name.strip().casefold() for name in header]
        twice = sorted({name for name in self.columns if name and self.columns.count(name) > 1})
        if twice:
            raise InvalidInput(f"{path.name} line 1: column {twice[0]} is there twice")
        missing = [name for name in needed if name not in self.columns]
        if missing:
            raise InvalidInput(
                f"{path.name} line 1: lacks {', '.join(missing)}; the header must have {','.join(needed)} "
                f"in any order, and is {','.join(header)[:200]}"
            )

    @property
    def line(self) -> int:
        """Of the row that was read last."""
        return self._reader.line_num

    def fault(self, what: str) -> InvalidInput:
        """The error that says so of the row that was read last."""
        return InvalidInput(f"{self.path.name} line {self.line}: {what[:LONGEST_WORDS]}")

    def at(self, name: str) -> int | None:
        """Where a column is; None if it is not there."""
        return self.columns.index(name) if name in self.columns else None

    def rows(self) -> Iterator[list[str]]:
        """The rows as they are, at least as long as the header; blank lines are none.

        Raises:
            InvalidInput: while iterating: a row is shorter or longer than the header, or no CSV.
        """
        width = len(self.columns)
        try:
            for row in self._reader:
                if len(row) != width:
                    if not row or (len(row) == 1 and not row[0].strip()):
                        continue
                    if len(row) < width or any(cell.strip() for cell in row[width:]):
                        raise self.fault(f"has {len(row)} fields, the header {width}")
                yield row
        except csv.Error as error:
            raise self.fault(str(error)) from None


def is_nothing(text: str) -> bool:
    """Whether a cell says nothing: empty, NA and their like."""
    return text.strip().casefold() in NOTHING


def number(text: str) -> Decimal:
    """A number that a study can hold.

    Raises:
        ValueError: it is no number, not finite, or too large; says which.
    """
    try:
        value = decimal_of(text.strip())
    except InvalidOperation:
        raise ValueError(f"{text[:60]!r} is not a number (a decimal point, no thousands separators)") from None
    if not (value.is_finite() and -LARGEST_QUANTITY <= value <= LARGEST_QUANTITY):  # `abs` would overflow
        raise ValueError(f"{text[:60]!r} is not a number up to {LARGEST_QUANTITY}")
    return value


def thousandths(text: str) -> int:
    """A quantity in thousandths of a unit, rounded half to even.

    Raises:
        ValueError: as `number`.
    """
    return int((number(text) * THOUSANDTHS).to_integral_value())


def day_of(text: str) -> date:
    """A calendar day; a time of midnight after it is allowed.

    Raises:
        ValueError: it is none.
    """
    text = text.strip()
    if len(text) > 10 and text[10] in "T " and not text[11:].strip("0:.Z"):
        text = text[:10]
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not a date: write it as 2024-04-08") from None


def truth(text: str) -> bool:
    """What a flag says; an empty one says true.

    Raises:
        ValueError: it is neither.
    """
    said = text.strip().casefold()
    if said in YES or said in NOTHING:
        return True
    if said in NO:
        return False
    raise ValueError(f"{text[:60]!r} is neither true nor false")
