"""Waits for what must come true, never for time to pass; what does not come says what it waited for."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_EVERY_S = 0.05


class NotInTime(AssertionError):
    """What was waited for did not come true within its deadline."""


def until(condition: Callable[[], T | None], within_s: float, what: str) -> T:
    """The first true answer of the condition.

    Raises:
        NotInTime: none came; the message names `what`, and the last error of the condition, if there was one.
    """
    deadline = time.monotonic() + within_s
    said = ""
    while True:
        try:
            if found := condition():
                return found
            said = ""
        except AssertionError:
            raise
        except Exception as error:  # a server under fault may say anything while we look
            said = f" (the last look failed: {type(error).__name__}: {str(error)[:200]})"
        if time.monotonic() > deadline:
            raise NotInTime(f"{what} did not come true within {within_s:g} s{said}")
        time.sleep(LOOK_EVERY_S)
