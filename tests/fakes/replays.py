"""Replays of an invented ledger: so many stretches, each as it is told, and what was noted of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from workflows.domain.replay import Replayed, Verdict
from workflows.domain.replaying import Counts, Point, ReplayBatch, ReplayPlan, ReplayProgress, ReplayRequest


class ToldReplays:
    """The `Replays` port; open, so that tests see what was asked and can hold a stretch up."""

    def __init__(self, stretches: int = 3) -> None:
        self.stretches = stretches
        self.different = {2}
        self.asked: list[int] = []
        self.noted: dict[str, ReplayProgress] = {}
        self.failures: list[Exception] = []
        self.holds_up = Event()
        self.holds_up.set()

    @contextmanager
    def opened(self) -> Iterator["ToldReplays"]:
        """For one attempt."""
        yield self

    def plan(self, request: ReplayRequest) -> ReplayPlan:
        """See the port."""
        return ReplayPlan(through="2026-01-01T00:00:00.000000Z", decisions=self.stretches * 10)

    def stretch(self, request: ReplayRequest, plan: ReplayPlan, point: Point) -> ReplayBatch:
        """See the port."""
        number = point.seq + 1
        self.asked.append(number)
        if self.failures:
            raise self.failures.pop()
        if not self.holds_up.wait(10):
            raise TimeoutError("nobody let it go on")
        apart = int(number in self.different)
        one = Replayed(decision_id=f"L1:X:{number}", revision=1, proposal_hash="0" * 64, verdict=Verdict.DIFFERENT)
        return ReplayBatch(
            point=None if number == self.stretches else Point(stream="s", seq=number),
            counts=Counts(decisions=10, equal=10 - apart, different=apart), told=(one,) * apart,
            not_recorded={"features": 1},
        )  # fmt: skip

    def note(self, request: ReplayRequest, progress: ReplayProgress, run: str) -> bool:
        """See the port."""
        new = run not in self.noted
        self.noted[run] = progress
        return new
