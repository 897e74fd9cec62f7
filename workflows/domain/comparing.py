"""Compares what was recorded with what comes out now, leaf by leaf: nothing is rounded and nothing is left out."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from workflows.domain.identity import plain
from workflows.domain.rerun import Deviation

SHOWN = 5
"""Entries of a list that are told by themselves where they differ."""


class Compared(NamedTuple):
    """One recorded value and what it is now."""

    what: str
    recorded: Any
    now: Any

    @property
    def same(self) -> bool:
        """Not "equal enough": the same, in type and in spelling."""
        return type(self.recorded) is type(self.now) and bool(self.recorded == self.now)

    def deviation(self) -> Deviation:
        """The two in words."""
        return Deviation(what=self.what, recorded=said(self.recorded), now=said(self.now))


def compared(what: str, recorded: Any, now: Any) -> list[Compared]:
    """Every leaf of two values in their canonical form; a list of plain values is one leaf while it is the same."""
    return list(_leaves(what, plain(recorded), plain(now)))


def _leaves(path: str, recorded: Any, now: Any) -> Iterator[Compared]:
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in sorted(recorded.keys() | now.keys()):
            yield from _leaves(f"{path}.{key}" if path else key, recorded.get(key), now.get(key))
    elif isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        yield from _entries(path, recorded, now)
    else:
        yield Compared(path, recorded, now)


def _entries(path: str, recorded: list[Any], now: list[Any]) -> Iterator[Compared]:
    whole = Compared(path, recorded, now)
    if whole.same and not any(isinstance(one, (dict, list)) for one in recorded):
        yield whole
        return
    pairs = list(enumerate(zip(recorded, now, strict=True), start=1))
    if any(isinstance(one, (dict, list)) for one in (*recorded, *now)):
        for number, (one, other) in pairs:
            yield from _leaves(f"{path} {number}", one, other)
        return
    apart = [Compared(f"{path} {number}", one, other) for number, (one, other) in pairs if one != other]
    yield from apart[:SHOWN]
    if len(apart) > SHOWN:
        yield Compared(path, f"{len(recorded)} entries", f"{len(apart)} of them differ")


def said(value: Any) -> str:
    """A leaf in words."""
    if value is None:
        return "nothing"
    if isinstance(value, list):
        plainly = value and not any(isinstance(one, (dict, list)) for one in value)
        return f"{len(value)} entries" + (f", {value[0]} to {value[-1]}" if plainly else "")
    return f"{len(value)} fields" if isinstance(value, dict) else str(value)
