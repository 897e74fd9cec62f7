"""Ends a process of ours without taking the interpreter down.

Threads of Temporal's client may come back into Python at any moment; one that does so while the interpreter is being
taken down aborts the process (exit code -6), after all its work was done and told: temporalio/sdk-python, issue 300.
"""

import atexit
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from workers.commands.output import FAILED


def leave(code: int) -> NoReturn:
    """End the process now, with what was logged and printed."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def leaving_for_good(work: Callable[[], object]) -> None:
    """Do the work, then end the process with its exit code: that of the `SystemExit` it raises, or of a failure.

    Before it ends, threads are waited for, what others left to be done at the end is done, and what was logged or
    printed is written.
    """
    code = FAILED
    # The first to be registered here is the last to be called, when no thread of ours runs any more.
    atexit.register(lambda: leave(code))
    try:
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else FAILED
        raise
