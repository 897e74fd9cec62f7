"""One helper waits for an instant of the business clock, whichever clock that is."""

from collections.abc import Callable
from datetime import datetime

from temporalio import workflow

from workflows.domain.needs import ClockMode


class BusinessClock:
    """A workflow's view of its location's clock: a durable timer when live, the relay's ticks when replayed."""

    def __init__(self, mode: ClockMode) -> None:
        self._mode = mode
        self._watermark: datetime | None = None

    def tick(self, watermark: datetime) -> None:
        """The relay says how far the clock is; late and repeated ticks change nothing."""
        if self._watermark is None or watermark > self._watermark:
            self._watermark = watermark

    async def wait_until(self, instant: datetime, unless: Callable[[], bool] = lambda: False) -> bool:
        """Wait for the instant, or until `unless` holds. True when the instant came first."""

        def passed() -> bool:
            return self._watermark is not None and self._watermark >= instant

        if self._mode is ClockMode.REPLAYED:
            await workflow.wait_condition(lambda: unless() or passed())
        else:
            left = instant - workflow.now()
            if left.total_seconds() > 0:
                try:
                    await workflow.wait_condition(lambda: unless() or passed(), timeout=left)
                except TimeoutError:
                    return not unless()
        return not unless()
