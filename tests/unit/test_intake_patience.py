"""Intake waits longer with each attempt of one outage, and begins anew with the next one."""

from typing import Any

from workers.intake import IntakeLoop
from workflows.domain.errors import Unavailable
from workflows.domain.needs import ClockMode


class Loop(IntakeLoop):
    """Sessions that end in an outage: `+` took something in before, `-` did not; then it is stopped."""

    def __init__(self, sessions: str) -> None:
        unused: Any = None
        super().__init__(unused, unused, unused, unused, clock=ClockMode.LIVE)
        self._sessions = list(sessions)
        self.waited: list[float] = []

    def _session(self) -> None:
        if not self._sessions:
            self.stop()
            return
        self._accepted_any = self._sessions.pop(0) == "+"
        raise Unavailable("an outage")

    def _pause(self, seconds: float) -> None:
        self.waited.append(seconds)


def test_an_outage_that_goes_on_is_asked_less_and_less_often() -> None:
    loop = Loop("-----")
    loop.run()
    assert loop.waited == sorted(loop.waited)
    assert loop.waited[-1] >= 4 * loop.waited[0]


def test_after_a_session_that_took_something_in_patience_begins_anew() -> None:
    loop = Loop("----+-")
    loop.run()
    assert loop.waited[4] == loop.waited[0], "another outage, not the fifth attempt of the first"
    assert loop.waited[5] == loop.waited[1]
