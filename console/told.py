"""What every page is told of the installation: what is invented, what time it is where, what people are called."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from fastapi import Request

from console.names import KnownNames
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
    names: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What people are called, by their references."""


NOTHING = Told()


class Installation:
    """A dependency of every page: asks at most once in `TOLD_FOR_S` seconds, whoever looks."""

    def __init__(self, invented: Callable[[], Awaitable[str]], zones: Zones, names: KnownNames) -> None:
        self._invented, self._zones, self._names = invented, zones, names
        self._told, self._asked_at = NOTHING, float("-inf")

    async def __call__(self, request: Request) -> None:
        """Note it for `told_of`. A database that is away is the page's own matter: the last that was known is told."""
        names = await self._names.now()
        if is_api(request):
            request.state.told = Told(names=names)  # for what goes wrong: that is told in words
            return
        if time.monotonic() - self._asked_at > TOLD_FOR_S:
            try:
                self._told = Told(await self._invented(), await self._zones())
                self._asked_at = time.monotonic()
            except QuartermasterError:
                pass
        request.state.told = replace(self._told, names=names)


def told_of(request: Request) -> Told:
    """What `Installation` noted for this request; nothing for a request that no page answers."""
    noted: Told = getattr(request.state, "told", NOTHING)
    return noted
