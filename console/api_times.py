"""Days and instants as programs write them: ISO 8601 and nothing else, so that a number is never taken for a time."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from workflows.domain.identity import Instant

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:.*", re.ASCII)


def _day(value: Any) -> Any:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return value
    raise ValueError("a day is written like 2026-11-21")


def _moment(value: Any) -> Any:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return value
    raise ValueError("an instant is written like 2026-11-21T06:00:00Z")


def _tellable(moment: datetime) -> datetime:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC this instant lies outside of the years 1 to 9999") from None
    return moment


Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[Instant, BeforeValidator(_moment), AfterValidator(_tellable)]
