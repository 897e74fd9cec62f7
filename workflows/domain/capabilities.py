"""What a supplier's system does about orders that are sent twice, and what that lets us do when an answer is lost.

    L0   every request is a new order, and nobody can look for one        mail, CSV
    L1   every request is a new order; orders are found by our key        most ERPs as they come
    L2   the key is unique: a second order under it is refused            an ERP with a unique field for it
    L3   the first answer is given again while it is remembered           idempotency keys; after their time, L1

With drafts an order is made in two steps, and only the second one orders anything: L1 becomes practically L2.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from workflows.domain.identity import Payload


class DedupeLevel(StrEnum):
    """How well the supplier's system tells a repeated order from a new one."""

    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


class Manifest(Payload):
    """What a connector declares of the system that it talks to. Seconds are of the wall clock."""

    name: str = Field(min_length=1, max_length=64)
    level: DedupeLevel
    drafts: bool = False
    """An order is drafted first, and ordered by confirming the draft."""
    longest_transaction_s: float = Field(ge=0, le=3600, allow_inf_nan=False)
    """How long the supplier may be at a request whose connection is gone."""
    http_timeout_s: float = Field(gt=0, le=300, allow_inf_nan=False)
    """How long we wait for an answer."""
    memory_s: float = Field(default=0, ge=0, allow_inf_nan=False)
    """L3: how long the first answer is given again."""
    requests_per_second: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Most requests that the supplier takes; 0: it names no limit."""
    burst: int = Field(default=1, ge=1)
    """How many of them may come at once."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.drafts and self.level is DedupeLevel.L0:
            raise ValueError(
                "drafts are found by our key, and a system of level L0 finds nothing: it is L1 or no drafts"
            )
        if self.level is DedupeLevel.L3 and self.memory_s <= 0:
            raise ValueError("a system of level L3 says for how long it remembers (memory_s); one that does not is L1")
        return self

    @property
    def in_words(self) -> str:
        """What counts of it, in one line for the record."""
        drafts = " with drafts" if self.drafts else ""
        memory = f", remembers for {self.memory_s:g} s" if self.level is DedupeLevel.L3 else ""
        return f"{self.name}: {self.level}{drafts}, settles in {self.settle_s:g} s{memory}"

    @property
    def settle_s(self) -> float:
        """How long a request that was lost sight of may still be carried out: until then "absent" does not count."""
        return self.longest_transaction_s + self.http_timeout_s

    @property
    def finds(self) -> bool:
        """Whether the supplier can be asked what it has under our key."""
        return self.level is not DedupeLevel.L0

    @property
    def drafts_first(self) -> bool:
        """Whether an order is drafted and confirmed. A system that tells repeated orders apart needs no drafts."""
        return self.drafts and self.level is DedupeLevel.L1


def settles_in(manifest: Manifest, last_sent_at: datetime, now: datetime) -> float:
    """Seconds until nothing that we sent can be carried out any more; 0: it is so already."""
    return max(0.0, manifest.settle_s - (now - last_sent_at).total_seconds())


def may_send_again(manifest: Manifest, first_sent_at: datetime, last_sent_at: datetime, now: datetime) -> bool:
    """Whether an order may be sent again by itself after a request of which nobody knows what it came to, and after the
    supplier said that it has none.

    Never before the settle window has passed. L2 refuses a second one, whenever it comes. L3 recognises it only while
    it remembers the first request, and ours must arrive within that time. On L0 and L1 a person is asked.
    """
    if settles_in(manifest, last_sent_at, now) > 0:
        return False
    if manifest.level is DedupeLevel.L2:
        return True
    if manifest.level is not DedupeLevel.L3:
        return False
    return now + timedelta(seconds=manifest.http_timeout_s) <= first_sent_at + timedelta(seconds=manifest.memory_s)


def at_most(fixed: Manifest, now: Manifest) -> Manifest:
    """What may be relied on for an order that was prepared under one manifest and is carried on under another: the less
    of both. How it is ordered stays as it began: what was sent directly is not to be found among drafts."""
    return now.model_copy(
        update={
            "level": min(fixed.level, now.level),
            "drafts": fixed.drafts_first and min(fixed.level, now.level) is not DedupeLevel.L0,
            "longest_transaction_s": max(fixed.longest_transaction_s, now.longest_transaction_s),
            "http_timeout_s": max(fixed.http_timeout_s, now.http_timeout_s),
            "memory_s": min(fixed.memory_s, now.memory_s),
        }
    )


def carried_on(now: Manifest, fixed: Manifest | None) -> Manifest:
    """What counts for an order prepared under `fixed`; None: by an earlier release, which knew of no drafts."""
    return now.model_copy(update={"drafts": False}) if fixed is None else at_most(fixed, now)
