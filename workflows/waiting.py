"""One helper waits for an instant of the business clock, whichever clock that is."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow

from workflows.domain.needs import ClockMode


class BusinessClock:
    """A workflow's view of its location's clock: a durable timer when live, the relay's ticks when replayed.

    Live, the business clock stays `lag_seconds` behind the wall clock (the allowed lateness of events).
    """

    def __init__(self, mode: ClockMode, lag_seconds: int = 0) -> None:
        self._mode = mode
        self._lag = timedelta(seconds=lag_seconds)
        self._watermark: datetime | None = None

    def tick(self, watermark: datetime) -> None:
        """The relay says how far the clock is; late and repeated ticks change nothing."""
        if self._watermark is None or watermark > self._watermark:
            self._watermark = watermark

    async def wait_until(self, instant: datetime | None, unless: Callable[[], bool] = lambda: False) -> bool:
        """Wait for the instant (None: it never comes), or until `unless` holds. True when the instant came first."""
        timeout = None
        if instant is not None and self._mode is ClockMode.LIVE:
            timeout = instant + self._lag - workflow.now()
            if timeout.total_seconds() <= 0:
                return not unless()
        with suppress(TimeoutError):  # the live clock's instant came
            await workflow.wait_condition(lambda: unless() or self._passed(instant), timeout=timeout)
        return not unless()

    def _passed(self, instant: datetime | None) -> bool:
        """Whether the relay's clock has passed it. A live wait listens to its timer only, so no tick can hasten it."""
        if instant is None or self._mode is ClockMode.LIVE:
            return False
        return self._watermark is not None and self._watermark >= instant
