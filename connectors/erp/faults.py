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
    HALF_BODY = "half_body"
    """It is carried out, and the connection ends in the middle of the answer."""
    RESET = "reset"
    """It is carried out, and the connection is reset in the middle of the answer's head."""
    SERVER_ERROR = "server_error"
    """It is carried out, and answered with a plain 500."""
    BOOKED_AGAIN = "booked_again"
    """It is booked once more although its key is known: the supplier's own fault."""
    STALE_SEARCH = "stale_search"
    """Looked for and listed is only what is older than `delay_s`: an index that lags behind."""
    UNAVAILABLE = "unavailable"
    """It is certainly not carried out: 503, with Retry-After when `retry_after_s` is not 0."""
    THROTTLED = "throttled"
    """It is certainly not carried out: 429 with Retry-After."""


class Operation(StrEnum):
    """What is asked of the supplier."""

    PLACE = "place"
    FIND = "find"
    LIST = "list"
    DRAFT = "draft"
    DRAFTS = "drafts"
    CANCEL = "cancel"
    CONFIRM = "confirm"

    @property
    def method(self) -> str:
        """Of HTTP."""
        return "GET" if self in {Operation.FIND, Operation.LIST, Operation.DRAFTS} else "POST"


_BY_METHOD = frozenset({Operation.PLACE, Operation.FIND})


class Fault(Payload):
    """What to do with the next requests of an operation, or without one of a method to `/orders`."""

    mode: FaultMode
    requests: int = Field(default=1, ge=1, le=10_000)
    method: str = Field(default="POST", pattern="^(GET|POST)$")
    on: Operation | None = None
    delay_s: float = Field(default=1.0, ge=0, le=120)
    """For late_commit, slow and stale_search."""
    retry_after_s: int = Field(default=1, ge=0, le=3600)
    """For throttled and unavailable."""

    def strikes(self, operation: Operation) -> bool:
        """Whether it is meant for this request."""
        if self.on is None:
            return operation in _BY_METHOD and self.method == operation.method
        return self.on is operation


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

    def clear(self) -> None:
        """Nothing more happens; what has fired is still told."""
        with self._lock:
            self._waiting = []

    def next_for(self, operation: Operation) -> Fault | None:
        """The fault that this request suffers; it counts as fired."""
        with self._lock:
            for index, fault in enumerate(self._waiting):
                if fault.strikes(operation):
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
