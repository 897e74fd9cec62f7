"""Keyset pages of lists that are short enough to be read whole."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from workflows.domain.approvals import STORABLE
from workflows.domain.errors import InvalidInput

MOST = 500
Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many rows")]
After = Annotated[str | None, Query(max_length=200, pattern=STORABLE, description="`next` of the page before")]
NumberAfter = Annotated[int | None, Query(ge=0, le=2**31 - 1, description="`next` of the page before")]

Row = TypeVar("Row")


def below(
    rows: Sequence[Row], number: Callable[[Row], int], limit: int, after: int | None
) -> tuple[list[Row], int | None]:
    """The rows with numbers below `after`, of rows that come with their numbers falling, and what `next` is."""
    left = [row for row in rows if after is None or number(row) < after]
    return left[:limit], number(left[limit - 1]) if len(left) > limit else None


def behind(
    rows: Sequence[Row], key: Callable[[Row], str], limit: int, after: str | None
) -> tuple[list[Row], str | None]:
    """The rows behind the one with the key `after`, and what `next` is.

    Raises:
        InvalidInput: no row has this key (any more); begin again.
    """
    start = 0
    if after is not None:
        places = {key(row): place for place, row in enumerate(rows)}
        if after not in places:
            raise InvalidInput("after: this row is not there (any more); begin again without it")
        start = places[after] + 1
    shown = list(rows[start : start + limit])
    return shown, key(shown[-1]) if len(rows) > start + limit else None
