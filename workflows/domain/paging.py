"""A page ends at a place, not at a number: rows that are answered or come in between move nobody's next page."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import rfc3339


class Place(NamedTuple):
    """Where a page of open tasks ended: the sort key of its last row."""

    cost: Decimal
    deadline: datetime
    decision_id: str

    def token(self) -> str:
        """The place for an address."""
        return _pack([format(self.cost, "f"), rfc3339(self.deadline), self.decision_id])

    @classmethod
    def of(cls, token: str) -> "Place":
        """The place that a page named.

        Raises:
            InvalidInput: no page named it.
        """
        cost, deadline, decision_id = _unpack(token, 3)
        try:
            amount = Decimal(cost)
        except InvalidOperation as error:
            raise InvalidInput(_UNKNOWN) from error
        if not amount.is_finite() or len(cost) > 40:
            raise InvalidInput(_UNKNOWN)
        return cls(amount, _instant(deadline), decision_id)


class PlaceAnswered(NamedTuple):
    """Where a page of answered tasks ended."""

    answered_at: datetime
    decision_id: str

    def token(self) -> str:
        """The place for an address."""
        return _pack([rfc3339(self.answered_at), self.decision_id])

    @classmethod
    def of(cls, token: str) -> "PlaceAnswered":
        """The place that a page named.

        Raises:
            InvalidInput: no page named it.
        """
        answered_at, decision_id = _unpack(token, 2)
        return cls(_instant(answered_at), decision_id)


_UNKNOWN = "`after` must be the `next` that a page of this view gave; leave it out to get the first page"


def _pack(parts: list[str]) -> str:
    return urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _unpack(token: str, parts: int) -> list[str]:
    try:
        found = json.loads(urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4)))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(_UNKNOWN) from error
    if not isinstance(found, list) or len(found) != parts or not all(_storable(part) for part in found):
        raise InvalidInput(_UNKNOWN)
    return found


def _storable(part: object) -> bool:
    if not isinstance(part, str) or len(part) > 200 or "\x00" in part:
        return False
    return part.isprintable()


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(_UNKNOWN) from error
    if found.tzinfo is None:
        raise InvalidInput(_UNKNOWN)
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput(_UNKNOWN) from error
