"""Drives the simulated suppliers: moves their clock, lists what they emitted and which orders they have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from workflows.domain.errors import Unavailable
from workflows.domain.identity import rfc3339

TIMEOUT_SECONDS = 60.0
"""Moving the clock publishes what became due, and that may wait for the broker."""


@dataclass(frozen=True)
class Delivered:
    """One event of the suppliers that became due. `units` are units received, 0 for news that moves no stock."""

    source: str
    id: str
    location: str
    item: str | None
    units: int
    at: datetime


class SupplierControl:
    """A client for the parts of the simulated suppliers' server that only a driver of the world needs."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.Client(base_url=base_url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def advance(self, through: datetime) -> None:
        """Move every location's clock there; what is due by then is emitted.

        Raises:
            Unavailable: the server, or the broker behind it, does not answer; the same call may be made again.
        """
        self._call("POST", "/clock", json={"through": rfc3339(through)})

    def emitted(self, through: datetime) -> list[Delivered]:
        """All events emitted whose time is up to then, the oldest first.

        Raises:
            Unavailable: the server does not answer.
        """
        answer = self._call("GET", "/events", params={"through": rfc3339(through)})
        receipts = {(one["source"], one["id"]): one for one in answer["receipts"]}
        found = []
        for event in answer["events"]:
            receipt = receipts.get((event["source"], event["id"]), {})
            found.append(
                Delivered(
                    source=event["source"],
                    id=event["id"],
                    location=receipt.get("location", ""),
                    item=receipt.get("item"),
                    units=receipt.get("units", 0),
                    at=datetime.fromisoformat(event["time"]),
                )
            )
        return found

    def emit_again(self, ids: Sequence[str]) -> None:
        """Publish these events once more: the broker lost them.

        Raises:
            Unavailable: the server, or the broker behind it, does not answer.
        """
        self._call("POST", "/events/re-emit", json={"ids": list(ids)})

    def booked(self) -> set[tuple[str, str]]:
        """(order key, hash of lines) of every order in the suppliers' own journal.

        Raises:
            Unavailable: the server does not answer.
        """
        return {(one["key"], one["lines_digest"]) for one in self._call("GET", "/orders")["orders"]}

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, **arguments)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"the simulated suppliers did not answer {method} {path}: {error}") from error
        return found
