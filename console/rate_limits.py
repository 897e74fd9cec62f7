"""Nobody asks faster than a person and their scripts need: counted per person and kind of request, in this process."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from workflows.domain.errors import Audience, QuartermasterError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEAVY = ("/what-if", "/api/v1/what-if", "/policies/new", "/api/v1/policy/dry-run", "/api/v1/policy/changes")
"""Paths whose answer takes seconds of computing; a GET of a form is counted among them, which harms nobody."""
HEAVY_ENDS = ("/replay", "/pack", "/population", "/verify")
"""Ends of such paths."""


class TooMany(QuartermasterError):
    """More requests than are let through; after `seconds` there is room again."""

    retryable = True
    audience = Audience.CALLER

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many requests. Try again in {seconds} s.")
        self.seconds = seconds


@dataclass(frozen=True)
class Rates:
    """How often somebody may do what, in the notation of the library `limits`. Each replica counts by itself."""

    look: str = "1200/minute"
    change: str = "240/minute"
    heavy: str = "30/minute"
    sign_in: str = "10/minute;60/hour"
    """Failed attempts from one address; who succeeds is not held up by it."""


class RateLimits:
    """Lets requests through, or says when to come again."""

    def __init__(self, rates: Rates) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        named = {"look": rates.look, "change": rates.change, "heavy": rates.heavy, "sign_in": rates.sign_in}
        self._limits: Mapping[str, list[RateLimitItem]] = {name: parse_many(text) for name, text in named.items()}

    def request(self, person: str, method: str, path: str) -> None:
        """Count one request of a person.

        Raises:
            TooMany: there were too many of its kind.
        """
        heavy = path.startswith(HEAVY) or path.endswith(HEAVY_ENDS)
        kind = "heavy" if heavy else "look" if method in SAFE_METHODS else "change"
        for limit in self._limits[kind]:
            if not self._limiter.hit(limit, kind, person):
                raise TooMany(self._wait(limit, kind, person))

    def before_sign_in(self, address: str) -> None:
        """Go on only if this address has not failed too often.

        Raises:
            TooMany: it has.
        """
        for limit in self._limits["sign_in"]:
            if not self._limiter.test(limit, "sign_in", address):
                raise TooMany(self._wait(limit, "sign_in", address))

    def failed_sign_in(self, address: str) -> None:
        """Count one attempt that failed."""
        for limit in self._limits["sign_in"]:
            self._limiter.hit(limit, "sign_in", address)

    def _wait(self, limit: RateLimitItem, *who: str) -> int:
        return max(1, math.ceil(self._limiter.get_window_stats(limit, *who).reset_time - time.time()))
