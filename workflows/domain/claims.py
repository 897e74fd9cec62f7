"""What a message that could not be read says of itself, as far as it is a name and nothing else."""

import json
import re

from workflows.domain.events import MAX_EVENT_BYTES

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")


def claimed_type(raw: bytes) -> str | None:
    """The event type that a message claims to be, for whoever looks for its schema; None where none can be told.

    Whatever is no plain name is none: of what a bad message says nothing else may go where names go.
    """
    if len(raw) > MAX_EVENT_BYTES:
        return None
    try:
        document = json.loads(raw.decode("utf-8"), parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    said = document.get("type") if isinstance(document, dict) else None
    return said if isinstance(said, str) and _NAME.fullmatch(said) else None
