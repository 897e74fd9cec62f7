"""Tables for spreadsheets: what a cell says is never run as a formula there."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_safe(cell: str) -> str:
    """The cell as text: one that a spreadsheet would run gets an apostrophe in front (OWASP, CSV injection)."""
    if not cell.startswith(FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell  # a negative number is a number
