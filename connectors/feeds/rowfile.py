"""A public CSV file, plain or gzipped, opened whole or refused with a sentence that says what is wrong with it."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from workflows.domain.errors import InvalidInput
from workflows.domain.events import FIRST_YEAR, LAST_YEAR

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
LARGEST_PRICE = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True)
class RowFile:
    """The rows after the header, each cut to the wanted columns in the wanted order."""

    rows: Iterator[tuple[str, ...] | None]
    """None stands for a row that is too short to have all wanted columns."""
    digest: str
    """SHA-256 of the text, so that a file and its gzipped copy are the same world."""


def open_rows(path: Path | str, wanted: Sequence[Sequence[str]]) -> RowFile:
    """Read a CSV file with a header; encodings UTF-8 (with or without mark) and Windows Latin.

    Args:
        path: plain or gzipped; told apart by content, not by name.
        wanted: one entry per column, each the names it goes by. Case and outer blanks do not matter.

    Raises:
        InvalidInput: the file is missing, unreadable, empty, broken, no CSV, or lacks wanted columns (all are named).
            Rows are read lazily: a fault inside the table is raised while iterating.
    """
    content = file_content(Path(path))
    # A wrapper decodes as it goes: a StringIO would hold four bytes for every letter of the file.
    encoding = encoding_of(content)
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding, errors="replace", newline=""))
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise InvalidInput(f"{path} is not a CSV file: {error}") from None
    if header is None:
        raise InvalidInput(f"{path} is empty")
    positions = _positions(path, header, wanted)
    return RowFile(_rows(path, reader, positions), hashlib.sha256(content).hexdigest())


def price_of(text: str, step: Decimal) -> Decimal:
    """A price rounded to the step.

    Raises:
        ValueError: the text is no number, or none that an event could carry.
    """
    try:
        price = Decimal(text.strip())
        if not -LARGEST_PRICE <= price <= LARGEST_PRICE:  # `abs` of 1E+999999999 would overflow
            raise ValueError(f"{text[:60]!r} is larger than any price")
        return price.quantize(step)
    except InvalidOperation:
        raise ValueError(f"{text[:60]!r} is not a price") from None


def moment_of(text: str, *formats: str) -> datetime:
    """A moment in UTC, in the first of the `strptime` formats that fits, else in ISO 8601.

    Raises:
        ValueError: no format fits, or the year is none that an event could carry.
    """
    moment = _first_fit(text.strip(), formats)
    # Not in the last year itself: in UTC, or taken back a little later, it could fall out of it.
    if FIRST_YEAR <= moment.year < LAST_YEAR:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment.year >= FIRST_YEAR:
            return moment
    raise ValueError(f"{text[:60]!r} is not in any year of an event")


def _first_fit(text: str, formats: tuple[str, ...]) -> datetime:
    for known in formats:
        with suppress(ValueError):
            return datetime.strptime(text, known).replace(tzinfo=UTC)
    return datetime.fromisoformat(text)


def words_of(text: str) -> str:
    """Text for people: outer blanks and unprintable characters gone, at most 200 letters."""
    text = text.strip()
    return (text if text.isprintable() else "".join(letter for letter in text if letter.isprintable()))[:200]


def file_content(path: Path) -> bytes:
    """The text of a plain or gzipped file, or a sentence that says why there is none."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InvalidInput(f"{path} does not exist") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    if raw.startswith(ZIP_MAGIC):
        raise InvalidInput(f"{path} is a zip archive or an Excel workbook; save its table as CSV")
    if path.suffix == ".gz" and raw and not raw.startswith(GZIP_MAGIC):
        raise InvalidInput(f"{path} is named .gz and is not gzipped")
    if raw.startswith(GZIP_MAGIC):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InvalidInput(f"{path} is a broken gzip file: {error}") from None
    if not raw.strip():
        raise InvalidInput(f"{path} is empty")
    return raw


def encoding_of(content: bytes) -> str:
    """UTF-8 with or without a mark, else Windows Latin."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        # Every byte is a letter in latin-1's successor but five; one odd letter must not stop a million good rows.
        return "cp1252"
    return "utf-8-sig"


def _positions(path: Path | str, header: list[str], wanted: Sequence[Sequence[str]]) -> tuple[int, ...]:
    found = {name.strip().casefold(): position for position, name in enumerate(header)}
    positions = [next((found[n.casefold()] for n in names if n.casefold() in found), None) for names in wanted]
    missing = [names[0] for names, position in zip(wanted, positions, strict=True) if position is None]
    if missing:
        raise InvalidInput(f"{path} lacks {len(missing)} of {len(wanted)} needed columns: {', '.join(missing)}")
    return tuple(position for position in positions if position is not None)


def _rows(
    path: Path | str, reader: Iterator[list[str]], positions: tuple[int, ...]
) -> Iterator[tuple[str, ...] | None]:
    last = max(positions)
    number = 1
    try:
        for row in reader:
            number += 1
            if row:  # the csv module yields [] for a blank line, which is no row at all
                yield tuple([row[position] for position in positions]) if len(row) > last else None
    except csv.Error as error:
        raise InvalidInput(f"{path} is not a CSV file after row {number}: {error}") from None
