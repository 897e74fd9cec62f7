"""Faults are asked for one request at a time, and each tells when it has fired, so that no test passes by luck."""

import threading
from enum import StrEnum

from pydantic import Field

from workflows.domain.identity import Payload


class FaultMode(StrEnum):
    """What goes wrong with a request."""

    DROP_RESPONSE = "drop_response"
    """It is carried out, and the connection breaks before the answer."""
    LATE_COMMIT = "late_commit"
    """It is carried out only after `delay_s`, when the caller has long given up."""
    SLOW = "slow"
    """It is carried out, and answered after `delay_s`."""
    HTML_BODY = "html_body"
    """It is carried out, and answered by a page that means nothing."""
    SERVER_ERROR = "server_error"
    """It is carried out, and answered with a plain 500."""
    UNAVAILABLE = "unavailable"
    """It is certainly not carried out: 503."""
    THROTTLED = "throttled"
    """It is certainly not carried out: 429 with Retry-After."""


class Fault(Payload):
    """What to do with the next requests of a method to `/orders`."""

    mode: FaultMode
    requests: int = Field(default=1, ge=1, le=10_000)
    method: str = Field(default="POST", pattern="^(GET|POST)$")
    delay_s: float = Field(default=1.0, ge=0, le=60)
    """For late_commit and slow."""
    retry_after_s: int = Field(default=1, ge=0, le=3600)
    """For throttled."""


class Faults:
    """Faults that are still to happen, and how many of each mode have. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._fired: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        """Let it happen to the next requests, after those asked for earlier."""
        with self._lock:
            self._waiting.append(fault)

    def next_for(self, method: str) -> Fault | None:
        """The fault that this request suffers; it counts as fired."""
        with self._lock:
            for index, fault in enumerate(self._waiting):
                if fault.method == method:
                    if fault.requests > 1:
                        self._waiting[index] = fault.model_copy(update={"requests": fault.requests - 1})
                    else:
                        del self._waiting[index]
                    self._fired[fault.mode] = self._fired.get(fault.mode, 0) + 1
                    return fault
        return None

    def fired(self) -> dict[str, int]:
        """How often each mode happened."""
        with self._lock:
            return dict(self._fired)
