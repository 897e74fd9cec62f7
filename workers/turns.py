"""Heavy work that a page asks for is done one at a time in a process, and whoever comes second is told so."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from workflows.domain.errors import Conflict


class OneAtATime:
    """Lets one piece of work through: a second one is told to come again, rather than made to wait."""

    def __init__(self, what: str) -> None:
        self._lock, self._what = Lock(), what

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Work.

        Raises:
            Conflict: somebody else does.
        """
        if not self._lock.acquire(blocking=False):
            raise Conflict(f"another {self._what} is being made on this console; try again in a minute")
        try:
            yield
        finally:
            self._lock.release()
