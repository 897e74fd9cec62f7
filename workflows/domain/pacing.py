"""Paces requests: at most a burst at once, so many a second after it, and none before a supplier wants to hear from us.

The token bucket in the form of one instant, as the generic cell rate algorithm has it (ITU-T I.371, annex A): `full_at`
is when the bucket will be full again. It lies in the future by one interval for each token that is missing.
"""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from workflows.domain.identity import Instant, Payload

LONGEST_PAUSE_SECONDS = 900.0
"""However long a supplier asks us to stay away: a typing error of theirs must not stop ordering for a year."""


class Pace(Payload):
    """What is agreed with a supplier."""

    requests_per_second: float = 0.0
    """0: as many as we like."""
    burst: int = 1


class Bucket(Payload):
    """What is remembered of one supplier."""

    full_at: Instant | None = None
    paused_until: Instant | None = None
    """The supplier asked us to stay away until then."""


class Taken(NamedTuple):
    """A token, or how long to wait for one."""

    bucket: Bucket
    wait_seconds: float
    """Zero: it was taken."""
    reason: str = ""


def take(bucket: Bucket, pace: Pace, now: datetime) -> Taken:
    """Take a token if there is one.

    In any span of T seconds at most `burst + requests_per_second x T` are taken.
    """
    if (paused := _ahead(bucket.paused_until, now, LONGEST_PAUSE_SECONDS)) > 0:
        return Taken(bucket, paused, "the supplier asked us to come back later")
    if pace.requests_per_second <= 0:
        return Taken(bucket, 0)
    interval = 1 / pace.requests_per_second
    missing = _ahead(bucket.full_at, now, pace.burst * interval)
    # A microsecond is the finest that an instant can say; less than that is no wait.
    wait = missing - (pace.burst - 1) * interval
    if wait > 1e-6:
        return Taken(bucket, wait, f"at most {pace.requests_per_second:g} requests a second go to the supplier")
    full_at = now + timedelta(seconds=missing + interval)
    return Taken(bucket.model_copy(update={"full_at": full_at}), 0)


def paused(bucket: Bucket, seconds: float, now: datetime) -> Bucket:
    """Stay away for so long, at most `LONGEST_PAUSE_SECONDS`; a pause never shortens another one."""
    left = _ahead(bucket.paused_until, now, LONGEST_PAUSE_SECONDS)
    until = now + timedelta(seconds=max(left, min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)))
    return bucket.model_copy(update={"paused_until": until})


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """How long a Retry-After asks us to stay away (RFC 9110, 10.2.3: seconds or a date); None where it says nothing."""
    said = (header or "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:12]), LONGEST_PAUSE_SECONDS)
    try:
        at = parsedate_to_datetime(said)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:
        return None
    return min(max(0.0, (at - now).total_seconds()), LONGEST_PAUSE_SECONDS)


def _ahead(until: datetime | None, now: datetime, longest: float) -> float:
    """Seconds until then, none where it is past; never more than `longest`, should a clock have been set back."""
    return 0.0 if until is None else min(longest, max(0.0, (until - now).total_seconds()))
