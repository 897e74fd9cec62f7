"""Recorded decisions in memory, for what makes them again."""

from collections.abc import Iterator

from workflows.domain.counterfactual import Recorded, Which


class MemoryRecordings:
    """`Recordings`: gives the batches that it was told, whatever is asked, and remembers what was."""

    def __init__(self) -> None:
        self.batches: list[Recorded] = []
        self.asked: list[Which] = []

    def read(self, which: Which) -> Iterator[Recorded]:
        """All of them."""
        self.asked.append(which)
        yield from self.batches

    def count(self, which: Which) -> int:
        """Entries."""
        return sum(one.entries for one in self.batches)
