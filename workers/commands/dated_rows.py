"""Numbers by day from a CSV file: each row as it is written, or one sentence with line and column of the fault."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from workflows.domain.errors import InvalidInput
from workflows.domain.events import FIRST_YEAR, LAST_YEAR, MAX_UNITS
from workflows.domain.tables import Unusable, records

Row = TypeVar("Row", bound=BaseModel)
_DATE = re.compile(r"(\d{4})-\d{2}-\d{2}([T ].+)?", re.ASCII)
_DATES = ("day", "known_at")


def read_rows(
    path: Path, model: type[Row], *, required: Sequence[str], optional: Sequence[str] = (), key: Sequence[str]
) -> list[Row]:
    """The rows of a file: UTF-8 (a byte-order mark may lead), commas, quoted as RFC 4180 says, columns in any order.

    An empty cell is at its default, a row of nothing but blanks is none, and no two rows have one `key`: one of them
    would be lost where they are stored.

    Raises:
        InvalidInput: it cannot be read; says where, and what is wrong there.
    """
    rows: list[Row] = []
    seen: dict[tuple[object, ...], int] = {}
    for line, cells in _records(path, required, optional):
        try:
            _expect_days(cells)
            row = model.model_validate(cells)
            _expect_countable(row)
        except ValidationError as error:
            raise InvalidInput(f"{path} line {line}: {first_fault(error)}") from None
        except ValueError as error:
            raise InvalidInput(f"{path} line {line}: {error}") from None
        identity = tuple(getattr(row, name) for name in key)
        if (before := seen.setdefault(identity, line)) != line:
            raise InvalidInput(
                f"{path} line {line}: {key[0]}: {', '.join(cells[name] for name in key)} is on line {before} already; "
                "keep one of the two"
            )
        rows.append(row)
    return rows


def _records(path: Path, required: Sequence[str], optional: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each record with the line on which it begins, and its cells that say something."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidInput(f"{path} is not UTF-8 (line {line}); save it as `CSV UTF-8`") from None
    # A wrapper decodes as it goes: the past of a chain has millions of rows.
    found = records(io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", newline=""))
    try:
        _, header = next(found, (1, []))
        names = [name.strip().lower() for name in header]
        _expect_columns(path, names, required, optional)
        for line, record in found:
            if not any(cell.strip() for cell in record):
                continue
            if len(record) != len(names):
                raise InvalidInput(f"{path} line {line}: there are {len(record)} cells, and {len(names)} columns")
            yield line, {name: cell.strip() for name, cell in zip(names, record, strict=True) if cell.strip()}
    except Unusable as error:
        raise InvalidInput(f"{path} {error}") from None


def _expect_columns(path: Path, names: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    columns = ", ".join([*required, *optional])
    if missing := sorted(set(required) - set(names)):
        raise InvalidInput(f"{path} line 1: the header lacks {', '.join(missing)}; the columns are {columns}")
    for name in names:
        if name not in (*required, *optional):
            raise InvalidInput(
                f"{path} line 1: {name[:60]!r} is no column of this file, take it out; its columns are {columns}"
            )
        if names.count(name) > 1:
            raise InvalidInput(f"{path} line 1: the column {name} is there more than once")


def _expect_days(cells: dict[str, str]) -> None:
    """A bare number would be read as seconds since 1970, and a year far off would make a series as long as history."""
    for name in _DATES:
        if name in cells:
            found = _DATE.fullmatch(cells[name])
            if found is None:
                like = "2024-04-08" if name == "day" else "2024-04-08T06:00:00Z"
                raise ValueError(f"{name}: {cells[name][:60]!r} cannot be used: write it as {like}")
            if not FIRST_YEAR < int(found[1]) < LAST_YEAR:
                raise ValueError(
                    f"{name}: {cells[name][:60]!r} cannot be used: years are from {FIRST_YEAR + 1} to {LAST_YEAR - 1}"
                )


def _expect_countable(row: BaseModel) -> None:
    units = getattr(row, "units", 0)
    if not -MAX_UNITS <= units <= MAX_UNITS:
        raise ValueError(f"units: {str(units)[:60]} is more than can be counted ({MAX_UNITS:,})")


def first_fault(error: ValidationError) -> str:
    """What a model says is wrong first, and where."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
