"""CSV files that are nearly right, the same ones for the same seed: bent in cells, rows, columns, marks and bytes."""

import csv
import gzip
import io
import random
from collections.abc import Sequence

from tests.fuzz.mutations import garbled

Rows = list[list[str]]
CELLS = (
    "", " ", "0", "-1", "1", "-0", "+5", "0.1", "1,5", "1.234,56", "1e5", "1e400", "1E+999999999", "1e-999999999",
    "NaN", "sNaN", "-Infinity", "2147483648", "99999999999999999999", "9" * 5_000, "1_000", "\u0663", "\uff15", "½",
    "true", "No", "2025-03-03", "2025-02-30", "0001-01-01", "9999-12-31", "2200-12-31", "1700000000", "20250303",
    "2025-03-03T05:00:00Z", "2025-03-03T05:00:00", "0001-01-01T00:00:00+23:59", "2200-12-31T23:59:59.999999-12:00",
    "1/1/2200 23:59", "12/31/2200 23:59", "31.12.2024", "x" * 70, "é" * 300, "a" * 5_000, "x" * 140_000,
    "\x00", "\u200b", "\u202e", "\ufeff", "=1+1", "'=1+1", "''", "'; DROP TABLE item; --", "<script>", "../../etc",
    'he said "no"', "a,b", "a;b", "a\nb", "a\r\nb", "\t", "\x1f", "\x85", "\u2028", "LEEDS", "ITEM-001", "null", "None",
)  # fmt: skip
"""Cells that have broken a reader of tables somewhere."""
NAMES = ("", " ", "Item", "ITEM ", "extra", "quantity", "value", "\ufeffitem", "overrides", "x" * 200)
_ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le")


def bent_file(chance: random.Random, columns: Sequence[str], rows: Sequence[Sequence[str]], *, zipped: bool) -> bytes:
    """The table as a file, changed in one to four places: mostly in its cells, now and then in its bytes.

    `zipped`: now and then as gzip, for readers that take it.
    """
    header, body = list(columns), [list(row) for row in rows]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 4))):
        _bend(chance, header, body)
    raw = _written(chance, header, body)
    if chance.random() < 0.15:
        raw = garbled(chance, raw)
    if zipped and chance.random() < 0.1:
        raw = gzip.compress(raw, 1, mtime=0)
        return garbled(chance, raw) if chance.random() < 0.4 else raw
    return raw


def _bend(chance: random.Random, header: list[str], body: Rows) -> None:
    row = chance.choice(body) if body else header
    match chance.randrange(12):
        case 0 | 1 | 2 | 3 | 4 if row:
            at = chance.randrange(len(row))
            row[at] = chance.choice((*CELLS, row[at] + row[at], f" {row[at]} ", row[at].lower(), row[at][:-1]))
        case 5 if body:  # the same row again, or nearly
            again = list(row)
            if chance.random() < 0.5 and again:
                again[chance.randrange(len(again))] = chance.choice(CELLS)
            body.insert(chance.randrange(len(body) + 1), again)
        case 6 if body:
            del body[chance.randrange(len(body))]
        case 7:
            row.insert(chance.randrange(len(row) + 1), chance.choice(CELLS))
        case 8 if row:
            del row[chance.randrange(len(row))]
        case 9 if header:
            header[chance.randrange(len(header))] = chance.choice((*NAMES, chance.choice(header)))
        case 10 if header:  # a whole column moved, doubled or gone
            _column(chance, header, body)
        case _:
            body.insert(chance.randrange(len(body) + 1), chance.choice(([], [""], ["", ""], [" "] * len(header))))


def _column(chance: random.Random, header: list[str], body: Rows) -> None:
    at, to = chance.randrange(len(header)), chance.randrange(len(header))
    kept, also = chance.random() < 0.3, chance.random() < 0.8
    for row in (header, *body):
        if at < len(row):
            cell = row[at] if kept else row.pop(at)
            if also:
                row.insert(to, cell)


def _written(chance: random.Random, header: list[str], body: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=chance.choice(",,,,,;\t|"), lineterminator=chance.choice(("\n", "\n", "\r\n", "\r")),
        quoting=chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    )  # fmt: skip
    writer.writerows([header, *body])
    encoding = "utf-8" if chance.random() < 0.9 else chance.choice(_ENCODINGS)
    return text.getvalue().encode(encoding, "replace")
