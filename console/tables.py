"""Tables for spreadsheets: what a cell says is never run as a formula there."""

import csv
import io
from collections.abc import Iterable, Sequence

from fastapi import Response

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The wide ones too: some spreadsheets take them for the usual ones."""


def csv_safe(cell: str) -> str:
    """The cell as text: one that a spreadsheet would run gets an apostrophe in front (OWASP, CSV injection)."""
    if not cell.startswith(FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell  # a negative number is a number


def table_download(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A CSV file (RFC 4180, UTF-8) that a browser saves under this name; None is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([csv_safe("" if cell is None else str(cell)) for cell in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(file.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
