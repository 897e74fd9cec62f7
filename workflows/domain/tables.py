"""Spreadsheets in and out: what is written reads back unchanged, and what cannot be read is told with line and reason.

A file is UTF-8 (a byte-order mark may lead), separated by commas or semicolons, quoted as RFC 4180 says, with any line
ends and its columns in any order. A cell that a spreadsheet would take for a formula is written after an apostrophe.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Payload

MOST_PROBLEMS = 100
"""Told at once; whoever has more has them all over again after mending these."""
MOST_ROWS = 100_000
MOST_CHARACTERS = 4_000
"""In one cell."""
WHOLE_FILE = 0
"""The line of a problem that is nowhere in particular."""
_FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""With what a formula begins, the full-width forms too."""
_CODES = "a code has up to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit"
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


class Problem(Payload):
    """What is wrong with a file, and where."""

    line: int
    column: str = ""
    reason: str

    @property
    def words(self) -> str:
        """In one line."""
        where = f"line {self.line}" if self.line != WHOLE_FILE else "the file"
        return f"{where}{f', {self.column}' if self.column else ''}: {self.reason}"


class Unusable(InvalidInput):
    """A file that cannot be taken as it is; nothing of it was."""

    def __init__(self, problems: Sequence[Problem], more: int = 0) -> None:
        self.problems = tuple(problems[:MOST_PROBLEMS])
        self.more = more + max(0, len(problems) - MOST_PROBLEMS)
        told = "; ".join(problem.words for problem in self.problems[:3])
        further = len(problems) - 3 + more
        super().__init__(f"{told}{f' (and {further} more)' if further > 0 else ''}")


Row = TypeVar("Row", bound=BaseModel)


class Cells(Payload):
    """One row as it was written: its line (from 1; the header is the first) and its cells by column."""

    line: int
    cells: dict[str, str]


class Shape(Payload):
    """Which columns a kind of file has. `optional` may be left out; `ignored` may be there and say nothing; `numbers`
    may have a decimal comma where semicolons separate."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


def read_table(raw: bytes, shape: Shape) -> list[Cells]:
    """The rows of a file; rows without any content are left out.

    Raises:
        Unusable: it is no such file; every problem of its form is told.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Unusable([Problem(line=line, reason="this is not UTF-8; save the file as `CSV UTF-8`")]) from None
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise Unusable([Problem(line=line, reason="there is a NUL in it: this is not a text file")])
    separator = _separator(text, shape)
    found = records(io.StringIO(text, newline=""), separator)
    line, header = next(found, (1, []))
    names = [name.strip().lower() for name in header]
    problems = _header_problems(names, shape, line)
    if problems:
        raise Unusable(problems)
    rows: list[Cells] = []
    for line, cells in found:
        if not any(cell.strip() for cell in cells):
            continue
        if len(rows) >= MOST_ROWS:
            problems.append(Problem(line=line, reason=f"a file has at most {MOST_ROWS:,} rows; split it"))
            break
        if len(cells) != len(names):
            reason = f"there are {len(cells)} cells, and {len(names)} columns"
            problems.append(Problem(line=line, reason=reason))
            continue
        for name, cell in zip(names, cells, strict=True):
            if len(cell) > MOST_CHARACTERS:
                problems.append(Problem(line=line, column=name, reason=f"more than {MOST_CHARACTERS:,} characters"))
        rows.append(Cells(line=line, cells={n: unguarded(c) for n, c in zip(names, cells, strict=True)}))
    if problems:
        raise Unusable(problems)
    if separator == ";":
        rows = [_with_points(row, shape.numbers) for row in rows]
    return rows


def read_models(
    rows: Sequence[Cells], model: type[Row], *, key: Sequence[str], prepare: Callable[[dict[str, str]], dict[str, Any]]
) -> list[tuple[int, Row]]:
    """Each row as this model, with its line; `prepare` makes fields of cells, `key` names the fields that are unique.

    Raises:
        Unusable: some row is none, or two have one key; every one of them is told.
    """
    problems: list[Problem] = []
    found: list[tuple[int, Row]] = []
    seen: dict[tuple[Any, ...], int] = {}
    for row in rows:
        try:
            one = model.model_validate(prepare(row.cells))
        except ValidationError as error:
            problems += explained(row.line, error)
            continue
        identity = tuple(getattr(one, name) for name in key)
        first = seen.setdefault(identity, row.line)
        if first != row.line:
            named = ", ".join(str(part) for part in identity)
            problems.append(Problem(line=row.line, column=key[0], reason=f"{named} is on line {first} already"))
        found.append((row.line, one))
    if problems:
        raise Unusable(problems)
    return found


def explained(line: int, error: ValidationError) -> list[Problem]:
    """What a model says of a row."""
    told = []
    for one in error.errors():
        given = one["input"]
        shown = f"{given[:60]!r} cannot be used: " if isinstance(given, str) else ""
        reason = str(one["msg"]).removeprefix("Value error, ").replace("Input should be", "it must be", 1)
        if one["type"] == "string_pattern_mismatch":
            reason = "it does not look like one" if one["loc"][-1] == "proposal_hash" else _CODES
        column = str(one["loc"][0]) if one["loc"] else ""
        told.append(Problem(line=line, column=column, reason=f"{shown}{reason}"[:300]))
    return told


def write_table(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """A file in pieces: the header, then each row. A byte-order mark leads: spreadsheets know UTF-8 by it."""
    yield "\ufeff" + _written(columns)
    for row in rows:
        yield write_row(columns, row)


def write_row(columns: Sequence[str], row: Mapping[str, str]) -> str:
    """One row as a line of the file."""
    return _written([guarded(row.get(name, "")) for name in columns])


def guarded(text: str) -> str:
    """The cell for a spreadsheet: never a formula. A plain number stays one."""
    if text and (text[0] in _FORMULA or text[0] == "'") and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def unguarded(cell: str) -> str:
    """What was written: the inverse of `guarded`."""
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and (cell[1] in _FORMULA or cell[1] == "'") else cell


def _written(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()


def _separator(text: str, shape: Shape) -> str:
    """Whichever makes more known columns of the header."""
    known = {*shape.required, *shape.optional, *shape.ignored}

    def found(separator: str) -> int:
        try:
            header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [])
        except csv.Error:
            return 0
        return len({name.strip().lower() for name in header} & known)

    return ";" if found(";") > found(",") else ","


def records(lines: Iterable[str], separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins; line ends are as they stand in the file.

    Raises:
        Unusable: quotes do not end, or a cell is too long.
    """
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Unusable([Problem(line=line, reason=f"this cannot be read as CSV: {error}")]) from None
        yield line, record


def _header_problems(names: Sequence[str], shape: Shape, line: int) -> list[Problem]:
    known = {*shape.required, *shape.optional, *shape.ignored}
    columns = ", ".join([*shape.required, *shape.optional])
    problems = []
    if not any(names):
        return [Problem(line=line, reason=f"the first line names the columns: {columns}")]
    for name in dict.fromkeys(names):
        if not name:
            reason = f"column {names.index(name) + 1} has no name; the columns of this file are {columns}"
            problems.append(Problem(line=line, reason=reason))
        elif name not in known:
            reason = f"{name[:60]!r} is no column of this file; its columns are {columns}"
            problems.append(Problem(line=line, column=name[:60], reason=reason))
        elif names.count(name) > 1:
            problems.append(Problem(line=line, column=name, reason="the column is there more than once"))
    problems += [
        Problem(line=line, column=name, reason="the column is missing") for name in shape.required if name not in names
    ]
    return problems


def _with_points(row: Cells, numbers: Sequence[str]) -> Cells:
    """A decimal comma becomes a point; three digits after it could be thousands, so such a number is refused later."""
    cells = dict(row.cells)
    for name in numbers:
        if name in cells and (found := re.fullmatch(r"\s*(\d+),(\d{1,2}|\d{4,})\s*", cells[name])):
            cells[name] = f"{found[1]}.{found[2]}"
    return Cells(line=row.line, cells=cells)
