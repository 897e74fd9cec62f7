"""A failpoint names a moment around a side effect, so that a test can crash, fail or delay a process exactly there.

Nothing is armed unless a test's harness installs a trigger; then `reach` costs one comparison. Names are written where
the effect is, as literals: `noun.verb`. Each has two moments: `before` the effect counts and `after` it counted, but
nobody has been told yet. A failure at `after` is the one that fools retries: it was done, and the caller hears that
nobody answered.
"""

import asyncio
from collections.abc import Callable
from typing import Final

BEFORE: Final = "before"
AFTER: Final = "after"
Trigger = Callable[[str], float]
"""Given `noun.verb:moment`: ends the process, raises, or says for how many seconds to wait (0: go on)."""

Hold = Callable[[float], None]
"""Holds the thread for so many seconds. Whoever installs a trigger that waits brings it: here nothing has a clock."""


def _cannot_wait(seconds: float) -> None:
    raise RuntimeError(f"the trigger asks to hold a thread for {seconds:g} s, and was installed without a way to do it")


_trigger: Trigger | None = None
_hold: Hold = _cannot_wait


def install(trigger: Trigger | None, hold: Hold = _cannot_wait) -> None:
    """From now on ask this trigger at every failpoint of the process, and hold threads so; None: no more."""
    global _trigger, _hold
    _trigger, _hold = trigger, hold


def reach(name: str, moment: str) -> None:
    """The thread has come to this failpoint; a delay holds the thread.

    Raises:
        Unavailable: the harness asked for a failure here.
    """
    if _trigger is not None and (seconds := _trigger(f"{name}:{moment}")):
        _hold(seconds)


async def reached(name: str, moment: str) -> None:
    """As `reach`, on an event loop: a delay holds the caller only.

    Raises:
        Unavailable: the harness asked for a failure here.
    """
    if _trigger is not None and (seconds := _trigger(f"{name}:{moment}")):
        await asyncio.sleep(seconds)


class Effect:
    """Both moments around one side effect, in `with` or `async with`; one that raised has no `after`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        reach(self._name, BEFORE)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            reach(self._name, AFTER)

    async def __aenter__(self) -> None:
        await reached(self._name, BEFORE)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await reached(self._name, AFTER)
