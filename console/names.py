"""Puts people's names where pages would show references: here and nowhere else, so that nothing inside knows a name."""

import json
import re
import time
from bisect import bisect
from collections.abc import Awaitable, Callable, Mapping

from markupsafe import escape

from workflows.domain.errors import QuartermasterError
from workflows.domain.names import references_at, with_names

KNOWN_FOR_S = 2.0
"""So long a page may show somebody as the one before it did."""
Names = Callable[[], Awaitable[Mapping[str, str]]]
"""What everybody is called, by reference."""

_KEPT = re.compile(r"<(pre|code|textarea|script|style)\b.*?</\1>", re.DOTALL)
"""Raw records and fields are kept as they are."""
_ATTRIBUTE = re.compile(r'([\w-]+)="[^"]*\Z')
_SPOKEN = frozenset({"title", "aria-label", "alt", "placeholder", "data-signed"})
"""Attributes that are shown or read out; the others are addresses and values."""


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
    found = [one for one in references_at(html) if one[1] in names]
    if not found:
        return html
    kept = [(one.start(), one.end()) for one in _KEPT.finditer(html)]
    parts, done = [], 0
    for at, reference in found:
        nearest = bisect(kept, (at, 0)) - 1
        if (nearest >= 0 and at < kept[nearest][1]) or not _is_read(html, at):
            continue
        parts += [html[done:at], str(escape(names[reference]))]
        done = at + len(reference)
    return "".join([*parts, html[done:]])


def _is_read(html: str, at: int) -> bool:
    """Whether people read what stands here: text, or an attribute that is shown."""
    tag = html.rfind("<", 0, at)
    if html.rfind(">", 0, at) > tag:
        return True
    attribute = _ATTRIBUTE.search(html, tag, at)
    return attribute is not None and attribute[1] in _SPOKEN


def named_json(frame: bytes, names: Mapping[str, str]) -> bytes:
    """A line of JSON with names in the place of references."""
    line = frame.decode()
    escaped = {one: json.dumps(names[one])[1:-1] for _, one in references_at(line) if one in names}
    return with_names(line, escaped).encode() if escaped else frame
