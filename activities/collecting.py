"""Keeps the cycle collector away while a batch is assessed: it would walk through all of it again and again.

What a batch makes are hundreds of thousands of small values in trees; reference counts free them at its end. The
collector, which looks for cycles whenever so many were made, took a fifth of the time and found none.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_inside = 0
_was_on = False


@contextmanager
def without_collector() -> Iterator[None]:
    """No collection until the last of those inside has left; then as it was before the first came."""
    global _inside, _was_on
    with _lock:
        if _inside == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _was_on:
                gc.enable()
