"""What every page says of the installation, decided in one place: what is invented, and what time it is where."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fastapi import Request

from console.origin import is_api
from workflows.domain.errors import QuartermasterError

TOLD_FOR_S = 10.0
"""So long a page may repeat what the one before it was told."""

Zones = Callable[[], Awaitable[Mapping[str, str]]]
"""The time zone (its IANA name) of each location that keeps another one than UTC."""


async def no_zones() -> Mapping[str, str]:
    """Every location keeps UTC."""
    return {}


@dataclass(frozen=True)
class Told:
    """What a page is told."""

    invented: str = ""
    """What of the data on show is invented, in words; empty when nothing is."""
    zones: Mapping[str, str] = field(default_factory=dict)


NOTHING = Told()


class Installation:
    """A dependency of every page: asks at most once in `TOLD_FOR_S` seconds, whoever looks."""

    def __init__(self, invented: Callable[[], Awaitable[str]], zones: Zones) -> None:
        self._invented, self._zones = invented, zones
        self._told, self._asked_at = NOTHING, float("-inf")

    async def __call__(self, request: Request) -> None:
        """Note it for `told_of`. A database that is away is the page's own matter: the last that was known is told."""
        if is_api(request):
            return
        if time.monotonic() - self._asked_at > TOLD_FOR_S:
            try:
                self._told = Told(await self._invented(), await self._zones())
                self._asked_at = time.monotonic()
            except QuartermasterError:
                pass
        request.state.told = self._told


def told_of(request: Request) -> Told:
    """What `Installation` noted for this request; nothing for a request that no page answers."""
    noted: Told = getattr(request.state, "told", NOTHING)
    return noted
