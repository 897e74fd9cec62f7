"""Days and instants as programs write them: ISO 8601 and nothing else, so that a number is never taken for a time."""

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator

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


Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[Instant, BeforeValidator(_moment)]
