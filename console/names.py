"""Puts people's names where pages would show references: here and nowhere else, so that nothing inside knows a name."""

import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping

from markupsafe import escape

from workflows.domain.errors import QuartermasterError
from workflows.domain.names import with_names

KNOWN_FOR_S = 2.0
"""So long a page may show somebody as the one before it did."""
Names = Callable[[], Awaitable[Mapping[str, str]]]
"""What everybody is called, by reference."""

_SHOWN = re.compile(
    r'(?P<kept><(?P<tag>pre|code|textarea|script|style)\b.*?</(?P=tag)>)'
    r'|(?P<text>>[^<]+)'
    r'|(?P<said>\s(?:title|aria-label|alt|placeholder|data-signed)="[^"]*")',
    re.DOTALL,
)  # fmt: skip
"""What of a page people read: its text, and attributes that are shown or spoken. Raw records and fields are kept."""


class KnownNames:
    """Asks at most once in `KNOWN_FOR_S` seconds, whoever looks; a database that is away changes nobody's name."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: Mapping[str, str] = {}
        self._asked_at = float("-inf")

    async def now(self) -> Mapping[str, str]:
        """What people are called."""
        if time.monotonic() - self._asked_at > KNOWN_FOR_S:
            try:
                self._known = await self._names()
                self._asked_at = time.monotonic()
            except QuartermasterError:
                pass
        return self._known


def named_page(html: str, names: Mapping[str, str]) -> str:
    """A page with names in the place of references. Addresses, fields and records keep the references."""
    if not names:
        return html
    escaped = {reference: str(escape(name)) for reference, name in names.items()}
    return _SHOWN.sub(lambda found: found[0] if found["kept"] else with_names(found[0], escaped), html)


def named_json(frame: bytes, names: Mapping[str, str]) -> bytes:
    """A line of JSON with names in the place of references."""
    if not names or b"p-" not in frame:
        return frame
    escaped = {reference: json.dumps(name)[1:-1] for reference, name in names.items()}
    return with_names(frame.decode(), escaped).encode()
